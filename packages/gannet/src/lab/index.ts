/** Real VMs that check themselves: for the demonstration, end-to-end tests and benchmarks. */
export { LabError } from './errors.js';
export {
  findGuest,
  findNetworkGuest,
  guestBuildCommand,
  labCacheDir,
  type LabGuest,
} from './guest.js';
export {
  lineSum,
  parseOracleLine,
  type OracleCounters,
  type OracleDigest,
  type OracleError,
  type OracleFatal,
  type OracleGo,
  type OracleLine,
  type OracleMismatch,
  type OracleScan,
  type OracleStart,
  type OracleTorn,
} from './lines.js';
export { compareDigests, OracleLog, type DigestComparison, type WaitOptions } from './oracle.js';
export {
  diskNames,
  primaryCommand,
  secondaryCommand,
  type ExportDisk,
  type LabMachine,
  type LocalDisk,
  type QemuCommand,
} from './qemu-command.js';
export {
  defaultRegions,
  formatRegions,
  guestDiskName,
  imageDigest,
  RegionDigest,
  SECTOR_BYTES,
  type OracleMode,
  type OracleRegion,
} from './regions.js';
export { LabVm, type LabVmExit, type LabVmOptions, type OracleCommand } from './vm.js';
export { LabDaemon, type LabDaemonOptions } from './daemon.js';
export { LabPair, type LabPairOptions } from './pair.js';
export { TwoHosts, type Cut, type HostLink } from './two-hosts.js';
export { ClientNetwork, type TrafficReport } from './client-network.js';
export { DiskFaults, type DiskFault } from './disk-faults.js';
export { diskBelow, SlowHost, type BlockDevice, type DiskLimits } from './slow-host.js';
