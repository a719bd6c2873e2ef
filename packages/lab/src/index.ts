/** Real VMs that check themselves: for the demonstration, end-to-end tests and benchmarks. */
export { LabError } from './errors.js';
export { GANNET_BIN } from './gannet-bin.js';
export {
  findGuest,
  findNetworkGuest,
  findNewestQemu,
  guestBuildCommand,
  labCacheDir,
  type LabGuest,
} from './guest/guest.js';
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
} from './guest/oracle-lines.js';
export {
  compareDigests,
  OracleLog,
  type DigestComparison,
  type WaitOptions,
} from './guest/oracle.js';
export {
  diskNames,
  primaryCommand,
  secondaryCommand,
  type ExportDisk,
  type LabMachine,
  type LabDisk,
  type QemuCommand,
} from './guest/qemu-command.js';
export {
  defaultRegions,
  formatRegions,
  guestDiskName,
  imageDigest,
  RegionDigest,
  ORACLE_SECTOR_BYTES,
  type OracleMode,
  type OracleRegion,
} from './guest/regions.js';
export { LabVm, type LabVmExit, type LabVmOptions, type OracleCommand } from './guest/vm.js';
export { LabDaemon, type LabDaemonOptions } from './lab-daemon.js';
export { LabPair, type LabPairOptions } from './pair.js';
export { HOST_ADDRESSES, TwoHosts, type Cut, type HostLink } from './hosts/two-hosts.js';
export { ClientNetwork, type TrafficReport } from './hosts/client-network.js';
export { DiskFaults, type DiskFault } from './hosts/disk-faults.js';
export {
  diskBelow,
  SlowHost,
  type BlockDevice,
  type DiskLimits,
  type DiskUsage,
} from './hosts/slow-host.js';
export { SmallDisk } from './hosts/small-disk.js';
export { VsmrPair, type VsmrPairOptions } from './vsmr/vsmr-pair.js';
