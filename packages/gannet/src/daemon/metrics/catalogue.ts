/**
 * Every metric, for the registry, docs/reference/metrics.md, the dashboard and the alert rules.
 * Base units only.
 */
export interface MetricEntry {
  readonly name: string;
  readonly type: 'gauge' | 'counter' | 'histogram';
  /** Besides `vm` and `role`, which all have. */
  readonly labels: readonly string[];
  /** Whose daemon has it. */
  readonly roles: 'both' | 'primary' | 'secondary';
  readonly help: string;
}

/** Of the daemon's process, from prom-client, which exports more of the kind. Label: `vm`. */
export const PROCESS_METRICS = [
  {
    name: 'process_cpu_seconds_total',
    type: 'counter',
    help: 'Processor time of the daemon, user and system',
  },
  { name: 'process_resident_memory_bytes', type: 'gauge', help: 'Memory of the daemon (RSS)' },
  { name: 'process_start_time_seconds', type: 'gauge', help: 'When the daemon began' },
  { name: 'process_open_fds', type: 'gauge', help: 'Open files and sockets of the daemon' },
  {
    name: 'nodejs_eventloop_lag_p99_seconds',
    type: 'gauge',
    help:
      "99th percentile of the event loop's delay since the last scrape; includes the 10 ms of " +
      'its timer',
  },
] as const;

export const METRICS = [
  ['gannet_qemu_up', 'gauge', [], 'both', 'Whether the QEMU beside this daemon answers'],
  ['gannet_build_info', 'gauge', ['version', 'host'], 'both', 'Always 1; which daemon this is'],
  ['gannet_state', 'gauge', ['state'], 'both', '1 for the state that this side is in, else 0'],
  ['gannet_protected', 'gauge', [], 'both', '1 if the VM is protected and well, else 0'],
  ['gannet_health', 'gauge', ['level'], 'both', '1 for the level of the verdict, else 0'],
  [
    'gannet_guest',
    'gauge',
    ['place'],
    'both',
    '1 for where the guest runs, as far as this daemon knows, else 0',
  ],
  [
    'gannet_protection_waiting',
    'gauge',
    ['why'],
    'both',
    'With `protection: automatic`: 1 for why the VM is not protected yet, else 0',
  ],
  [
    'gannet_term_file_writable',
    'gauge',
    [],
    'both',
    '0 if the term file cannot be written: what this side decides now may be forgotten',
  ],
  [
    'gannet_guest_stands_still',
    'gauge',
    [],
    'primary',
    '1 if the guest is stopped because its own disk has failed, and nobody takes over',
  ],
  ['gannet_epoch', 'gauge', [], 'both', 'Number of the last committed epoch'],
  [
    'gannet_peer_silence_seconds',
    'gauge',
    [],
    'both',
    'Time since the last heartbeat of the other daemon; absent before the first',
  ],
  [
    'gannet_last_checkpoint_timestamp_seconds',
    'gauge',
    [],
    'both',
    'When the last checkpoint was done; absent before the first',
  ],
  [
    'gannet_checkpoint_period_seconds',
    'gauge',
    [],
    'both',
    'Longest time between two checkpoints; secondary: as the primary said last, absent before',
  ],
  [
    'gannet_checkpoint_duration_seconds',
    'histogram',
    [],
    'both',
    'Primary: how long its guest stood still; secondary: from its STOP to the commit',
  ],
  [
    'gannet_checkpoints_total',
    'counter',
    ['cause'],
    'primary',
    'Checkpoints, by cause: `period`, `demand`, `memory`, `output` (the packets differed)',
  ],
  [
    'gannet_own_disk_errors_total',
    'counter',
    ['effect'],
    'primary',
    "I/O errors of the primary's own disks, by what they did to its guest",
  ],
  [
    'gannet_gate_closed_seconds',
    'histogram',
    [],
    'secondary',
    'How long a commit held up the requests of both VMs',
  ],
  ['gannet_committed_bytes_total', 'counter', [], 'secondary', "Pages of the primary's committed"],
  ['gannet_dropped_bytes_total', 'counter', [], 'secondary', "Pages of the secondary's dropped"],
  [
    'gannet_link_received_bytes_total',
    'counter',
    ['disk'],
    'secondary',
    "Received from the primary's QEMU for a disk: its writes and the first copy",
  ],
  [
    'gannet_buffer_bytes',
    'gauge',
    ['side'],
    'secondary',
    'Memory of the open epoch (primary), the secondary’s writes, and committed epochs',
  ],
  ['gannet_buffer_limit_bytes', 'gauge', ['limit'], 'secondary', 'The budget: soft and hard'],
  [
    'gannet_slowed_writes_total',
    'counter',
    [],
    'secondary',
    'Writes that were answered late because memory was short',
  ],
  [
    'gannet_writeback_backlog_bytes',
    'gauge',
    ['disk'],
    'secondary',
    'Committed and not yet in the base image',
  ],
  [
    'gannet_waiting',
    'gauge',
    [],
    'secondary',
    'Whether the replica has lost its primary and waits for a failover',
  ],
  [
    'gannet_memory_left_seconds',
    'gauge',
    ['limit'],
    'secondary',
    'While it waits: until `soft`, and until `hard` stops its guest, at the present rate; ' +
      'absent if never',
  ],
  [
    'gannet_last_commit_kept',
    'gauge',
    [],
    'secondary',
    'While it waits: whether the base images hold the last commit',
  ],
  [
    'gannet_nbd_requests_total',
    'counter',
    ['disk'],
    'secondary',
    'Requests of both VMs to the replicator',
  ],
  ['gannet_may_failover', 'gauge', [], 'secondary', 'Whether the replica is fit to take over'],
  [
    'gannet_failover_total',
    'counter',
    ['reason'],
    'both',
    'Secondary: times it took over, by proof; primary: times it ran on alone',
  ],
  [
    'gannet_link_lost_total',
    'counter',
    ['link'],
    'both',
    'Links to the other side that were lost: replica, seed, peer',
  ],
  [
    'gannet_seed_remaining_bytes',
    'gauge',
    ['disk'],
    'primary',
    'Left of the first copy of a disk; absent while none is under way',
  ],
  [
    'gannet_replica_wrong_bytes',
    'gauge',
    [],
    'primary',
    "What differed from the primary's disks at the last `verify` and was not repaired; " +
      'absent before the first',
  ],
  [
    'gannet_last_verify_timestamp_seconds',
    'gauge',
    [],
    'primary',
    'When the last `verify` of this daemon ended; absent before the first',
  ],
  [
    'gannet_moves_total',
    'counter',
    ['phase'],
    'primary',
    'Planned moves: `handed-over`, then `done` or `undone`',
  ],
  [
    'gannet_fence_runs_total',
    'counter',
    ['result'],
    'both',
    'Runs of the fence command: `succeeded`, `failed`',
  ],
  [
    'gannet_certificate_expiry_timestamp_seconds',
    'gauge',
    ['certificate'],
    'both',
    'When a certificate in use expires: `ca`, `server`, `client`, or `page` of the web page; ' +
      'absent without',
  ],
].map(([name, type, labels, roles, help]) => ({
  name,
  type,
  labels,
  roles,
  help,
})) as MetricEntry[];

/** What `gannet host` adds to the metrics of the daemons of its host. */
export const HOST_METRICS = [
  {
    name: 'gannet_daemon_up',
    type: 'gauge',
    help: '1 if the daemon of a VM of this host has answered, else 0',
  },
] as const;
