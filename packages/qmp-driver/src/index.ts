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
  SnapshotError,
  type SnapshotErrorCode,
  WaitError,
  type WaitErrorCode,
} from './errors.js';
export { type QmpColoEvent, type ColoStatusAnswer, QmpColoMonitor } from './colo-monitor.js';
export {
  type DiskGraph,
  findDisk,
  listDisks,
  type QueryOptions,
  type QuorumChild,
} from './disk/graph.js';
export { type LinkedInQemu, linkedInQemu } from './disk/leftovers.js';
export {
  dropTlsCreds,
  putTlsAuthz,
  putTlsCreds,
  TLS_AUTHZ_ID,
  TLS_CREDS_IDS,
  type TlsCreds,
  type TlsEnd,
} from './tls-creds.js';
export type { MigrationTls } from './migration/migration-tls.js';
export type { DiskLink, LinkKind, ServerAddress } from './disk/disk-link.js';
export { type SeedProgress } from './disk/seed-options.js';
export type { LocalDisk, LocalFormat, MoveOutcome } from './disk/move-to-local.js';
export type { ComparedCard } from './network/compared-card.js';
export {
  BufferedOutput,
  ComparedOutput,
  type ComparedOutputOptions,
  type HeldOutput,
  type HeldOutputOptions,
  WalledCards,
} from './network/held-output.js';
export { probeNbdServer, type ProbeOptions } from './disk/nbd-probe.js';
export {
  type Finding,
  finding,
  FINDING_CODES,
  type FindingCode,
  type Severity,
} from './inspect/finding.js';
export { inspectVm } from './inspect/inspect-vm.js';
export type * from './inspect/vm-report.js';
export { shortSocketPath } from './command-line/socket-path.js';
export { OwnDisks } from './export/own-disks.js';
export { WriteBitmaps } from './export/write-bitmaps.js';
export { PrimaryDriver } from './primary.js';
export type { DiskFailure, LinkFailure } from './disk/disk-watch.js';
export { type GuestEvent, watchGuest } from './guest/guest-watch.js';
export type { PrimaryOptions, SeedOptions } from './primary-options.js';
export type {
  CheckpointEngine,
  EngineKind,
  GoOnOptions,
  StartOptions,
} from './checkpoint-engine.js';
export type { PeerConnections } from './yank.js';
export { SnapshotVm, type SnapshotVmOptions } from './snapshot/snapshot-vm.js';
export { type SharedRam, sharedRam, type SharedRamOptions } from './snapshot/shared-ram.js';
export { SecondaryDriver, type SecondaryLinks, type SecondaryOptions } from './secondary.js';
export {
  checkSecondary,
  compareMemory,
  comparePair,
  sharedRamRemedy,
  type DiskPair,
  type PairPurpose,
  shimFinding,
} from './inspect/compare-vms.js';
export {
  type SecondaryCommand,
  secondaryCommandLine,
  type SecondaryCommandOptions,
} from './command-line/secondary-command.js';
export { shellText } from './command-line/option-text.js';
