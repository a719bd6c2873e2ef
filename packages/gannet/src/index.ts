/** The command and its daemon, for programs that embed them; what they say and are told is in @gannet/contract. */
export { main } from './cli/cli.js';
export { Daemon } from './daemon/daemon.js';
export { createLogger, type Logger } from './daemon/log.js';
