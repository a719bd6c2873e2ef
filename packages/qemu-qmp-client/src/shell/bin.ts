#!/usr/bin/env node
import { runShell } from './main.js';

// Not by running out of work: stdin may stay open after QEMU has hung up.
process.exit(await runShell(process.argv.slice(2)));
