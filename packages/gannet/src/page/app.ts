import type { Status } from '@gannet/contract';
import { html, useState, type VNode } from '../vendor/htm.js';
import { formatTime } from '@gannet/contract/format';
import { overviewOf } from '../view/overview.js';
import { checkpointsOf } from '../view/checkpoints.js';
import { Actions } from './actions.js';
import type { Connection, View } from './connection.js';
import { EventLog } from './event-log.js';
import { Memory } from './memory.js';
import { Sides } from './sides.js';
import { Timeline } from './timeline.js';
import { VerdictBox } from './verdict-box.js';

const TIMELINE_MAX = 60;

export function App({ view, connection }: { view: View; connection: Connection }): VNode {
  const { link, status } = view;
  if (link === 'token') {
    const use = (token: string): void => connection.useToken(token);
    return html`<${TokenForm} wasWrong=${view.tokenWasWrong} onToken=${use} />`;
  }
  if (!status) {
    return html`<main class="alone">
      <h1>Gannet</h1>
      <p role="status">Connecting to the daemon …</p>
    </main>`;
  }
  return html`<${Dashboard} view=${view} status=${status} connection=${connection} />`;
}

function Dashboard(props: { view: View; status: Status; connection: Connection }): VNode {
  const { view, status, connection } = props;
  const { link, events, statusAt } = view;
  const isLive = link === 'live';
  const overview = overviewOf(status);
  const checkpoints = checkpointsOf(events, TIMELINE_MAX);
  return html`<div class=${isLive ? 'page' : 'page stale'}>
    <header class="top">
      <h1><span class="brand">Gannet</span> ${status.vm}</h1>
      <p class="live" role="status">
        ${
          isLive
            ? html`<span><span class="dot" aria-hidden="true">●</span> Live</span>`
            : html`<span
                ><span aria-hidden="true">✕</span> The daemon does not answer: state of
                ${formatTime(new Date(statusAt).toISOString())}</span
              >`
        }
      </p>
    </header>
    <main>
      <${VerdictBox} status=${status} events=${events} nowMs=${statusAt} />
      <${Actions} status=${status} connection=${connection} isLive=${isLive} />
      <${Sides} overview=${overview} isWell=${status.health.level === 'good'} vm=${status.vm} />
      <${Timeline} checkpoints=${checkpoints} />
      <${Memory} status=${status} overview=${overview} />
      <${EventLog} events=${events} vm=${status.vm} />
    </main>
  </div>`;
}

function TokenForm(props: { wasWrong: boolean; onToken: (token: string) => void }): VNode {
  const [token, setToken] = useState('');
  const submit = (event: Event): void => {
    event.preventDefault();
    if (token.trim() !== '') props.onToken(token);
  };
  return html`<main class="alone">
    <h1>Gannet</h1>
    <form onSubmit=${submit}>
      <label for="token">Access token</label>
      <input
        id="token"
        type="password"
        autocomplete="off"
        spellcheck="false"
        aria-describedby="token-help"
        aria-invalid=${props.wasWrong ? 'true' : 'false'}
        value=${token}
        onInput=${(event: InputEvent) => setToken((event.target as HTMLInputElement).value)}
      />
      ${props.wasWrong ? html`<p class="wrong" role="alert">✕ This token is wrong.</p>` : null}
      <p id="token-help">
        On the daemon’s host, <code>gannet page VM</code> prints the URL of this page with the
        token. The browser keeps the token until you close this tab.
      </p>
      <button class="primary" type="submit">Show the VM</button>
    </form>
  </main>`;
}
