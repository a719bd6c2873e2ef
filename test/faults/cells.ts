/**
 * The fault matrix: what is to come of each fault, at each part, in each phase. Written before it
 * was run; the runner compares, and docs/explanation/reliability.md is made from this and from what
 * was seen.
 */

export const PHASES = {
  seeding: 'the disks are being copied',
  migration: "the disks are copied, the guest's memory is on its way (stage `colo`)",
  steady: 'protected, between two checkpoints',
  checkpoint: 'between STOP and RESUME of a checkpoint',
  'write-back': 'committed pages are on their way to a slow base',
  alone: 'the primary runs alone, and the secondary is cut off; no side has a fence',
  heal: 'the same, and the network is whole again: the secondary is outdated',
  failover: 'the primary is dead, the takeover not durable yet',
  move: 'the takeover is durable, the guest not yet on its local file',
  replay: '`gannet recover` replays the journal',
} as const;
export type Phase = keyof typeof PHASES;

export const FAULTS = {
  kill: 'kill -9',
  halt: 'SIGSTOP, SIGCONT after 2.5 x `highMs`',
  restart: 'SIGTERM, and started again',
  drop: 'all packets are lost for 2.5 x `highMs`',
  reset: 'TCP resets, for 2.5 x `highMs`',
  slow: 'what goes beyond 2 MB/s is lost for 2.5 x `highMs`',
  failover: 'an operator says `gannet failover`',
  force: 'an operator says `gannet failover --force`',
  detach: 'an operator says `gannet detach`',
  protect: 'an operator says `gannet protect`',
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
  waiting: {
    runsOn: 'nobody; the secondary does not know that it is outdated, and takes over only by force',
    lost: 'nothing: the disk of the primary is whole',
  },
  overruled: {
    runsOn: 'the secondary, by force; the guest of the primary is stopped at the first contact',
    lost: 'what the primary did alone, which the operator has given up',
  },
} as const;
export type Outcome = keyof typeof OUTCOMES;

/** Either may come; or the cell makes no sense, for this reason. */
type Entry = readonly Outcome[] | { readonly without: string };
type Row = Readonly<Record<Phase, Entry>>;

const entry = (...outcomes: readonly Outcome[]): Entry => outcomes;
const without = (reason: string): Entry => ({ without: reason });

const BOTH = entry('protected');
const PRIMARY = entry('primary');
const SECONDARY = entry('secondary');
const UNDONE = entry('unprotected');
const RECOVERED = entry('recovered');
const LEFT = entry('primary-disk');
const WAITING = entry('waiting');
const OVERRULED = entry('overruled');
/** The moment decides: before or after the journal was durable. */
const EITHER_DISK = entry('recovered', 'primary-disk');
/** Who has slept may find that the other one was silent; both ways are safe. */
const AWAKE = entry('protected', 'primary');
/** The link to the replica can't be resumed once COLO begins; both ways are safe. */
const BEGUN = entry('protected', 'unprotected');

const DEAD = without('the primary is dead: that is what the failover is for');
const ABSENT = without('it has no part in the replay');
const UNUSED = without('nothing of it is on the network yet');
const OFFLINE = without('the replay uses no network');
const LOCAL = without('it is reached without a network');
const SAME = without("the same wire as the primary daemon's");
const DAEMON = without("its VM is dead: the primary daemon's row");
const NO_PEER = without('the primary is dead, and so is this wire');
const CUT_OFF = without('everything is cut off already');
const NO_DAEMON = without('only a daemon is restarted');
const NO_COMMAND = without('nobody asks it');
const NO_RETURN = without('no daemon opens a base that may be the only copy: see kill');

/** `together` is said of all phases in which both are protected. */
function row(
  seeding: Entry,
  migration: Entry,
  together: Entry,
  alone: Entry,
  heal: Entry,
  failover: Entry,
  move: Entry,
  replay: Entry,
): Row {
  const protectedPhases = { steady: together, checkpoint: together, 'write-back': together };
  return { seeding, migration, ...protectedPhases, alone, heal, failover, move, replay };
}
const everywhere = (one: Entry): Row => row(one, one, one, one, one, one, one, one);

const cut: Record<Target, Row> = {
  pvm: row(BOTH, UNDONE, PRIMARY, CUT_OFF, PRIMARY, DEAD, DEAD, DEAD),
  svm: row(UNUSED, UNDONE, PRIMARY, CUT_OFF, PRIMARY, NO_PEER, NO_PEER, OFFLINE),
  replicator: row(BOTH, UNDONE, PRIMARY, CUT_OFF, PRIMARY, SECONDARY, SECONDARY, OFFLINE),
  'primary-daemon': row(BOTH, BEGUN, PRIMARY, CUT_OFF, PRIMARY, SECONDARY, SECONDARY, OFFLINE),
  'both-daemons': everywhere(SAME),
  'storage-daemon': everywhere(LOCAL),
  'primary-host': row(BOTH, UNDONE, PRIMARY, CUT_OFF, PRIMARY, SECONDARY, SECONDARY, OFFLINE),
};

const UNCOMMANDED = {
  pvm: everywhere(NO_COMMAND),
  svm: everywhere(NO_COMMAND),
  replicator: everywhere(NO_COMMAND),
  'both-daemons': everywhere(NO_COMMAND),
  'storage-daemon': everywhere(NO_COMMAND),
  'primary-host': everywhere(NO_COMMAND),
};

const MATRIX: Record<Fault, Record<Target, Row>> = {
  kill: {
    pvm: row(LEFT, LEFT, SECONDARY, LEFT, LEFT, DEAD, DEAD, DEAD),
    svm: row(UNDONE, UNDONE, PRIMARY, PRIMARY, PRIMARY, EITHER_DISK, RECOVERED, ABSENT),
    replicator: row(UNDONE, UNDONE, PRIMARY, PRIMARY, PRIMARY, EITHER_DISK, RECOVERED, RECOVERED),
    'primary-daemon': row(UNDONE, UNDONE, BOTH, PRIMARY, PRIMARY, SECONDARY, SECONDARY, ABSENT),
    'both-daemons': row(UNDONE, UNDONE, PRIMARY, PRIMARY, PRIMARY, EITHER_DISK, RECOVERED, ABSENT),
    'storage-daemon': row(UNDONE, BEGUN, BOTH, PRIMARY, PRIMARY, SECONDARY, SECONDARY, RECOVERED),
    'primary-host': row(LEFT, LEFT, SECONDARY, WAITING, LEFT, DAEMON, DAEMON, ABSENT),
  },
  halt: {
    pvm: row(BOTH, BEGUN, SECONDARY, PRIMARY, PRIMARY, DEAD, DEAD, DEAD),
    svm: row(BOTH, BEGUN, PRIMARY, PRIMARY, PRIMARY, SECONDARY, SECONDARY, ABSENT),
    replicator: row(BOTH, BEGUN, PRIMARY, PRIMARY, PRIMARY, SECONDARY, SECONDARY, RECOVERED),
    'primary-daemon': row(BOTH, BEGUN, AWAKE, PRIMARY, PRIMARY, SECONDARY, SECONDARY, ABSENT),
    'both-daemons': row(BOTH, BEGUN, AWAKE, PRIMARY, PRIMARY, SECONDARY, SECONDARY, ABSENT),
    'storage-daemon': row(BOTH, BEGUN, AWAKE, PRIMARY, PRIMARY, SECONDARY, SECONDARY, RECOVERED),
    'primary-host': row(BOTH, BEGUN, SECONDARY, PRIMARY, PRIMARY, DAEMON, DAEMON, ABSENT),
  },
  restart: {
    pvm: everywhere(NO_DAEMON),
    svm: everywhere(NO_DAEMON),
    replicator: row(UNDONE, UNDONE, PRIMARY, PRIMARY, PRIMARY, NO_RETURN, NO_RETURN, ABSENT),
    'primary-daemon': row(UNDONE, UNDONE, BOTH, PRIMARY, PRIMARY, SECONDARY, SECONDARY, ABSENT),
    'both-daemons': row(UNDONE, UNDONE, PRIMARY, PRIMARY, PRIMARY, NO_RETURN, NO_RETURN, ABSENT),
    'storage-daemon': everywhere(NO_DAEMON),
    'primary-host': everywhere(NO_DAEMON),
  },
  // TCP outlasts it where nobody misses an answer: the migration goes on when it is over.
  drop: {
    ...cut,
    pvm: { ...cut.pvm, migration: BEGUN },
    svm: { ...cut.svm, migration: BEGUN },
  },
  reset: cut,
  slow: {
    pvm: row(BOTH, BEGUN, BOTH, CUT_OFF, PRIMARY, DEAD, DEAD, DEAD),
    svm: row(UNUSED, BEGUN, BOTH, CUT_OFF, PRIMARY, NO_PEER, NO_PEER, OFFLINE),
    replicator: row(BOTH, BEGUN, BOTH, CUT_OFF, PRIMARY, SECONDARY, SECONDARY, OFFLINE),
    'primary-daemon': row(BOTH, BEGUN, BOTH, CUT_OFF, PRIMARY, SECONDARY, SECONDARY, OFFLINE),
    'both-daemons': everywhere(SAME),
    'storage-daemon': everywhere(LOCAL),
    'primary-host': row(BOTH, BEGUN, BOTH, CUT_OFF, PRIMARY, SECONDARY, SECONDARY, OFFLINE),
  },
  failover: {
    ...UNCOMMANDED,
    replicator: row(BOTH, BOTH, BOTH, PRIMARY, PRIMARY, SECONDARY, SECONDARY, NO_COMMAND),
    'primary-daemon': row(BOTH, BOTH, BOTH, PRIMARY, PRIMARY, SECONDARY, SECONDARY, NO_COMMAND),
  },
  force: {
    ...UNCOMMANDED,
    replicator: row(BOTH, BOTH, BOTH, OVERRULED, PRIMARY, SECONDARY, SECONDARY, NO_COMMAND),
    'primary-daemon': row(BOTH, BOTH, PRIMARY, PRIMARY, PRIMARY, SECONDARY, SECONDARY, NO_COMMAND),
  },
  detach: {
    ...UNCOMMANDED,
    'primary-daemon': row(
      ...([UNDONE, UNDONE, PRIMARY, PRIMARY, PRIMARY, SECONDARY, SECONDARY, NO_COMMAND] as const),
    ),
  },
  protect: {
    ...UNCOMMANDED,
    'primary-daemon': row(BOTH, BOTH, BOTH, PRIMARY, PRIMARY, SECONDARY, SECONDARY, NO_COMMAND),
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
    keysOf(PHASES).map((phase): Cell => {
      const found = MATRIX[fault][target][phase];
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
