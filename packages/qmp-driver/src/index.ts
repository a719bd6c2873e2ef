/** What is done to QEMU: seed, attach, COLO, failover, and back to local files. See README.md. */
export {
  ColoError,
  type ColoErrorCode,
  DriverError,
  type DriverErrorCode,
  FailoverError,
  type FailoverErrorCode,
  GraphError,
  type GraphErrorCode,
  LinkError,
  type LinkErrorCode,
  MoveError,
  type MoveErrorCode,
  NetworkError,
  type NetworkErrorCode,
  SeedError,
  type SeedErrorCode,
  WaitError,
  type WaitErrorCode,
} from './errors.js';
export { type ColoEvent, type ColoStatusAnswer, QmpColoMonitor } from './colo-monitor.js';
export {
  type DiskGraph,
  findDisk,
  listDisks,
  type QueryOptions,
  type QuorumChild,
} from './graph.js';
export { leftovers } from './leftovers.js';
export { dropTlsCreds, putTlsCreds, TLS_CREDS_ID, type TlsCreds } from './tls-creds.js';
export type { DiskLink, LinkKind, ServerAddress } from './link.js';
export { type SeedProgress } from './seed-options.js';
export type { LocalDisk } from './move.js';
export type { NetworkLink } from './network-link.js';
export { probeNbdServer, type ProbeOptions } from './peer.js';
export { type Finding, FINDING_CODES, type FindingCode, type Severity } from './finding.js';
export { inspectVm } from './inspect.js';
export type * from './vm-report.js';
export { PrimaryDriver } from './primary.js';
export type * from './primary-options.js';
export { SecondaryDriver, type SecondaryOptions } from './secondary.js';
export { checkSecondary, comparePair, type DiskPair, shimFinding } from './compare.js';
export {
  type SecondaryCommand,
  secondaryCommandLine,
  type SecondaryCommandOptions,
} from './secondary-command.js';
export { shellText } from './option-text.js';
