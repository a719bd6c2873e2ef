/** The command and its daemon, for programs that embed them. Their contract: @gannet/contract. */
export { main } from './command.js';
export { Daemon } from './daemon/daemon.js';
export { createLogger, type Logger } from './daemon/log.js';
