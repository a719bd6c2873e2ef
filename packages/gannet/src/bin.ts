#!/usr/bin/env node
import { main } from './command.js';

// Exit explicitly: what an interrupted command was waiting for must not keep the process alive.
process.exit(await main(process.argv.slice(2)));
