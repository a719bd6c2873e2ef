import type { SeedsView } from '@gannet/contract';
import { formatBytes } from '@gannet/contract/format';
import { type Output, ProgressBar } from './terminal.js';

type Report = Readonly<Record<string, unknown>>;

/** Labels of the stages that report bytes. */
const LABELS: Readonly<Record<string, string>> = {
  seed: '  copying',
  colo: '  memory',
  'write back': '  writing',
  replay: '  replaying',
};

/**
 * Shows progress reports: the stage, and for long stages bytes, rate and time left. On a terminal
 * this is a bar, otherwise a line a second; with `json`, each report is a line of JSON. Everything
 * goes to stderr, because stdout is for the result.
 */
export function showProgress(
  json: boolean,
  output: Output = process.stderr,
): (report: unknown) => void {
  if (json) return (report) => output.write(`${JSON.stringify(report)}\n`);
  let shown: string | undefined;
  let bar = new ProgressBar('', output);
  return (value) => {
    const report = value as Report;
    const { doneBytes, totalBytes } = report;
    const stage = String(report['stage']);
    if (stage !== shown) {
      bar.end();
      output.write(`${stage} ...\n`);
      shown = stage;
      bar = new ProgressBar(LABELS[stage] ?? `  ${stage}`, output);
    }
    if (typeof doneBytes !== 'number' || typeof totalBytes !== 'number') return;
    const all = report['all'] as SeedsView | undefined;
    if (!all) bar.update(doneBytes, totalBytes);
    else bar.update(all.doneBytes, all.totalBytes, { ...all, note: noteOf(all) });
  };
}

function noteOf({ down, disks, limitBytesPerSec }: SeedsView): string {
  const notes: string[] = [];
  if (down) notes.push(`link lost, waiting (${seconds(down.forMs)} s of ${seconds(down.limitMs)})`);
  if (limitBytesPerSec > 0) notes.push(`limit ${formatBytes(limitBytesPerSec)}/s`);
  const each = Object.entries(disks);
  if (each.length > 1) {
    const share = each.map(
      ([name, view]) => `${name} ${percent(view.doneBytes, view.totalBytes)} %`,
    );
    notes.push(share.join(', '));
  }
  return notes.join('; ');
}

function seconds(ms: number): number {
  return Math.round(ms / 1000);
}

function percent(done: number, total: number): number {
  return total > 0 ? Math.floor((100 * done) / total) : 0;
}
