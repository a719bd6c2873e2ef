/** What is found of a pair whose checkpoints are made without COLO. */
import { describe, expect, test } from '@jest/globals';
import { checkSecondary, comparePair, type DiskPair, type VmReport } from '../../src/index.js';
import { primaryReport, secondaryReport } from '../support/reports.js';

const server = { type: 'unix', path: '/run/r.nbd' } as const;
const LINK = { id: 'disk0', device: 'vb0', link: 'nbd', server, export: 'pvm' } as const;
const DISKS: readonly DiskPair[] = [{ link: LINK, secondary: { export: 'svm' } }];

function sharing(report: VmReport, properties = {}): VmReport {
  const all = { size: 1 << 30, share: true, 'mem-path': '/dev/shm/web.ram', ...properties };
  const backend = { id: 'ram0', type: 'memory-backend-file', properties: all };
  return { ...report, objects: [backend], memory: { ...report.memory, backend: 'ram0' } };
}

const codesOf = (primary: VmReport, secondary: VmReport, isProtected = false): string[] =>
  comparePair(primary, secondary, DISKS, { engine: 'vsmr', isProtected }).map(({ code }) => code);

describe('engine vsmr', () => {
  const primary = sharing(primaryReport());
  const secondary = sharing(secondaryReport({ status: 'prelaunch' }));

  test('needs no x-colo, no particular release, machine or CPU', () => {
    expect(codesOf(primary, secondary)).toEqual([]);
    const { version, machine, cpu } = primaryReport();
    const over: Partial<VmReport> = {
      ...{ coloCapable: false, version: { ...version, major: 10, minor: 0, micro: 2 } },
      ...{ machine: { ...machine, type: 'pc-q35-10.0' }, cpu: { ...cpu, model: 'max' } },
    };
    expect(codesOf({ ...primary, ...over }, { ...secondary, ...over })).toEqual([]);
  });

  test.each<[string, VmReport, RegExp]>([
    ['private memory', primaryReport(), /memory for itself/],
    ['a private backend', sharing(primaryReport(), { share: false }), /not a shared file/],
    ['no file', sharing(primaryReport(), { 'mem-path': '' }), /not a shared file/],
  ])('%s is an error that says which words to add', (_what, report, says) => {
    const [found] = comparePair(report, secondary, DISKS, { engine: 'vsmr' });
    expect(found).toMatchObject({ severity: 'error', code: 'ram-not-shared' });
    expect(found?.message).toMatch(says);
    expect(found?.remedy).toMatch(/-object memory-backend-file,.*share=on.*memory-backend=ram0/);
  });

  test('the secondary waits with -S, and its memory is shared too', () => {
    expect(codesOf(primary, sharing(secondaryReport()))).toEqual(['secondary-not-fresh']);
    const disks = [{ device: 'vb0', export: 'svm' }];
    const alone = checkSecondary(secondaryReport(), disks, 'vsmr').map(({ code }) => code);
    expect(alone).toEqual(['secondary-not-fresh', 'ram-not-shared']);
  });

  test('a protected one is not looked at as if it were not', () => {
    expect(codesOf(primary, secondary, true)).toEqual(['already-protected']);
  });
});
