/**
 * What a caller without types may get wrong at the doors of the packages: each mistake is answered
 * with an error of the package, with its code and what to do, before anything is opened.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ControlClient } from '@gannet/contract/client';
import { NbdClient, NbdServer, MemoryExport } from '@gannet/nbd';
import { openBase, recoverBases, Replica } from '@gannet/replicator';
import { Daemon } from 'gannet';
import { connectWithRetry, QmpClient, QmpReconnectingClient } from 'qemu-qmp-client';

/** Any function, called with anything. */
type Door = (...args: unknown[]) => unknown;

function door<T extends object>(owner: T, name: keyof T): Door {
  return (owner[name] as Door).bind(owner);
}

const log = { log: 0, child: () => ({}) };
const server = new NbdServer({ exports: [] });
const NO_PATH = { target: { kind: 'unix', path: '' } };
const TWINS = { exports: [new MemoryExport('disk', 512), new MemoryExport('disk', 512)] };
const construct =
  (made: unknown): Door =>
  (...args) =>
    new (made as new (...args: unknown[]) => unknown)(...args);

const DOORS: readonly (readonly [string, Door, string, readonly (readonly unknown[])[]])[] = [
  ...[
    ['QmpClient.connect', door(QmpClient, 'connect')] as const,
    ['QmpReconnectingClient.connect', door(QmpReconnectingClient, 'connect')] as const,
    ['connectWithRetry', connectWithRetry as unknown as Door] as const,
  ].map(
    ([name, open]) =>
      [name, open, 'QMP_INVALID_OPTION', [[], [null], ['/run/vm.qmp'], [{}], [NO_PATH]]] as const,
  ),
  ...[
    ['NbdClient.connect', door(NbdClient, 'connect')] as const,
    ['NbdClient.list', door(NbdClient, 'list')] as const,
    ['NbdServer.listen', door(server, 'listen')] as const,
  ].map(
    ([name, open]) =>
      [
        name,
        open,
        'NBD_USAGE',
        [[], [null], ['/run/nbd.sock'], [{}], [{ host: 'a' }], [{ host: 'a', port: '10809' }]],
      ] as const,
  ),
  ['new NbdServer', construct(NbdServer), 'NBD_USAGE', [[], [{}], [{ exports: 'disk' }], [TWINS]]],
  ['new MemoryExport', construct(MemoryExport), 'NBD_USAGE', [[], ['disk'], ['disk', -1]]],
  ['Replica.open', door(Replica, 'open'), 'REPLICA_OPTIONS', [[], [{}], [{ vm: 'a', disks: {} }]]],
  ['openBase', openBase as Door, 'REPLICA_OPTIONS', [[], [{}], ['/tmp/disk.raw']]],
  ['recoverBases', recoverBases as Door, 'REPLICA_OPTIONS', [[], [{}], [[{}]]]],
  ['ControlClient.connect', door(ControlClient, 'connect'), 'GANNET_USAGE', [[], [''], [{}]]],
  [
    'ControlClient.connectWithin',
    door(ControlClient, 'connectWithin'),
    'GANNET_USAGE',
    [[], ['/nowhere.sock'], ['/nowhere.sock', NaN]],
  ],
  [
    'Daemon.start',
    door(Daemon, 'start'),
    'GANNET_USAGE',
    [[], [{}], [{ vm: 'a', control: '/nowhere.sock' }, 'first', log], [{ vm: 'a' }, 'primary']],
  ],
];

describe.each(DOORS)('%s', (_name, open, code, mistakes) => {
  test.each(mistakes.map((args) => [JSON.stringify(args).slice(1, -1), args] as const))(
    'called with (%s)',
    async (_text, args) => {
      const outcome = await Promise.resolve()
        .then(() => open(...args))
        .catch((error: unknown) => error);
      expect(outcome).toMatchObject({ code, remedy: expect.stringMatching(/^[A-Z].*\.$/) });
      // It names what is wrong, not what the code tripped over.
      expect((outcome as Error).message).not.toMatch(
        /undefined \(reading|destructure|in' operator/,
      );
    },
  );
});

describe('what cannot be opened is told apart', () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(path.join(tmpdir(), 'gannet-misuse-'));
  });
  afterAll(() => rm(dir, { recursive: true }));

  test('a folder that is missing is no address in use', async () => {
    await using server = new NbdServer({ exports: [] });
    await expect(server.listen({ path: path.join(dir, 'none', 'nbd') })).rejects.toMatchObject({
      code: 'NBD_LISTEN',
      reason: 'unusable',
      remedy: expect.stringContaining('its folder has to be there'),
    });
    const at = { path: path.join(dir, 'nbd') };
    await server.listen(at);
    await using second = new NbdServer({ exports: [] });
    await expect(second.listen(at)).rejects.toMatchObject({
      reason: 'in-use',
      remedy: expect.stringContaining('Stop the program that uses the address'),
    });
  });

  test('a monitor that never comes: what the last attempt met, and what to check', async () => {
    const target = { kind: 'unix', path: path.join(dir, 'vm.qmp') } as const;
    await expect(connectWithRetry({ target, deadlineMs: 30 })).rejects.toMatchObject({
      code: 'QMP_CONNECT_TIMEOUT',
      message: expect.stringMatching(/^nobody answered at .*vm\.qmp for 30 ms: .*ENOENT/),
      remedy: expect.stringContaining('Check the path or address'),
    });
  });

  test('a replica that is closed does not ask for a gate', async () => {
    const disks = [{ name: 'a', base: path.join(dir, 'base.raw'), sizeBytes: 1 << 20 }];
    const replica = await Replica.open({ vm: 'web', disks });
    await replica.close();
    expect(() => replica.commit()).toThrow(
      expect.objectContaining({
        code: 'REPLICA_STATE',
        message: "can't commit: the replica is closed",
      }),
    );
  });
});
