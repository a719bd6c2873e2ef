import { html, type VNode } from '../vendor/htm.js';

/**
 * A table that becomes a list where it would not fit. A column of figures begins with `#`. The
 * roles are repeated because browsers forget them when the display changes.
 */
export function Table(props: {
  head: readonly string[];
  rows: readonly (readonly unknown[])[];
}): VNode {
  const head = props.head.map((name) => name.replace(/^#/, ''));
  const classAt = (at: number): string => (props.head[at]?.startsWith('#') ? 'number' : '');
  return html`<table role="table">
    <thead role="rowgroup">
      <tr role="row">
        ${head.map(
          (name, at) =>
            html`<th key=${name} scope="col" role="columnheader" class=${classAt(at)}>${name}</th>`,
        )}
      </tr>
    </thead>
    <tbody role="rowgroup">
      ${props.rows.map(
        (cells) =>
          html`<tr key=${cells[0]} role="row">
            ${cells.map((cell, at) => {
              const name = head[at];
              return at === 0
                ? html`<th key=${name} scope="row" role="rowheader">${cell}</th>`
                : html`<td key=${name} role="cell" class=${classAt(at)} data-name=${name}>
                    ${cell}
                  </td>`;
            })}
          </tr>`,
      )}
    </tbody>
  </table>`;
}
