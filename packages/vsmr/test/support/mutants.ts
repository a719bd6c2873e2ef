import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Engines } from './simulate.js';

const PACKAGE = path.resolve(import.meta.dirname, '../..');

/** A way to break an engine: compiled text that is there exactly once, and what replaces it. */
export interface EngineMutant {
  readonly name: string;
  readonly file: 'primary-engine.js' | 'secondary-engine.js';
  readonly edits: readonly (readonly [find: string, replace: string])[];
}

const WRITE = 'await this.#writeAll(contents);';
const LOAD = 'await this.#guest.loadDevices(devices);';
const COMMIT = 'await this.#disks.commit();';
const RESUME = 'if (!isLast)\n                await this.#guest.resume();';
const RELEASE = `await this.#output?.release();\n            ${RESUME}`;
const ENTER = "this.#enter(isLast ? 'handed-over' : 'released')";
const COMMITTED = "await this.#expect('committed');";
const PAUSE = 'await this.#guest.pause();';
const SAVE = 'const devices = await this.#guest.saveDevices();';

export const ENGINE_MUTANTS: readonly EngineMutant[] = [
  {
    name: 'RAM after device state',
    file: 'secondary-engine.js',
    edits: [
      [WRITE, ''],
      [LOAD, `${LOAD} ${WRITE}`],
    ],
  },
  {
    name: 'one page left out: the last that the secondary has changed',
    file: 'primary-engine.js',
    edits: [
      ['this.#pending.addAll(frame.pages);', 'this.#pending.addAll(frame.pages.subarray(0, -1));'],
    ],
  },
  {
    name: 'one page left out: the first that differs',
    file: 'secondary-engine.js',
    edits: [
      [
        "this.#link.send({ kind: 'want', pages });",
        "this.#link.send({ kind: 'want', pages: this.#number > 0 ? pages.subarray(1) : pages });",
      ],
    ],
  },
  {
    name: 'pages of a checkpoint that was given up are forgotten',
    file: 'secondary-engine.js',
    edits: [["this.#enter('dropped');", "this.#enter('dropped'); this.#pending.clear();"]],
  },
  {
    name: 'disks committed before RAM and devices are applied',
    file: 'secondary-engine.js',
    edits: [
      [COMMIT, ''],
      [WRITE, `${COMMIT} ${WRITE}`],
    ],
  },
  {
    name: 'pages applied before the commit point',
    file: 'secondary-engine.js',
    edits: [["if (this.#phase !== 'copying')", 'if (false)']],
  },
  {
    name: 'a failed checkpoint leaves its pages in RAM',
    file: 'secondary-engine.js',
    edits: [['await this.#writeAll(before);', '']],
  },
  {
    name: 'output released before the commit',
    file: 'primary-engine.js',
    edits: [
      [RELEASE, RESUME],
      [COMMITTED, `await this.#output?.release(); ${COMMITTED}`],
    ],
  },
  {
    name: 'stale device state: saved before the guest stands still',
    file: 'primary-engine.js',
    edits: [
      [SAVE, ''],
      [PAUSE, `${SAVE} ${PAUSE}`],
    ],
  },
  {
    name: 'stale device state: that of the secondary itself',
    file: 'secondary-engine.js',
    edits: [[LOAD, 'await this.#guest.loadDevices(this.#ownDevices ?? devices);']],
  },
  {
    name: 'the secondary does not run again after a broken checkpoint',
    file: 'secondary-engine.js',
    edits: [
      ["if (this.#phase === 'running')\n            await this.#resume();", ''],
      [PAUSE + '\n        await this.#disks', 'await this.#disks'],
      [
        "this.#enter('take-over');\n        await this.#guest.resume();",
        "this.#enter('take-over');",
      ],
    ],
  },
];

/** Found where somebody continues the guest, and nowhere else. */
export const CONTINUED_MUTANTS: readonly EngineMutant[] = [
  {
    name: 'nobody asks whether the guest has stood still before output goes',
    file: 'primary-engine.js',
    edits: [['this.#expectSound(true);\n            await this.#output', 'await this.#output']],
  },
  {
    name: 'nobody asks after the commit whether the guest has stood still',
    file: 'primary-engine.js',
    edits: [
      ['this.#expectSound(true);\n            await this.#output', 'await this.#output'],
      [`this.#expectSound(true);\n            ${ENTER}`, ENTER],
    ],
  },
  {
    name: 'the secondary does not hear that its checkpoint never was',
    file: 'primary-engine.js',
    edits: [["kind: 'spoilt'", "kind: 'cancel'"]],
  },
];

/** The engines of this package as they were compiled, with one mistake. */
export async function brokenEngines({ file, edits }: EngineMutant): Promise<Engines> {
  const folder = await mkdtemp(path.join(tmpdir(), 'gannet-vsmr-'));
  try {
    await cp(path.join(PACKAGE, 'dist'), path.join(folder, 'dist'), { recursive: true });
    await cp(path.join(PACKAGE, 'package.json'), path.join(folder, 'package.json'));
    const target = path.join(folder, 'dist', file);
    let text = await readFile(target, 'utf8');
    for (const [find, replace] of edits) {
      if (text.split(find).length !== 2) throw new Error(`not once in ${file}: ${find}`);
      text = text.replace(find, () => replace);
    }
    await writeFile(target, text);
    return (await import(path.join(folder, 'dist/index.js'))) as Engines;
  } finally {
    await rm(folder, { recursive: true });
  }
}
