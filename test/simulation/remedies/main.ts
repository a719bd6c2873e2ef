// Carries out what the product prints, in a simulation.
//
//   node test/simulation/dist/remedies/main.js [--only WORDS] [--json]

import { register } from 'node:module';
import { parseArgs } from 'node:util';
import type { Executed } from './case.js';

const { values } = parseArgs({
  options: { only: { type: 'string' }, json: { type: 'boolean' } },
});

register('../arbitration/edges.js', import.meta.url, { data: { edits: [] } });
register('./edges.js', import.meta.url);
const { installTime } = await import('../arbitration/scheduler.js');
const { installHosts } = await import('../arbitration/host.js');
installTime();
installHosts();
const { CASES } = await import('./cases.js');
const { carryOut } = await import('./case.js');

const cases = CASES.filter(({ name }) => name.includes(values.only ?? ''));
const results: { name: string; error?: string; executed: readonly Executed[] }[] = [];
for (const one of cases) {
  const { name } = one;
  try {
    results.push({ name, executed: await carryOut(one) });
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    results.push({ name, error: words, executed: [] });
  }
}
const failed = results.flatMap(({ error }) => error ?? []);
if (values.json) process.stdout.write(`${JSON.stringify(results)}\n`);
else {
  for (const text of failed) console.log(`${text}\n`);
  console.log(`remedies: ${cases.length} cases, ${failed.length} failed`);
}
process.exitCode = failed.length === 0 ? 0 : 1;
