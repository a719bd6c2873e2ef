import { readFile } from 'node:fs/promises';
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { Disk } from '../../src/disk/disk.js';
import {
  FAILOVER_JOURNAL_STEPS,
  FailoverJournal,
  type FailoverPhase,
} from '../../src/durability/failover-journal.js';
import { Journal, replayJournal, type ReplayTarget } from '../../src/durability/journal.js';
import { Overlay } from '../../src/memory/overlay.js';
import { PAGE_BYTES, SLAB_BYTES, SlabPool } from '../../src/memory/slab-pool.js';
import { temporaryFiles } from '../support/files.js';
import { Random } from '@gannet/test-support/random.js';
import { SlowBase } from '../support/slow-base.js';

const UUID = '6f1c5a0e-0a40-4ac7-8ddf-6d3a2a64b1f0';
const SIZE = 64 * 1024;
const at = temporaryFiles();

afterEach(() => void jest.restoreAllMocks());

/** One disk of a replica, and its failover journal. */
class Scene {
  readonly pool = new SlabPool();
  readonly disk: Disk;
  readonly failover: FailoverJournal;
  memoryBytesMax = Infinity;
  held = 0;
  backlogs = 0;
  /** What the state files say. */
  recorded: string[] = [];
  recordFailover = (): Promise<void> => Promise.resolve(void this.recorded.push('failed-over'));
  recordRetired = (): Promise<void> => Promise.resolve(void this.recorded.push('retired'));
  #epoch = 0;

  constructor(sizeBytes = SIZE) {
    this.disk = new Disk('disk', new SlowBase(sizeBytes, new Random(1)), this.pool);
    // eslint-disable-next-line @typescript-eslint/no-this-alias
    const scene = this;
    this.failover = new FailoverJournal({
      ...{ journal: at('j'), uuid: UUID, disks: [this.disk] },
      get memoryBytesMax() {
        return scene.memoryBytesMax;
      },
      usedBytes: () => this.pool.usedBytes,
      seeded: () => Promise.resolve(),
      sealOpen: () => {
        if (!this.disk.isSecondaryEmpty) this.disk.sealSecondary(++this.#epoch);
      },
      recordFailover: () => this.recordFailover(),
      heldEpochs: () => this.held,
      onBacklog: () => this.backlogs++,
    });
  }

  /** A guest that has failed over, durably. */
  static async durable(sizeBytes = SIZE): Promise<Scene> {
    const scene = new Scene(sizeBytes);
    scene.failover.begin(0);
    await scene.failover.secure();
    return scene;
  }

  settle(): Promise<void> {
    return this.failover.settle(
      () => this.recordRetired(),
      () => undefined,
    );
  }

  write(text: string, offset = 0): void {
    this.disk.secondary.write(offset, Buffer.from(text));
  }

  /** Write-back, without a base. */
  async writeBack(): Promise<void> {
    this.disk.forget(this.disk.committed.filter((e) => this.failover.mayWriteBack(e)).length);
    await this.failover.batchWritten();
  }

  get isJournaled(): boolean {
    return this.disk.committed.every((epoch) => this.failover.isJournaled(epoch));
  }

  async end(): Promise<void> {
    await this.failover.close();
    await this.failover.letGo();
  }
}

/** Brings a scene into a phase. */
const INTO: Readonly<Record<FailoverPhase, (scene: Scene) => Promise<void>>> = {
  idle: () => Promise.resolve(),
  securing: (scene) => Promise.resolve(scene.failover.begin(0)),
  durable: async ({ failover }) => {
    failover.begin(0);
    await failover.secure();
  },
  retiring: async (scene) => {
    scene.failover.begin(0);
    await scene.failover.secure();
    let go: () => void = () => undefined;
    const recorded = new Promise<void>((resolve) => (go = resolve));
    scene.recordRetired = () => recorded;
    void scene.settle();
    while (scene.failover.phase !== 'retiring') await turn();
    // What the test does comes first.
    setTimeout(go, 20);
  },
  retired: async (scene) => {
    scene.failover.begin(0);
    await scene.settle();
  },
  lost: ({ failover }) => {
    failover.begin(0);
    return Promise.resolve(failover.lose(new Error('the fault')));
  },
  closed: (scene) => scene.failover.close(),
};

const CALLS = {
  begin: ({ failover }: Scene) => failover.begin(0),
  lose: ({ failover }: Scene) => failover.lose(new Error('the fault')),
  secure: ({ failover }: Scene) => failover.secure(),
  flush: ({ failover }: Scene) => failover.flush(),
  settle: (scene: Scene) => scene.settle(),
  close: ({ failover }: Scene) => failover.close(),
} as const;

const CALL_NAMES = ['begin', 'lose', 'secure', 'flush', 'settle', 'close'] as const;

/** The phase after the call, `refused` with REPLICA_STATE, or `fault`. */
// prettier-ignore
const TABLE: Readonly<Record<FailoverPhase, readonly string[]>> = {
  //         begin       lose        secure      flush      settle     close
  idle:     ['securing', 'lost',     'refused',  'refused', 'refused', 'closed'],
  securing: ['refused',  'lost',     'durable',  'durable', 'retired', 'closed'],
  durable:  ['refused',  'durable',  'durable',  'durable', 'retired', 'closed'],
  retiring: ['refused',  'retiring', 'retiring', 'refused', 'retired', 'retired'],
  retired:  ['refused',  'retired',  'retired',  'refused', 'retired', 'retired'],
  lost:     ['refused',  'lost',     'fault',    'fault',   'fault',   'closed'],
  closed:   ['refused',  'closed',   'refused',  'refused', 'refused', 'closed'],
};

const CELLS = Object.entries(TABLE).flatMap(([phase, row]) =>
  CALL_NAMES.map((call, at) => [phase as FailoverPhase, call, row[at] ?? ''] as const),
);

describe('phases', () => {
  test.each(CELLS)('%s, %s: %s', async (phase, call, end) => {
    const scene = new Scene();
    await INTO[phase](scene);
    expect(scene.failover.phase).toBe(phase);
    const done = (async () => CALLS[call](scene))();
    if (end === 'refused') await expect(done).rejects.toMatchObject({ code: 'REPLICA_STATE' });
    else if (end === 'fault') await expect(done).rejects.toThrow('the fault');
    else await done;
    const after = end === 'refused' || end === 'fault' ? phase : end;
    expect(scene.failover.phase).toBe(after);
    await scene.end();
  });

  test('every step of the table is one that is allowed, and all that are allowed are taken', () => {
    const taken = new Set(
      CELLS.filter(([from, , to]) => to in TABLE && from !== to).map(([from, , to]) => from + to),
    );
    // By more than one step, or when the state files can't be written: below.
    taken.delete('securingretired');
    taken.delete('durableretired');
    for (const step of ['durableretiring', 'retiringsecuring']) taken.add(step);
    const allowed = Object.entries(FAILOVER_JOURNAL_STEPS).flatMap(([from, tos]) =>
      tos.map((to) => from + to),
    );
    expect([...taken].sort()).toEqual(allowed.sort());
  });
});

describe('I4 durability', () => {
  test('after a sync that failed, the next flush journals everything again', async () => {
    const scene = await Scene.durable();
    scene.write('kept');
    const sync = jest
      .spyOn(Journal.prototype, 'sync')
      .mockRejectedValueOnce(new Error('disk on fire'));
    await expect(scene.failover.flush()).rejects.toThrow('disk on fire');
    expect(scene.isJournaled).toBe(false);
    await scene.failover.flush();
    expect(sync).toHaveBeenCalledTimes(2);
    sync.mockRestore();
    expect(scene.isJournaled).toBe(true);
    await scene.end();
    expect((await contents()).toString('latin1', 0, 4)).toBe('kept');
  });

  test('flushes that come during one share the next; none is answered early', async () => {
    const scene = await Scene.durable();
    const sync = jest.spyOn(Journal.prototype, 'sync');
    scene.write('a');
    const first = scene.failover.flush();
    await turn();
    scene.write('b', 1);
    await Promise.all([first, scene.failover.flush(), scene.failover.flush()]);
    expect(sync).toHaveBeenCalledTimes(2);
    sync.mockRestore();
    expect(scene.isJournaled).toBe(true);
    await scene.end();
    expect((await contents()).toString('latin1', 0, 2)).toBe('ab');
  });

  test('the journal is emptied only when the bases hold all of it', async () => {
    const scene = await Scene.durable();
    scene.write('a');
    await scene.failover.flush();
    await scene.failover.batchWritten();
    expect((await readFile(at('j'))).length).toBeGreaterThan(64);
    await scene.writeBack();
    expect((await readFile(at('j'))).length).toBe(64);
    await scene.end();
  });

  test('more zeros than one frame can name are journaled, all of them', async () => {
    const scene = await Scene.durable();
    const wanted = 33 * 1024 ** 4;
    for (let done = 0; done < wanted; done += 1024 ** 4) {
      scene.disk.secondary.zero(done, 1024 ** 4);
    }
    await scene.failover.flush();
    await scene.end();
    let zeroed = 0;
    const target: ReplayTarget = {
      write: () => Promise.reject(new Error('no data')),
      zero: (_disk, offset, length) => {
        expect(offset).toBe(zeroed);
        zeroed += length;
        return Promise.resolve();
      },
    };
    await replayJournal(at('j'), UUID, target);
    expect(zeroed).toBe(wanted);
  });

  test('what is journaled is offered to write-back at once, not with the next write', async () => {
    const scene = await Scene.durable();
    scene.write('a');
    const before = scene.backlogs;
    const seen: boolean[] = [];
    const flushed = scene.failover.flush().then(() => seen.push(scene.backlogs > before));
    await flushed;
    expect(seen).toEqual([true]);
    await scene.end();
  });
});

describe('I7 bounded memory', () => {
  test('hundreds of flushes without write-back are a few layers, each page once', async () => {
    const scene = await Scene.durable();
    scene.write('held');
    await scene.failover.flush();
    // A batch holds it, and does not come to its end.
    scene.held = 1;
    for (let flush = 0; flush < 300; flush++) {
      const text = String(flush).padStart(4, '0');
      scene.write(text.padEnd(PAGE_BYTES), (flush % 10) * PAGE_BYTES);
      await scene.failover.flush();
    }
    expect(scene.disk.committed.length).toBeLessThanOrEqual(2);
    expect(scene.pool.usedBytes).toBeLessThan(4 * SLAB_BYTES);
    const target = Buffer.alloc(4);
    await scene.disk.read(scene.disk.secondary, 9 * PAGE_BYTES, target);
    expect(target.toString()).toBe('0299');
    await scene.end();
    expect((await contents()).toString('latin1', 9 * PAGE_BYTES, 9 * PAGE_BYTES + 4)).toBe('0299');
  });

  test('hundreds of flushes on, a request does the same work as at the start', async () => {
    const scene = await Scene.durable();
    scene.write('held');
    await scene.failover.flush();
    // A base that is full: a batch is under way, and does not come to its end.
    scene.held = 1;
    const target = Buffer.alloc(2 * PAGE_BYTES);
    const applied = jest.spyOn(Overlay.prototype, 'applyTo');
    const absorbed = jest.spyOn(Overlay.prototype, 'forEachRunIn');
    const written = jest.spyOn(Journal.prototype, 'append');
    const calls = (): number[] => [applied, absorbed, written].map(({ mock }) => mock.calls.length);
    const work: number[][] = [];
    const bytes: number[] = [];
    for (let round = 0; round < 120; round++) {
      const before = calls();
      for (const page of [1, 4, 7]) {
        scene.write(`${round}`.padEnd(PAGE_BYTES), page * PAGE_BYTES);
        scene.disk.secondary.zero((page + 1) * PAGE_BYTES, PAGE_BYTES);
        await scene.failover.flush();
        // All of it is in memory: nothing waits for the base.
        await scene.disk.read(scene.disk.secondary, page * PAGE_BYTES + 1, target.subarray(2));
      }
      work.push(calls().map((count, at) => count - (before[at] ?? 0)));
      bytes.push(scene.pool.usedBytes);
    }
    expect(work[10]?.every((count) => count > 0)).toBe(true);
    expect(new Set(work.slice(10).map(String)).size).toBe(1);
    expect(Math.max(...bytes)).toBe(bytes[10]);
    await scene.end();
  });

  test('what a batch holds, and what is not journaled, is not merged', async () => {
    const scene = await Scene.durable();
    for (const text of ['a', 'b', 'c']) {
      scene.write(text);
      scene.held = scene.disk.committed.length;
      await scene.failover.flush();
    }
    expect(scene.disk.committed.map(({ epoch }) => epoch)).toEqual([1, 2, 3]);
    const append = jest.spyOn(Journal.prototype, 'append').mockRejectedValue(new Error('full'));
    scene.held = 0;
    for (const text of ['d', 'e']) {
      scene.write(text);
      await expect(scene.failover.flush()).rejects.toThrow('full');
    }
    expect(scene.disk.committed.map(({ epoch }) => epoch)).toEqual([1, 2, 3, 4, 5]);
    append.mockRestore();
    await scene.failover.flush();
    expect(scene.disk.committed.map(({ epoch }) => epoch)).toEqual([5]);
    await scene.end();
  });

  test('beyond the limit of memory a flush waits for write-back, and then goes on', async () => {
    const scene = await Scene.durable();
    scene.write('a');
    await scene.failover.flush();
    expect(scene.failover.mustFlush).toBe(false);
    scene.memoryBytesMax = 1;
    scene.write('b', PAGE_BYTES);
    expect(scene.failover.mustFlush).toBe(true);
    const append = jest.spyOn(Journal.prototype, 'append');
    const flushed = scene.failover.flush();
    for (let turns = 0; turns < 20; turns++) await turn();
    expect(append).not.toHaveBeenCalled();
    await scene.writeBack();
    await flushed;
    await scene.end();
  });
});

describe('settle', () => {
  test('without a writable state file leaves the guest its disk, and is repeated', async () => {
    const scene = await Scene.durable();
    const full = new Error('no space');
    scene.recordRetired = () => Promise.reject(full);
    await expect(scene.settle()).rejects.toBe(full);
    // What they say is not known: it is written again before anything else is called durable.
    expect(scene.failover.phase).toBe('securing');
    expect(scene.failover.isWritable).toBe(true);
    scene.write('more');
    await scene.failover.flush();
    expect(scene.recorded.at(-1)).toBe('failed-over');
    scene.recordRetired = () => Promise.resolve(void scene.recorded.push('retired'));
    const settled = scene.settle();
    await scene.writeBack();
    await settled;
    expect(scene.recorded.at(-1)).toBe('retired');
    await scene.end();
    await expect(readFile(at('j'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('that waits for write-back is rejected when the replica is closed', async () => {
    const scene = await Scene.durable();
    scene.write('a');
    const settled = expect(scene.settle()).rejects.toMatchObject({ code: 'REPLICA_STATE' });
    while (!scene.disk.isSecondaryEmpty || !scene.isJournaled) await turn();
    for (let turns = 0; turns < 20; turns++) await turn();
    await scene.end();
    await settled;
    await expect(scene.failover.written(() => true)).rejects.toMatchObject({
      code: 'REPLICA_STATE',
    });
  });

  test('and the emptying of the journal do not meet in its file', async () => {
    const scene = await Scene.durable();
    scene.write('a');
    let isResetting = false;
    // eslint-disable-next-line @typescript-eslint/unbound-method
    const reset = Journal.prototype.reset;
    const resetting = jest.spyOn(Journal.prototype, 'reset').mockImplementation(async function (
      this: Journal,
    ) {
      isResetting = true;
      for (let turns = 0; turns < 50; turns++) await turn();
      await reset.call(this);
      isResetting = false;
    });
    jest.spyOn(Journal.prototype, 'remove').mockImplementation(function () {
      return isResetting ? Promise.reject(new Error('in use')) : Promise.resolve();
    });
    const settled = scene.settle();
    await scene.failover.flush();
    const emptied = scene.writeBack();
    await settled;
    await scene.failover.letGo();
    await emptied;
    expect(resetting).toHaveBeenCalled();
    jest.restoreAllMocks();
    await scene.end();
  });
});

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

/** The disk as its journal alone makes it. */
async function contents(): Promise<Buffer> {
  const disk = Buffer.alloc(SIZE);
  await replayJournal(at('j'), UUID, {
    write: (_disk, offset, bytes) => Promise.resolve(disk.set(bytes, offset)),
    zero: (_disk, offset, length) => Promise.resolve(void disk.fill(0, offset, offset + length)),
  });
  return disk;
}
