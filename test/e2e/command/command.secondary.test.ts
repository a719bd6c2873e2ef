/** What `gannet secondary` refuses, and how a daemon ends. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { NbdClient } from '@gannet/nbd';
import {
  type Json,
  MIB,
  dir,
  diskOf,
  errorOf,
  expectGuestWell,
  gannet,
  graphOf,
  image,
  inFreshFolder,
  makePair,
  processesWith,
  secondaryConfig,
  socketsIn,
  start,
  startDaemon,
  until,
  undoAfter,
  writeConfig,
} from './support.js';

inFreshFolder();

describe('gannet secondary refuses', () => {
  const cases: readonly {
    name: string;
    message: string;
    remedy: string;
    exitCode?: number;
    prepare: () => Promise<Json>;
  }[] = [
    {
      name: 'a base that holds data',
      message: 'base0.raw holds data and has no state file: it was never a replica',
      remedy: '--overwrite',
      prepare: async () => {
        await image('base0.raw', MIB, Buffer.alloc(512, 0xa5));
        return secondaryConfig(diskOf());
      },
    },
    {
      name: "a base that is a guest's own disk",
      message: "base0.raw became a guest's own disk after a failover (epoch 7)",
      remedy: '--overwrite',
      prepare: async () => {
        const base = await image('base0.raw', MIB);
        await writeFile(`${base}.gannet`, stateFile('retired'));
        return secondaryConfig(diskOf());
      },
    },
    {
      name: "another VM's base",
      message: 'base0.raw is the base of disk disk0 of VM web (protected)',
      remedy: 'its own base',
      prepare: async () => {
        const base = await image('base0.raw', MIB);
        const theirs = stateFile('protected').replace(/"vm": ?"[^"]*"/, '"vm":"web"');
        await writeFile(`${base}.gannet`, theirs);
        return secondaryConfig(diskOf());
      },
    },
    {
      name: 'a format that the image does not have',
      message: 'is not in qcow2 format',
      remedy: 'qemu-img info',
      prepare: async () => {
        await image('base0.raw', MIB);
        return secondaryConfig(diskOf({ format: 'qcow2' }));
      },
    },
    {
      name: 'a base that wants recovery',
      message: 'together hold a VM that had failed over',
      remedy: 'gannet recover',
      prepare: async () => {
        const base = await image('base0.raw', MIB);
        await writeFile(`${base}.gannet`, stateFile('failed-over'));
        return secondaryConfig(diskOf());
      },
    },
    {
      name: 'a base of another size',
      message: `base0.raw has ${2 * MIB} bytes, disk disk0 wants ${MIB}`,
      remedy: 'Give both sides the same size',
      prepare: async () => {
        await image('base0.raw', 2 * MIB);
        return secondaryConfig(diskOf());
      },
    },
    {
      name: 'a base that is not there, without a size to make it',
      message: 'base0.raw: ENOENT',
      remedy: 'give the disk a size',
      prepare: () => Promise.resolve(secondaryConfig(diskOf({ size: undefined }))),
    },
    {
      name: 'a journal that other bases may need',
      message: 'lab.journal is there, and none of the bases of lab knows it',
      remedy: 'gannet recover',
      exitCode: 4,
      prepare: async () => {
        await image('lab.journal', MIB);
        return secondaryConfig(diskOf());
      },
    },
    {
      name: 'an NBD socket where a file is',
      message: 'replica.nbd exists and is not a socket',
      remedy: '',
      prepare: async () => {
        await image('replica.nbd', 1);
        return secondaryConfig(diskOf());
      },
    },
  ];

  it.each(cases)('$name', async ({ message, remedy, exitCode = 1, prepare }) => {
    const config = await writeConfig(await prepare());
    const { code, stdout, stderr } = await start(['secondary', '-c', config]).outcome();
    expect({ code, stdout }).toEqual({ code: exitCode, stdout: '' });
    expect(stderr).toContain(message);
    expect(stderr).toContain(remedy);
    expect(await socketsIn(dir)).toEqual([]);
    const json = await gannet('secondary', '-c', config);
    expect(json.code).toBe(exitCode);
    expect(errorOf(json)['message']).toContain(message);
  });

  it('a base that another gannet secondary has, by the name of who holds it', async () => {
    const holder = await startDaemon('secondary', dir, secondaryConfig(diskOf()));
    const config = secondaryConfig(diskOf(), {
      nbd: `unix:${path.join(dir, 'other.nbd')}`,
      journal: path.join(dir, 'other.journal'),
    });
    const file = await writeConfig({ ...config, control: path.join(dir, 'other.ctl') });
    const refused = await gannet('secondary', '-c', file);
    expect(refused.code).toBe(1);
    expect(errorOf(refused)).toMatchObject({
      code: 'REPLICA_BASE_IN_USE',
      message: expect.stringMatching(
        new RegExp(
          'base0.raw is in use by .*secondary --config .*secondary.yaml ' +
            `\\(process ${holder.pid}\\)`,
        ),
      ),
      remedy: expect.stringContaining('another gannet daemon'),
    });
    expect(await socketsIn(dir)).not.toContain('other.nbd');
    // Who was there first has not been disturbed.
    const status = await gannet('status', '-c', holder.configPath);
    expect(status).toMatchObject({ code: 3, json: { state: 'seeding' } });
  });

  it('but seeds over data that it is told to overwrite', async () => {
    await image('base0.raw', MIB, Buffer.alloc(512, 0xa5));
    const config = await writeConfig(secondaryConfig(diskOf()));
    const daemon = start(['secondary', '--overwrite', '-c', config]);
    await until(
      () => gannet('status', '-c', config),
      ({ json }) => json['role'] === 'secondary',
    );
    daemon.signal('SIGTERM');
    expect(await daemon.exited).toBe(0);
  });
});

const stateFile = (state: string): string =>
  JSON.stringify({
    ...{ format: 'gannet-replica-1', uuid: 'u', vm: 'lab', disk: 'disk0', disks: ['disk0'] },
    ...{ sizeBytes: MIB, state, epoch: 7, journal: path.join(dir, 'journal') },
  });

describe('a daemon', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('ends on %s and leaves no socket', async (signal) => {
    const config = secondaryConfig(diskOf());
    const peer = { nbd: 'unix:/no/nbd', migrate: 'unix:/no/migrate', peer: 'unix:/no/peer' };
    const files: [string, Json][] = [
      ['secondary', config],
      ['primary', { ...config, control: path.join(dir, 'primary.ctl'), primary: peer }],
    ];
    for (const [role, document] of files) {
      const file = await writeConfig(document);
      const daemon = start([role, '-c', file]);
      const status = await until(
        () => gannet('status', '-c', file),
        ({ json }) => json['role'] !== undefined,
      );
      expect(status.json['role']).toBe(role);
      const nbd = await NbdClient.connect(
        { path: path.join(dir, 'replica.nbd') },
        { export: 'svm' },
      )
        .then((client) => (undoAfter(() => client.destroy()), true))
        .catch(() => false);
      expect(nbd).toBe(role === 'secondary');
      daemon.signal(signal);
      expect(await daemon.outcome()).toMatchObject({ code: 0, stdout: '' });
      expect(await socketsIn(dir)).toEqual([]);
    }
  });

  it.each(['raw', 'qcow2'])(
    'ends without trouble on Ctrl-C, which a terminal sends to its children too (%s)',
    async (format) => {
      const config = await writeConfig(secondaryConfig(diskOf({ format })));
      const daemon = start(['secondary', '-c', config], { detached: true });
      await until(
        () => gannet('status', '-c', config),
        ({ json }) => json['role'] === 'secondary',
      );
      daemon.signalGroup('SIGINT');
      const { code, stderr } = await daemon.outcome();
      expect(code).toBe(0);
      const kinds = stderr.split('\n').flatMap((line) => /"kind":"([^"]+)"/.exec(line)?.[1] ?? []);
      expect(kinds).toEqual(['listening', 'verdict']);
      expect(await processesWith(dir)).toEqual([]);
    },
  );

  it('that ends while it seeds takes back what it did to the VM', async () => {
    const pair = await makePair({ diskMb: 768, fillMb: 700 });
    await pair.bootPrimary();
    await pair.startSecondary();
    await pair.startPrimaryDaemon();
    const before = await graphOf(pair.primary);
    let begun: () => void = () => undefined;
    const seeding = new Promise<void>((resolve) => (begun = resolve));
    const protecting = pair
      .protect((value) => {
        if (Number((value as Json)['doneBytes']) > 0) begun();
      })
      .then(
        () => 'protected',
        (error: unknown) => String(error),
      );
    await seeding;
    process.kill(pair.primaryDaemon.pid ?? 0, 'SIGTERM');
    expect(await protecting).toContain('stage seed');
    expect(await pair.primaryDaemon.exited).toBe(0);
    expect(await graphOf(pair.primary)).toEqual(before);
    await expectGuestWell(pair);
  });
});
