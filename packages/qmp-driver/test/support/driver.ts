/** A primary's driver with QEMU as a fake, and the links of the fake's disks. */
import type { QmpClient } from 'qemu-qmp-client';
import {
  type DiskFailure,
  type DiskLink,
  type LinkFailure,
  type LinkKind,
  PrimaryDriver,
  type PrimaryOptions,
} from '../../src/index.js';
import { FakeVm } from './fake-vm.js';

/** Deadlines that a fake can miss within a test. */
export const FAST: PrimaryOptions = {
  probePeer: false,
  pollMs: 5,
  commandTimeoutMs: 1500,
  stepTimeoutMs: 3000,
  stallTimeoutMs: 1000,
};

export const COLO = { uri: 'unix:/nowhere/mig.sock', periodMs: 500, timeoutMs: 2000 };
/** The nodes of a new FakeVm. */
export const ORIGINAL = ['file0', 'disk0', 'quorum0', 'file1', 'plainnode'];

export interface DrivenVm {
  readonly vm: FakeVm;
  readonly qmp: QmpClient;
  readonly driver: PrimaryDriver;
  readonly failures: LinkFailure[];
  readonly diskFailures: DiskFailure[];
}

export async function driveFakeVm(): Promise<DrivenVm> {
  const vm = new FakeVm();
  const qmp = await vm.connect();
  const failures: LinkFailure[] = [];
  const diskFailures: DiskFailure[] = [];
  const driver = new PrimaryDriver(qmp, {
    ...FAST,
    onLinkFailure: (one) => failures.push(one),
    onDiskFailure: (one) => diskFailures.push(one),
  });
  return { vm, qmp, driver, failures, diskFailures };
}

export function linkOf(link: LinkKind, more: Partial<DiskLink> = {}): DiskLink {
  const server = { type: 'unix', path: '/nowhere/nbd.sock' } as const;
  return { device: 'vb0', link, server, export: 'pvm', id: 'g0', ...more };
}

/** The whole way into COLO. */
export async function protect(driver: PrimaryDriver, disk: DiskLink): Promise<void> {
  await driver.seed([disk]);
  await driver.attach([disk]);
  await driver.start(COLO);
  await driver.finishSeed();
}
