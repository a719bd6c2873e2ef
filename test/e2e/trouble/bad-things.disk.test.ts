import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { LabDaemon, LabVm } from '@gannet/lab';
import { QmpClient } from 'qemu-qmp-client';
import { gannet, graphOf, MIB, PEER, until, withQmp } from './support.js';

let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-changing-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

describe('a disk that is not what it was', () => {
  // A SCSI disk goes at once, whatever its guest does: here there is none.
  const disk = (bytes: number, name: string): string[] => [
    '-blockdev',
    `driver=null-co,read-zeroes=on,size=${bytes},node-name=${name}`,
    ...['-blockdev', `driver=quorum,node-name=q-${name},children.0=${name},vote-threshold=1`],
  ];
  const machine = (...args: string[]): string[] => [
    ...['-machine', 'pc,accel=tcg', '-m', '32', '-device', 'virtio-scsi-pci,id=scsi0', ...args],
  ];

  it('between check and protect: refused by what it is now, and nothing is changed', async () => {
    const place = (name: string): string => path.join(dir, name);
    const vm = await LabVm.start({
      name: 'pvm',
      dir,
      args: machine(...disk(MIB, 'd0'), ...disk(2 * MIB, 'd1')),
    });
    const twin = await LabVm.start({
      name: 'svm',
      dir,
      args: machine('-incoming', `unix:${place('incoming')}`),
    });
    const common = { vm: 'other', peer: PEER };
    const sockets = { nbd: `unix:${place('nbd')}`, peer: `unix:${place('peer')}` };
    const secondary = await LabDaemon.start({
      role: 'secondary',
      dir,
      config: {
        ...{ ...common, control: place('secondary.ctl'), qmp: `unix:${twin.qmpPaths[1]}` },
        disks: [{ name: 'disk0', device: 'sd0', base: place('base'), size: MIB }],
        secondary: sockets,
      },
    });
    const primary = await LabDaemon.start({
      role: 'primary',
      dir,
      config: {
        ...{ ...common, control: place('primary.ctl'), qmp: `unix:${vm.qmpPaths[1]}` },
        disks: [{ name: 'disk0', device: 'sd0' }],
        primary: { ...sockets, migrate: `unix:${place('incoming')}`, stageTimeoutMs: 6000 },
      },
    });
    const config = ['-c', primary.configPath];
    try {
      const onDisk = async (): Promise<unknown[]> => {
        const { json } = await gannet('check', ...config);
        const findings = json['findings'] as { code: string; device?: string; message: string }[];
        return findings
          .filter(({ device, message }) => device === 'sd0' && !/^on the secondary/.test(message))
          .map(({ code }) => code);
      };
      const expectRefused = async (message: RegExp, remedy: RegExp): Promise<void> => {
        const there = await graphOf(vm);
        const refused = await gannet('protect', ...config);
        expect(refused.code).toBe(1);
        expect(refused.error['message']).toMatch(message);
        expect(refused.error['remedy']).toMatch(remedy);
        expect(await graphOf(vm)).toEqual(there);
      };
      const give = (qmp: QmpClient, drive: string): Promise<unknown> =>
        qmp.executeRaw('device_add', { driver: 'scsi-hd', id: 'sd0', bus: 'scsi0.0', drive });

      await withQmp(vm, (qmp) => give(qmp, 'q-d0'));
      expect(await onDisk()).not.toContain('disk-not-found');
      expect(await onDisk()).not.toContain('disk-size-differs');
      await withQmp(vm, async (qmp) => {
        await qmp.executeRaw('device_del', { id: 'sd0' });
        // Its back end goes a little later.
        await until(
          () => qmp.execute('x-debug-query-block-graph', {}),
          ({ nodes }) => nodes.every(({ type }) => type !== 'block-backend'),
        );
      });
      await expectRefused(/^stage check: .*sd0/, /./);
      expect(await onDisk()).toContain('disk-not-found');
      await withQmp(vm, (qmp) => qmp.executeRaw('blockdev-del', { 'node-name': 'q-d0' }));
      await expectRefused(/^stage check: .*sd0/, /./);

      await withQmp(vm, (qmp) => give(qmp, 'q-d1'));
      await expectRefused(new RegExp(`sd0 .*${2 * MIB} bytes.* ${MIB}`), /Make the base/);
      expect(await onDisk()).toContain('disk-size-differs');
    } finally {
      await Promise.all([primary.kill(), vm.dispose(), twin.dispose()]);
      await secondary.kill();
    }
  });
});
