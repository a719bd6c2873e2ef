import type { ExportSession, SessionEnd } from '@gannet/nbd';
import { Replica } from '../../src/replica.js';
import type { CommitResult, ReplicaEvent } from '../../src/replica-events.js';
import type { ReplicaOptions } from '../../src/replica-options.js';

export const DISK_BYTES = 256 * 1024;
export const LOST: SessionEnd = { kind: 'lost', error: undefined, midRequest: false };
export const CUT: SessionEnd = { kind: 'lost', error: new Error('reset'), midRequest: true };
export const LEFT: SessionEnd = { kind: 'disconnect' };

/** A replica with its exports opened as the two VMs would: by disk name. */
export class TestVm {
  readonly pvm = new Map<string, ExportSession>();
  readonly svm = new Map<string, ExportSession>();
  readonly events: ReplicaEvent[] = [];

  private constructor(readonly replica: Replica) {
    replica.on((event) => this.events.push(event));
  }

  /** One base `<name>.raw` a disk, in the folder that `at` names files in. */
  static async open(
    at: (file: string) => string,
    names: readonly string[] = ['disk'],
    options: Partial<ReplicaOptions> = {},
  ): Promise<TestVm> {
    const disks = names.map((name) => ({ name, base: at(`${name}.raw`), sizeBytes: DISK_BYTES }));
    return new TestVm(await Replica.open({ vm: 'vm', disks, ...options }));
  }

  connect(side: 'pvm' | 'svm', disk = 'disk'): ExportSession {
    const name = this.replica.disks.length === 1 ? side : `${disk}-${side}`;
    const found = this.replica.exports.find((one) => one.name === name);
    if (!found) throw new Error(`no export ${name}`);
    const session = found.open({ id: 1, address: 'test' }) as ExportSession;
    this[side].set(disk, session);
    return session;
  }

  connectAll(): this {
    for (const { name } of this.replica.disks) {
      this.connect('pvm', name);
      this.connect('svm', name);
    }
    return this;
  }

  /** A checkpoint, as the checkpointer does one. */
  commit(): CommitResult {
    return this.#closed(() => this.replica.commit());
  }

  failOver(): CommitResult {
    return this.#closed(() => this.replica.failOver());
  }

  async write(side: 'pvm' | 'svm', text: string, offset = 0, disk = 'disk'): Promise<void> {
    await this[side].get(disk)?.write(offset, Buffer.from(text), false);
  }

  async read(side: 'pvm' | 'svm', length: number, offset = 0, disk = 'disk'): Promise<string> {
    const target = Buffer.alloc(length, 0xaa);
    await this[side].get(disk)?.read(offset, target);
    return target.toString('latin1').replaceAll('\0', '.');
  }

  /** Write-back, done by hand. @returns whether there was something to write */
  async writeBack(): Promise<boolean> {
    const batch = this.replica.nextBatch();
    if (!batch) return false;
    await batch.ready();
    for (const run of batch.runs()) await run.write();
    await batch.sync();
    batch.finish();
    return true;
  }

  #closed(step: () => CommitResult): CommitResult {
    this.replica.gate.close();
    try {
      return step();
    } finally {
      this.replica.gate.open();
    }
  }
}
