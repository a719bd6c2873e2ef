import type {
  FailoverProgress,
  MoveProgress,
  ProtectProgress,
  SeedsView,
  VerifyProgress,
} from '@gannet/contract';
import { formatBytes } from '@gannet/contract/format';
import { type Output, ProgressBar } from './terminal.js';

/** `gannet recover`, which needs no daemon. */
type RecoverProgress =
  | { readonly stage: 'replay'; readonly doneBytes: number; readonly totalBytes: number }
  | { readonly stage: 'done' };

export type ProgressReport =
  ProtectProgress | FailoverProgress | VerifyProgress | MoveProgress | RecoverProgress;
/** A report with bytes. */
type Counted = Extract<ProgressReport, { readonly doneBytes: number }>;

/** Labels of the stages that report bytes. */
const LABELS: Readonly<Record<Counted['stage'], string>> = {
  seed: '  copying',
  colo: '  memory',
  vsmr: '  memory',
  verify: '  comparing',
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
): (report: ProgressReport) => void {
  if (json) return (report) => output.write(`${JSON.stringify(report)}\n`);
  let shown: string | undefined;
  let bar = new ProgressBar('', output);
  return (report) => {
    const { stage } = report;
    if (stage !== shown) {
      bar.end();
      output.write(`${stage} ...\n`);
      shown = stage;
      bar = new ProgressBar(isCounted(stage) ? LABELS[stage] : '', output);
    }
    if ('all' in report) {
      const { all } = report;
      // QEMU still counts what there is to copy.
      if (all.doneBytes === 0 && all.down === null) return;
      bar.update(all.doneBytes, all.totalBytes, { ...all, notes: notesOf(all) });
    } else if ('doneBytes' in report) bar.update(report.doneBytes, report.totalBytes);
  };
}

function isCounted(stage: string): stage is Counted['stage'] {
  return Object.hasOwn(LABELS, stage);
}

function notesOf({ down, disks, rewrittenBytes = 0 }: SeedsView): string[] {
  const notes: string[] = [];
  if (down) notes.push(`link lost, waiting (${seconds(down.forMs)} s of ${seconds(down.limitMs)})`);
  // The copy has grown by that.
  if (rewrittenBytes > 0) notes.push(`${formatBytes(rewrittenBytes)} written again by the guest`);
  const each = Object.entries(disks);
  const limits = [...new Set(each.map(([, { limitBytesPerSec }]) => limitBytesPerSec))];
  const limit = limits.map((bytes) => (bytes > 0 ? `${formatBytes(bytes)}/s` : 'none')).join(', ');
  if (limits.some((bytes) => bytes > 0)) {
    notes.push(`limit ${limit}${each.length > 1 ? ' per disk' : ''}`);
  }
  if (each.length > 1) {
    const share = each.map(
      ([name, view]) => `${name} ${percent(view.doneBytes, view.totalBytes)} %`,
    );
    notes.push(share.join(', '));
  }
  return notes;
}

function seconds(ms: number): number {
  return Math.round(ms / 1000);
}

function percent(done: number, total: number): number {
  return total > 0 ? Math.floor((100 * done) / total) : 0;
}
