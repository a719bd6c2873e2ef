import type { BlockCommands } from './block.js';
import type { MachineCommands } from './machine.js';
import type { MigrationCommands } from './migration.js';

/**
 * Commands with their arguments and what they return, as the schemas of QEMU 7.2 and 10.0 have
 * them. What is returned is not checked at run time, and newer releases add members. Extend it by
 * declaration merging, or use executeRaw().
 */
export interface Commands extends MachineCommands, MigrationCommands, BlockCommands {}
