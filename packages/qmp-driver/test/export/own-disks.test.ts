import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { OwnDisks } from '../../src/export/own-disks.js';
import { DONE, FakeVm } from '../support/fake-vm.js';

const SERVER = { type: 'unix', path: '/nbd.sock' } as const;
const DISK = { device: 'vb0', link: 'nbd', server: SERVER, export: 'pvm', id: 'g0' } as const;

interface Export {
  readonly id: string;
  readonly type: string;
  'shutting-down': boolean;
}

/** A QEMU with an NBD server. It does not let go of an export whose storage hangs on a read. */
class Exporting {
  readonly vm = new FakeVm();
  exports: Export[] = [];
  hangs = false;

  constructor() {
    const { qemu } = this.vm;
    qemu.on('query-block-exports', () => ({ return: this.exports }));
    qemu.on('nbd-server-start', () => DONE);
    qemu.on('nbd-server-stop', () => DONE);
    qemu.on('block-export-add', ({ arguments: { id, type } }) => {
      this.exports.push({ id: String(id), type: String(type), 'shutting-down': false });
      return DONE;
    });
    qemu.on('block-export-del', ({ arguments: { id } }) => {
      for (const one of this.exports) if (one.id === id) one['shutting-down'] = true;
      if (!this.hangs) this.exports = this.exports.filter((one) => one.id !== id);
      return DONE;
    });
  }

  async open(timeoutMs = 5000, socket = '/none/own.sock'): Promise<OwnDisks> {
    return OwnDisks.open(await this.vm.connect(), [DISK], socket, { timeoutMs });
  }

  /** Of the NBD server. */
  get commands(): string[] {
    return this.vm.commands().filter((name) => /^(nbd-server|block-export)-/.test(name));
  }
}

describe('the disks of a primary that are exported to its daemon', () => {
  it('are taken back, and the server with them', async () => {
    const qemu = new Exporting();
    await (await qemu.open()).close();
    expect(qemu.commands).toEqual([
      ...['nbd-server-start', 'block-export-add'],
      ...['block-export-del', 'nbd-server-stop'],
    ]);
  });

  it('are left, and the server too, while a read of them hangs', async () => {
    const qemu = new Exporting();
    const own = await qemu.open(50);
    qemu.hangs = true;
    await expect(own.close()).rejects.toMatchObject({ code: 'DRIVER_DEADLINE' });
    expect(qemu.commands).not.toContain('nbd-server-stop');
  });

  it('are cleared when they are opened again', async () => {
    const qemu = new Exporting();
    qemu.hangs = true;
    await expect((await qemu.open(50)).close()).rejects.toMatchObject({ code: 'DRIVER_DEADLINE' });
    await expect(qemu.open(50)).rejects.toMatchObject({ code: 'DRIVER_DEADLINE' });
    // The storage answers again.
    qemu.hangs = false;
    qemu.exports = [];
    await (await qemu.open()).close();
    expect(qemu.commands.filter((name) => name === 'block-export-del')).toHaveLength(2);
  });

  it('leave a server without exports, which is stopped: by its socket it is known', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'gannet-own-'));
    const socket = path.join(folder, 'own.sock');
    await writeFile(socket, '');
    const qemu = new Exporting();
    await qemu.open(5000, socket);
    await rm(folder, { recursive: true });
    expect(qemu.commands.slice(0, 2)).toEqual(['nbd-server-stop', 'nbd-server-start']);
  });

  it("leave somebody else's NBD server alone", async () => {
    const qemu = new Exporting();
    qemu.exports = [
      { id: 'gannet-own-g0', type: 'nbd', 'shutting-down': false },
      { id: 'backup', type: 'nbd', 'shutting-down': false },
    ];
    await qemu.open();
    expect(qemu.commands).not.toContain('nbd-server-stop');
  });
});
