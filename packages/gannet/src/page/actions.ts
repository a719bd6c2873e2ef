import type { Status } from '@gannet/contract';
import { html, useEffect, useRef, useState, type VNode } from '../vendor/htm.js';
import { type Connection, Refusal } from './connection.js';

interface Action {
  readonly method: 'checkpoint' | 'failover' | 'detach';
  readonly label: string;
  readonly question: string;
  readonly consequence: string;
  readonly isGrave: boolean;
}

const CHECKPOINT: Action = {
  method: 'checkpoint',
  label: 'Checkpoint now',
  question: 'Make a checkpoint now?',
  consequence: 'The guest is paused for some milliseconds, as at every checkpoint.',
  isGrave: false,
};
const DETACH: Action = {
  method: 'detach',
  label: 'Detach',
  question: 'End the protection?',
  consequence:
    'The guest continues without interruption, and is no longer protected. ' +
    'The secondary will not take over.',
  isGrave: true,
};

function actionsOf({ role, vm }: Status): readonly Action[] {
  const failover = { method: 'failover', label: 'Fail over', isGrave: true } as const;
  if (role === 'primary') {
    const consequence = 'The primary drops its secondary and runs on alone, unprotected.';
    return [
      CHECKPOINT,
      { ...failover, question: 'Run on without the secondary?', consequence },
      DETACH,
    ];
  }
  const question = `Let this secondary take over ${vm}?`;
  const consequence =
    'Its VM continues from the last checkpoint and moves to the local disks. ' +
    'This is refused without proof that the primary VM has stopped.';
  return [{ ...failover, question, consequence }];
}

type Outcome = { readonly text: string; readonly remedy: string; readonly isGood: boolean };

export function Actions(props: { status: Status; connection: Connection; isLive: boolean }): VNode {
  const { status, connection, isLive } = props;
  const [asked, setAsked] = useState<Action | undefined>(undefined);
  return html`<section class="actions" aria-label="Actions">
    ${actionsOf(status).map(
      (action) =>
        html`<button
          key=${action.method}
          type="button"
          class=${action.isGrave ? 'grave' : 'primary'}
          disabled=${!isLive}
          aria-haspopup="dialog"
          onClick=${() => setAsked(action)}
        >
          ${action.label} …
        </button>`,
    )}
    ${
      status.role === 'secondary'
        ? html`<p>Checkpoint and detach are on the page of the primary.</p>`
        : null
    }
    ${
      asked
        ? html`<${Question}
            action=${asked}
            connection=${connection}
            onEnd=${() => setAsked(undefined)}
          />`
        : null
    }
  </section>`;
}

/** Asks for confirmation, then shows the daemon’s answer. */
function Question(props: { action: Action; connection: Connection; onEnd: () => void }): VNode {
  const { action, connection, onEnd } = props;
  const dialog = useRef<HTMLDialogElement | null>(null);
  const [isUnderWay, setUnderWay] = useState(false);
  const [outcome, setOutcome] = useState<Outcome | undefined>(undefined);
  useEffect(() => {
    dialog.current?.showModal();
    return undefined;
  }, []);
  const go = async (): Promise<void> => {
    setUnderWay(true);
    try {
      await connection.call(action.method);
      setOutcome({ text: `${action.label}: done.`, remedy: '', isGood: true });
    } catch (error) {
      const { message, remedy, isRefused } = error as Refusal;
      const text = `${isRefused ? 'Refused' : 'Failed'}: ${message}.`;
      setOutcome({ text, remedy, isGood: false });
    }
    setUnderWay(false);
  };
  const close = (): void => dialog.current?.close();
  return html`<dialog
    ref=${dialog}
    aria-labelledby="question"
    aria-describedby="consequence"
    onClose=${onEnd}
  >
    <h2 id="question">${action.question}</h2>
    <p id="consequence">${action.consequence}</p>
    <div role="alert">
      ${
        outcome
          ? html`<div class=${outcome.isGood ? 'outcome good' : 'outcome bad'}>
              <p><span aria-hidden="true">${outcome.isGood ? '✓' : '✕'}</span> ${outcome.text}</p>
              ${outcome.remedy === '' ? null : html`<p>${outcome.remedy}</p>`}
            </div>`
          : null
      }
    </div>
    ${isUnderWay ? html`<p role="status">In progress …</p>` : null}
    <div class="buttons">
      ${
        outcome
          ? null
          : html`<button
              type="button"
              class=${action.isGrave ? 'grave' : 'primary'}
              disabled=${isUnderWay}
              onClick=${() => void go()}
            >
              ${action.label}
            </button>`
      }
      <button type="button" autofocus onClick=${close}>${outcome ? 'Close' : 'Cancel'}</button>
    </div>
  </dialog>`;
}
