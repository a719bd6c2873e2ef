import type { Status } from '@gannet/contract';
import { html, useEffect, useRef, useState, type VNode } from '../vendor/htm.js';
import { type Action, actionsOf } from '../view/possible-actions.js';
import { RemedyText } from './remedy-text.js';
import { type Connection, Refusal } from './connection.js';

type Outcome = { readonly text: string; readonly remedy: string; readonly isGood: boolean };

export function Actions(props: {
  status: Status;
  connection: Connection;
  isLive: boolean;
}): VNode | null {
  const { status, connection, isLive } = props;
  const [asked, setAsked] = useState<Action | undefined>(undefined);
  const actions = actionsOf(status);
  if (actions.length === 0 && !asked) return null;
  return html`<section class="actions" aria-label="Actions">
    ${actions.map(
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
    aria-describedby="cost"
    onClose=${onEnd}
  >
    <h2 id="question">${action.question}</h2>
    <p id="cost">${action.cost}</p>
    <div role="alert">
      ${
        outcome
          ? html`<div class=${outcome.isGood ? 'outcome good' : 'outcome bad'}>
              <p><span aria-hidden="true">${outcome.isGood ? '✓' : '✕'}</span> ${outcome.text}</p>
              <p><${RemedyText} text=${outcome.remedy} /></p>
            </div>`
          : null
      }
    </div>
    ${isUnderWay ? html`<p role="status">In progress … It goes on if you close this.</p>` : null}
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
      <button type="button" autofocus onClick=${close}>
        ${outcome || isUnderWay ? 'Close' : 'Cancel'}
      </button>
    </div>
  </dialog>`;
}
