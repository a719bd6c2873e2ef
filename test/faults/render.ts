/**
 * docs/explanation/reliability.md: what is expected of each fault (cells.ts) beside what was seen
 * (results.json, soak.json).
 */
import { readFile } from 'node:fs/promises';
import { type Cell, CELLS, type Fault, FAULTS, OUTCOMES, PHASES, TARGETS } from './cells.js';
import { RESULTS, SOAK } from './places.js';
import type { Results } from './results.js';
import type { SoakSummary } from './soak/soak-summary.js';

const INTRODUCTION = `# Reliability

What comes of a fault at each part of a protected VM, in each phase of its life: expected first,
then run on real QEMU, two VMs on two network namespaces with a cable between them. \`make faults\`
runs it all; \`make faults ONLY=kill/svm\` a part. This page is made from \`test/faults/cells.ts\`,
where the expectation stands, and from what was seen (\`test/faults/results.json\`): do not edit it.

Each cell begins with a pair of its own under load: both sides have a fence, the secondary has
\`failover: automatic\`, \`peer.highMs\` is 2 s. In the end the guest's oracle judges: what its
memory says, its disk must hold, all of it read again and compared from outside, too. A protection
that goes on is tried: its primary is killed, and the secondary must take over. All the time a guard
looks for two guests that run on their own. Before a replay, the base loses what was written to it
and never synced during the takeover: kill -9 alone would leave that in the kernel's memory.`;

const OTHER_DATA = 'the guest read other data than it had written';
const UNEQUAL = 'regions of the base differ from what the guest had flushed';
const MUTANTS = `## Whether it would be seen

Defects that were put into the code for one run, and the cell that turned red:

| defect | cell | what was seen |
| --- | --- | --- |
| a secondary takes over without its fence | halt/pvm/steady | the primary executes, too |
| a primary runs on without its fence | drop/primary-host/steady | the secondary took over |
| a secondary is deaf to "outdated" | drop/svm/steady | it took over when it was forced to |
| write-back leaves single pages out | kill/pvm/steady | ${OTHER_DATA} |
| flushes are answered without a journal | kill/replicator/move | ${UNEQUAL} |
| a replay writes no data | kill/replicator/replay | ${UNEQUAL} |

The last two passed at first, with bases that the kernel's memory had made whole: since then a base
is put back. A commit after the NBD link alone was lost is not for this matrix, where no part has
that link only, but for \`test/e2e/trouble/divergence.test.ts\` and
\`test/e2e/trouble/links.test.ts\`.`;

const FOUND = `## What it found

- A daemon that was halted and went on found its timers overdue before it had read what came
  meanwhile: a secondary's could have a primary fenced that ran on alone, a primary's give its
  secondary up. Time asleep counts no more as silence (\`halt/*\`,
  \`packages/gannet/test/daemon/peer/peer-liveness.test.ts\`).
- A primary daemon that died while it protected left a copy in QEMU that nobody watched. Its next
  one takes that back (\`kill/primary-daemon/seeding\`,
  \`packages/qmp-driver/test/primary.seed.test.ts\`).
- A write that the NBD server refused by itself never reached the replica, and QEMU swallows such
  errors: the next commit would have lacked it in silence. It is a loss now
  (\`test/e2e/trouble/divergence.test.ts\`, \`packages/nbd/test/server/transmission.test.ts\`).
- On an overloaded machine two cells ended in "query-colo-status was not answered within 10000 ms",
  and passed when they were run again: a VM that stops again before QEMU has answered has its disks
  drained, which waited behind the gate for that answer. The gate gives way now
  (\`packages/checkpointer/test/colo-source.test.ts\`, and on real QEMU
  \`test/e2e/command/daemon.test.ts\`, "halted from one checkpoint to the next").
- QEMU 7.2 crashed, once in dozens of tries, where a guest wrote to a disk in an I/O thread while
  its copy began, was given another connection, or was cancelled; and releases from 8.0 on may miss
  such a write. The guest stands still there (\`test/e2e/life/cancelled-copies.test.ts\`,
  \`packages/qmp-driver/test/primary.seed.test.ts\` and \`primary.resume.test.ts\`).`;

function resultOf({ id, expected, without }: Cell, results: Results): string {
  if (without !== undefined) return '–';
  const result = results[id];
  const wanted = expected.map((outcome) => outcome).join(' or ');
  if (!result) return `${wanted}: *not run*`;
  const seen = result.outcome ?? 'nothing clear';
  if (!result.passed) return `**FAILED**: ${wanted} expected, ${seen} seen`;
  return expected.length > 1 ? `${wanted}: ${seen} ✓` : `${seen} ✓`;
}

function tableOf(fault: Fault, results: Results): string {
  const phases = Object.keys(PHASES);
  const rows = Object.entries(TARGETS).map(([target, { name }]) => {
    const cells = CELLS.filter((cell) => cell.fault === fault && cell.target === target);
    return `| ${name} | ${cells.map((cell) => resultOf(cell, results)).join(' | ')} |`;
  });
  const head = `| at | ${phases.join(' | ')} |\n| --- |${phases.map(() => ' --- |').join('')}`;
  return `### ${fault}: ${FAULTS[fault]}\n\n${head}\n${rows.join('\n')}`;
}

function reasons(): string {
  const lines = new Map<string, string[]>();
  for (const { id, without } of CELLS) {
    if (without !== undefined) lines.set(without, [...(lines.get(without) ?? []), id]);
  }
  const said = [...lines].map(([why, ids]) => `- ${why}: ${summary(ids)}`);
  return `Cells without sense (–), and why:\n\n${said.join('\n')}`;
}

/** `fault/target/phase`, with what they have in common said once. */
function summary(ids: readonly string[]): string {
  const rows = new Map<string, string[]>();
  for (const id of ids) {
    const [fault = '', target = '', phase = ''] = id.split('/');
    rows.set(`${fault}/${target}`, [...(rows.get(`${fault}/${target}`) ?? []), phase]);
  }
  const all = Object.keys(PHASES).length;
  return [...rows]
    .map(([row, phases]) => (phases.length === all ? `${row}/*` : `${row}/${phases.join('+')}`))
    .join(', ');
}

function runsOf(results: Results): string {
  const runs = Object.values(results);
  const possible = CELLS.filter(({ expected }) => expected.length > 0).length;
  const passed = runs.filter(({ passed: isGood }) => isGood).length;
  const unique = (key: 'date' | 'qemu'): string =>
    [...new Set(runs.map((run) => run[key]))].sort().join(', ');
  const without = CELLS.length - possible;
  const failed = runs.length - passed;
  const left = possible - runs.length;
  return (
    `**${passed} of ${possible} cells passed**, ` +
    (failed > 0 ? `${failed} failed or did not reach their phase, ` : '') +
    (left > 0 ? `${left} were not run yet, ` : '') +
    `${without} more make no sense. ` +
    `Run on ${unique('date')}, QEMU ${unique('qemu')} under TCG.`
  );
}

function soakOf(soak: SoakSummary): string {
  const counts = [
    ['minutes', soak.minutes],
    ['commits', soak.commits],
    ['kills', soak.kills],
    ['failovers, each compared', soak.failovers],
    ['protected again', soak.reprotects],
    ['regions compared, all equal', soak.regionsCompared],
    ['writes of the guests', soak.guestWrites],
    ['mismatches and other faults', soak.faults.length],
  ] as const;
  const blows = Object.entries(soak.blows).map(([what, count]) => `- ${count} x ${what}`);
  const trends = Object.entries(soak.veteran).map(([name, { rssMib, descriptors }]) => {
    const figures = [rssMib, descriptors].flatMap(({ first, last, max, perHour }) => [
      ...[first, last, max, perHour].map((value) => String(Math.round(value * 10) / 10)),
    ]);
    return `| ${name} | ${figures.join(' | ')} |`;
  });
  return `## The soak

\`make soak\` (an hour, or \`SOAK_MINUTES\`): two pairs under load, a checkpoint each second. One is
hurt about once a minute and protected again; after each failover all of the disk is compared with
the guest's memory. The other is left alone, for what its processes hold: the straight line through
all samples (each 5 s, after the first fifth of the time) tells whether that grows. Run on
${soak.date}, seed ${soak.seed}.

| | |
| --- | --- |
${counts.map(([what, count]) => `| ${what} | ${count} |`).join('\n')}

${blows.join('\n')}

| of the pair that is left alone | MiB at first | at last | at most | MiB an hour | \
descriptors at first | at last | at most | an hour |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
${trends.join('\n')}`;
}

/** The page, as it must be. */
export async function render(): Promise<string> {
  const results = JSON.parse(await readFile(RESULTS, 'utf8').catch(() => '{}')) as Results;
  const soak = JSON.parse(await readFile(SOAK, 'utf8')) as SoakSummary;
  const outcomes = Object.entries(OUTCOMES).map(
    ([name, { runsOn, lost }]) => `| ${name} | ${runsOn} | ${lost} |`,
  );
  const phases = Object.entries(PHASES).map(([name, what]) => `- **${name}**: ${what}`);
  const sections = [
    INTRODUCTION,
    runsOf(results),
    `| outcome | who runs on | what is lost |\n| --- | --- | --- |\n${outcomes.join('\n')}`,
    'Nothing that a flush was answered for may be lost, in any of them. Of `primary-disk` the ' +
      'refusal is tried; the disk of the primary itself is only ever written by its QEMU.',
    `Phases:\n\n${phases.join('\n')}`,
    '## The matrix',
    ...(Object.keys(FAULTS) as Fault[]).map((fault) => tableOf(fault, results)),
    reasons(),
    MUTANTS,
    FOUND,
    soakOf(soak),
  ];
  return `${sections.join('\n\n')}\n`;
}
