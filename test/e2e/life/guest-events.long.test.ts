import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { FAILOVER_EVIDENCE, type PrimaryState } from '@gannet/contract';
import { findGuest, LabPair, type LabVm } from '@gannet/lab';
import { waiting } from '@gannet/test-support/waiting.js';
import { eventfulMachine, inGuest, onQmp } from './guest-shell.js';

// What the guest does by itself, or is made to do, while it is protected.

const { until } = waiting({ patienceMs: 60_000 });
const PEER = { heartbeatMs: 100, lowMs: 400, highMs: 1000 };

let pair: LabPair | undefined;
afterEach(async () => {
  await pair?.dispose();
  pair = undefined;
});

interface Scene {
  readonly qemu?: readonly string[];
  readonly primary?: Record<string, unknown>;
}

/** An automatic secondary: whatever could make it take over, or fence, does. */
async function protectedPair({ qemu = [], primary = {} }: Scene = {}): Promise<LabPair> {
  const made = await LabPair.create({
    ...{ guest: await findGuest(), periodMs: 500, machine: eventfulMachine(...qemu) },
    secondary: { failover: 'automatic' },
    config: () => ({ peer: PEER, fence: { command: ['/bin/true'] } }),
  });
  pair = made;
  const configOf = made.configOf.bind(made);
  made.configOf = (role) => {
    const config = configOf(role);
    return { ...config, primary: { ...(config['primary'] as object), ...primary } };
  };
  await made.startProtected(3);
  return made;
}

async function primaryIs(state: PrimaryState): Promise<void> {
  await until(
    () => pair?.primaryDaemon.client.call('status'),
    (status) => status?.state === state,
  );
}

async function runStateOf(which: 'primary' | 'secondary'): Promise<string> {
  if (!pair) throw new Error('no pair');
  return (await onQmp(pair[which], (qmp) => qmp.execute('query-status', {}))).status;
}

/** Not even when the primary's host goes down afterwards. */
async function nobodyTakesOver(): Promise<void> {
  if (!pair) throw new Error('no pair');
  const { primaryDaemon, secondaryDaemon } = pair;
  await until(
    () => secondaryDaemon.client.call('status'),
    ({ state, reason }) =>
      state === 'diverged' && reason === 'the VM was ended on purpose, on the primary host',
  );
  await until(
    () => runStateOf('secondary'),
    (state) => state === 'paused',
  );
  await primaryDaemon.kill('SIGKILL');
  await until(
    () => secondaryDaemon.client.call('status'),
    ({ peer }) => peer.pulse === 'lost',
  );
  // It would fence after twice this time.
  await sleep(3 * PEER.highMs);
  for (const kind of ['fence', 'failover-begins'] as const) {
    expect(secondaryDaemon.eventsOf(kind)).toEqual([]);
    expect(primaryDaemon.eventsOf(kind === 'fence' ? 'fence' : 'alone')).toEqual([]);
  }
}

async function takenOver(evidence: string): Promise<void> {
  if (!pair) throw new Error('no pair');
  const { secondaryDaemon } = pair;
  await until(
    () => secondaryDaemon.client.call('status'),
    ({ state }) => state === 'retired',
  );
  expect(secondaryDaemon.eventsOf('failover-begins')).toMatchObject([{ evidence }]);
  const { digests, isClean } = await pair.compare();
  expect(isClean).toBe(true);
  expect(digests.filter(({ equal }) => !equal)).toEqual([]);
}

describe('an end on purpose: nobody takes over, nobody is fenced', () => {
  it('poweroff in the guest', async () => {
    const { primary, primaryDaemon } = await protectedPair();
    await inGuest(primary, 'poweroff -f');
    await primary.exited;
    await primaryIs('ended');
    expect(primaryDaemon.eventsOf('guest-ended')).toMatchObject([
      { reason: 'the guest shut itself down' },
    ]);
    await nobodyTakesOver();
  });

  it('QEMU is told to quit', async () => {
    const { primary, primaryDaemon } = await protectedPair();
    await onQmp(primary, (qmp) => qmp.execute('quit', {}));
    await primary.exited;
    await primaryIs('ended');
    expect(primaryDaemon.eventsOf('guest-ended')).toMatchObject([
      { reason: 'QEMU was told to quit' },
    ]);
    await nobodyTakesOver();
  });

  it('with -no-shutdown QEMU stays, and may run the guest again, unprotected', async () => {
    const { primary } = await protectedPair({
      qemu: ['-action', 'shutdown=pause', '-action', 'reboot=reset'],
    });
    await inGuest(primary, 'poweroff -f');
    await primaryIs('ended');
    expect(await runStateOf('primary')).toBe('shutdown');
    await until(
      () => onQmp(primary, (qmp) => qmp.execute('query-named-block-nodes', { flat: true })),
      (nodes) => nodes.every((node) => !/-(link|nbd|seed)$/.test(node['node-name'] ?? '')),
    );
    await onQmp(primary, async (qmp) => {
      await qmp.execute('system_reset', {});
      await qmp.execute('cont', {});
    });
    await primaryIs('unprotected');
    expect(await runStateOf('primary')).toBe('running');
    await nobodyTakesOver();
  });
});

it('SIGTERM may come from a host that goes down: the secondary takes over', async () => {
  const { primary, primaryDaemon } = await protectedPair();
  await primary.kill('SIGTERM');
  await takenOver(FAILOVER_EVIDENCE.word);
  expect(primaryDaemon.eventsOf('guest-ended')).toEqual([]);
});

describe('a guest that panics', () => {
  /** Writes to the port of pvpanic, as the driver of a guest does: the lab's has none. */
  const panic = (vm: LabVm): Promise<unknown> =>
    onQmp(vm, (qmp) => qmp.executeRaw('human-monitor-command', { 'command-line': 'o /b 0x505 1' }));

  it.each(['pause', 'shutdown', 'none'])(
    'is taken over, whatever QEMU does (-action panic=%s)',
    async (action) => {
      const { primary, primaryDaemon } = await protectedPair({
        qemu: ['-action', `panic=${action}`],
      });
      await panic(primary);
      await takenOver(FAILOVER_EVIDENCE.yielding);
      expect(primaryDaemon.eventsOf('yielding')).toMatchObject([{ reason: 'the guest panicked' }]);
      if (action !== 'shutdown') expect(await runStateOf('primary')).not.toBe('running');
    },
  );

  it('ends, where the configuration says so', async () => {
    const { primary } = await protectedPair({ primary: { onGuestCrash: 'end' } });
    await panic(primary);
    await primary.exited;
    await primaryIs('ended');
    await nobodyTakesOver();
  });
});

it('reboot, suspend, eject, hot-plug, pause: the VM stays protected', async () => {
  const made = await protectedPair({
    qemu: [
      ...['-action', 'reboot=reset', '-device', 'ide-cd,id=cd0,drive=medium'],
      ...['-blockdev', 'driver=null-co,read-only=on,size=1048576,node-name=medium'],
    ],
  });
  const { primary, primaryDaemon } = made;
  const isWell = async (): Promise<void> => {
    await made.waitForCommits(made.commits.length + 3);
    await primaryIs('protected');
    expect(await runStateOf('primary')).not.toBe('suspended');
  };

  // `stop` lasts until the next checkpoint.
  await onQmp(primary, (qmp) => qmp.execute('stop', {}));
  await isWell();
  await onQmp(primary, (qmp) => qmp.executeRaw('eject', { id: 'cd0', force: true }));
  await isWell();
  const plug = onQmp(primary, (qmp) =>
    qmp.executeRaw('device_add', { driver: 'virtio-rng-pci', id: 'rng0' }),
  );
  await expect(plug).rejects.toThrow(/migrat/i);
  const unplug = onQmp(primary, (qmp) => qmp.executeRaw('device_del', { id: 'cd0' }));
  await expect(unplug).rejects.toThrow();
  await isWell();
  await inGuest(primary, 'echo mem >/sys/power/state');
  await until(
    () => primaryDaemon.eventsOf('guest-woken'),
    (events) => events.length > 0,
  );
  await isWell();
  await primary.oracle.waitForWrites(100, { signal: primary.gone });

  // The oracles of the next boot expect an empty disk.
  await primary.command('stop');
  await primary.oracle.waitForDigests(made.regionCount, { signal: primary.gone });
  const drive = '/machine/peripheral/vb0/virtio-backend';
  const wipe = { 'command-line': `qemu-io -d ${drive} "write -z 0 64M"` };
  await onQmp(primary, (qmp) => qmp.executeRaw('human-monitor-command', wipe));
  const { started } = primary.oracle;
  await inGuest(primary, 'reboot -f');
  await primary.oracle.waitForStart(started + made.regionCount, { signal: primary.gone });
  await primary.oracle.waitForWrites(100, { signal: primary.gone });
  await isWell();
  expect(primaryDaemon.eventsOf('secondary-lost')).toEqual([]);
  await primary.kill('SIGKILL');
  await takenOver(FAILOVER_EVIDENCE.word);
});
