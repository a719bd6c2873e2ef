// Writes docs/reference/verdicts.md from the table of verdicts in packages/contract: every verdict
// with its level and what to do, and which one each combination of both sides gets.
//
//   node scripts/docs/verdicts.mjs [--json]
//
// It reads what was compiled.
import { writeFileSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..', '..');
const PAGE = path.join(root, 'docs', 'reference', 'verdicts.md');
const dist = path.join(root, 'packages', 'contract', 'dist');
const { PRIMARY_STATES, SECONDARY_STATES } = await import(path.join(dist, 'states.js'));
const { verdictOfFacts } = await import(path.join(dist, 'verdict', 'verdict.js'));
const { VERDICTS } = await import(path.join(dist, 'verdict', 'verdict-table.js'));

const PRIMARY = {
  ...{ knowledge: 'here', ageMs: 0, host: 'alpha', qemu: 'ready', trouble: '' },
  ...{ state: 'protected', stage: '', standstill: '', movedTo: '' },
};
const SECONDARY = {
  ...{ knowledge: 'fresh', ageMs: 200, host: 'beta', qemu: 'ready', trouble: '', reason: '' },
  ...{ state: 'protected', link: 'whole', linkLoss: '', baseTrouble: '', mayFailOver: true },
  commitAgeMs: 1200,
};

/** What the primary can be, as rows. */
const ROWS = [
  ...PRIMARY_STATES.map((/** @type {string} */ state) => [`${state}, QEMU ready`, { state }]),
  ['protected, QEMU does not respond', { qemu: 'hung' }],
  ['protected, QEMU has ended', { qemu: 'lost' }],
  ['unprotected, QEMU has ended', { state: 'unprotected', qemu: 'lost' }],
  ['unprotected, QEMU not started', { state: 'unprotected', qemu: 'awaited' }],
  ['not heard any more', { knowledge: 'stale', ageMs: 60_000 }],
];
/** What the secondary can be, as columns. */
const COLUMNS = [
  ...SECONDARY_STATES.map((/** @type {string} */ state) => [
    state,
    {
      state,
      mayFailOver: state === 'protected',
      link: state === 'protected' ? 'whole' : 'none',
    },
  ]),
  ['protected, link lost', { link: 'lost' }],
  ['protected, QEMU has ended', { qemu: 'lost', mayFailOver: false }],
  ['retired, QEMU has ended', { state: 'retired', qemu: 'lost', mayFailOver: false }],
];

/** Cases of verdicts that the grid does not have: facts that differ from a protected VM's. */
const OTHER_CASES = [
  { primary: { state: 'superseded', movedTo: 'beta' }, secondary: { state: 'retired' } },
  { primary: { state: 'yielding', movedTo: 'beta' } },
  { secondary: { state: 'retired', isOutdated: true } },
  {
    primary: { qemu: 'lost' },
    secondary: { state: 'failed-over', baseTrouble: 'disk0: no space left on device' },
  },
  {
    primary: { qemu: 'lost' },
    secondary: { knowledge: 'never', state: 'unknown', mayFailOver: false },
    pulse: 'unknown',
  },
  { here: 'secondary', primary: { knowledge: 'fresh' }, secondary: { link: 'none' } },
  { secondary: { knowledge: 'stale', ageMs: 1800 }, pulse: 'late' },
  {
    secondary: { knowledge: 'never', state: 'unknown', host: '', link: 'none' },
    pulse: 'unknown',
  },
  {
    primary: { state: 'alone', standstill: 'a write of vb0 failed on its own disk: I/O error' },
    secondary: { state: 'diverged', mayFailOver: false },
  },
  { secondary: { baseTrouble: 'disk0: no space left on device' } },
  { termTrouble: "the term file FILE can't be written: no space left on device" },
  { secondary: { mayFailOver: false, trouble: 'its last commit is not complete' } },
  {
    secondary: { knowledge: 'never', state: 'unknown', host: '', link: 'none' },
    pulse: 'none',
  },
];

/**
 * @param {object} primary
 * @param {object} secondary
 * @param {object} [more]
 */
function verdictOf(primary, secondary, more) {
  const p = { ...PRIMARY, ...primary };
  const isSilent = p.knowledge === 'stale';
  const here = isSilent ? 'secondary' : 'primary';
  const s = { ...SECONDARY, knowledge: isSilent ? 'here' : 'fresh', ...secondary };
  const facts = { vm: 'VM', here, pulse: isSilent ? 'lost' : 'up', primary: p, secondary: s };
  return verdictOfFacts({ ...facts, termTrouble: '', ...more });
}

function rows() {
  return Object.entries(VERDICTS).map(([code, { level, guest, meaning }]) => {
    return `| \`${code}\` | ${level} | ${guest} | ${meaning} |`;
  });
}

function grid() {
  const head = `| primary \\ secondary | ${COLUMNS.map(([name]) => name).join(' | ')} |`;
  const rule = `| --- |${' --- |'.repeat(COLUMNS.length)}`;
  const body = ROWS.map(([name, primary]) => {
    const cells = COLUMNS.map(([, secondary]) => `\`${verdictOf(primary, secondary).code}\``);
    return `| ${name} | ${cells.join(' | ')} |`;
  });
  return [head, rule, ...body].join('\n');
}

/** A case of each verdict, in the words that people read. */
function texts() {
  const verdicts = [
    ...ROWS.flatMap(([, primary]) => COLUMNS.map(([, secondary]) => verdictOf(primary, secondary))),
    ...OTHER_CASES.map(({ primary = {}, secondary = {}, ...more }) =>
      verdictOf(primary, secondary, more),
    ),
  ];
  return Object.keys(VERDICTS)
    .map((code) => {
      const verdict = verdicts.find((one) => one.code === code);
      if (!verdict) throw new Error(`no case of ${code}`);
      return `| \`${code}\` | ${verdict.headline} | ${verdict.remedy} |`;
    })
    .join('\n');
}

export function renderPage() {
  return `# Verdicts

Each daemon judges its VM from what it knows about both sides. \`gannet status\`, \`gannet watch\`,
the web page and \`health\` in \`gannet status --json\` have this one verdict. The metric
\`gannet_health\` has its level, and \`gannet_protected\` is 1 if that is \`good\`.
\`gannet status\` exits with 0 if the level is \`good\`, else with 3.

Levels: \`good\` (the VM is protected), \`busy\` and \`idle\` (no trouble, but no protection),
\`warning\` and \`bad\`. The column *guest* says where the guest runs, as far as the daemon knows.

The first verdict of this table whose condition holds is the one that counts. A test visits every
combination of what both sides can be, from both daemons, with heartbeats that arrive, are late, are
lost, or never came. This page is generated by \`node scripts/docs/verdicts.mjs\`.

| code | level | guest | meaning |
| --- | --- | --- | --- |
${rows().join('\n')}

## Both sides

What the primary's daemon says when it hears its secondary, and in the last row what the secondary's
daemon says when it does not hear its primary. The secondary is connected and fit to take over where
nothing else is said.

${grid()}

## Texts

For example, with the primary on host alpha and the secondary on host beta:

| code | headline | what to do |
| --- | --- | --- |
${texts()}
`;
}

const [, started, how] = process.argv;
if (started === import.meta.filename) {
  const page = renderPage();
  if (how === '--json') console.log(JSON.stringify({ page, codes: Object.keys(VERDICTS) }));
  else writeFileSync(PAGE, page);
}
