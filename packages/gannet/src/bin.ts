#!/usr/bin/env node
import { main } from './cli/cli.js';

// Not by running out of work: what an interrupted command still waited for must not hold the process.
process.exit(await main(process.argv.slice(2)));
