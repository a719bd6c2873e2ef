import type { BlockCommands } from './block.js';
import type { MachineCommands } from './machine.js';
import type { MigrationCommands } from './migration.js';

/**
 * Commands with their arguments and what they return, as QEMU's schema has them (7.2 to 10.0). What is
 * returned is QEMU's word, not checked at run time; newer versions add members. Extend it by declaration
 * merging, or use executeRaw().
 */
export interface Commands extends MachineCommands, MigrationCommands, BlockCommands {}
