// The figures of docs/explanation/scale.md.

import { type Assumptions, FLAVOURS, meanOf } from './assumptions.js';
import {
  chanceOf,
  copiesOfHost,
  demandGiB,
  downsPerYear,
  HOURS_IN_YEAR,
  monitorsPerSecond,
  seedHours,
  spareShare,
} from './closed-forms.js';
import { Pair } from './pair.js';
import type { PlacementName } from './placement.js';
import {
  hostLosses,
  type Loss,
  rackLoss,
  type Setting,
  spareNeeded,
  upgrade,
} from './scenarios.js';

const SEED = 18;
const TRIALS = 20;
const CELLS = [8, 16, 32] as const;
const GIB_IN_TIB = 1024;
/** Processor time of `gannet status` (docs/explanation/measurements.md), and how often it runs. */
const STATUS_SECONDS = 0.151;
const MONITOR_SECONDS = 2;

type Row = readonly (string | number)[];

function table(head: Row, rows: readonly Row[]): string {
  const line = (row: Row): string => `| ${row.join(' | ')} |\n`;
  const rule = head.map((_, at) => (at === 0 ? '---' : '---:'));
  return `${line(head)}${line(rule)}${rows.map(line).join('')}\n`;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, one) => sum + one, 0) / values.length;
}

/** Three digits that count. */
function short(value: number): string {
  if (value === 0) return '0';
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en');
  return String(Number(value.toPrecision(value < 0.01 ? 2 : 3)));
}

function percent(share: number): string {
  return `${short(share * 100)} %`;
}

function duration(hours: number): string {
  if (hours < 0.02) return `${short(hours * 3600)} s`;
  return hours < 1 ? `${short(hours * 60)} min` : `${short(hours)} h`;
}

function settingOf(
  assumptions: Assumptions,
  cellSize: number,
  placement: PlacementName = 'spread',
): Setting {
  return { assumptions, cellSize, placement, seed: SEED };
}

function assumed(assumptions: Assumptions): string {
  const names = [
    ['hosts', ''],
    ['vmsPerHost', ''],
    ['racks', ''],
    ['hostMemoryGiB', 'GiB for VMs'],
    ['bufferGiB', 'GiB for each secondary'],
    ['diskRate', 'MiB/s for a host'],
    ['networkRate', 'MiB/s for a host, each way'],
    ['seedRate', 'MiB/s for a VM'],
    ['migrateRate', 'MiB/s for a VM'],
    ['memoryTraffic', 'MiB sent for each MiB that a guest writes to disk'],
    ['fenceFrom', 's'],
    ['fenceTo', 's'],
    ['takeover', 's'],
    ['settle', 's from a takeover to the next seed'],
    ['mtbfYears', 'years between two failures of a host'],
    ['repairHours', 'h'],
    ['rebootMinutes', 'min'],
  ] as const;
  const rows = names.map(([name, unit]) => [`\`${name}\``, `${assumptions[name]} ${unit}`.trim()]);
  const vms = FLAVOURS.map(({ share, memoryGiB, diskGiB, writeRate }) => {
    return [`${share} %`, memoryGiB, diskGiB, writeRate];
  });
  const means = [
    ...['mean', short(meanOf(({ memoryGiB }) => memoryGiB))],
    ...[short(meanOf(({ diskGiB }) => diskGiB)), short(meanOf(({ writeRate }) => writeRate))],
  ];
  return (
    '### What is assumed\n\n' +
    table(['number', 'value'], rows) +
    table(['VMs', 'memory, GiB', 'disk to copy, GiB', 'writes, MiB/s'], [...vms, means])
  );
}

function onPaper(assumptions: Assumptions): string {
  const { vmsPerHost, fenceTo, promoteTo, takeover, hosts, racks } = assumptions;
  const pair = new Pair(0, 1, 1, 1, 0);
  pair.beginSeed(1);
  pair.endSeed();
  const patience = pair.patience(assumptions);
  const letGo = pair.loseSecondary(true, assumptions);
  const monitors = monitorsPerSecond(assumptions, MONITOR_SECONDS);
  const traffic = meanOf(({ writeRate }) => writeRate) * (1 + assumptions.memoryTraffic);
  const rackGbit = ((hosts / racks) * vmsPerHost * traffic * 8 * 2 ** 20) / 1e9;
  const status = monitors * STATUS_SECONDS;
  const promoted = fenceTo + promoteTo + takeover;
  const both = demandGiB(assumptions);
  const single = vmsPerHost * meanOf(({ memoryGiB }) => memoryGiB);
  return (
    '### On paper\n\n' +
    table(
      ['what', 'value'],
      [
        ['copies that end with a host', copiesOfHost(assumptions)],
        ['memory that a host needs for its share of both copies', `${short(both)} GiB`],
        ['memory of the same VMs without protection', `${short(single)} GiB`],
        ['the primary dies, Pacemaker promotes: stands still for at most', `${short(promoted)} s`],
        ['the primary dies, two daemons decide: fenced after', `${short(patience)} s`],
        ['the secondary dies: the guest stands still for at least', `${short(letGo.seconds)} s`],
        ...FLAVOURS.slice(2).map(({ diskGiB, memoryGiB }) => {
          const hours = seedHours(assumptions, diskGiB, memoryGiB);
          return [`seed of a VM with ${diskGiB} GiB, alone`, duration(hours)];
        }),
        [`monitors on a host, each copy every ${MONITOR_SECONDS} s`, `${short(monitors)} a second`],
        ['their processor time, if each runs `gannet status`', `${short(status)} cores`],
        ['what the primaries of a rack send to other racks', `${short(rackGbit)} Gbit/s`],
      ],
    )
  );
}

interface LossRow {
  readonly name: string;
  readonly losses: readonly Loss[];
}

const known = new Map<string, readonly Loss[]>();

/** Each is simulated once. */
function lossesOf(setting: Setting): readonly Loss[] {
  const key = JSON.stringify(setting);
  const losses = known.get(key) ?? hostLosses(setting, TRIALS);
  known.set(key, losses);
  return losses;
}

function lossTable(rows: readonly LossRow[]): string {
  const head = [
    ...['cell, seed limit', 'VMs without cover', 'half covered after', 'all covered after (worst)'],
    ...['VM-hours without cover', 'no place', 'most taken over by one host'],
    ...['peak of memory', 'of disk', 'of network'],
  ];
  return table(
    head,
    rows.map(({ name, losses }) => {
      const hours = losses.map((one) => one.hours);
      const highest = (of: (loss: Loss) => number): number => Math.max(...losses.map(of));
      return [
        name,
        short(mean(losses.map((one) => one.uncovered))),
        duration(mean(losses.map((one) => one.hoursHalf))),
        `${duration(mean(hours))} (${duration(Math.max(...hours))})`,
        short(mean(losses.map((one) => one.vmHours))),
        short(mean(losses.map((one) => one.unplaced))),
        highest((one) => one.mostTakenOver),
        ...[percent(highest((one) => one.memory)), percent(highest((one) => one.disk))],
        percent(highest((one) => one.network)),
      ];
    }),
  );
}

function oneHost(assumptions: Assumptions): string {
  const rows: LossRow[] = [];
  for (const seedRate of [50, 100, 500]) {
    for (const size of CELLS) {
      const setting = settingOf({ ...assumptions, seedRate }, size);
      rows.push({ name: `${size}, ${seedRate} MiB/s`, losses: lossesOf(setting) });
    }
  }
  const queued = [1, 4].map((seedsAtOnce) => {
    const setting = settingOf({ ...assumptions, seedRate: 500, seedsAtOnce }, 16);
    const name = `16, 500 MiB/s, ${seedsAtOnce} at once`;
    return { name, losses: lossesOf(setting) };
  });
  const tight = lossesOf(settingOf(assumptions, 16, 'tight'));
  const pairs = lossesOf(settingOf(assumptions, 2, 'pairs'));
  return (
    '### One host dies\n\n' +
    lossTable([
      ...rows,
      ...queued,
      { name: '16, 100 MiB/s, tight', losses: tight },
      { name: 'pairs, 100 MiB/s', losses: pairs },
    ])
  );
}

function secondFailure(assumptions: Assumptions): string {
  const { hosts, vmsPerHost, repairHours } = assumptions;
  const ways: readonly (readonly [string, number, PlacementName, number])[] = [
    ['pairs', 2, 'pairs', 100],
    ...CELLS.map((size) => [`cells of ${size}`, size, 'spread', 100] as const),
    ['cells of 16, 50 MiB/s', 16, 'spread', 50],
    ['cells of 16, 500 MiB/s', 16, 'spread', 500],
  ];
  const copies = copiesOfHost(assumptions);
  const rows = ways.map(([name, size, placement, seedRate]) => {
    const setting = settingOf({ ...assumptions, seedRate }, size, placement);
    const vmHours = mean(lossesOf(setting).map((one) => one.vmHours));
    const perYear = [1, 3, 5].map((mtbf) => downsPerYear(hosts, mtbf, copies, vmHours / copies));
    const three = perYear[1] ?? 0;
    return [
      name,
      short(vmHours),
      ...perYear.map(short),
      percent(chanceOf(three)),
      `1 in ${short((hosts * vmsPerHost) / three)}`,
    ];
  });
  const bare = [1, 3, 5].map((mtbf) => (hosts * vmsPerHost) / mtbf);
  const head = [
    ...['', 'VM-hours without cover for each loss', 'VMs down a year, MTBF 1 year', 'MTBF 3 years'],
    ...['MTBF 5 years', 'any VM down in a year (3)', 'a given VM down in a year (3)'],
  ];
  const unprotected = ['without protection', '', ...bare.map(short), '100 %', '1 in 3'];
  return (
    '### A second failure before the copy is back\n\n' +
    table(head, [unprotected, ...rows]) +
    `A repair takes ${repairHours} h; a year has ${HOURS_IN_YEAR} h.\n\n`
  );
}

function oneRack(assumptions: Assumptions): string {
  const rows = (
    [
      ['each host of a cell in another rack', { layout: 'across', placement: 'spread' }],
      [
        'cells of neighbours, racks do not count',
        { layout: 'neighbours', placement: 'any-rack', mayShareRack: true },
      ],
    ] as const
  ).flatMap(([name, how]) => {
    return CELLS.map((size) => {
      const loss = rackLoss({ ...settingOf(assumptions, size), ...how }, 3);
      const { hosts, downs, uncovered, withoutQuorum } = loss;
      return [`${name}, ${size}`, hosts, downs, uncovered, duration(loss.hours), withoutQuorum];
    });
  });
  const head = [
    ...['cells', 'hosts lost', 'VMs down', 'VMs without cover', 'covered after'],
    'cells without quorum',
  ];
  return '### One rack is lost\n\n' + table(head, rows);
}

function upgrades(assumptions: Assumptions): string {
  const ways: readonly (readonly [string, number, PlacementName, 'elsewhere' | 'wait'])[] = [
    ...CELLS.map((size) => [`${size}, copies elsewhere`, size, 'spread', 'elsewhere'] as const),
    ...CELLS.map((size) => [`${size}, copies wait`, size, 'spread', 'wait'] as const),
    ['pairs', 2, 'pairs', 'wait'],
  ];
  const { hosts, mtbfYears, vmsPerHost, rebootMinutes, migrateRate } = assumptions;
  const rows = ways.map(([name, size, placement, way]) => {
    const cells = size === 2 ? 30 : Math.max(2, 64 / size);
    const done = upgrade(settingOf(assumptions, size, placement), way, cells);
    const downs = done.vmHours / (mtbfYears * HOURS_IN_YEAR);
    return [
      name,
      duration(done.hours),
      short(done.seeds),
      short(done.tebibytes),
      short(done.vmHours),
      percent(done.vmHours / (hosts * vmsPerHost * done.hours)),
      short(downs),
    ];
  });
  const away = rebootMinutes / 60;
  const memory = (meanOf((one) => one.memoryGiB) * 1024) / migrateRate / 3600;
  const vmHours = copiesOfHost(assumptions) * hosts * (away + memory);
  const written = meanOf((one) => one.writeRate) * rebootMinutes * 60;
  const resynced = (copiesOfHost(assumptions) * hosts * written) / 1024 / GIB_IN_TIB;
  rows.push([
    ...['on paper: only changes are copied', '', short(copiesOfHost(assumptions) * hosts)],
    ...[short(resynced), short(vmHours), '', short(vmHours / (mtbfYears * HOURS_IN_YEAR))],
  ]);
  const head = [
    ...['cell', 'takes', 'seeds', 'TiB copied', 'VM-hours without cover'],
    ...['VMs without cover, on average', 'VMs down by it, expected'],
  ];
  return '### All hosts are restarted\n\n' + table(head, rows);
}

function spare(assumptions: Assumptions): string {
  const largest = FLAVOURS.at(-1)?.memoryGiB ?? 0;
  const oneMore = (2 * largest + assumptions.bufferGiB) / demandGiB(assumptions);
  const rows = CELLS.flatMap((size) =>
    [1, 2].map((losses) => {
      const need = (placement: PlacementName): string =>
        percent(spareNeeded(settingOf(assumptions, size, placement), TRIALS / 2, losses));
      return [size, losses, percent(spareShare(size, losses)), need('tight'), need('spread')];
    }),
  );
  return (
    '### Spare memory\n\n' +
    table(['cell', 'hosts lost', 'on paper', 'tight', 'spread'], rows) +
    `The secondary of the largest VM takes ${percent(oneMore)} of what an average host needs.\n\n`
  );
}

/** Markdown; the same each time. */
export function figures(assumptions: Assumptions): string {
  const parts = [assumed, onPaper, oneHost, secondFailure, oneRack, upgrades, spare];
  return (
    '\n' +
    parts
      .map((part) => part(assumptions))
      .join('')
      .replaceAll(/\n{3,}/g, '\n\n')
  );
}
