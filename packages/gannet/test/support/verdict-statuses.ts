/** A status for each verdict of the table, from the daemon whose page an operator would open. */
import type {
  About,
  PeerStatus,
  PrimaryStatus,
  SecondaryStatus,
  Status,
  VerdictCode,
} from '@gannet/contract';
import { record } from './records.js';
import { BUFFERS, judged, MIB, PRIMARY, SECONDARY } from './statuses.js';

const ABOUT: About = { version: '0.1.0', qemu: '7.2.22', hasFence: true };
const SPARE: About = {
  ...{ ...ABOUT, fence: 'fence-alpha', failover: 'automatic' },
  page: 'https://beta.example:9470/',
};
const DISK = '/var/lib/gannet/web-disk0.raw: write at byte 1236992 failed: no space left on device';
const GIB = 1024 * MIB;

const ALPHA: PeerStatus = {
  ...{ role: 'primary', state: 'protected', epoch: 3_412_907, vm: 'ready', host: 'alpha' },
  ...{ record: record('protected', 3), about: ABOUT, periodMs: 2000 },
};
const BETA: PeerStatus = {
  ...{ role: 'secondary', state: 'protected', epoch: 3_412_907, vm: 'ready', host: 'beta' },
  ...{ link: 'whole', record: record('protected', 3), about: SPARE, mayFailOver: true },
  ...{ commitAgeMs: 1200, buffers: BUFFERS },
};
const SEED = {
  ...{ doneBytes: 7 * GIB, totalBytes: 20 * GIB, bytesPerSec: 110 * MIB, secondsLeft: 121 },
  ...{ limitBytesPerSec: 0, down: null, disks: {} },
};

type PrimaryPeer = Partial<PrimaryStatus['peer']>;

function primary(own: Partial<PrimaryStatus>, there: Partial<PeerStatus> = {}, peer?: PrimaryPeer) {
  const status = { ...BETA, ...there } as PeerStatus;
  const beta = { pulse: 'up', silentMs: 210, status, ...peer } as const;
  return judged({ ...PRIMARY, host: 'alpha', about: ABOUT, ...own, peer: beta });
}

function secondary(
  own: Partial<SecondaryStatus>,
  there: Partial<PeerStatus> = {},
  peer?: PrimaryPeer,
) {
  const status = { ...ALPHA, ...there } as PeerStatus;
  const alpha = { pulse: 'up', silentMs: 210, status, ...peer } as const;
  const disks = SECONDARY.disks.map((disk) => ({ ...disk, sizeBytes: 20 * GIB, requests: 1e9 }));
  const base = { ...SECONDARY, host: 'beta', about: SPARE, commitAgeMs: 1200, disks };
  return judged({ ...base, ...own, peer: alpha });
}

const SILENT = { pulse: 'lost', silentMs: 18_000 } as const;
const OVER = { state: 'retired', mayFailOver: false, linkState: 'none' } as const;

const MOVED = { ...PRIMARY.record, movedTo: 'beta' };

/** Every row of the table is here, or this does not compile. */
export const VERDICT_STATUSES: Readonly<Record<VerdictCode, Status>> = {
  'survivor-yields': secondary({ ...OVER, record: record('outdated', 5) }, { state: 'alone' }),
  'two-copies': secondary(OVER),
  'survivor-down': secondary({ ...OVER, secondaryVm: 'lost' }, { vm: 'lost' }, SILENT),
  'survivor-storage': secondary(
    { ...OVER, state: 'failed-over', baseTrouble: DISK },
    { vm: 'lost' },
    SILENT,
  ),
  moving: secondary(
    {
      ...{ ...OVER, state: 'failed-over' },
      failover: { stage: 'write back', doneBytes: 300 * MIB, totalBytes: 1024 * MIB },
    },
    { vm: 'lost' },
  ),
  survivor: secondary(OVER, { vm: 'lost' }, SILENT),
  moved: primary({ state: 'superseded', record: MOVED }, { state: 'retired' }),
  'handing-over': primary({ state: 'yielding', record: MOVED }),
  superseded: primary({ state: 'superseded' }, { state: 'unknown' }, SILENT),
  held: primary({ state: 'held' }, { state: 'unknown' }, { pulse: 'unknown' }),
  ended: primary({ state: 'ended', reason: 'the guest was shut down' }),
  yielding: primary({ state: 'yielding', reason: DISK }),
  'stands-still': primary(
    { state: 'alone', standstill: 'a write of vb0 failed on its own disk: Input/output error' },
    { state: 'diverged', mayFailOver: false },
  ),
  'down-take-over': secondary(
    {
      ...{ linkState: 'lost', linkLoss: 'a connection of the primary broke: closed by the peer' },
      waiting: {
        ...{ since: '2026-01-01T10:00:00.000Z', guest: 'runs', isLastCommitKept: true },
        ...{ softSeconds: 60, hardSeconds: 250 },
      },
    },
    { vm: 'lost' },
  ),
  'down-replica-unknown': primary({ primaryVm: 'lost' }, { state: 'unknown', mayFailOver: false }),
  'down-no-replica': primary({ primaryVm: 'lost' }, { state: 'diverged', mayFailOver: false }),
  down: primary({ primaryVm: 'lost', state: 'unprotected' }, { state: 'seeding' }),
  hung: primary({ primaryVm: 'hung', primaryVmTrouble: 'QEMU has not answered for 12 s' }),
  'cannot-ask': primary({ state: 'unknown', primaryVmTrouble: 'another client has the socket' }),
  alone: primary({ state: 'alone' }, { state: 'protected', link: 'lost' }, SILENT),
  diverged: secondary({ state: 'diverged', mayFailOver: false, reason: 'a write was lost' }),
  'secondary-down': primary({}, { vm: 'lost', mayFailOver: false }),
  protecting: primary({ state: 'protecting', stage: 'seed', seed: SEED }, { state: 'seeding' }),
  'awaits-qemu': primary(
    { state: 'unprotected', primaryVm: 'awaited' },
    { state: 'seeding', link: 'none' },
  ),
  unprotected: primary({ state: 'unprotected' }, { state: 'seeding', link: 'none' }),
  'replica-late': primary({}, { state: 'seeding', link: 'none', mayFailOver: false }),
  'link-lost': secondary({ linkState: 'lost', linkLoss: 'closed by the peer' }),
  'not-connected': secondary({ linkState: 'none' }),
  'peer-silent': secondary({}, {}, SILENT),
  'peer-late': primary({}, {}, { pulse: 'late', silentMs: 2400 }),
  'peer-unheard': primary({}, {}, { pulse: 'unknown' }),
  'base-trouble': secondary({ baseTrouble: DISK }),
  unfit: secondary({ mayFailOver: false, secondaryVmTrouble: 'COLO has not begun' }),
  'term-file': primary({
    termTrouble: "the term file /var/lib/gannet/web.term.json can't be written: ENOSPC",
  }),
  protected: primary({ lastCheckpoint: { ...PRIMARY.lastCheckpoint, epoch: 3_412_907 } as never }),
  disagreement: judged({ ...PRIMARY, host: 'alpha', about: ABOUT, peer: { pulse: 'none' } }),
};
