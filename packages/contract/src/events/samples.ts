/** Typical events of each kind, for docs/reference/events.md and for tests only. */
import { FAILOVER_EVIDENCE, OPERATOR_REASONS } from '../states.js';
import type { EventDetails, EventKind } from './details.js';

/** Several where level, text or remedy depend on the details. */
type Samples = {
  readonly [K in EventKind]: readonly [EventDetails[K], ...EventDetails[K][]];
};

const EPOCH = {
  epoch: 12,
  committedPages: 714,
  droppedPages: 1040,
  unflushedWrites: 0,
  gateClosedMs: 2.39,
};
const VERIFIED = { comparedBytes: 21_474_836_480, ms: 214_000 };
const BROKEN = 'connection closed by peer';

export const SAMPLES: Samples = {
  listening: [{ exports: ['disk0-pvm', 'disk0-svm'] }],
  web: [{ address: 'http://127.0.0.1:9470/' }],
  plaintext: [{ keys: ['primary.nbd'], danger: 'anyone on the network path can change the VM' }],
  reloaded: [{ changed: ['fence', 'secondary.failover'] }, { changed: [] }],
  'needs-restart': [{ keys: ['peer.highMs'] }],
  'not-reloaded': [
    {
      code: 'GANNET_CONFIG',
      message: 'web.yaml: secondary.failover: expected "manual" or "automatic"',
      remedy: 'Correct the file, then send SIGHUP again.',
    },
  ],
  role: [{ reason: 'the survivor is the primary now' }],
  'protection-waits': [
    { why: 'no-secondary' },
    { why: 'failed', until: '2026-03-01T10:00:10.000Z' },
    { why: 'detached' },
  ],
  command: [
    { name: 'protect', phase: 'begins', actor: 'anna, with gannet' },
    { name: 'protect', phase: 'done', actor: 'anna, with gannet', ms: 41_200 },
    {
      ...{ name: 'failover', phase: 'failed', actor: 'the web page, from 192.0.2.7', ms: 3 },
      ...{ code: 'GANNET_REFUSED', message: 'nothing proves that the primary is dead' },
    },
  ],
  trouble: [
    {
      code: 'REPLICA_BASE_IO',
      message: '/var/lib/vm/disk0.raw: write at byte 4096 failed: ENOSPC',
      remedy: 'Free space on that file system; the write is retried.',
      attempt: 3,
    },
    {
      code: 'GANNET_STAGE_FAILED',
      message: 'stage seed: timed out after 60 s',
      remedy: 'Check the network between the hosts, then run `gannet protect` again.',
      stage: 'seed',
    },
  ],
  strangers: [
    { count: 1, address: '192.0.2.7:40312', reason: 'nbd: no TLS' },
    { count: 25, address: '192.0.2.7:40399', reason: 'peer: its certificate is not of this VM' },
  ],
  vm: [
    { state: 'ready', reason: 'QMP answers' },
    { state: 'awaited', reason: 'QMP connection closed; the socket still listens' },
    { state: 'hung', reason: 'no answer for 2000 ms' },
    { state: 'lost', reason: 'its QMP socket has closed' },
  ],
  peer: [
    { pulse: 'up', silentMs: 0 },
    { pulse: 'late', silentMs: 1012 },
    { pulse: 'lost', silentMs: 2004 },
    { vm: 'ready', state: 'protected', link: 'whole' },
    { vm: 'lost', state: 'protected' },
    { vm: 'awaited', state: 'seeding', link: 'none' },
    { vm: 'ready', state: 'diverged', link: 'lost' },
    { isLeaving: true },
    { vm: 'ready', state: 'alone' },
  ],
  protected: [{}, { found: 'running' }],
  unprotected: [{ reason: 'another QEMU is at the QMP socket' }],
  'stage-done': [{ stage: 'first checkpoint' }],
  'copy-begins': [
    { how: 'whole', reason: 'the secondary has no base that could be brought up to date' },
    { how: 'changes', reason: 'the base holds all writes up to epoch 1204' },
  ],
  resynced: [{ copiedBytes: 12_582_912, totalBytes: 21_474_836_480, ms: 412 }],
  'seed-link-lost': [{ device: 'virtio0' }],
  'seed-link-back': [{ device: 'virtio0' }],
  'secondary-lost': [{ reason: 'the secondary has been silent for 2004 ms' }],
  alone: [
    { reason: 'the secondary has been silent for 2004 ms', secondaryKnows: false },
    { reason: OPERATOR_REASONS.detach, secondaryKnows: true },
  ],
  verdict: [
    {
      ...{ code: 'protected', was: 'protecting', verdictLevel: 'good', guest: 'primary' },
      ...{ headline: 'Protected', remedy: '' },
    },
    {
      ...{ code: 'peer-unheard', was: null, verdictLevel: 'warning', guest: 'unknown' },
      headline: 'The primary has not been heard from yet',
      remedy: 'Check the other host, and the network or tunnel to it.',
    },
    {
      ...{ code: 'down-take-over', was: 'protected', verdictLevel: 'bad', guest: 'nowhere' },
      headline: 'The VM is DOWN: its QEMU on host alpha has ended',
      remedy: 'Take over: on host beta, run: gannet failover web',
    },
  ],
  term: [
    { term: 4, word: 'protected', isForced: false, evidence: null },
    { term: 5, word: 'alone', isForced: false, evidence: 'fence' },
    { term: 6, word: 'taken-over', isForced: true, evidence: 'operator' },
    { term: 6, word: 'outdated', isForced: false, evidence: null },
  ],
  'two-copies': [
    { newest: 'secondary', host: 'host-b', term: 6, outdatedTerm: 4 },
    { newest: 'primary', host: 'host-a', term: 6, outdatedTerm: 5 },
  ],
  foreign: [{ own: 'a41f0c9e27b3', other: '5d20be71a8c4' }],
  held: [{ reason: 'its QEMU is new, and the secondary may have taken over' }],
  'disk-failed': [
    {
      device: 'vb0',
      reason: 'a write of vb0 failed on its own disk (node disk0): No space left on device',
      effect: 'lacks-write',
    },
    {
      device: 'vb0',
      reason: 'a read of vb0 failed on its own disk (node disk0): Input/output error',
      effect: 'read-elsewhere',
    },
  ],
  yielding: [{ reason: 'the guest panicked' }],
  'guest-ended': [{ reason: 'the guest shut itself down' }],
  'guest-woken': [{}],
  'second-copy-stopped': [{}],
  fence: [
    { target: 'primary', succeeded: true, words: 'exit code 0' },
    { target: 'secondary', succeeded: false, words: 'exit code 1 no route to the BMC' },
  ],
  'taken-back': [{ reason: 'an earlier daemon ended while it protected', names: ['gannet-disk0'] }],
  snapshot: [
    { phase: 'taken', epoch: 12 },
    { phase: 'dropped', epoch: 12 },
  ],
  'snapshot-lost': [{ epoch: 12, reason: 'what it keeps has reached its limit' }],
  'replica-differs': [
    { disk: 'disk0', offset: 7_340_032, length: 512, isRepaired: false },
    { disk: 'disk0', offset: 7_340_032, length: 512, isRepaired: true },
  ],
  verified: [
    { ...VERIFIED, wrongBytes: 0, repairedBytes: 0, busyBytes: 0, isWhole: true },
    { ...VERIFIED, wrongBytes: 512, repairedBytes: 512, busyBytes: 0, isWhole: true },
    { ...VERIFIED, wrongBytes: 1024, repairedBytes: 0, busyBytes: 65_536, isWhole: false },
  ],
  checkpoint: (['period', 'demand', 'memory', 'output'] as const).map((cause) => ({
    ...{ epoch: 12, committedPages: 714, droppedPages: 1040, gateClosedMs: 2.39 },
    ...{ cause, pausedMs: 10.3 },
  })) as unknown as Samples['checkpoint'],
  commit: [
    { ...EPOCH, checkpointMs: 12.2, provisional: false },
    { ...EPOCH, epoch: 1, committedPages: 1, checkpointMs: null, provisional: false },
  ],
  abort: [{ gateClosedMs: 0.31 }],
  doubt: [{ reason: 'query-status was not answered within 10000 ms' }],
  diverged: [{ reason: 'the primary runs on without this replica' }],
  state: [{ from: 'seeding', to: 'protected', reason: 'COLO has started' }],
  'link-lost': [{ reason: BROKEN }],
  'memory-pressure': [{ usedBytes: 537919488, softBytes: 536870912 }],
  'writes-held': [{ usedBytes: 1073807360, hardBytes: 1073741824 }],
  'last-commit-kept': [{ epoch: 812 }],
  'copy-left': [{ epoch: 812 }],
  spill: [{ trouble: 'ENOSPC: no space left on device' }, {}],
  flush: [{ trouble: 'web.journal: fdatasync failed: EIO' }, {}],
  'write-back': [{ epochs: [10, 11, 12], writes: 96, bytes: 5242880, ms: 84.2 }],
  'colo-exit': [{ reason: 'error' }],
  leaving: [{}],
  failover: [EPOCH],
  'failover-begins': Object.values(FAILOVER_EVIDENCE).map((evidence) => ({
    evidence,
  })) as unknown as Samples['failover-begins'],
  'network-open': [{}],
  'first-write': [{}],
  'failover-durable': [{}],
  'moved-to-local': [{}],
  'failover-done': [
    {
      ...{ epoch: 21, evidence: FAILOVER_EVIDENCE.word },
      ...{ takenOverMs: 377, durableMs: 594, movedMs: 1823 },
    },
  ],
};
