// A thousand hosts: what the loss of some of them costs, with the decisions of the code that ships.
//
//   node test/simulation/dist/scale/main.js [--write | --print | --short | --seed SEED]
//     [--mutant NAME]

import { register } from 'node:module';
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { expectMutant, mutantRun } from '../search.js';
import { DEFAULTS, withSettings } from './assumptions.js';
import { MUTANTS, type MutantName } from './mutants.js';
import type { Years } from './scenarios.js';

const USAGE = `Simulates a thousand hosts in cells, from a seed.

  node test/simulation/dist/scale/main.js
                      a hard life for a few cells, every mutant, and whether
                      docs/explanation/scale.md has the figures of this code
  --write             writes the figures into docs/explanation/scale.md
  --print             prints them; --set NAME=VALUE replaces a number of what is assumed, and can
                      be repeated: ${Object.keys(DEFAULTS).join(', ')}
  --short             a second of it, as JSON: what the unit tests look at
  --seed SEED         one hard life, as JSON
  --mutant NAME       one with a deliberate bug, one of:
                      ${Object.keys(MUTANTS).join(', ')}

Exits with 1 if something was as it must never be, a mutant was not caught, or the page is old.`;

const { values } = parseArgs({
  options: {
    write: { type: 'boolean' },
    print: { type: 'boolean' },
    set: { type: 'string', multiple: true },
    short: { type: 'boolean' },
    seed: { type: 'string' },
    mutant: { type: 'string' },
    help: { type: 'boolean' },
  },
});

const SCRIPT = fileURLToPath(import.meta.url);
const PAGE = fileURLToPath(new URL('../../../../docs/explanation/scale.md', import.meta.url));
const FROM = '<!-- scale: generated from here -->\n';
const TO = '<!-- scale: to here -->\n';
const SEEDS = 5;
const LENGTH_YEARS = 0.5;

expectMutant(values.mutant, MUTANTS);
const mutant = values.mutant as MutantName | undefined;
const edits = mutant ? MUTANTS[mutant].edits : [];
register('../arbitration/edges.js', import.meta.url, { data: { edits } });
const { exercise } = await import('./exercise.js');
const { figures } = await import('./report.js');
const { shortForm } = await import('./short-form.js');

function withFigures(page: string): string {
  const from = page.indexOf(FROM);
  const to = page.indexOf(TO);
  if (from < 0 || to < from) throw new Error(`${PAGE} has no place for the figures`);
  return page.slice(0, from + FROM.length) + figures(DEFAULTS) + page.slice(to);
}

/** @returns what it was, unless something was as it must never be */
function live(seed: number): Years | undefined {
  try {
    const found = exercise(seed, LENGTH_YEARS, mutant);
    console.log(JSON.stringify(found));
    return found;
  } catch (error) {
    console.log(`seed ${seed} fails: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}

async function all(): Promise<boolean> {
  const lives = Array.from({ length: SEEDS }, (_, at) => live(at + 1));
  const downs = lives.reduce((sum, one) => sum + (one?.downs ?? 0), 0);
  const expected = lives.reduce((sum, one) => sum + (one?.expectedDowns ?? 0), 0);
  console.log(`VMs down: ${downs}; from the time without a second copy: ${expected.toFixed(1)}`);
  let isGood = !lives.includes(undefined) && downs > 0.75 * expected && downs < expected / 0.75;
  for (const [name, { why }] of Object.entries(MUTANTS)) {
    const words = await mutantRun(SCRIPT, ['--mutant', name]);
    console.log(`mutant ${name} (${why}): ${words ?? 'GOT AWAY'}`);
    isGood &&= words !== undefined;
  }
  const page = await readFile(PAGE, 'utf8');
  if (withFigures(page) === page) return isGood;
  console.log(`${PAGE} has other figures: run this with --write`);
  return false;
}

async function main(): Promise<boolean> {
  if (values.print) {
    console.log(figures(withSettings(DEFAULTS, values.set ?? [])));
    return true;
  }
  if (values.short) {
    console.log(JSON.stringify(shortForm()));
    return true;
  }
  if (values.write) {
    await writeFile(PAGE, withFigures(await readFile(PAGE, 'utf8')));
    return true;
  }
  if (values.seed !== undefined || mutant) {
    return live(Number(values.seed ?? 1)) !== undefined;
  }
  return all();
}

if (values.help) console.log(USAGE);
else process.exitCode = (await main()) ? 0 : 1;
