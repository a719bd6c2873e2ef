import type { QmpClient } from 'qemu-qmp-client';
import type { History } from '../history.js';
import type { VmWatch } from '../vm/vm-watch.js';
import type { PrimaryRoleEvent, PrimaryRoleState } from './primary-state.js';

export interface SecondaryLossOptions {
  readonly history: Pick<History, 'add'>;
  readonly vm: Pick<VmWatch, 'state'>;
  readonly state: () => PrimaryRoleState;
  readonly step: (event: PrimaryRoleEvent) => boolean;
  /** `primary.onSecondaryLost: wait` */
  readonly mayWait: () => boolean;
  readonly goAlone: (reason: string, isLost: () => boolean) => void;
}

/** A primary that has lost its secondary runs on without it, if the configuration says so. */
export class SecondaryLoss {
  /** What the secondary says of itself does not bring checkpoints or a link back. */
  isBroken = false;

  constructor(private readonly options: SecondaryLossOptions) {}

  /** Acted upon once. */
  note(reason: string): void {
    const { vm, step, history, goAlone } = this.options;
    const before = this.#reason;
    if (vm.state === 'lost' || !step({ kind: 'loss', reason })) return;
    if (this.#reason === undefined || before !== undefined) return;
    history.add('secondary-lost', { reason });
    if (this.#mustGoAlone) goAlone(reason, () => this.#mustGoAlone);
  }

  /** Why it is lost, as long as nothing came of that. */
  get #reason(): string | undefined {
    const state = this.options.state();
    return 'loss' in state ? state.loss : undefined;
  }

  get #mustGoAlone(): boolean {
    const { mayWait, vm } = this.options;
    return this.#reason !== undefined && !mayWait() && vm.state !== 'lost';
  }
}

/** A migration that begins, or is cancelled, while COLO runs: QEMU's own steps have other names. */
const FOREIGN: ReadonlySet<string> = new Set(['setup', 'cancelling']);

export interface ColoWatch {
  readonly isProtected: () => boolean;
  readonly onEnd: (reason: string) => void;
}

/** Reports the end of COLO: at once if somebody else brings it about, else when QEMU says so. */
export function watchColo(qmp: QmpClient, { isProtected, onEnd }: ColoWatch): void {
  qmp.onEvent('MIGRATION', ({ data: { status } }) => {
    if (!isProtected() || !FOREIGN.has(status)) return;
    onEnd("COLO has ended: somebody began a migration, or cancelled QEMU's");
  });
  qmp.onEvent('COLO_EXIT', ({ data: { reason } }) => {
    if (reason === 'error') onEnd('COLO has ended: its channel broke');
  });
}
