import { html, type VNode } from '../vendor/htm.js';

/** A command in a remedy, up to the end of its sentence: `gannet failover web --force`. */
const COMMAND = /`?(gannet [a-z-]+(?: (?!then\b|on\b|first\b)[\w/.-]*\w|(?: --[a-z-]+))*)`?/g;

/** A remedy, with its commands so that they can be told apart and copied. */
export function RemedyText({ text }: { text: string }): VNode {
  const parts = text.split(COMMAND);
  return html`<span
    >${parts.map((part, at) => (at % 2 === 1 ? html`<code>${part}</code>` : part))}</span
  >`;
}
