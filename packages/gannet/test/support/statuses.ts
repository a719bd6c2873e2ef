/** The statuses of a pair that is well, as its daemons tell them. */
import {
  type PrimaryStatus,
  type SecondaryStatus,
  type Status,
  STATUS_SCHEMA,
  type Unjudged,
  verdictOf,
} from '@gannet/contract';
import { record } from './records.js';

export const MIB = 2 ** 20;
export const RECORD = { epoch: 9, committedPages: 70, droppedPages: 8, gateClosedMs: 0.4 };

/** With the verdict that its daemon would add. */
export function judged<S extends Unjudged>(status: S): S & Pick<Status, 'health'> {
  return { ...status, health: { ...verdictOf(status), since: '2026-01-01T10:00:00.000Z' } };
}

export const BUFFERS = {
  ...{ primary: 64 * MIB, secondary: 32 * MIB, committed: 160 * MIB },
  ...{ softBytes: 512 * MIB, hardBytes: 1024 * MIB },
};
export const SECONDARY: SecondaryStatus = judged<Unjudged<SecondaryStatus>>({
  ...{
    schema: STATUS_SCHEMA,
    role: 'secondary',
    vm: 'web',
    host: 'b',
    heartbeatMs: 500,
    state: 'protected',
  },
  ...{ reason: '', mayFailOver: true, epoch: 9, secondaryVm: 'ready', secondaryVmTrouble: null },
  ...{
    linkState: 'whole',
    linkLoss: null,
    link: 'connected',
    coloExit: null,
    baseTrouble: null,
    checkpoints: 9,
    exports: [],
    uuid: 'u',
  },
  record: record('protected', 3),
  lastCheckpoint: { ...RECORD, checkpointMs: 12 },
  buffers: { ...BUFFERS, slowedWrites: 0 },
  disks: [
    { name: 'disk0', sizeBytes: 1, epochsToWriteBack: 2, backlogBytes: 3 * MIB, requests: 9 },
  ],
  peer: {
    pulse: 'up',
    silentMs: 230,
    status: {
      ...{ role: 'primary', state: 'protected', epoch: 9, vm: 'ready', host: 'a' },
      record: record('protected', 3, { mustProve: true }),
    },
  },
});
export const PRIMARY: PrimaryStatus = judged<Unjudged<PrimaryStatus>>({
  ...{
    schema: STATUS_SCHEMA,
    role: 'primary',
    vm: 'web',
    host: 'a',
    heartbeatMs: 500,
    state: 'protected',
  },
  ...{
    stage: '',
    primaryVm: 'ready',
    primaryVmTrouble: null,
    linkKind: 'nbd',
    link: 'nbd',
    epoch: 9,
  },
  checkpointPeriodMs: 2000,
  record: record('protected', 3),
  lastCheckpoint: { ...RECORD, cause: 'demand', pausedMs: 8 },
  peer: {
    pulse: 'up',
    silentMs: 230,
    status: {
      ...{ role: 'secondary', state: 'protected', epoch: 9, vm: 'ready', link: 'whole', host: 'b' },
      record: record('protected', 3),
      mayFailOver: true,
      buffers: BUFFERS,
    },
  },
});
