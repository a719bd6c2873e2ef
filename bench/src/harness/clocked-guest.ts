import { execFile } from 'node:child_process';
import { chmod, cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { findGuest, type LabGuest } from '@gannet/lab';

const run = promisify(execFile);
const root = path.resolve(import.meta.dirname, '..', '..', '..');
const POLL_MS = 20;

const INIT = `#!/bin/busybox sh
/bin/busybox mount -t devtmpfs devtmpfs /dev
/guest-clock &
exec /lab-init
`;

/**
 * The lab's guest with guest-clock.c running beside its oracles: a second archive behind its
 * initrd.
 */
export async function clockedGuest(dir: string): Promise<LabGuest> {
  const guest = await findGuest();
  const files = path.join(dir, 'clock');
  await mkdir(files);
  const source = path.join(root, 'bench', 'guest-clock.c');
  await run('gcc', ['-O2', '-Wall', '-static', '-o', path.join(files, 'guest-clock'), source]);
  await cp(path.join(root, 'packages', 'lab', 'guest', 'init'), path.join(files, 'lab-init'));
  await chmod(path.join(files, 'lab-init'), 0o755);
  await writeFile(path.join(files, 'init'), INIT, { mode: 0o755 });
  const archive = path.join(dir, 'clock.gz');
  const pack = `cd "${files}" && find . | cpio --quiet -o -H newc | gzip -1 >"${archive}"`;
  await run('sh', ['-c', pack]);
  const initrd = path.join(dir, 'initrd');
  await writeFile(initrd, Buffer.concat([await readFile(guest.initrd), await readFile(archive)]));
  return { ...guest, initrd };
}

/** Between two seconds of the CMOS clock. */
interface Interval {
  /** When the host saw its end, on performance.now(). */
  readonly seenMs: number;
  /** What the guest's monotonic clock is behind. */
  readonly lostMs: number;
}

/** Follows what guest-clock.c says on a console. */
export class GuestClock {
  readonly #intervals: Interval[] = [];
  #last: { second: number; monoMs: number } | undefined;
  #length = 0;
  #isClosed = false;

  constructor(private readonly console: string) {
    void this.#follow();
  }

  close(): void {
    this.#isClosed = true;
  }

  /** For how long the guest was stopped; what its clock runs slow is taken off. */
  async stoppedMs(fromMs: number, toMs: number): Promise<number> {
    // What happens in a second is known at its end.
    await sleep(Math.max(0, toMs + 1300 - performance.now()));
    const drift = this.#driftMs();
    const within = this.#intervals.filter(({ seenMs }) => seenMs > fromMs && seenMs <= toMs + 1200);
    return within.reduce((sum, { lostMs }) => sum + lostMs - drift, 0);
  }

  #driftMs(): number {
    const lost = this.#intervals.map(({ lostMs }) => lostMs).sort((a, b) => a - b);
    return lost[Math.floor(lost.length / 2)] ?? 0;
  }

  async #follow(): Promise<void> {
    while (!this.#isClosed) {
      const text = await readFile(this.console, 'latin1').catch(() => '');
      const end = text.lastIndexOf('\n') + 1;
      for (const line of text.slice(this.#length, end).split('\n')) this.#take(line);
      this.#length = end;
      await sleep(POLL_MS);
    }
  }

  #take(line: string): void {
    const match = /^clock second=(\d+) mono_us=(\d+)\r?$/.exec(line);
    if (!match) return;
    const now = { second: Number(match[1]), monoMs: Number(match[2]) / 1000 };
    const last = this.#last;
    this.#last = now;
    if (!last || now.second <= last.second) return;
    const lostMs = (now.second - last.second) * 1000 - (now.monoMs - last.monoMs);
    this.#intervals.push({ seenMs: performance.now(), lostMs });
  }
}
