// make fuzz: throws inputs at everything that reads what a stranger may have written, and keeps
// what reaches new code.
//
//   node test/robustness/dist/fuzz/main.js [--seconds N] [--target NAME] [--seed SEED] [--keep]
//     [--blind] [--input FILE]

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { readCorpus, saveInput } from './corpus.js';
import { Coverage } from './coverage.js';
import { Fuzzer } from './engine.js';
import type { Target } from './target.js';
import { TARGETS } from './targets.js';

const KEPT_MAX = 32;
const KEPT_BYTES_MAX = 600;

const { values } = parseArgs({
  options: {
    /** For each target. */
    seconds: { type: 'string', default: process.env.FUZZ_SECONDS ?? '20' },
    target: { type: 'string' },
    seed: { type: 'string' },
    /** Puts small inputs that reached new code into the corpus. */
    keep: { type: 'boolean', default: false },
    /** Counts no blocks: several times as many inputs, all of them mutants of the corpus. */
    blind: { type: 'boolean', default: false },
    /** Tries this one, with `--target`. */
    input: { type: 'string' },
  },
});

const home = path.resolve(import.meta.dirname, '..', '..', 'fuzz');
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 32));
const chosen = TARGETS.filter(({ name }) => values.target === undefined || name === values.target);
if (chosen.length === 0) throw new Error(`no target ${values.target}`);
let stray: Error | undefined;
for (const kind of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(
    kind,
    (error: unknown) => (stray ??= error instanceof Error ? error : new Error(String(error))),
  );
}
// Most inputs end in an error, and what costs most of it is its stack. A crash is tried again by
// itself.
if (values.input === undefined) Error.stackTraceLimit = 1;
console.log(`seed ${seed}, ${values.seconds} s for each target`);
let [inputs, crashes] = [0, 0];
for (const target of chosen) {
  if (values.input === undefined) await fuzz(target);
  else await target.run(readFileSync(values.input));
}
console.log(`${inputs} inputs, ${crashes} crashes`);
process.exitCode = crashes > 0 ? 1 : 0;

async function fuzz(target: Target): Promise<void> {
  const coverage = values.blind ? undefined : new Coverage();
  const stored = readCorpus(path.join(home, 'corpus', target.name));
  const fuzzer = new Fuzzer(target, seed, stored, coverage);
  const startMs = performance.now();
  const untilMs = startMs + 1000 * Number(values.seconds);
  let crash = await fuzzer.replay();
  while (!crash && !stray && performance.now() < untilMs) crash = await fuzzer.round();
  const seconds = (performance.now() - startMs) / 1000;
  inputs += fuzzer.inputs;
  console.log(
    `${target.name.padEnd(12)} ${String(fuzzer.inputs).padStart(9)} inputs, ` +
      `${Math.round(fuzzer.inputs / seconds)} a second, ` +
      `${coverage?.blocks ?? 'no'} blocks counted, ` +
      `${fuzzer.corpus.length} kept, slowest ${fuzzer.slowestMs.toFixed(1)} ms`,
  );
  coverage?.close();
  if (values.keep) {
    const fresh = fuzzer.corpus
      .slice(stored.length)
      .filter(({ length }) => length <= KEPT_BYTES_MAX);
    for (const input of fresh.slice(0, KEPT_MAX - stored.length)) {
      saveInput(path.join(home, 'corpus', target.name), input);
    }
  }
  const error = crash?.error ?? stray;
  if (!error) return;
  crashes++;
  stray = undefined;
  console.error(error);
  if (!crash) return console.error('nobody awaited it: one of the last inputs');
  const file = saveInput(path.join(home, 'crashes', target.name), crash.input);
  console.error(
    `again: node test/robustness/dist/fuzz/main.js --target ${target.name} --input ${file}`,
  );
}
