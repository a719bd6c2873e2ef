import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { PrimaryDriver, SecondaryDriver } from '../../src/index.js';
import { COLO, driveFakeVm, type DrivenVm, FAST, linkOf } from '../support/driver.js';

let vm: DrivenVm['vm'];
let qmp: DrivenVm['qmp'];
let driver: DrivenVm['driver'];

beforeEach(async () => {
  ({ vm, qmp, driver } = await driveFakeVm());
});
afterEach(() => qmp.close());

const NONE = { 'tls-creds': '', 'tls-hostname': '', 'tls-authz': '' };
const URI = 'tcp:host-b:10811';

describe('a primary', () => {
  async function enter(creds = 'gannet-tls'): Promise<void> {
    await driver.seed([linkOf('mirror')]);
    await driver.attach([linkOf('mirror')]);
    await driver.start({ ...COLO, uri: URI, tls: { creds, hostname: 'host-b' } });
  }

  test('sends the memory with TLS, and checks the name in the certificate', async () => {
    const migrated = vm.qemu.nextRequest('migrate').then(() => ({ ...vm.migrationTls }));
    await enter();
    expect(await migrated).toEqual({
      ...NONE,
      'tls-creds': 'gannet-tls',
      'tls-hostname': 'host-b',
    });
    await driver.runAlone();
    expect(vm.migrationTls).toEqual(NONE);
  });

  test('that was adopted leaves nothing of it behind', async () => {
    await enter();
    const next = new PrimaryDriver(qmp, FAST);
    await next.adopt([linkOf('mirror')]);
    await next.runAlone();
    expect(vm.migrationTls).toEqual(NONE);
  });

  test("leaves somebody else's settings alone", async () => {
    await driver.seed([linkOf('mirror')]);
    await driver.attach([linkOf('mirror')]);
    vm.migrationTls['tls-creds'] = 'libvirt_migrate';
    await driver.runAlone();
    expect(vm.migrationTls['tls-creds']).toBe('libvirt_migrate');
  });
});

describe('a secondary', () => {
  let secondary: SecondaryDriver;
  const tls = { creds: { kind: 'x509', dir: '/etc/gannet/tls' }, clients: ['host-a'] } as const;

  beforeEach(() => {
    vm.status = 'inmigrate';
    secondary = new SecondaryDriver(qmp, { pollMs: 5 });
  });

  test('waits with TLS, for those who may connect', async () => {
    vm.incoming = 'defer';
    await secondary.prepare({ tls, incoming: { uri: URI, hasTls: true } });
    expect(vm.incomingUri).toBe(URI);
    expect(vm.objects.get('gannet-tls-server')).toMatchObject({
      ...{ 'qom-type': 'tls-creds-x509', endpoint: 'server', 'verify-peer': true },
    });
    const allowed = ['CN=host-a', '*,CN=host-a', 'CN=host-a,*', '*,CN=host-a,*'];
    expect(vm.objects.get('gannet-tls-authz')).toEqual({
      'qom-type': 'authz-list',
      policy: 'deny',
      rules: allowed.map((match) => ({ match, policy: 'allow', format: 'glob' })),
    });
    expect(vm.migrationTls).toEqual({
      ...{ ...NONE, 'tls-creds': 'gannet-tls-server', 'tls-authz': 'gannet-tls-authz' },
    });
    // Everything is set before anybody can connect.
    const commands = vm.commands();
    const listens = commands.indexOf('migrate-incoming');
    expect(commands.lastIndexOf('migrate-set-parameters')).toBeLessThan(listens);
    expect(commands.lastIndexOf('migrate-set-capabilities')).toBeLessThan(listens);
  });

  test('with a pre-shared key gives no name: QEMU refuses one of a server', async () => {
    vm.incoming = 'defer';
    const creds = { kind: 'psk', dir: '/etc/gannet/tls', username: 'gannet' } as const;
    await secondary.prepare({ tls: { creds }, incoming: { uri: URI, hasTls: true } });
    expect(vm.objects.get('gannet-tls-server')).toEqual({
      ...{ 'qom-type': 'tls-creds-psk', endpoint: 'server', dir: '/etc/gannet/tls' },
    });
    expect(vm.migrationTls['tls-authz']).toBe('');
  });

  test('that waits already, for an earlier process, goes on waiting', async () => {
    vm.incoming = 'started';
    await secondary.prepare({ incoming: { uri: URI, hasTls: false } });
    expect(vm.migrationTls).toEqual(NONE);
  });

  test('that was not started for it is refused, with what to do', async () => {
    await expect(
      secondary.prepare({ incoming: { uri: URI, hasTls: false } }),
    ).rejects.toMatchObject({
      code: 'DRIVER_NOT_INCOMING',
      remedy: expect.stringContaining('-incoming defer'),
    });
  });

  test('that is the VM now sends its own memory as its next primary says', async () => {
    vm.incoming = 'defer';
    await secondary.prepare({ tls, incoming: { uri: URI, hasTls: true } });
    vm.status = 'running';
    vm.migration = 'completed';
    await secondary.moveToLocal([], () => Promise.resolve());
    expect(vm.migrationTls).toEqual(NONE);
    expect([...vm.objects.keys()]).toEqual([]);
  });
});
