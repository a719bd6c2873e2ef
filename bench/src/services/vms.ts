/** The contenders of B9: a VM with the six services, alone or protected. */
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type ClientNetwork,
  type DiskLimits,
  LabDaemon,
  type LabMachine,
  LabVm,
  primaryCommand,
  secondaryCommand,
  SlowHost,
} from '@gannet/lab';
import type { ComparedCard, LinkKind } from '@gannet/qmp-driver';
import { startColo } from '../harness/colo-vm.js';
import { pin, raisePriority, type Side } from '../harness/pin.js';
import { BenchError, type Scope } from '../harness/scope.js';
import { GuestConsole } from './console.js';
import type { ServiceImages } from './images.js';

export const PERIOD_MS = 2000;
/** Where packets are compared: what they ask for comes in addition. */
export const OUTSIDE_PERIOD_MS = 10_000;
const PATIENCE_MS = 120_000;
/** Checkpoints after which all that was written before the first of them is on its way. */
const LAST_CHECKPOINTS = 4;

export interface SecondarySide {
  readonly vm: LabVm;
  /** Of the VM, and of the daemon if there is one. */
  readonly pids: readonly number[];
  /** The image that holds what the primary's disk holds, after `settled`. */
  readonly disk: string;
  /** How many there have been. */
  checkpoints(): number;
  /** Waits until nothing is on its way to `disk` any more. */
  settled(): Promise<void>;
  /** Makes it go on, after the death of the primary. Gannet's alone can. */
  failOver?(): Promise<void>;
}

/** How a VM that has booted gets its secondary. */
export type Protect = (started: StartedVm) => Promise<SecondarySide | undefined>;

/** A primary VM whose services run. */
export interface StartedVm {
  readonly scope: Scope;
  readonly images: ServiceImages;
  readonly folder: string;
  readonly primary: LabVm;
  readonly console: GuestConsole;
  readonly disk: string;
  readonly sizeBytes: number;
  readonly hosts: Readonly<Record<Side, SlowHost>>;
  /** With a client outside, whose packets are compared once there is a secondary. */
  readonly network?: ClientNetwork | undefined;
}

const NO_LIMITS: DiskLimits = { iops: 0, bytesPerSec: 0 };

/** Boots the VM on a host of its own, on a copy of the data; the disks are not limited yet. */
export async function bootServices(
  scope: Scope,
  images: ServiceImages,
  services: readonly string[],
  network?: ClientNetwork,
): Promise<StartedVm> {
  const folder = await scope.folder();
  const disk = path.join(folder, 'primary.raw');
  // Written, so that no request of a service has to allocate.
  await scope.run(['cp', '--sparse=never', images.data, disk], { timeoutMs: PATIENCE_MS });
  await scope.run(['sync', disk], { timeoutMs: PATIENCE_MS });
  const hosts = { primary: await hostIn(scope), secondary: await hostIn(scope) };
  const { machine, qemu } = wired(images.machine, 'primary', network);
  const command = primaryCommand(machine, [{ path: disk, direct: true }]);
  const primary = await LabVm.start({ name: 'pvm', dir: folder, ...command, qemu });
  scope.defer(() => primary.dispose());
  await hosts.primary.take(primary.pid);
  await pin(scope, 'primary', primary.pid);
  const console = new GuestConsole(primary);
  scope.defer(() => console.close());
  await console.said('READY');
  for (const service of services) await console.command(`start ${service}`);
  const { size: sizeBytes } = await stat(disk);
  return { scope, images, folder, primary, console, disk, sizeBytes, hosts, network };
}

/** The machine with its card, and QEMU where its network is. */
function wired(
  machine: LabMachine,
  side: Side,
  network: ClientNetwork | undefined,
): { readonly machine: LabMachine; readonly qemu: readonly string[] } {
  const qemu = 'qemu-system-x86_64';
  if (!network) return { machine, qemu: [qemu] };
  const tap = network.tap(side === 'primary' ? 0 : 1);
  const card = { tap, address: network.guestAddress };
  return { machine: { ...machine, card }, qemu: network.inside(qemu) };
}

async function hostIn(scope: Scope): Promise<SlowHost> {
  const host = await SlowHost.create(NO_LIMITS);
  scope.defer(() => host.dispose());
  return host;
}

export const alone: Protect = () => Promise.resolve(undefined);

function periodOf(network: ClientNetwork | undefined): number {
  return network ? OUTSIDE_PERIOD_MS : PERIOD_MS;
}

/** The card that wired() gives to both. */
function cardOf(folder: string): ComparedCard {
  const at = (name: string) => ({ type: 'unix', path: path.join(folder, name) }) as const;
  return { netdev: 'net0', mirror: at('mirror'), compare: at('compare') };
}

/** Stock COLO, with the active and the hidden disk of the secondary where `where` says. */
export function colo(where: 'disk' | 'memory'): Protect {
  return async ({ scope, images, folder, primary, sizeBytes, hosts, network }) => {
    const disk = path.join(folder, 'secondary.raw');
    const { machine, qemu } = wired(images.machine, 'secondary', network);
    await scope.run(['truncate', '--size', `${sizeBytes}`, disk]);
    const { vm, checkpoints } = await startColo({
      ...{ scope, folder, primary, disk, sizeBytes, qemu, periodMs: periodOf(network) },
      command: primaryCommand(machine, [{ path: disk }]),
      cards: network ? [cardOf(folder)] : [],
      overlays: where === 'disk' ? folder : await scope.folder('memory'),
      direct: where === 'disk' ? 'disk and overlays' : 'disk',
      onStarted: async (secondary) => {
        await hosts.secondary.take(secondary.pid);
        await pin(scope, 'secondary', secondary.pid);
      },
    });
    return { vm, pids: [vm.pid], disk, checkpoints, settled: () => Promise.resolve() };
  };
}

/** Gannet as its README says. */
export function gannet(link: LinkKind): Protect {
  return async ({ scope, images, folder, primary, sizeBytes, hosts, network }) => {
    const file = (name: string): string => path.join(folder, name);
    const at = (name: string): string => `unix:${file(name)}`;
    const packets = { mirror: at('mirror'), compare: at('compare') };
    const common = {
      vm: 'bench',
      primary: {
        ...{ link, nbd: at('nbd'), migrate: at('incoming'), peer: at('peer') },
        checkpointPeriodMs: periodOf(network),
      },
      ...(network && { network: [{ netdev: 'net0', primary: packets, secondary: packets }] }),
    };
    const disk = file('secondary.raw');
    const secondary = await daemonIn(scope, folder, 'secondary', {
      ...{ ...common, control: file('secondary.ctl'), qmp: at('svm/qmp1.sock') },
      disks: [{ name: 'disk0', device: 'vb0', base: disk, format: 'raw', size: sizeBytes }],
      secondary: { nbd: at('nbd'), peer: at('peer') },
    });
    const exported = [{ socketPath: file('nbd'), exportName: 'svm' }];
    const { machine, qemu } = wired(images.machine, 'secondary', network);
    const command = secondaryCommand(machine, exported, at('incoming'));
    const vm = await LabVm.start({ name: 'svm', dir: folder, ...command, qemu });
    scope.defer(() => vm.dispose());
    const daemon = await daemonIn(scope, folder, 'primary', {
      ...{ ...common, control: file('primary.ctl'), qmp: `unix:${primary.qmpPaths[1]}` },
      disks: [{ name: 'disk0', device: 'vb0' }],
    });
    await until('the primary daemon to find its VM', () =>
      daemon.eventsOf('vm').some(({ state }) => state === 'ready'),
    );
    await hosts.primary.take(pidOf(daemon));
    await pin(scope, 'primary', daemon.pid);
    for (const pid of [vm.pid, pidOf(secondary)]) await hosts.secondary.take(pid);
    await pin(scope, 'secondary', vm.pid, secondary.pid);
    await raisePriority(scope, secondary.pid);
    await daemon.client.call('protect');
    return {
      ...{ vm, pids: [vm.pid, pidOf(secondary)], disk },
      checkpoints: () => secondary.eventsOf('commit').length,
      settled: () =>
        until('the write-back to end', async () => {
          const { disks } = (await secondary.client.call('status')) as {
            disks: { epochsToWriteBack: number }[];
          };
          return disks.every(({ epochsToWriteBack }) => epochsToWriteBack === 0);
        }),
      failOver: async () => {
        await until('the end of the primary to be known', () =>
          secondary.eventsOf('peer').some((event) => event.vm === 'lost'),
        );
        await secondary.client.call('failover', { force: false });
      },
    };
  };
}

/** Waits for `count` more checkpoints. */
export async function waitForCheckpoints(side: SecondarySide, count: number): Promise<void> {
  const all = side.checkpoints() + count;
  await until(`${count} checkpoints`, () => {
    if (!side.vm.running) throw new BenchError(`the secondary has ended: ${side.vm.stderrTail}`);
    return side.checkpoints() >= all;
  });
}

/**
 * Ends the services, and compares the disks of both sides without limits.
 *
 * @throws BenchError if they differ
 */
export async function compareDisks(
  { scope, console, hosts, disk }: StartedVm,
  side: SecondarySide,
  services: readonly string[],
): Promise<void> {
  for (const host of Object.values(hosts)) await host.limit(undefined);
  for (const service of services) await console.command(`stop ${service}`);
  await console.command('sync');
  await waitForCheckpoints(side, LAST_CHECKPOINTS);
  await side.settled();
  await scope.run(['cmp', disk, side.disk], { timeoutMs: PATIENCE_MS });
}

async function daemonIn(
  scope: Scope,
  dir: string,
  role: Side,
  config: { readonly control: string; readonly [key: string]: unknown },
): Promise<LabDaemon> {
  const daemon = await LabDaemon.start({ role, dir, config });
  scope.defer(async () => {
    await daemon.kill();
  });
  return daemon;
}

function pidOf({ pid }: LabDaemon): number {
  if (pid === undefined) throw new BenchError('a daemon has ended');
  return pid;
}

async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + PATIENCE_MS;
  while (!(await isSo())) {
    if (performance.now() > deadlineMs) throw new BenchError(`${what}: not within two minutes`);
    await sleep(10);
  }
}
