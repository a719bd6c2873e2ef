import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import {
  CHECKPOINT_CAUSES,
  DISK_EFFECTS,
  MOVE_PHASES,
  type DaemonEvent,
  GUEST_PLACES,
  PRIMARY_STATES,
  type PrimaryStatus,
  samplesOf,
  SECONDARY_STATES,
  type SecondaryStatus,
  type Status,
  VERDICT_LEVELS,
  WAIT_REASONS,
} from '@gannet/contract';
import type { CertificateExpiry } from '../../certificate-expiry.js';
import { VERSION } from '../../version.js';
import { METRICS } from './catalogue.js';

const STATES = { primary: PRIMARY_STATES, secondary: SECONDARY_STATES } as const;
const LINKS = { primary: ['seed', 'peer'], secondary: ['replica', 'peer'] } as const;
const REASONS = {
  primary: ['operator', 'secondary-lost'],
  secondary: ['operator', 'fence', 'proof'],
} as const;
const CHECKPOINT_BUCKETS = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5];
const GATE_BUCKETS = [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5];

type Role = Status['role'];

const FENCE_RESULTS = ['succeeded', 'failed'] as const;

/** What the metrics are made of, besides events. */
export interface MetricSources {
  readonly vm: string;
  readonly status: () => Promise<Status>;
  readonly certificates: () => readonly CertificateExpiry[];
}

/** A daemon's metrics: gauges come from its status at each scrape, all others from its events. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #gauges = new Map<string, Gauge>();
  readonly #counters = new Map<string, Counter>();
  readonly #histograms = new Map<string, Histogram>();
  #started: Role | undefined;
  #lastCheckpointAt: number | undefined;
  #epoch = 0;

  constructor(private readonly sources: MetricSources) {
    collectDefaultMetrics({ register: this.#registry, labels: { vm: sources.vm } });
    for (const { name, type, labels, help } of METRICS) {
      const common = { name, help, registers: [this.#registry] };
      const labelNames = ['vm', 'role', ...labels];
      const buckets = name === 'gannet_gate_closed_seconds' ? GATE_BUCKETS : CHECKPOINT_BUCKETS;
      if (type === 'gauge') this.#gauges.set(name, new Gauge({ ...common, labelNames }));
      else if (type === 'counter') this.#counters.set(name, new Counter({ ...common, labelNames }));
      else this.#histograms.set(name, new Histogram({ ...common, labelNames, buckets }));
    }
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** The answer to one scrape. */
  async text(): Promise<string> {
    const { status: judge, certificates } = this.sources;
    const status = await judge();
    this.#begin(status.role);
    for (const gauge of this.#gauges.values()) gauge.reset();
    this.#setCommon(status);
    for (const { certificate, expiresAtMs } of certificates()) {
      const name = 'gannet_certificate_expiry_timestamp_seconds';
      this.#set(name, status.role, { certificate }, expiresAtMs / 1000);
    }
    if (status.role === 'primary') this.#setPrimary(status);
    else this.#setSecondary(status);
    return this.#registry.metrics();
  }

  observe(event: DaemonEvent): void {
    const { kind, role, at } = event;
    this.#begin(role);
    if (kind === 'checkpoint' && role === 'primary') {
      // A primary that reconnects may hear of the same commit again.
      if (event.epoch === this.#epoch) return;
      this.#checkpointDone(at, event.epoch);
    }
    if (kind === 'commit') this.#checkpointDone(at, event.epoch);
    for (const [name, { value, labels = {} }] of samplesOf(event)) {
      this.#counters.get(name)?.inc(this.#labels(role, labels), value);
      this.#histograms.get(name)?.observe(this.#labels(role, labels), value);
    }
  }

  #checkpointDone(at: string, epoch: number): void {
    this.#lastCheckpointAt = Date.parse(at) / 1000;
    this.#epoch = epoch;
  }

  /** Counters start at 0, to make their first increase visible, and again in another role. */
  #begin(role: Role): void {
    if (this.#started === role) return;
    this.#started = role;
    for (const counter of this.#counters.values()) counter.reset();
    for (const histogram of this.#histograms.values()) histogram.reset();
    const start = (name: string, label: string, values: readonly string[]): void => {
      for (const value of values) this.#count(name, role, { [label]: value }, 0);
    };
    start('gannet_link_lost_total', 'link', LINKS[role]);
    start('gannet_failover_total', 'reason', REASONS[role]);
    start('gannet_fence_runs_total', 'result', FENCE_RESULTS);
    this.#histograms.get('gannet_checkpoint_duration_seconds')?.zero(this.#labels(role));
    if (role === 'primary') {
      start('gannet_checkpoints_total', 'cause', CHECKPOINT_CAUSES);
      start('gannet_own_disk_errors_total', 'effect', DISK_EFFECTS);
      start('gannet_moves_total', 'phase', MOVE_PHASES);
    } else {
      this.#histograms.get('gannet_gate_closed_seconds')?.zero(this.#labels(role));
      for (const what of ['committed', 'dropped'])
        this.#count(`gannet_${what}_bytes_total`, role, {}, 0);
    }
  }

  #setCommon(status: Status): void {
    const { role, state, epoch, host, peer } = status;
    const vmState = role === 'primary' ? status.primaryVm : status.secondaryVm;
    this.#set('gannet_qemu_up', role, {}, vmState === 'ready' ? 1 : 0);
    this.#set('gannet_build_info', role, { version: VERSION, host }, 1);
    this.#set('gannet_epoch', role, {}, epoch);
    this.#set('gannet_term_file_writable', role, {}, status.termTrouble == null ? 1 : 0);
    for (const each of STATES[role]) {
      this.#set('gannet_state', role, { state: each }, each === state ? 1 : 0);
    }
    const periodMs = role === 'primary' ? status.checkpointPeriodMs : peer.status?.periodMs;
    if (periodMs !== undefined) {
      this.#set('gannet_checkpoint_period_seconds', role, {}, periodMs / 1000);
    }
    const { level, guest } = status.health;
    this.#set('gannet_protected', role, {}, level === 'good' ? 1 : 0);
    for (const each of VERDICT_LEVELS) {
      this.#set('gannet_health', role, { level: each }, each === level ? 1 : 0);
    }
    for (const each of GUEST_PLACES) {
      this.#set('gannet_guest', role, { place: each }, each === guest ? 1 : 0);
    }
    for (const each of status.automatic ? WAIT_REASONS : []) {
      const isWhy = each === status.automatic?.why;
      this.#set('gannet_protection_waiting', role, { why: each }, isWhy ? 1 : 0);
    }
    if (peer.silentMs !== undefined) {
      this.#set('gannet_peer_silence_seconds', role, {}, peer.silentMs / 1000);
    }
    if (this.#lastCheckpointAt !== undefined) {
      this.#set('gannet_last_checkpoint_timestamp_seconds', role, {}, this.#lastCheckpointAt);
    }
  }

  #setPrimary({ role, seed, standstill, lastVerify }: PrimaryStatus): void {
    this.#set('gannet_guest_stands_still', role, {}, standstill === undefined ? 0 : 1);
    if (lastVerify) {
      const { at, wrongBytes, repairedBytes } = lastVerify;
      this.#set('gannet_last_verify_timestamp_seconds', role, {}, Date.parse(at) / 1000);
      this.#set('gannet_replica_wrong_bytes', role, {}, wrongBytes - repairedBytes);
    }
    for (const [disk, { doneBytes, totalBytes }] of Object.entries(seed?.disks ?? {})) {
      this.#set('gannet_seed_remaining_bytes', role, { disk }, Math.max(0, totalBytes - doneBytes));
    }
  }

  #setSecondary({ role, buffers, disks, mayFailOver, waiting }: SecondaryStatus): void {
    this.#set('gannet_may_failover', role, {}, mayFailOver ? 1 : 0);
    for (const side of ['primary', 'secondary', 'committed'] as const) {
      this.#set('gannet_buffer_bytes', role, { side }, buffers[side]);
    }
    this.#set('gannet_buffer_limit_bytes', role, { limit: 'soft' }, buffers.softBytes);
    this.#set('gannet_buffer_limit_bytes', role, { limit: 'hard' }, buffers.hardBytes);
    this.#total('gannet_slowed_writes_total', role, {}, buffers.slowedWrites);
    this.#set('gannet_waiting', role, {}, waiting ? 1 : 0);
    for (const limit of waiting ? (['soft', 'hard'] as const) : []) {
      const seconds = waiting?.[`${limit}Seconds`] ?? null;
      if (seconds !== null) this.#set('gannet_memory_left_seconds', role, { limit }, seconds);
    }
    if (waiting) {
      this.#set('gannet_last_commit_kept', role, {}, waiting.isLastCommitKept ? 1 : 0);
    }
    for (const { name: disk, backlogBytes, requests, receivedBytes = 0 } of disks) {
      this.#set('gannet_writeback_backlog_bytes', role, { disk }, backlogBytes);
      this.#total('gannet_nbd_requests_total', role, { disk }, requests);
      this.#total('gannet_link_received_bytes_total', role, { disk }, receivedBytes);
    }
  }

  #labels(role: Role, more: Record<string, string> = {}): Record<string, string> {
    return { vm: this.sources.vm, role, ...more };
  }

  #set(name: string, role: Role, labels: Record<string, string>, value: number): void {
    this.#gauges.get(name)?.set(this.#labels(role, labels), value);
  }

  #count(name: string, role: Role, labels: Record<string, string>, by = 1): void {
    this.#counters.get(name)?.inc(this.#labels(role, labels), by);
  }

  /** A counter whose value is counted elsewhere. */
  #total(name: string, role: Role, labels: Record<string, string>, value: number): void {
    this.#counters.get(name)?.remove(this.#labels(role, labels));
    this.#count(name, role, labels, value);
  }
}
