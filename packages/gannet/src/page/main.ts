import { html, render } from '../vendor/htm.js';
import { App } from './app.js';
import { Connection } from './connection.js';

const root = document.getElementById('app');
if (!root) throw new Error('the page has lost its root');

const connection = new Connection((view) => {
  document.title = view.status
    ? `${view.status.vm}: ${view.status.health.headline} – Gannet`
    : 'Gannet';
  render(html`<${App} view=${view} connection=${connection} />`, root);
});
connection.start();
