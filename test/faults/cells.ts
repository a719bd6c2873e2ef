/**
 * The fault matrix: what is to come of each fault, at each part, in each phase. Written before it
 * was run; the runner compares, and docs/explanation/reliability.md is made from this and from what
 * was seen.
 */

export const PHASES = {
  seeding: 'the disks are being copied',
  steady: 'protected, between two checkpoints',
  checkpoint: 'between STOP and RESUME of a checkpoint',
  'write-back': 'committed pages are on their way to a slow base',
  failover: 'the primary is dead, the takeover not durable yet',
  move: 'the takeover is durable, the guest not yet on its local file',
  replay: '`gannet recover` replays the journal',
} as const;
export type Phase = keyof typeof PHASES;

export const FAULTS = {
  kill: 'kill -9',
  halt: 'SIGSTOP, SIGCONT after 2.5 x `highMs`',
  drop: 'all packets are lost for 2.5 x `highMs`',
  reset: 'TCP resets, for 2.5 x `highMs`',
  slow: 'what goes beyond 2 MB/s is lost for 2.5 x `highMs`',
} as const;
export type Fault = keyof typeof FAULTS;

/** Which links a part uses, for the faults of a network. */
export const TARGETS = {
  pvm: { name: 'primary VM', links: ['nbd', 'migration'] },
  svm: { name: 'secondary VM', links: ['migration'] },
  replicator: { name: 'secondary daemon (replicator)', links: ['nbd', 'peer'] },
  'primary-daemon': { name: 'primary daemon', links: ['peer'] },
  'both-daemons': { name: 'both daemons', links: ['peer'] },
  'storage-daemon': { name: 'storage daemon of a qcow2 base', links: [] },
  'primary-host': { name: 'primary host: VM and daemon', links: ['nbd', 'migration', 'peer'] },
} as const;
export type Target = keyof typeof TARGETS;

/** What can become of a VM. "Durable" is what a flush of the guest was answered for. */
export const OUTCOMES = {
  protected: { runsOn: 'both, protected', lost: 'nothing' },
  primary: { runsOn: 'the primary alone; its secondary never will', lost: 'nothing' },
  secondary: {
    runsOn: 'the secondary; the primary is dead',
    lost: 'what the primary did after the last commit, of which nobody else has heard',
  },
  unprotected: { runsOn: 'the primary, as before', lost: 'nothing; the copy starts over' },
  recovered: {
    runsOn: "nobody; `gannet recover` makes the secondary's base whole",
    lost: 'what the guest had not flushed',
  },
  'primary-disk': {
    runsOn: "nobody; the base is refused, the primary's disk is whole",
    lost: 'what the guest had not flushed',
  },
} as const;
export type Outcome = keyof typeof OUTCOMES;

/** Either may come; or the cell makes no sense, for this reason. */
type Entry = readonly Outcome[] | { readonly without: string };
type Row = readonly [Entry, Entry, Entry, Entry, Entry, Entry, Entry];

const entry = (...outcomes: readonly Outcome[]): Entry => outcomes;
const without = (reason: string): Entry => ({ without: reason });

const BOTH = entry('protected');
const PRIMARY = entry('primary');
const SECONDARY = entry('secondary');
const UNDONE = entry('unprotected');
const RECOVERED = entry('recovered');
const LEFT = entry('primary-disk');
/** The moment decides: before or after the journal was durable. */
const EITHER_DISK = entry('recovered', 'primary-disk');
/** Who has slept may find that the other one was silent; both ways are safe. */
const AWAKE = entry('protected', 'primary');

const DEAD = without('the primary is dead: that is what the failover is for');
const ABSENT = without('it has no part in the replay');
const UNUSED = without('nothing of it is on the network yet');
const OFFLINE = without('the replay uses no network');
const LOCAL = without('it is reached without a network');
const SAME = without("the same wire as the primary daemon's");
const DAEMON = without("its VM is dead: the primary daemon's row");
const NO_PEER = without('the primary is dead, and so is this wire');

const locally: Row = [LOCAL, LOCAL, LOCAL, LOCAL, LOCAL, LOCAL, LOCAL];
const sameWire: Row = [SAME, SAME, SAME, SAME, SAME, SAME, SAME];

const cut: Record<Target, Row> = {
  pvm: [BOTH, PRIMARY, PRIMARY, PRIMARY, DEAD, DEAD, DEAD],
  svm: [UNUSED, PRIMARY, PRIMARY, PRIMARY, NO_PEER, NO_PEER, OFFLINE],
  replicator: [BOTH, PRIMARY, PRIMARY, PRIMARY, SECONDARY, SECONDARY, OFFLINE],
  'primary-daemon': [BOTH, PRIMARY, PRIMARY, PRIMARY, SECONDARY, SECONDARY, OFFLINE],
  'both-daemons': sameWire,
  'storage-daemon': locally,
  'primary-host': [BOTH, PRIMARY, PRIMARY, PRIMARY, SECONDARY, SECONDARY, OFFLINE],
};

/** One column a phase, in their order. */
const MATRIX: Record<Fault, Record<Target, Row>> = {
  kill: {
    pvm: [LEFT, SECONDARY, SECONDARY, SECONDARY, DEAD, DEAD, DEAD],
    svm: [UNDONE, PRIMARY, PRIMARY, PRIMARY, EITHER_DISK, RECOVERED, ABSENT],
    replicator: [UNDONE, PRIMARY, PRIMARY, PRIMARY, EITHER_DISK, RECOVERED, RECOVERED],
    'primary-daemon': [UNDONE, BOTH, BOTH, BOTH, SECONDARY, SECONDARY, ABSENT],
    'both-daemons': [UNDONE, PRIMARY, PRIMARY, PRIMARY, EITHER_DISK, RECOVERED, ABSENT],
    'storage-daemon': [UNDONE, BOTH, BOTH, BOTH, SECONDARY, SECONDARY, RECOVERED],
    'primary-host': [LEFT, SECONDARY, SECONDARY, SECONDARY, DAEMON, DAEMON, ABSENT],
  },
  halt: {
    pvm: [BOTH, SECONDARY, SECONDARY, SECONDARY, DEAD, DEAD, DEAD],
    svm: [BOTH, PRIMARY, PRIMARY, PRIMARY, SECONDARY, SECONDARY, ABSENT],
    replicator: [BOTH, PRIMARY, PRIMARY, PRIMARY, SECONDARY, SECONDARY, RECOVERED],
    'primary-daemon': [BOTH, AWAKE, AWAKE, AWAKE, SECONDARY, SECONDARY, ABSENT],
    'both-daemons': [BOTH, AWAKE, AWAKE, AWAKE, SECONDARY, SECONDARY, ABSENT],
    'storage-daemon': [BOTH, AWAKE, AWAKE, AWAKE, SECONDARY, SECONDARY, RECOVERED],
    'primary-host': [BOTH, SECONDARY, SECONDARY, SECONDARY, DAEMON, DAEMON, ABSENT],
  },
  drop: cut,
  reset: cut,
  slow: {
    pvm: [BOTH, BOTH, BOTH, BOTH, DEAD, DEAD, DEAD],
    svm: [UNUSED, BOTH, BOTH, BOTH, NO_PEER, NO_PEER, OFFLINE],
    replicator: [BOTH, BOTH, BOTH, BOTH, SECONDARY, SECONDARY, OFFLINE],
    'primary-daemon': [BOTH, BOTH, BOTH, BOTH, SECONDARY, SECONDARY, OFFLINE],
    'both-daemons': sameWire,
    'storage-daemon': locally,
    'primary-host': [BOTH, BOTH, BOTH, BOTH, SECONDARY, SECONDARY, OFFLINE],
  },
};

export interface Cell {
  /** `fault/target/phase` */
  readonly id: string;
  readonly fault: Fault;
  readonly target: Target;
  readonly phase: Phase;
  /** Any of these; none where the cell makes no sense. */
  readonly expected: readonly Outcome[];
  /** Why it makes no sense. */
  readonly without: string | undefined;
}

const keysOf = <Key extends string>(record: Record<Key, unknown>): Key[] =>
  Object.keys(record) as Key[];

export const CELLS: readonly Cell[] = keysOf(MATRIX).flatMap((fault) =>
  keysOf(TARGETS).flatMap((target) =>
    keysOf(PHASES).map((phase, column): Cell => {
      const found = MATRIX[fault][target][column] ?? [];
      const id = `${fault}/${target}/${phase}`;
      const cell = { id, fault, target, phase };
      return 'without' in found
        ? { ...cell, expected: [], without: found.without }
        : { ...cell, expected: found, without: undefined };
    }),
  ),
);

/** Run by every CI run, at about a quarter of a minute each. */
export const SELECTION = [
  'kill/pvm/checkpoint',
  'halt/replicator/steady',
  'kill/primary-daemon/seeding',
] as const;
