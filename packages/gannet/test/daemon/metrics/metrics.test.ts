import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { HOST_METRICS, METRICS, PROCESS_METRICS } from '../../../src/daemon/metrics/catalogue.js';
import { Metrics } from '../../../src/daemon/metrics/metrics.js';
import {
  type DaemonEvent,
  type EventDetails,
  type EventKind,
  EVENTS,
  FAILOVER_EVIDENCE,
  type PrimaryStatus,
  type SecondaryStatus,
  type Status,
  STATUS_SCHEMA,
  type Unjudged,
} from '@gannet/contract';
import { BLANK } from '../../../src/daemon/arbitration/records.js';
import { judged, MIB } from '../../support/statuses.js';

const ROOT = path.resolve(import.meta.dirname, '..', '..', '..', '..', '..');

const head = {
  schema: STATUS_SCHEMA,
  ...{ vm: 'web', host: 'h', heartbeatMs: 500, record: BLANK },
} as const;
const LAST_VERIFY = {
  ...{ at: '2026-01-01T00:00:10.000Z', isWhole: true, comparedBytes: 4096, ms: 5 },
  ...{ wrongBytes: 1024, repairedBytes: 512, busyBytes: 0 },
};
const PRIMARY: PrimaryStatus = judged<Unjudged<PrimaryStatus>>({
  ...head,
  ...{ role: 'primary', state: 'protecting', stage: 'seed', primaryVm: 'ready' },
  ...{ primaryVmTrouble: null, linkKind: 'nbd', link: 'nbd', checkpointPeriodMs: 2000, epoch: 0 },
  ...{ lastCheckpoint: null, peer: { pulse: 'unknown' } },
});
const SECONDARY: SecondaryStatus = judged<Unjudged<SecondaryStatus>>({
  ...head,
  ...{ role: 'secondary', state: 'protected', reason: '', mayFailOver: true, epoch: 3 },
  ...{
    secondaryVm: 'hung',
    secondaryVmTrouble: null,
    linkState: 'whole',
    linkLoss: null,
    link: 'connected',
    coloExit: null,
  },
  ...{ baseTrouble: null, checkpoints: 3, lastCheckpoint: null, exports: [], uuid: 'u' },
  buffers: {
    ...{ primary: 1 * MIB, secondary: 2 * MIB, committed: 3 * MIB },
    ...{ softBytes: 512 * MIB, hardBytes: 1024 * MIB, slowedWrites: 4 },
  },
  waiting: {
    since: '2026-01-01T00:00:00.000Z',
    guest: 'runs',
    isLastCommitKept: true,
    softSeconds: 60,
    hardSeconds: 240,
  },
  disks: [
    {
      name: 'a',
      sizeBytes: 9,
      epochsToWriteBack: 1,
      backlogBytes: 3 * MIB,
      requests: 40,
      receivedBytes: 5,
    },
    {
      name: 'b',
      sizeBytes: 9,
      epochsToWriteBack: 0,
      backlogBytes: 0,
      requests: 2,
      receivedBytes: 7,
    },
  ],
  peer: {
    pulse: 'up',
    silentMs: 250,
    status: {
      ...{ role: 'primary', state: 'protected', epoch: 3, vm: 'ready', record: BLANK },
      periodMs: 1500,
    },
  },
});
const COPIED = {
  ...{ doneBytes: 10, totalBytes: 30, bytesPerSec: 1, secondsLeft: 20 },
  ...{ limitBytesPerSec: 0, down: null },
};
const SEED = { ...COPIED, disks: { vb0: COPIED } };
const CERTIFICATES = [{ certificate: 'server', expiresAtMs: Date.UTC(2027, 0, 2) }];

function event<K extends EventKind>(
  role: Status['role'],
  kind: K,
  details: EventDetails[K],
): DaemonEvent {
  return { at: '2026-01-01T00:00:10.500Z', role, kind, ...details } as unknown as DaemonEvent;
}

const COMMIT = {
  epoch: 3,
  committedPages: 70,
  droppedPages: 8,
  gateClosedMs: 0.4,
  checkpointMs: 12,
  unflushedWrites: 0,
  provisional: false,
};
const REPORT = { epoch: 4, takenOverMs: 1, durableMs: 2, movedMs: 3 };

function metricsOf(...statuses: readonly [Status, ...Status[]]): Metrics {
  let scrapes = 0;
  const status = (): Promise<Status> => {
    return Promise.resolve(statuses[Math.min(scrapes++, statuses.length - 1)] ?? statuses[0]);
  };
  return new Metrics({ vm: 'web', status, certificates: () => CERTIFICATES });
}

/** Samples of the exposition format, by name and labels. */
async function scrape(metrics: Metrics): Promise<Map<string, number>> {
  const lines = (await metrics.text()).split('\n').filter((line) => /^[a-z]/.test(line));
  return new Map(
    lines.map((line): [string, number] => {
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
}

describe('a secondary', () => {
  test('tells of its memory, backlog and fitness', async () => {
    const samples = await scrape(metricsOf(SECONDARY));
    const own = 'vm="web",role="secondary"';
    expect(Object.fromEntries(samples)).toMatchObject({
      [`gannet_qemu_up{${own}}`]: 0,
      [`gannet_state{${own},state="protected"}`]: 1,
      [`gannet_state{${own},state="diverged"}`]: 0,
      [`gannet_epoch{${own}}`]: 3,
      [`gannet_may_failover{${own}}`]: 1,
      [`gannet_buffer_bytes{${own},side="primary"}`]: 1 * MIB,
      [`gannet_buffer_bytes{${own},side="committed"}`]: 3 * MIB,
      [`gannet_buffer_limit_bytes{${own},limit="hard"}`]: 1024 * MIB,
      [`gannet_writeback_backlog_bytes{${own},disk="a"}`]: 3 * MIB,
      [`gannet_nbd_requests_total{${own},disk="b"}`]: 2,
      [`gannet_slowed_writes_total{${own}}`]: 4,
      [`gannet_peer_silence_seconds{${own}}`]: 0.25,
      [`gannet_failover_total{${own},reason="proof"}`]: 0,
      [`gannet_link_lost_total{${own},link="replica"}`]: 0,
      // Of the primary, as it said last.
      [`gannet_checkpoint_period_seconds{${own}}`]: 1.5,
      [`gannet_link_received_bytes_total{${own},disk="b"}`]: 7,
      [`gannet_certificate_expiry_timestamp_seconds{${own},certificate="server"}`]: 1798848000,
      [`gannet_fence_runs_total{${own},result="failed"}`]: 0,
    });
    expect(samples.has(`gannet_last_checkpoint_timestamp_seconds{${own}}`)).toBe(false);
  });

  test('counts commits in seconds, once each', async () => {
    const metrics = metricsOf(SECONDARY);
    metrics.observe(event('secondary', 'commit', COMMIT));
    metrics.observe(event('secondary', 'checkpoint', { ...COMMIT, cause: 'demand', pausedMs: 9 }));
    metrics.observe(event('secondary', 'commit', { ...COMMIT, epoch: 4, checkpointMs: null }));
    const samples = await scrape(metrics);
    const own = 'vm="web",role="secondary"';
    expect(Object.fromEntries(samples)).toMatchObject({
      [`gannet_gate_closed_seconds_count{${own}}`]: 2,
      [`gannet_gate_closed_seconds_sum{${own}}`]: 0.0008,
      [`gannet_gate_closed_seconds_bucket{le="0.0002",${own}}`]: 0,
      [`gannet_gate_closed_seconds_bucket{le="0.0005",${own}}`]: 2,
      [`gannet_checkpoint_duration_seconds_count{${own}}`]: 1,
      [`gannet_checkpoint_duration_seconds_sum{${own}}`]: 0.012,
      [`gannet_committed_bytes_total{${own}}`]: 140 * 4096,
      [`gannet_dropped_bytes_total{${own}}`]: 16 * 4096,
      [`gannet_last_checkpoint_timestamp_seconds{${own}}`]: 1767225610.5,
    });
  });

  test.each([
    [FAILOVER_EVIDENCE.word, 'proof'],
    [FAILOVER_EVIDENCE.fence, 'fence'],
    [FAILOVER_EVIDENCE.operator, 'operator'],
  ])('counts a failover: %s', async (evidence, reason) => {
    const metrics = metricsOf(SECONDARY);
    metrics.observe(event('secondary', 'failover-done', { ...REPORT, evidence }));
    metrics.observe(event('secondary', 'link-lost', { reason: 'cable' }));
    const target = 'primary' as const;
    metrics.observe(
      event('secondary', 'fence', { target, succeeded: false, words: 'exit code 1' }),
    );
    metrics.observe(event('secondary', 'peer', { pulse: 'late', silentMs: 1000 }));
    metrics.observe(event('secondary', 'peer', { pulse: 'lost', silentMs: 2000 }));
    const samples = await scrape(metrics);
    const own = 'vm="web",role="secondary"';
    expect(samples.get(`gannet_failover_total{${own},reason="${reason}"}`)).toBe(1);
    expect(samples.get(`gannet_link_lost_total{${own},link="replica"}`)).toBe(1);
    expect(samples.get(`gannet_link_lost_total{${own},link="peer"}`)).toBe(1);
    expect(samples.get(`gannet_fence_runs_total{${own},result="failed"}`)).toBe(1);
    expect(samples.get(`gannet_fence_runs_total{${own},result="succeeded"}`)).toBe(0);
  });

  test('that becomes a primary starts from zero', async () => {
    const metrics = metricsOf(SECONDARY, PRIMARY);
    metrics.observe(event('secondary', 'commit', COMMIT));
    await metrics.text();
    const text = await metrics.text();
    expect(text).toContain('role="primary"');
    expect(text).not.toContain('role="secondary"');
  });
});

describe('a primary', () => {
  test('tells of the copy, of pauses and of their causes', async () => {
    const status = { ...PRIMARY, seed: SEED, lastVerify: LAST_VERIFY };
    const metrics = metricsOf(status);
    const record = { ...COMMIT, cause: 'memory' as const, pausedMs: 30 };
    metrics.observe(event('primary', 'checkpoint', record));
    metrics.observe(
      event('primary', 'alone', { reason: 'the link to the replica broke', secondaryKnows: true }),
    );
    const own = 'vm="web",role="primary"';
    expect(Object.fromEntries(await scrape(metrics))).toMatchObject({
      [`gannet_seed_remaining_bytes{${own},disk="vb0"}`]: 20,
      [`gannet_replica_wrong_bytes{${own}}`]: 512,
      [`gannet_last_verify_timestamp_seconds{${own}}`]: Date.UTC(2026, 0, 1, 0, 0, 10) / 1000,
      [`gannet_checkpoints_total{${own},cause="memory"}`]: 1,
      [`gannet_checkpoints_total{${own},cause="period"}`]: 0,
      [`gannet_checkpoint_duration_seconds_sum{${own}}`]: 0.03,
      [`gannet_failover_total{${own},reason="secondary-lost"}`]: 1,
      [`gannet_checkpoint_period_seconds{${own}}`]: 2,
    });
  });
});

test('the labels of each sample are those of the catalogue, and none is empty', async () => {
  for (const status of [PRIMARY, SECONDARY, { ...PRIMARY, seed: SEED, lastVerify: LAST_VERIFY }]) {
    const metrics = metricsOf(status);
    metrics.observe(event(status.role, 'commit', COMMIT));
    const lines = (await metrics.text()).split('\n');
    for (const line of lines.filter((each) => each.startsWith('gannet_'))) {
      const [, name = '', inside = ''] = /^([a-z_]+)\{(.*)\}/.exec(line) ?? [];
      const labels = [...inside.matchAll(/([a-z]+)="([^"]*)"/g)];
      expect(labels.map(([, , value]) => value)).not.toContain('');
      const entry = METRICS.find((each) => name.replace(/_(bucket|sum|count)$/, '') === each.name);
      const own = labels.map(([, label]) => label).filter((label) => label !== 'le');
      expect({ line, own }).toEqual({ line, own: ['vm', 'role', ...(entry?.labels ?? ['?'])] });
    }
  }
});

test('the process itself is measured: memory, processor, event loop', async () => {
  const text = await metricsOf(SECONDARY).text();
  for (const { name, type } of PROCESS_METRICS) {
    expect(text).toContain(`# TYPE ${name} ${type}`);
    expect(text).toMatch(new RegExp(`^${name}\\{vm="web"\\} \\d`, 'm'));
  }
});

const WAITS = { why: 'no-secondary', words: 'no secondary is heard', failures: 0 } as const;

test('why a VM is not protected yet by itself: 1 for the reason, else 0', async () => {
  const text = await metricsOf({ ...PRIMARY, automatic: WAITS }).text();
  const own = 'vm="web",role="primary"';
  expect(text).toContain(`gannet_protection_waiting{${own},why="no-secondary"} 1`);
  expect(text).toContain(`gannet_protection_waiting{${own},why="detached"} 0`);
  expect(await metricsOf(PRIMARY).text()).not.toContain('gannet_protection_waiting{');
});

test('each metric is exported by whom the catalogue says, under its name and type', async () => {
  const more = { automatic: WAITS };
  for (const status of [
    { ...PRIMARY, seed: SEED, lastVerify: LAST_VERIFY, ...more },
    { ...SECONDARY, ...more },
  ]) {
    const metrics = metricsOf(status);
    metrics.observe(event(status.role, 'commit', COMMIT));
    const text = await metrics.text();
    for (const { name, type, roles } of METRICS) {
      expect(text).toContain(`# TYPE ${name} ${type}`);
      if (roles !== 'both' && roles !== status.role) continue;
      const { pulse } = status.peer;
      if (name === 'gannet_peer_silence_seconds' && pulse === 'unknown') continue;
      const sample = type === 'histogram' ? `${name}_count` : name;
      expect(text).toMatch(new RegExp(`^${sample}\\{[^}]*role="${status.role}"`, 'm'));
    }
  }
});

test('names have base units and the words that Prometheus wants', () => {
  for (const { name, type, help } of METRICS) {
    expect(name).toMatch(/^gannet_[a-z_]+$/);
    expect(name).not.toMatch(/_(ms|milliseconds|mib|kib|mb)(_|$)/);
    expect(name.endsWith('_total')).toBe(type === 'counter');
    if (type === 'histogram') expect(name).toMatch(/_seconds$/);
    expect(help).not.toMatch(/\.$/);
  }
});

test('events count only in metrics of the catalogue, with their labels', () => {
  const counted = Object.values(EVENTS).flatMap(({ metrics = {} }) => Object.keys(metrics));
  const known = METRICS.filter(({ type }) => type !== 'gauge').map(({ name }) => name);
  expect(counted.length).toBeGreaterThan(8);
  expect(counted.filter((name) => !known.includes(name))).toEqual([]);
});

describe('what stands beside the code', () => {
  const read = (file: string): Promise<string> => readFile(path.join(ROOT, file), 'utf8');
  const names = [...METRICS, ...PROCESS_METRICS].map(({ name }) => name);
  const known: readonly string[] = [...names, ...HOST_METRICS.map(({ name }) => name)];
  const isExported = (name: string): boolean =>
    known.includes(name.replace(/_(bucket|sum|count)$/, '')) || known.includes(name);

  test('docs/reference/metrics.md has the catalogue, row by row', async () => {
    const rows = METRICS.map(({ name, type, labels, roles, help }) => {
      const more = labels.length === 0 ? '' : labels.map((label) => `\`${label}\``).join(', ');
      return `| \`${name}\` | ${type} | ${more} | ${roles} | ${help} |`;
    });
    const text = await read('docs/reference/metrics.md');
    const found = text.split('\n').filter((line) => line.startsWith('| `gannet_'));
    const ofHost = HOST_METRICS.map(
      ({ name, type, help }) => `| \`${name}\` | ${type} | ${help} |`,
    );
    expect(found).toEqual([...rows, ...ofHost]);
    const others = text.split('\n').filter((line) => /^\| `(process|nodejs)_/.test(line));
    expect(others).toEqual(
      PROCESS_METRICS.map(({ name, type, help }) => `| \`${name}\` | ${type} | ${help} |`),
    );
  });

  test.each(['monitoring/dashboard.json', 'monitoring/alerts.yml', 'monitoring/alerts.test.yml'])(
    '%s asks for nothing that is not exported',
    async (file) => {
      const asked = (await read(file)).match(/\bgannet_[a-z_]+/g) ?? [];
      expect(asked.length).toBeGreaterThan(5);
      expect([...new Set(asked)].filter((name) => !isExported(name))).toEqual([]);
    },
  );

  test('the dashboard has a panel for each metric that the issue of a VM can show in', async () => {
    const text = await read('monitoring/dashboard.json');
    const missing = names.filter((name) => !text.includes(name));
    expect(missing).toEqual([]);
  });

  test('each alert says what happened and what to do, with its section in alerts.md', async () => {
    const rules = (await read('monitoring/alerts.yml')).split(/^ {6}- alert: /m).slice(1);
    const page = 'https://github.com/gannet-vm/gannet/blob/main/docs/reference/alerts.md';
    for (const rule of rules) {
      const name = rule.split('\n', 1)[0] ?? '';
      const keys = [...rule.matchAll(/^ {10}([a-z_]+): (.+)$/gm)].map(([, key]) => key);
      expect({ name, keys }).toEqual({ name, keys: ['summary', 'description', 'runbook_url'] });
      // The anchor that a heading has on the page: its text in lower case.
      expect(rule).toContain(`runbook_url: ${page}#${name.toLowerCase()}\n`);
    }
    const sections = (await read('docs/reference/alerts.md')).match(/^## .+$/gm);
    expect(sections).toEqual(rules.map((rule) => `## ${rule.split('\n', 1)[0]}`));
  });
});
