/** Bar charts as SVG, legible on light and dark pages. */
import { isCounted, type Entry, type Point, type Result } from '../harness/result.js';
import { number } from './table.js';

const WIDTH = 860;
const LABEL_WIDTH = 170;
const VALUE_WIDTH = 150;
const BAR = 13;
const GAP = 30;
const TOP = 60;
const COLOURS = ['#7d8590', '#c2410c', '#d4a017', '#0f766e', '#2563eb', '#9333ea'];

/** Gannet's bars are told from the others' by their colours, whatever else is compared. */
const OWN_COLOURS = ['#2563eb', '#0d9488', '#9333ea'];

const STYLE = `
  svg { font: 12px system-ui, sans-serif; }
  .panel { fill: #ffffff; } text { fill: #1f2328; } .faint { fill: #59636e; }
  .line { stroke: #8c959f; stroke-dasharray: 3 3; }
  @media (prefers-color-scheme: dark) {
    .panel { fill: #0d1117; } text { fill: #e6edf3; } .faint { fill: #9198a1; }
  }`;

/**
 * Bars are ratios to the baseline where there is one, values otherwise: then each point has a scale
 * of its own.
 */
export function chart(result: Result): string {
  const points = result.points.filter((point) => isCharted(result, point));
  const colours = coloursOf(result);
  const lines: string[] = [];
  let y = TOP;
  const most = Math.max(
    1,
    ...points.flatMap((point) => barsOf(result, point).map(({ size }) => size)),
  );
  for (const point of points) {
    const bars = barsOf(result, point);
    const scaleTo =
      result.baseline === undefined ? Math.max(...bars.map(({ size }) => size)) : most;
    lines.push(`<text x="12" y="${y}" font-weight="600">${escape(point.name)}</text>`);
    y += 6;
    for (const { entry, size, label } of bars) {
      const width = (size / scaleTo) * (WIDTH - LABEL_WIDTH - VALUE_WIDTH);
      const fill = colours.get(entry.contender) ?? '#7d8590';
      lines.push(
        `<text class="faint" x="${LABEL_WIDTH - 6}" y="${y + BAR - 3}" text-anchor="end">` +
          `${escape(entry.contender)}</text>`,
        `<rect x="${LABEL_WIDTH}" y="${y + 1}" width="${width.toFixed(1)}" height="${BAR - 2}" ` +
          `rx="2" fill="${fill}"/>`,
        `<text class="faint" x="${(LABEL_WIDTH + width + 6).toFixed(1)}" y="${y + BAR - 3}">` +
          `${escape(label)}</text>`,
      );
      y += BAR;
    }
    y += GAP;
  }
  const scale = result.baseline === undefined ? 'medians' : `relative to ${result.baseline}`;
  if (result.baseline !== undefined) {
    const x = (LABEL_WIDTH + (WIDTH - LABEL_WIDTH - VALUE_WIDTH) / most).toFixed(1);
    lines.unshift(`<line class="line" x1="${x}" x2="${x}" y1="${TOP - 16}" y2="${y - GAP}"/>`);
  }
  const title = `${result.name}: ${result.title}`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" role="img">`,
    `<title>${escape(title)}</title><style>${STYLE}</style>`,
    `<rect class="panel" width="${WIDTH}" height="${y}" rx="6"/>`,
    `<text x="12" y="24" font-size="15" font-weight="600">${escape(title)}</text>`,
    `<text class="faint" x="12" y="41">${escape(scale)}; longer is ${better(points)}</text>`,
    ...lines,
    '</svg>\n',
  ].join('\n');
}

interface Bar {
  readonly entry: Entry;
  readonly size: number;
  readonly label: string;
}

function barsOf({ baseline }: Result, { entries, unit }: Point): Bar[] {
  const base = entries.find(({ contender }) => contender === baseline);
  return entries.map((entry) => {
    if (!isCounted(entry)) return { entry, size: 0, label: 'failed' };
    const ratio = isCounted(base) ? entry.median / base.median : undefined;
    const value = `${number(entry.median)} ${unit}`;
    return {
      entry,
      size: ratio ?? entry.median,
      label: ratio === undefined ? value : `${value} (${ratio.toFixed(2)}x)`,
    };
  });
}

/** Where a chart is of ratios, points without the baseline have no place in it. */
function isCharted({ baseline }: Result, { entries }: Point): boolean {
  if (baseline === undefined) return entries.some(isCounted);
  return entries.some((entry) => entry.contender === baseline && isCounted(entry));
}

function better(points: readonly Point[]): string {
  const ways = new Set(points.map(({ better }) => better));
  if (ways.size > 1) return 'better or worse, by its unit';
  return ways.has('lower') ? 'worse' : 'better';
}

function coloursOf({ contenders }: Result): Map<string, string> {
  const own = [...OWN_COLOURS];
  const others = COLOURS.filter((colour) => !OWN_COLOURS.includes(colour));
  return new Map(
    contenders.map(({ name }) => {
      const colours = name.startsWith('Gannet') ? own : others;
      const colour = colours.shift() ?? '#7d8590';
      return [name, colour];
    }),
  );
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
