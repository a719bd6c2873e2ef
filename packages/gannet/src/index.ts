export { main } from './cli.js';
export { type Config, loadConfig, parseConfig } from './config.js';
export { ControlClient } from './control/client.js';
export { Daemon } from './daemon/daemon.js';
export { type FailoverReport } from './daemon/takeover.js';
export { EXIT, GannetError } from './errors.js';
export { createLogger, type Logger } from './log.js';
export {
  eventSchema,
  type PrimaryStatus,
  type SecondaryStatus,
  type Status,
  STATUS_SCHEMA,
  statusSchema,
} from './status.js';
