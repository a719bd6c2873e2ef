import { setTimeout as sleep } from 'node:timers/promises';
import { addressText } from '../../inspect/disk-links.js';
import {
  type Address,
  GannetError,
  isDown,
  hasTakenOver,
  isFinal,
  type PeerStatus,
} from '@gannet/contract';
import type { PeerLink } from '../peer/peer-link.js';

const POLL_MS = 10;
const RESTART_ORDER = 'its daemon first, then its QEMU with -incoming, or -S for vsmr.';
const RESTART = `Restart the secondary: ${RESTART_ORDER}`;
/** Only QEMU knows why it could not take the guest over, and it has ended. */
const READ_IT =
  "Read why in the last lines of that QEMU's standard error: libvirt keeps them in " +
  '/var/log/libvirt/qemu, systemd in its journal.';
/** A restart would end the only copy that runs. */
function leaveIt(vm: string): string {
  return (
    'The secondary has taken over: its QEMU runs a VM, so do not restart it. If it is this VM, ' +
    `run \`gannet reprotect ${vm}\` on its host, with this one as its new secondary. ` +
    'If not, correct `primary.peer`.'
  );
}

const NOT_THE_PEER =
  'Use one version of Gannet on both hosts, let `primary.peer` lead to the daemon of this VM, ' +
  'and see docs/how-to/tls.md for credentials.';

export interface PeerWait {
  readonly vm: string;
  readonly link: PeerLink;
  readonly address: Address;
  /** The longest that it may be silent. */
  readonly highMs: number;
  readonly heartbeatMs: number;
  /** For messages. */
  readonly what: string;
  readonly isThere: (status: PeerStatus) => boolean;
  /** The deadline. */
  readonly signal: AbortSignal;
  /** Set, with the reason, when somebody wants it to end. */
  readonly asked?: AbortSignal | undefined;
}

/**
 * @throws GannetError GANNET_NOT_READY when it can't come any more, GANNET_TIMEOUT,
 * GANNET_INTERRUPTED
 */
export async function awaitPeer(wait: PeerWait): Promise<void> {
  const { link, what, isThere, signal, asked } = wait;
  const startMs = performance.now();
  for (;;) {
    const peer = link.state === 'up' ? link.peer?.status : undefined;
    if (peer && isThere(peer)) return;
    asked?.throwIfAborted();
    // What a daemon said last that has gone since is not what the next one will say.
    const isFresh = (link.peer?.silentMs ?? Infinity) < 2 * wait.heartbeatMs;
    const isHopeless =
      peer && (isFinal(peer.state) || peer.vm === 'unusable' || peer.vm === 'lost');
    if (isHopeless && isFresh) {
      const says = peer.trouble ?? `the replica is ${peer.state}, its VM ${peer.vm}`;
      const remedy = hasTakenOver(peer.state) ? leaveIt(wait.vm) : RESTART;
      throw new GannetError('GANNET_NOT_READY', `waiting for ${what}: ${says}`, remedy);
    }
    if (!peer && performance.now() - startMs > wait.highMs) {
      const where = `${addressText(wait.address)}, the peer link`;
      const [message, remedy] =
        link.refusal === undefined
          ? [
              `no secondary daemon answers on ${where}`,
              `Start it: on the secondary host, run \`gannet secondary ${wait.vm}\`.`,
            ]
          : [`what answers on ${where}, is not the secondary: ${link.refusal}`, NOT_THE_PEER];
      throw new GannetError('GANNET_NOT_READY', message, remedy);
    }
    if (signal.aborted) {
      const says = peer ? `it is ${peer.state}, its VM ${peer.vm}` : 'it is not connected';
      throw new GannetError(
        'GANNET_TIMEOUT',
        `timed out waiting for ${what}; ${says}`,
        RESTART,
        'timeout',
      );
    }
    await sleep(POLL_MS);
  }
}

/** What is the matter with the other side. */
export interface PeerTrouble {
  readonly says: string;
  /** What to do, in place of what to do about the failure here. */
  readonly remedy?: string;
}

/**
 * What the other side says is the matter, by what it says from now on; it is given two heartbeats.
 */
export async function troubleOf(
  link: PeerLink,
  heartbeatMs: number,
): Promise<PeerTrouble | undefined> {
  for (const startMs = performance.now(); ;) {
    const { peer, state } = link;
    const passedMs = performance.now() - startMs;
    const hasSpoken = peer !== undefined && peer.silentMs < passedMs - 1;
    if (state !== 'up' || hasSpoken || passedMs > 2 * heartbeatMs) return troubleIn(peer?.status);
    await sleep(POLL_MS);
  }
}

function troubleIn(status: PeerStatus | undefined): PeerTrouble | undefined {
  if (status?.trouble !== undefined) return { says: status.trouble };
  if (status?.vm !== 'lost') return undefined;
  return {
    says: 'its QEMU has ended',
    remedy: `${READ_IT} Then restart the secondary: ${RESTART_ORDER}`,
  };
}

export function interrupted(vm: string, why: string): GannetError {
  return new GannetError(
    'GANNET_INTERRUPTED',
    why,
    `Run \`gannet protect ${vm}\` again if you still want it.`,
  );
}

/** Why a secondary that says this of itself protects nothing any more. */
export function lossOf({ vm, link, state, isLeaving }: PeerStatus): string | undefined {
  if (isLeaving === true) return 'the secondary daemon is ending';
  if (isDown(vm)) return `the secondary VM is ${vm}`;
  if (link === 'lost') return 'the link to the replica broke';
  return state === 'diverged' ? 'the replica has diverged' : undefined;
}

/** Whether the secondary is heard, has all writes, and could take over. */
export function isProtectedBy({ state, peer }: PeerLink): boolean {
  if (state !== 'up' || !peer) return false;
  const { state: replica, link, vm } = peer.status;
  return replica === 'protected' && link === 'whole' && vm === 'ready';
}
