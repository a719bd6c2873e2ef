// Writes docs/reference/events.md from the tables of events in packages/contract: every kind with
// its role, level, text, remedy, metrics and details.
//
//   node scripts/docs/events.mjs [--json]
//
// It reads what was compiled. The texts of the page are those of typical events (samples.ts).
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..', '..');
const PAGE = path.join(root, 'docs', 'reference', 'events.md');
const contract = path.join(root, 'packages', 'contract');
const { describeEvent } = await import(path.join(contract, 'dist', 'events', 'describe.js'));
const { EVENT_DETAILS } = await import(path.join(contract, 'dist', 'events', 'details.js'));
const { SAMPLES } = await import(path.join(contract, 'dist', 'events', 'samples.js'));
const { EVENTS } = await import(path.join(contract, 'dist', 'events', 'table.js'));
const { PRIMARY_STATES, SECONDARY_STATES } = await import(path.join(contract, 'dist', 'states.js'));
const { z } = createRequire(path.join(contract, 'package.json'))('zod');

const AT = '2026-01-01T00:00:00.000Z';
/** Units by the ends of names. */
const UNITS = [
  [/(^m|M)s$/, 'milliseconds'],
  [/(^b|B)ytes$/, 'bytes'],
];

/**
 * @param {Record<string, any>} schema of a detail, as JSON Schema
 * @returns {string}
 */
function typeOf(schema) {
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(' or ');
  if (schema.enum) return schema.enum.map((/** @type {string} */ one) => `\`${one}\``).join(', ');
  if (schema.const !== undefined) return `\`${schema.const}\``;
  if (schema.type === 'array') return `list of ${typeOf(schema.items)}s`;
  return [schema.type].flat().join(' or ');
}

/**
 * @param {string} name
 * @param {Record<string, any>} schema
 * @param {boolean} isOptional
 */
function rowOf(name, schema, isOptional) {
  const unit = UNITS.find(([pattern]) => /** @type {RegExp} */ (pattern).test(name))?.[1];
  const type = [typeOf(schema), ...(unit ? [unit] : []), ...(isOptional ? ['optional'] : [])];
  return `| \`${name}\` | ${type.join(', ')} | ${schema.description ?? ''} |`;
}

/** @param {Record<string, any>} schema of an object */
function rowsOf(schema) {
  const { properties = {}, required = [] } = schema;
  return Object.entries(properties).map(([name, detail]) => {
    return rowOf(name, detail, !required.includes(name));
  });
}

/** @param {string} kind */
function detailsOf(kind) {
  const schema = z.toJSONSchema(EVENT_DETAILS[kind]);
  const head = ['| detail | type | |', '| --- | --- | --- |'];
  const forms = schema.anyOf ?? [schema];
  const tables = forms.map((/** @type {Record<string, any>} */ form) => {
    const rows = rowsOf(form);
    if (rows.length === 0) return 'No details.';
    const title = schema.anyOf ? `If ${form.description}:\n\n` : '';
    return `${title}${[...head, ...rows].join('\n')}`;
  });
  return tables.join('\n\n');
}

/**
 * A daemon reports the other side's states, and only a secondary has a link.
 *
 * @param {string} role
 * @param {Record<string, any>} details
 */
function isPossible(role, { state, link = 'none' }) {
  return role === 'primary'
    ? SECONDARY_STATES.includes(state)
    : PRIMARY_STATES.includes(state) && link === 'none';
}

/** What people read, each text once. @param {string} kind */
function textsOf(kind) {
  const rows = EVENTS[kind].roles.flatMap((/** @type {string} */ role) =>
    SAMPLES[kind]
      .filter((/** @type {Record<string, any>} */ details) => {
        return kind !== 'peer' || details.state === undefined || isPossible(role, details);
      })
      .map((/** @type {object} */ details) => {
        const { level, text, remedy } = describeEvent({ at: AT, role, kind, ...details });
        return `| ${level} | ${inCell(text)} | ${inCell(remedy)} |`;
      }),
  );
  return ['| level | for example | what to do |', '| --- | --- | --- |', ...new Set(rows)].join(
    '\n',
  );
}

/** @param {string} text */
function inCell(text) {
  return text.replace(/([<>*_|])/g, '\\$1');
}

/** @param {string} kind */
function sectionOf(kind) {
  const { roles, isRoutine, metrics = {} } = EVENTS[kind];
  const counted = Object.keys(metrics).map((name) => `\`${name}\``);
  const facts = [
    `From: ${roles.join(', ')}.`,
    ...(isRoutine ? ['Comes with every checkpoint.'] : []),
    ...(counted.length > 0 ? [`Metrics: ${counted.join(', ')}.`] : []),
  ];
  const { description } = EVENT_DETAILS[kind];
  const about = `${description} ${facts.join(' ')}`;
  return `## \`${kind}\`\n\n${about}\n\n${textsOf(kind)}\n\n${detailsOf(kind)}\n`;
}

export function renderPage() {
  const kinds = Object.keys(EVENTS).sort();
  return `# Events

What the daemons report: to \`gannet events\` and \`gannet watch\`, to the [web
page](commands.md#web-page), to the log, and to the [metrics](metrics.md). All of them read one
table, so an event has one level everywhere.

\`gannet events --json\` prints one JSON object per line: \`at\` (ISO 8601, UTC), \`role\` (of the
daemon that reports it), \`kind\`, and the details of that kind. In the log, \`message\` begins with
the kind and \`text\` is the text below. Kinds and details may be added under the same \`schema\` of
[\`gannet status\`](commands.md#status-for-programs): a program should ignore those that it does not
know. Texts are for people and may change.

Levels are \`error\`, \`warn\`, \`info\` and \`debug\`. A service's log has them as priorities of
the journal: \`journalctl -p warning -u 'gannet-*'\` shows errors and warnings. \`debug\` is what
every checkpoint brings; it is hidden on the page, and in the log unless \`--log-level debug\`. A
daemon keeps the latest 1000 events, at most 500 of them of kinds that come with every checkpoint.
For these, the log has one line a minute, \`checkpoints\`: how many, how many bytes, and how long
the guest was paused (median and longest). That is less than 0.5 MB of log a day for a daemon.

A command that changes something is an event when it begins and when it ends (\`command\`). Whatever
happens in between has its \`operation\`, a short id, and the \`actor\`, who asked for it. The
events of the other daemon have the same \`operation\`: search both logs for it.

\`VM\` stands for the name of the VM. This page is generated by \`node scripts/docs/events.mjs\`.

${kinds.map(sectionOf).join('\n')}`;
}

const [, started, how] = process.argv;
if (started === import.meta.filename) {
  const page = renderPage();
  if (how === '--json') console.log(JSON.stringify({ page, kinds: Object.keys(EVENTS) }));
  else writeFileSync(PAGE, page);
}
