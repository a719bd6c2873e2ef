import { describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import type { VerifyReport, WrongPlace } from '@gannet/contract';
import { Replica } from '@gannet/replicator';
import type { ExportSession } from '@gannet/nbd';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { answerAudit, askedReplica } from '../../../src/daemon/verify/audit-questions.js';
import type { AskedReplica, OwnDisk } from '../../../src/daemon/verify/verify-ports.js';
import { VerifyRun, type VerifyRunOptions } from '../../../src/daemon/verify/verify-run.js';
import { Random } from '@gannet/test-support/random.js';

const MIB = 1024 * 1024;
const DISK_BYTES = 5 * MIB + 512;
const CHUNK = 64 * 1024;

/** A primary's disk, a real replica, and a guest whose writes reach each of them when they want. */
class Pair {
  readonly own = Buffer.concat([randomBytes(2 * MIB), Buffer.alloc(DISK_BYTES - 2 * MIB)]);
  /** Called before each look at a side: what the guest does meanwhile. */
  meanwhile: (what: 'own' | 'replica') => void = () => undefined;
  /** Called when the primary's writes have been drained, before the commit. */
  drained: () => void = () => undefined;
  checkpoints = 0;
  readonly #folder: string;
  readonly #pvm: ExportSession;

  private constructor(
    readonly replica: Replica,
    folder: string,
    pvm: ExportSession,
  ) {
    this.#folder = folder;
    this.#pvm = pvm;
  }

  static async make(): Promise<Pair> {
    const folder = await mkdtemp(path.join(tmpdir(), 'gannet-verify-'));
    const base = path.join(folder, 'base.raw');
    const replica = await Replica.open({
      vm: 'vm',
      disks: [{ name: 'disk0', base, sizeBytes: DISK_BYTES }],
    });
    const served = replica.exports.find(({ name }) => name === 'pvm');
    const pvm = served?.open({ id: 1, address: 'test' }) as ExportSession;
    const pair = new Pair(replica, folder, pvm);
    await pair.arrives(0, pair.own);
    pair.commit();
    return pair;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.replica.close();
    await rm(this.#folder, { recursive: true });
  }

  commit(): void {
    this.replica.gate.close();
    this.replica.commit();
    this.replica.gate.open();
    this.checkpoints++;
  }

  /** The replica gets a write. */
  arrives(offset: number, data: Buffer): void | Promise<void> {
    return this.#pvm.write(offset, data, false);
  }

  /** The primary's disk gets it. */
  lands(offset: number, data: Buffer): void {
    data.copy(this.own, offset);
  }

  /** A fault of the secondary's storage, at one byte of the base. */
  async rot(offset: number): Promise<void> {
    const file = await open(path.join(this.#folder, 'base.raw'), 'r+');
    const byte = Buffer.alloc(1);
    await file.read(byte, 0, 1, offset);
    await file.write(Buffer.of((byte[0] ?? 0) ^ 1), 0, 1, offset);
    await file.close();
  }

  get disk(): OwnDisk {
    const { own } = this;
    return {
      name: 'disk0',
      sizeBytes: DISK_BYTES,
      read: (offset, target) => {
        this.meanwhile('own');
        own.copy(target, 0, offset, offset + target.length);
        return Promise.resolve();
      },
      isZero: (offset, length) =>
        Promise.resolve(own.subarray(offset, offset + length).every((byte) => byte === 0)),
    };
  }

  get asked(): AskedReplica {
    return askedReplica((question) => {
      this.meanwhile('replica');
      return answerAudit(this.replica, question);
    });
  }

  verify(options: Partial<VerifyRunOptions> = {}): Promise<VerifyReport> {
    return this.run(options).run();
  }

  run(options: Partial<VerifyRunOptions> = {}): VerifyRun {
    return new VerifyRun({
      ...{ disks: [this.disk], replica: this.asked, isRepair: false, bytesPerSec: 0 },
      checkpointAfter: (epoch) => {
        while (this.replica.epoch <= epoch) {
          this.drained();
          this.commit();
        }
        return Promise.resolve();
      },
      now: () => performance.now(),
      sleep: () => Promise.resolve(),
      ...{ onProgress: () => undefined, onWrong: () => undefined, onTooMuch: () => undefined },
      signal: new AbortController().signal,
      ...options,
    });
  }
}

const CLEAN = { isWhole: true, comparedBytes: DISK_BYTES, wrongBytes: 0, busyBytes: 0, places: [] };

describe('a quiet pair', () => {
  it('is equal, without any checkpoint for it', async () => {
    await using pair = await Pair.make();
    expect(await pair.verify()).toMatchObject(CLEAN);
    expect(pair.checkpoints).toBe(1);
  });

  it('has each wrong sector named, by itself or with its neighbours', async () => {
    await using pair = await Pair.make();
    await pair.rot(5);
    await pair.rot(CHUNK * 3 - 1);
    await pair.rot(CHUNK * 3);
    const told: WrongPlace[] = [];
    const { places, wrongBytes } = await pair.verify({ onWrong: (place) => told.push(place) });
    expect(wrongBytes).toBe(3 * 512);
    expect(places.map(({ offset, length }) => [offset, length])).toEqual([
      [0, 512],
      [CHUNK * 3 - 512, 512],
      [CHUNK * 3, 512],
    ]);
    expect(told).toEqual(places);
  });

  it('is repaired through the open epoch, and is equal then', async () => {
    await using pair = await Pair.make();
    await pair.rot(CHUNK + 1000);
    const report = await pair.verify({ isRepair: true });
    const place = { disk: 'disk0', offset: CHUNK + 512, length: 512, isRepaired: true };
    expect(report.places).toEqual([place]);
    expect(await pair.verify()).toMatchObject(CLEAN);
  });

  it('that is wrong all over has its places named chunk by chunk', async () => {
    await using pair = await Pair.make();
    pair.own.fill(7);
    const report = await pair.verify();
    expect(report).toMatchObject({ isWhole: true, wrongBytes: DISK_BYTES });
    expect(report.places).toHaveLength(Math.ceil(DISK_BYTES / CHUNK));
  });
});

describe('a write under way', () => {
  it('that only the primary has yet is no fault', async () => {
    await using pair = await Pair.make();
    const late = Buffer.alloc(4096, 1);
    pair.lands(8192, late);
    let isDone = false;
    pair.drained = () => {
      if (!isDone) void pair.arrives(8192, late);
      isDone = true;
    };
    expect(await pair.verify()).toMatchObject(CLEAN);
  });

  it('that only the replica has yet is no fault, nor undone by a repair', async () => {
    await using pair = await Pair.make();
    const early = Buffer.alloc(4096, 2);
    void pair.arrives(8192, early);
    pair.drained = () => pair.lands(8192, early);
    expect(await pair.verify({ isRepair: true })).toMatchObject(CLEAN);
    expect(await pair.verify()).toMatchObject(CLEAN);
  });

  it('that lands after the first checkpoint, and arrives after the look, is no fault', async () => {
    await using pair = await Pair.make();
    const data = Buffer.alloc(512, 3);
    // Something differs, so that the chunk is looked at again.
    pair.lands(8192, data);
    let looks = 0;
    pair.meanwhile = (what) => {
      // Its first look is over: from now on it is in both.
      if (what === 'own' && ++looks === 3) pair.lands(16_384, data);
    };
    pair.drained = () => {
      void pair.arrives(8192, data);
      if (looks >= 3) void pair.arrives(16_384, data);
    };
    expect(await pair.verify()).toMatchObject({ wrongBytes: 0, isWhole: true });
  });

  it('again and again is reported as busy, not as wrong', async () => {
    await using pair = await Pair.make();
    let number = 0;
    pair.meanwhile = (what) => {
      if (what !== 'own') return;
      const data = Buffer.alloc(512, ++number);
      void pair.arrives(8192, data);
    };
    const report = await pair.verify({ isRepair: true });
    expect(report).toMatchObject({ wrongBytes: 0, busyBytes: CHUNK, isWhole: true });
  });

  it('in one sector does not make another one of its chunk wrong more than once', async () => {
    await using pair = await Pair.make();
    await pair.rot(5 * 512 + 10);
    let number = 0;
    pair.meanwhile = (what) => {
      if (what === 'own') void pair.arrives(8192, Buffer.alloc(512, ++number));
    };
    const { places, wrongBytes } = await pair.verify();
    expect(places).toMatchObject([{ offset: 5 * 512, length: 512 }]);
    expect(wrongBytes).toBe(512);
  });

  it('that arrives before the repair is not overwritten by it', async () => {
    await using pair = await Pair.make();
    await pair.rot(CHUNK + 10);
    const newer = Buffer.alloc(512, 9);
    const { asked } = pair;
    const replica: AskedReplica = {
      ...asked,
      repair: async (disk, offset, data) => {
        void pair.arrives(CHUNK, newer);
        await asked.repair(disk, offset, data);
        pair.lands(CHUNK, newer);
      },
    };
    await pair.verify({ isRepair: true, replica });
    expect(await pair.verify()).toMatchObject(CLEAN);
  });
});

it('random writes, in any order on the two sides, cause no false alarm', async () => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  const random = new Random(seed);
  const next = (): number => random.next();
  await using pair = await Pair.make();
  const rot = Math.floor(next() * (2 * MIB));
  const flight: (() => void)[] = [];
  const write = (): void => {
    const offset = Math.floor(next() * 4000) * 512;
    // What the guest writes heals what was wrong: leave that alone.
    if (Math.abs(offset - rot) < 2 * CHUNK) return;
    const data = randomBytes(512 * (1 + Math.floor(next() * 8)));
    const [first, second] = [
      (): void => pair.lands(offset, data),
      (): void => void pair.arrives(offset, data),
    ];
    const isFirst = next() < 0.5;
    (isFirst ? first : second)();
    flight.push(isFirst ? second : first);
  };
  const finishSome = (share: number): void => {
    // Writes of one sector are never under way together: in order.
    while (flight.length > 0 && next() < share) flight.shift()?.();
  };
  pair.meanwhile = () => {
    finishSome(0.7);
    if (flight.length === 0) write();
  };
  pair.drained = () => finishSome(1);
  await pair.rot(rot);
  const { places, isWhole } = await pair.verify();
  expect({ seed, isWhole, places: places.map(({ offset }) => offset) }).toEqual({
    seed,
    isWhole: true,
    places: [Math.floor(rot / 512) * 512],
  });
});

describe('its end', () => {
  it('comes with the reason, if the protection ends', async () => {
    await using pair = await Pair.make();
    const abort = new AbortController();
    const onProgress = (): void => abort.abort(new Error('the protection has ended'));
    const done = pair.verify({ signal: abort.signal, onProgress });
    await expect(done).rejects.toThrow('the protection has ended');
  });

  it('comes when it is stopped, with what is known by then', async () => {
    await using pair = await Pair.make();
    await pair.rot(5);
    const run = pair.run({ onProgress: () => run.stop() });
    expect(await run.run()).toMatchObject({ isWhole: false, wrongBytes: 512 });
  });

  it('comes on time, though the storage hangs', async () => {
    await using pair = await Pair.make();
    const hangs = { ...pair.disk, read: () => new Promise<never>(() => undefined) };
    const abort = new AbortController();
    const ended = pair.verify({ disks: [hangs], signal: abort.signal });
    abort.abort(new Error('the protection has ended'));
    await expect(ended).rejects.toThrow('the protection has ended');
    const run = pair.run({ disks: [hangs], stopPatienceMs: 1 });
    const stopped = run.run();
    run.stop();
    expect(await stopped).toMatchObject({ isWhole: false, comparedBytes: 0 });
  });

  it('is an error of the replica that has diverged', async () => {
    await using pair = await Pair.make();
    pair.replica.diverge('a test');
    await expect(pair.verify()).rejects.toMatchObject({ code: 'REPLICA_STATE' });
  });
});

it('a limit delays it, and it says that it lives', async () => {
  await using pair = await Pair.make();
  let nowMs = 0;
  const slept: number[] = [];
  let reports = 0;
  await pair.verify({
    bytesPerSec: MIB,
    now: () => nowMs,
    sleep: (ms) => {
      slept.push(ms);
      nowMs += ms;
      return Promise.resolve();
    },
    onProgress: () => reports++,
  });
  expect(nowMs).toBeCloseTo((1000 * DISK_BYTES) / MIB, 3);
  expect(Math.max(...slept)).toBeLessThanOrEqual(1000);
  expect(reports).toBeGreaterThan(slept.length);
});

it('a daemon that does not know the question is named', async () => {
  const replica = askedReplica(() => Promise.resolve({ state: 'protected' }));
  await expect(replica.watch([])).rejects.toMatchObject({ code: 'GANNET_PEER_FAILED' });
});

it('a replica that is wrong all over is not compared to its end', async () => {
  await using pair = await Pair.make();
  const disk: OwnDisk = {
    ...{ name: 'disk0', sizeBytes: 256 * MIB, isZero: () => Promise.resolve(false) },
    read: (_offset, target) => Promise.resolve(void target.fill(1)),
  };
  const replica: AskedReplica = {
    watch: () => Promise.resolve(0),
    digests: ({ length }, grainBytes) => {
      const digests = Array.from({ length: length / grainBytes }, () => '');
      return Promise.resolve({ epoch: 0, digests, arrived: [] });
    },
    repair: () => Promise.reject(new Error('nobody asked for it')),
  };
  const tooMuch: number[] = [];
  const checkpointAfter = (): Promise<void> => Promise.resolve();
  const onTooMuch = (bytes: number): void => void tooMuch.push(bytes);
  const report = await pair.verify({ disks: [disk], replica, checkpointAfter, onTooMuch });
  expect(tooMuch).toEqual([64 * MIB]);
  expect(report).toMatchObject({ isWhole: false, wrongBytes: 64 * MIB });
  expect(report.places).toHaveLength(100);
});

it('ends at once when the protection ends while it waits for its rate', async () => {
  await using pair = await Pair.make();
  const abort = new AbortController();
  let sleeps = 0;
  const sleep = (): Promise<void> => {
    sleeps++;
    abort.abort(new Error('unprotected'));
    return Promise.resolve();
  };
  const verify = pair.verify({ bytesPerSec: 1024 * 1024, sleep, signal: abort.signal });
  await expect(verify).rejects.toThrow('unprotected');
  expect(sleeps).toBe(1);
});
