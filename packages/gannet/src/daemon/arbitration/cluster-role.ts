/**
 * What a node of a cluster may do with its disks of a VM, before it starts anything: by what the
 * cluster remembers, and by what the disks are worth. Pure.
 */
import type { CopyWord, TermRecord } from '@gannet/contract';

/**
 * - `own`: they were never a replica
 * - `whole`: they were one, and became the guest's own disks
 * - `journal`: together with the journal they are the guest's disks
 * - `last-commit`: they are its disks as of the last checkpoint before the primary was lost
 * - `torn`: no consistent disks
 * - `missing`: not all of them are there
 */
export const WORTHS = ['own', 'whole', 'journal', 'last-commit', 'torn', 'missing'] as const;
export type Worth = (typeof WORTHS)[number];

/** One base, and what its state file says. */
export interface BaseFound {
  readonly isThere: boolean;
  readonly state?: {
    readonly state: string;
    readonly lastCommit?: boolean;
  };
}

/** The state files are written one after the other: see recovery.ts of the replicator. */
export function worthOf(bases: readonly BaseFound[]): Worth {
  if (bases.length === 0 || bases.some(({ isThere }) => !isThere)) return 'missing';
  const states = bases.flatMap(({ state }) => state ?? []);
  if (states.length === 0) return 'own';
  if (states.length < bases.length) return 'torn';
  if (states.some(({ state }) => state === 'failed-over')) return 'journal';
  if (states.every(({ state }) => state === 'retired')) return 'whole';
  return states.some(({ lastCommit }) => lastCommit === true) ? 'last-commit' : 'torn';
}

export interface ClusterRoleView {
  readonly node: string;
  /** The node with the newest disks, as the cluster remembers it; '' before the first start. */
  readonly current: string;
  /** A node that has begun to take over, and has not said yet that a crash loses nothing. */
  readonly claim: string;
  /** The node that has the disks the first time. */
  readonly initial: string;
  readonly worth: Worth;
  readonly own: Pick<TermRecord, 'word' | 'lacks'>;
}

/**
 * - `run`: its disks are the VM's
 * - `recover`: they are, once the journal is replayed
 * - `secondary`: they may be overwritten
 * - `confirm`: it has taken over, and the cluster does not remember that yet
 * - `give-back`: it had begun to take over, and nothing came of that
 * - `wait`: neither run them nor overwrite them
 */
export const CLUSTER_ROLES = [
  ...(['run', 'recover', 'secondary', 'confirm', 'give-back', 'wait'] as const),
] as const;
export type ClusterRole = (typeof CLUSTER_ROLES)[number];

export interface ClusterRoleStep {
  readonly role: ClusterRole;
  /** For people: why it waits. */
  readonly why: string;
}

/** What the node with the newest disks does with them. */
export const OF_CURRENT: Readonly<Record<Worth, ClusterRoleStep>> = {
  own: may('run'),
  whole: may('run'),
  journal: may('recover'),
  'last-commit': wait('the disks here are those of the last checkpoint, and may be old'),
  torn: wait('the disks here are a replica that is not complete'),
  missing: wait('not all disks are here'),
};

/** The node that has begun to take over: its state files say how far it came. */
export const OF_CLAIM: Readonly<Record<Worth, ClusterRoleStep>> = {
  own: wait('a takeover was begun here, and the state files of the disks are missing'),
  whole: may('confirm'),
  journal: may('confirm'),
  'last-commit': may('give-back'),
  torn: may('give-back'),
  missing: wait('a takeover was begun here, and not all disks are here'),
};

/** Disks that can be the newest, and a word that says that they were. */
const USABLE: ReadonlySet<Worth> = new Set(['own', 'whole', 'journal']);
const NEWEST: ReadonlySet<CopyWord> = new Set(['alone', 'taken-over']);

function may(role: ClusterRole): ClusterRoleStep {
  return { role, why: '' };
}

function wait(why: string): ClusterRoleStep {
  return { role: 'wait', why };
}

/** Rules, the first that matches. */
export function clusterRole(view: ClusterRoleView): ClusterRoleStep {
  const { node, current, claim, initial, worth, own } = view;
  const holder = current === '' ? initial : current;
  if (claim !== '' && claim !== current) {
    if (claim === node) return OF_CLAIM[worth];
    return wait(`${claim} has begun to take over: only it knows whether its disks are the newest`);
  }
  if (holder === '') return wait('the cluster does not know which node has the disks: `initial`');
  if (holder !== node) {
    const isContrary = USABLE.has(worth) && NEWEST.has(own.word);
    if (!isContrary) return may('secondary');
    return wait(`the cluster names ${holder}, and the term file here says that this copy is newer`);
  }
  if (own.word === 'outdated') return wait('the other side has the newer copy');
  if (own.lacks?.hasReplica === true) return wait('the disks here lack what only the replica has');
  return OF_CURRENT[worth];
}
