/** All VMs of this host: one row each, whatever becomes of their daemons. */
import type { Status } from '@gannet/contract';
import { ControlClient } from '@gannet/contract/client';
import { describeError, GannetError } from '@gannet/contract/errors';
import { configuredVms, findDaemon } from '@gannet/contract/find';
import type { Places } from '@gannet/contract/paths';
import { isWell } from '@gannet/contract/states';

/** What a daemon says of its VM. A daemon of another version may say less: then null. */
interface KnownVm {
  readonly role: Status['role'] | null;
  readonly state: Status['state'] | null;
  readonly health: Pick<
    Status['health'],
    'code' | 'level' | 'headline' | 'remedy' | 'guest'
  > | null;
  readonly peer: {
    readonly host: string | null;
    readonly pulse: Status['peer']['pulse'];
  } | null;
  readonly epoch: number | null;
  /** Age of the last commit, which a takeover would go back to. */
  readonly epochAgeMs: number | null;
  /** Committed on the secondary, and not yet in its bases. */
  readonly backlogBytes: number | null;
}

/** A VM of this host: what its daemon says, or why that is not known. */
export type HostVm = { readonly vm: string; readonly isWell: boolean } & (
  | (KnownVm & { readonly error: null })
  | { readonly error: { readonly code: string; readonly message: string; readonly remedy: string } }
);

/**
 * Asks the daemons of all VMs that have a configuration on this host, all at once.
 *
 * @param silenceMs for so long a daemon may be silent; its row says so then
 */
export async function hostVms(places: Places, silenceMs: number): Promise<HostVm[]> {
  const names = await configuredVms(places);
  return Promise.all(names.map((vm) => hostVm(vm, places, silenceMs)));
}

async function hostVm(vm: string, places: Places, silenceMs: number): Promise<HostVm> {
  try {
    return rowOf(vm, (await askDaemon('status', vm, places, silenceMs)) as Partial<Status>);
  } catch (error) {
    const { code, message, remedy } = describeError(error);
    return { vm, isWell: false, error: { code, message, remedy } };
  }
}

/**
 * Asks the daemon of a VM.
 *
 * @throws GannetError if it can't be found, or is silent for `silenceMs`
 */
export async function askDaemon(
  method: 'status' | 'metrics',
  vm: string,
  places: Places,
  silenceMs: number,
): Promise<unknown> {
  const { control } = await findDaemon({ vm }, places);
  const client = await ControlClient.connect(control, silenceMs);
  try {
    return await inTime(client.request(method), vm, silenceMs);
  } finally {
    client.close();
  }
}

/** A daemon that is starting shows signs of life, and answers once it has begun. */
async function inTime<T>(answer: Promise<T>, vm: string, limitMs: number): Promise<T> {
  let late: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_resolve, reject) => {
    late = setTimeout(() => {
      const message = `the daemon of ${vm} has not answered in ${limitMs / 1000} s`;
      const remedy = 'It may still be starting: see its log. --timeout waits longer.';
      reject(new GannetError('GANNET_TIMEOUT', message, remedy, 'timeout'));
    }, limitMs);
  });
  answer.catch(() => undefined);
  return Promise.race([answer, limit]).finally(() => clearTimeout(late));
}

function rowOf(vm: string, status: Partial<Status>): HostVm {
  const { role = null, state = null, peer, epoch = null, health } = status;
  return {
    vm,
    isWell: isWell(health ? { health } : {}),
    ...{ role, state, epoch, error: null },
    health: health ? pick(health) : null,
    peer: peer ? { host: peer.status?.host ?? null, pulse: peer.pulse } : null,
    epochAgeMs: epochAgeOf(status) ?? null,
    backlogBytes: backlogOf(status) ?? null,
  };
}

function pick({ code, level, headline, remedy, guest }: Status['health']): KnownVm['health'] {
  return { code, level, headline, remedy, guest };
}

/** The primary has both from the secondary's last heartbeat. */
function epochAgeOf(status: Partial<Status>): number | undefined {
  if (status.role === 'secondary') return status.commitAgeMs;
  const { status: said, silentMs = 0 } = status.peer ?? {};
  return said?.commitAgeMs === undefined ? undefined : said.commitAgeMs + silentMs;
}

function backlogOf(status: Partial<Status>): number | undefined {
  if (status.role === 'secondary') return status.buffers?.committed;
  return status.peer?.status?.buffers?.committed;
}
