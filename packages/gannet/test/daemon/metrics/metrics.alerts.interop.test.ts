/**
 * The alert rules on what daemons really export: for each situation both daemons are scraped every
 * half minute, and Debian's promtool says which alerts fire over these series, and only these.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { DaemonEvent, PrimaryStatus, SecondaryStatus, Status } from '@gannet/contract';
import { Metrics } from '../../../src/daemon/metrics/metrics.js';
import { judged, PRIMARY, RECORD, SECONDARY } from '../../support/statuses.js';

const run = promisify(execFile);
const RULES = path.resolve(import.meta.dirname, '../../../../../monitoring/alerts.yml');
const SCRAPE_S = 30;
const DAY_MS = 86_400_000;
/** Everything is well until then; what happens has this and the next eleven minutes to be seen. */
const BREAKS_AT_S = 180;
const ENDS_AT_S = 900;

type Side = 'primary' | 'secondary';
/** What is different from a pair that is well, once it has broken. Null: the daemon is gone. */
interface Situation {
  readonly primary?: Partial<PrimaryStatus> | null;
  readonly secondary?: Partial<SecondaryStatus> | null;
  readonly hasCheckpoints?: boolean;
  readonly events?: readonly (readonly [Side, object])[];
  readonly certificateDays?: number;
  readonly fires: readonly string[];
}

const WAITING: NonNullable<SecondaryStatus['waiting']> = {
  since: new Date(BREAKS_AT_S * 1000).toISOString(),
  ...{ guest: 'runs', isLastCommitKept: true, softSeconds: null, hardSeconds: 36_000 },
};
const SURVIVOR = { state: 'retired', linkState: 'lost', mayFailOver: false } as const;
const FENCE = { kind: 'fence', target: 'primary', succeeded: false, words: 'exit code 1' };

const SITUATIONS: Readonly<Record<string, Situation>> = {
  'all is well': { fires: [] },
  'the primary is not protected': {
    primary: { state: 'unprotected' },
    secondary: { state: 'seeding' },
    hasCheckpoints: false,
    fires: ['GannetVmUnprotected web'],
  },
  'a first copy that takes its time': {
    primary: { state: 'protecting', stage: 'seed' },
    secondary: { state: 'seeding' },
    hasCheckpoints: false,
    fires: ['GannetVmUnprotected web'],
  },
  'a survivor without protection': {
    ...{ primary: null, secondary: SURVIVOR, hasCheckpoints: false },
    events: [['secondary', { kind: 'failover-done', evidence: 'an operator used --force' }]],
    fires: ['GannetDaemonGone web', 'GannetFailedOver web', 'GannetVmUnprotected web'],
  },
  'a survivor that dies': {
    ...{ primary: null, secondary: { ...SURVIVOR, secondaryVm: 'lost' }, hasCheckpoints: false },
    fires: ['GannetDaemonGone web', 'GannetVmDoesNotAnswer web', 'GannetVmUnprotected web'],
  },
  'the primary dies, and its secondary waits': {
    primary: { primaryVm: 'lost' },
    ...{ secondary: { linkState: 'lost', waiting: WAITING }, hasCheckpoints: false },
    fires: ['GannetVmDoesNotAnswer web', 'GannetWaitsForFailover web'],
  },
  'the memory of a secondary that waits will be full in ten minutes': {
    primary: null,
    secondary: { linkState: 'lost', waiting: { ...WAITING, hardSeconds: 600 } },
    hasCheckpoints: false,
    fires: ['GannetDaemonGone web', 'GannetWaitingMemoryShort web', 'GannetWaitsForFailover web'],
  },
  'no checkpoint in three periods': {
    ...{ hasCheckpoints: false, fires: ['GannetNoCheckpoint web'] },
  },
  'a period of ten minutes is no trouble': {
    ...{ primary: { checkpointPeriodMs: 600_000 }, hasCheckpoints: false, fires: [] },
  },
  'the daemon of the secondary is gone': {
    ...{ secondary: null, fires: ['GannetDaemonGone web'] },
  },
  'a certificate of the primary expires in ten days': {
    ...{ certificateDays: 10, fires: ['GannetCertificateExpires web'] },
  },
  'the fence has failed': {
    ...{ events: [['secondary', FENCE]], fires: ['GannetFenceFailed web'] },
  },
  'the replica has diverged': {
    primary: { state: 'alone' },
    secondary: { state: 'diverged', mayFailOver: false },
    hasCheckpoints: false,
    fires: ['GannetReplicaDiverged web', 'GannetVmUnprotected web'],
  },
  'the disk of the primary fails while its protection ends': {
    primary: { state: 'alone', standstill: 'a write failed' },
    secondary: { state: 'diverged', mayFailOver: false },
    hasCheckpoints: false,
    fires: [
      ...['GannetGuestStandsStill web', 'GannetReplicaDiverged web', 'GannetVmUnprotected web'],
    ],
  },
  'the term file of the secondary is on a full disk': {
    secondary: { termTrouble: "the term file can't be written: ENOSPC" },
    fires: ['GannetTermFileFails web'],
  },
  'the other daemon is silent': {
    ...{ secondary: { peer: { pulse: 'lost', silentMs: 60_000 } } },
    fires: ['GannetPeerSilent web'],
  },
};

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-alerts-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** A daemon, its clock at `nowS` of promtool's time, which begins at 0. */
class Exporter {
  readonly #metrics: Metrics;
  status: Status | null = null;
  certificateDays = 300;

  constructor(readonly side: Side) {
    this.#metrics = new Metrics({
      vm: 'web',
      status: () => {
        if (this.status) return Promise.resolve(judged<Status>(this.status));
        throw new Error('a daemon that is gone is not scraped');
      },
      certificates: () => [{ certificate: 'server', expiresAtMs: this.certificateDays * DAY_MS }],
    });
  }

  observe(atS: number, event: object): void {
    const at = new Date(atS * 1000).toISOString();
    this.#metrics.observe({ at, role: this.side, ...event } as DaemonEvent);
  }

  async scrape(): Promise<(readonly [series: string, value: string])[]> {
    const instance = `instance="${this.side}:9470",job="gannet"`;
    if (!this.status) return [[`up{${instance}}`, '0']];
    const lines = (await this.#metrics.text()).split('\n').filter((line) => /^gannet_/.test(line));
    return [
      [`up{${instance}}`, '1'] as const,
      ...lines.map((line) => {
        const at = line.lastIndexOf(' ');
        return [`${line.slice(0, at - 1)},${instance}}`, line.slice(at + 1)] as const;
      }),
    ];
  }
}

/** Of both daemons, over all of the time; `_` where there was no sample. */
async function record(situation: Situation): Promise<Map<string, string[]>> {
  const { hasCheckpoints = true, events = [], certificateDays = 300 } = situation;
  const exporters = { primary: new Exporter('primary'), secondary: new Exporter('secondary') };
  const series = new Map<string, string[]>();
  for (let atS = 0, epoch = 1; atS <= ENDS_AT_S; atS += SCRAPE_S, epoch++) {
    const isBroken = atS >= BREAKS_AT_S;
    const { primary = {}, secondary = {} } = isBroken ? situation : {};
    exporters.primary.status = primary && { ...PRIMARY, checkpointPeriodMs: 20_000, ...primary };
    exporters.secondary.status = secondary && { ...SECONDARY, ...secondary };
    if (isBroken) exporters.primary.certificateDays = certificateDays;
    if (!isBroken || hasCheckpoints) {
      const done = { ...RECORD, epoch };
      const checkpoint = { kind: 'checkpoint', ...done, cause: 'period', pausedMs: 8 };
      exporters.primary.observe(atS, checkpoint);
      exporters.secondary.observe(atS, { kind: 'commit', ...done, checkpointMs: 12 });
    }
    const news = atS === BREAKS_AT_S + SCRAPE_S ? events : [];
    for (const [side, event] of news) exporters[side].observe(atS, event);
    for (const exporter of Object.values(exporters)) {
      for (const [name, value] of await exporter.scrape()) {
        const values = series.get(name) ?? [];
        series.set(name, values);
        while (values.length < atS / SCRAPE_S) values.push('_');
        values.push(value);
      }
    }
  }
  return series;
}

test.each(Object.entries(SITUATIONS))('%s', async (name, situation) => {
  const series = await record(situation);
  expect(series.size).toBeGreaterThan(60);
  const file = path.join(dir, `${name.replaceAll(' ', '-')}.yml`);
  // JSON is YAML.
  const tests = {
    rule_files: [RULES],
    evaluation_interval: '15s',
    tests: [
      {
        interval: `${SCRAPE_S}s`,
        input_series: [...series].map(([each, values]) => ({
          series: each,
          values: values.join(' '),
        })),
        promql_expr_test: [
          {
            expr: 'count by (alertname, vm) (ALERTS{alertstate="firing"})',
            eval_time: `${ENDS_AT_S}s`,
            exp_samples: situation.fires.map((fired) => {
              const [alert, vm] = fired.split(' ');
              return { labels: `{alertname="${alert}",vm="${vm}"}`, value: 1 };
            }),
          },
        ],
      },
    ],
  };
  await writeFile(file, JSON.stringify(tests));
  // A failure says what fired instead.
  const { stdout } = await run('promtool', ['test', 'rules', file]);
  expect(stdout).toContain('SUCCESS');
});
