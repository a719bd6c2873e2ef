/** The link, and beside it, while it seeds over the same export, the mirror. */
const LINKS_MAX = 2;

/** Whether a copy came over connections of its own, and whether it still has one. */
export type CopyState = 'none' | 'connected' | 'complete';

/**
 * How the primary is connected to one disk.
 *
 *   idle          no copy and no link
 *   copying       the first copy has a connection of its own
 *   interrupted   that connection ended before the link was opened; the copy may be resumed
 *   linked        the link is up, perhaps beside the connection of its copy
 *   gone          the last link has left or broke
 *
 * `isBroken`: a connection that counted, broke.
 */
export type DiskLinkState =
  | { readonly phase: 'idle' }
  | { readonly phase: 'copying' }
  | { readonly phase: 'interrupted'; readonly isBroken: boolean }
  | {
      readonly phase: 'linked';
      readonly links: number;
      readonly copy: CopyState;
      readonly isBroken: boolean;
    }
  | { readonly phase: 'gone'; readonly copy: CopyState; readonly isBroken: boolean };

/** What happens to the connections of one disk. */
export type DiskLinkEvent =
  | { readonly kind: 'begin' | 'resume' | 'link' | 'follow' }
  | { readonly kind: 'copy-ends' | 'link-ends'; readonly isBroken: boolean };

/** What an event leads to: a state, perhaps with writes lost, or a refusal. */
export type DiskLinkStep =
  { readonly to: DiskLinkState; readonly isLoss: boolean } | { readonly refusal: LinkRefusal };

/** Why a connection is refused. */
export type LinkRefusal =
  'unknown-copy' | 'complete-copy' | 'interrupted-copy' | 'in-use' | 'too-many' | 'broken-link';

/** Every refusal, for people. */
export const LINK_REFUSALS: Readonly<Record<LinkRefusal, (disk: string) => string>> = {
  'unknown-copy': (disk) => `this replicator knows of no copy of disk ${disk} to go on with`,
  'complete-copy': (disk) => `the copy of disk ${disk} was complete when it broke off`,
  'interrupted-copy': (disk) => `the copy of disk ${disk} has broken off`,
  'in-use': (disk) => `an earlier link of the primary to disk ${disk} is still open`,
  'too-many': (disk) => `the primary's links of disk ${disk} are open already`,
  'broken-link': (disk) => `a link of the primary to disk ${disk} broke, and writes may be missing`,
};

/**
 * The table of a disk's connections; a test visits every cell. From the first link on every
 * connection counts: one that breaks, or the last link that leaves, is a loss.
 *
 *                 begin     resume         link           follow         copy ends     link ends
 *   idle          copying   unknown copy   linked         unknown copy   -             -
 *   copying       copying   copying        linked         linked         interrupted   -
 *   interrupted   copying   copying        interrupted    interrupted    -             -
 *   linked        in use    complete       linked twice   unknown copy   linked        linked, gone
 *   gone          copying   complete       linked *       unknown copy   gone          -
 *
 *   *  Unless a connection broke: QEMU connects again by itself then, while writes that were on
 *      their way are missing, so only a copy from the beginning helps.
 */
export function diskLinkStep(state: DiskLinkState, event: DiskLinkEvent): DiskLinkStep {
  switch (event.kind) {
    case 'begin':
      return isInUse(state) ? { refusal: 'in-use' } : to({ phase: 'copying' });
    case 'resume':
      return resumed(state);
    case 'link':
      return linked(state);
    case 'follow':
      return followed(state);
    case 'copy-ends':
      return copyEnded(state, event.isBroken);
    case 'link-ends':
      return linkEnded(state, event.isBroken);
  }
}

/** Whether a connection is open that belongs to a link. */
function isInUse(state: DiskLinkState): boolean {
  return state.phase === 'linked' || (state.phase === 'gone' && state.copy === 'connected');
}

function resumed(state: DiskLinkState): DiskLinkStep {
  switch (state.phase) {
    case 'idle':
      return { refusal: 'unknown-copy' };
    case 'copying':
    case 'interrupted':
      return to({ phase: 'copying' });
    case 'linked':
    case 'gone':
      return { refusal: state.copy === 'none' ? 'unknown-copy' : 'complete-copy' };
  }
}

function linked(state: DiskLinkState): DiskLinkStep {
  switch (state.phase) {
    case 'idle':
      return to({ phase: 'linked', links: 1, copy: 'none', isBroken: false });
    case 'copying':
      return to({ phase: 'linked', links: 1, copy: 'connected', isBroken: false });
    case 'interrupted':
      return { refusal: 'interrupted-copy' };
    case 'linked':
      if (state.links >= LINKS_MAX) return { refusal: 'too-many' };
      return to({ ...state, links: state.links + 1 });
    case 'gone':
      if (isInUse(state)) return { refusal: 'in-use' };
      if (state.isBroken) return { refusal: 'broken-link' };
      return to({ phase: 'linked', links: 1, copy: 'none', isBroken: false });
  }
}

/** A link that may only follow a copy. */
function followed(state: DiskLinkState): DiskLinkStep {
  if (state.phase === 'copying' || state.phase === 'interrupted') return linked(state);
  return { refusal: 'unknown-copy' };
}

function copyEnded(state: DiskLinkState, isBroken: boolean): DiskLinkStep {
  switch (state.phase) {
    case 'copying':
      return to({ phase: 'interrupted', isBroken });
    case 'linked':
      return to({ ...state, copy: 'complete', isBroken: state.isBroken || isBroken }, isBroken);
    case 'gone':
      return to({ ...state, copy: 'complete', isBroken: state.isBroken || isBroken }, true);
    case 'idle':
    case 'interrupted':
      return to(state);
  }
}

function linkEnded(state: DiskLinkState, isBroken: boolean): DiskLinkStep {
  if (state.phase !== 'linked') return to(state);
  const rest = { copy: state.copy, isBroken: state.isBroken || isBroken };
  const links = state.links - 1;
  if (links === 0) return to({ phase: 'gone', ...rest }, true);
  return to({ phase: 'linked', links, ...rest }, isBroken);
}

function to(state: DiskLinkState, isLoss = false): DiskLinkStep {
  return { to: state, isLoss };
}
