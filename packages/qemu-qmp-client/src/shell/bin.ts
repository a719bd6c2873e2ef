#!/usr/bin/env node
import { main } from './main.js';

// Not by running out of work: stdin may stay open after QEMU has hung up.
process.exit(await main(process.argv.slice(2)));
