import { describe, expect, test } from '@jest/globals';
import { PrimaryEngine } from '../src/primary-engine.js';
import { SecondaryEngine, type SecondaryEngineEvent } from '../src/secondary-engine.js';
import { FrameLink, type Link } from '../src/wire/frame-link.js';
import { encodeFrame, type Frame, PROTOCOL_VERSION } from '../src/wire/frames.js';
import { BytePipe } from './support/byte-pipe.js';
import { PAGE_BYTES, PAGES, World } from './support/world.js';

const SHAPE = { pageBytes: PAGE_BYTES, pages: PAGES };

async function pair() {
  const pipe = new BytePipe();
  const world = new World([], () => undefined);
  const events: SecondaryEngineEvent[] = [];
  const there = new FrameLink(pipe.ends[1], SHAPE);
  const it: { onSecondary?: (sent: Frame['kind']) => void } = {};
  const link: Link = {
    send: (frame) => {
      it.onSecondary?.(frame.kind);
      return there.send(frame);
    },
    receive: () => there.receive(),
    close: () => there.close(),
  };
  const secondary = new SecondaryEngine({
    ...{ guest: world.guests.secondary, ram: world.rams.secondary, disks: world.disks, link },
    onEvent: (event) => events.push(event),
  });
  const primary = await PrimaryEngine.start({
    guest: world.guests.primary,
    ram: world.rams.primary,
    link: new FrameLink(pipe.ends[0], SHAPE),
    clock: { now: () => world.steps },
  });
  return Object.assign(it, { pipe, world, events, primary, secondary, served: secondary.serve() });
}

test('pages that either side has changed are compared, and those that differ sent', async () => {
  const { pipe, world, primary, served, events } = await pair();
  world.run();
  await primary.copyRam({ enoughPages: 100 });
  await primary.checkpoint();
  // The primary changes one page, the secondary another, and both make one equal.
  const [p, s] = [world.guests.primary, world.guests.secondary];
  world.isOver = true;
  p.ram[5 * PAGE_BYTES] = p.ram[5 * PAGE_BYTES]! ^ 1;
  s.ram[9 * PAGE_BYTES] = s.ram[9 * PAGE_BYTES]! ^ 1;
  p.ram[11 * PAGE_BYTES] = s.ram[11 * PAGE_BYTES] = p.ram[11 * PAGE_BYTES]! ^ 1;
  p.isRunning = s.isRunning = false;
  const report = await primary.checkpoint();
  expect(report).toMatchObject({ number: 2, changedPages: 3, sentPages: 2 });
  expect(Buffer.compare(p.ram, s.ram)).toBe(0);
  expect(events.map(({ kind }) => kind)).toEqual(['committed', 'committed']);
  pipe.cut();
  await served;
});

test('of the devices only what differs is sent, and not from a checkpoint given up', async () => {
  const { pipe, world, primary, served } = await pair();
  const { primary: p, secondary: s } = world.guests;
  const state = Buffer.alloc(4000, 1);
  const loaded: Uint8Array[] = [];
  p.saveDevices = () => Promise.resolve(Buffer.from(state));
  s.loadDevices = (devices) => Promise.resolve(void loaded.push(devices));
  const sentFor = async (work: () => Promise<unknown>): Promise<number> => {
    const before = pipe.passed;
    await work();
    return pipe.passed - before;
  };
  const checkpoint = (): Promise<unknown> => primary.checkpoint();
  await checkpoint();
  world.isOver = true;
  const least = await sentFor(checkpoint);
  state[700] = 2;
  expect(await sentFor(checkpoint)).toBe(least + 512);
  state[3999] = 3;
  // Its own state, to go back, is loaded all the same.
  s.saveDevices = () => Promise.resolve(Buffer.of(9));
  s.loadDevices = ({ length }) => {
    return length === 1 ? Promise.resolve() : Promise.reject(new Error('not this time'));
  };
  await expect(checkpoint()).rejects.toMatchObject({ code: 'VSMR_ABORTED' });
  s.loadDevices = (devices) => Promise.resolve(void loaded.push(devices));
  expect(await sentFor(checkpoint)).toBe(least + (4000 % 512));
  expect(Buffer.compare(loaded.at(-1)!, state)).toBe(0);
  pipe.cut();
  await served;
});

describe('refused', () => {
  test('two checkpoints at once', async () => {
    const { pipe, primary, served } = await pair();
    const first = primary.checkpoint();
    await expect(primary.checkpoint()).rejects.toMatchObject({ code: 'VSMR_PHASE' });
    await first;
    await expect(primary.copyRam()).rejects.toMatchObject({ code: 'VSMR_PHASE' });
    pipe.cut();
    await served;
  });

  test('a checkpoint after going alone, and a takeover after nothing', async () => {
    const { primary, secondary } = await pair();
    await primary.goAlone();
    await primary.goAlone();
    await expect(primary.checkpoint()).rejects.toMatchObject({ code: 'VSMR_PHASE' });
    await expect(secondary.takeOver()).rejects.toMatchObject({ code: 'VSMR_UNFIT' });
  });

  const key = Buffer.alloc(32);
  const wrong: [string, Frame[]][] = [
    ['another version', [{ kind: 'hello', version: 99, ...SHAPE, key, resumes: false }]],
    [
      'RAM of another size',
      [{ kind: 'hello', version: PROTOCOL_VERSION, pageBytes: 32, pages: 1, key, resumes: false }],
    ],
    ['no greeting', [{ kind: 'copy' }]],
    [
      'a checkpoint out of order',
      [
        { kind: 'hello', version: PROTOCOL_VERSION, ...SHAPE, key, resumes: false },
        { kind: 'prepare', number: 2 },
      ],
    ],
    [
      'contents other than what was sent',
      [
        { kind: 'hello', version: PROTOCOL_VERSION, ...SHAPE, key, resumes: false },
        { kind: 'prepare', number: 1 },
        { kind: 'devices', bytes: 14, offset: 0, data: Buffer.from('{"counter": 0}') },
        { kind: 'end', digest: Buffer.alloc(32) },
      ],
    ],
  ];

  test.each(wrong)('by the secondary: %s', async (_, frames) => {
    const pipe = new BytePipe();
    const world = new World([], () => undefined);
    const secondary = new SecondaryEngine({
      guest: world.guests.secondary,
      ram: world.rams.secondary,
      disks: world.disks,
      link: new FrameLink(pipe.ends[1], SHAPE),
    });
    pipe.ends[0].resume();
    for (const frame of frames) pipe.ends[0].write(encodeFrame(frame));
    expect(await secondary.serve()).toContain('the primary cannot be understood');
    expect(secondary.phase).toBe('blank');
    expect(world.guests.secondary.ram.every((byte) => byte === 0)).toBe(true);
  });
});

test('a secondary that cannot go back is unfit, and never takes over', async () => {
  const { pipe, world, events, primary, secondary, served } = await pair();
  world.run();
  await primary.checkpoint();
  world.run();
  world.guests.secondary.loadDevices = () => Promise.reject(new Error('no such device'));
  await expect(primary.checkpoint()).rejects.toMatchObject({ code: 'VSMR_ABORTED' });
  expect(secondary.phase).toBe('unfit');
  expect(events.at(-1)).toMatchObject({ kind: 'unfit' });
  await expect(primary.checkpoint()).rejects.toMatchObject({ code: 'VSMR_LINK_LOST' });
  expect(primary.phase).toBe('cut');
  await primary.goAlone();
  expect(world.guests.primary.isRunning).toBe(true);
  await expect(secondary.takeOver()).rejects.toMatchObject({ code: 'VSMR_UNFIT' });
  pipe.cut();
  await served;
});

describe('a guest that does not stand still as it was saved', () => {
  const SPOILT = 'somebody has continued it';

  /** A pair with a checkpoint, and in the next one somebody continues the primary's guest. */
  async function spoiltWhen(kind: Frame['kind']) {
    const it = await pair();
    const { primary, world } = it;
    await primary.checkpoint();
    world.run();
    /** In the moment in which the other side sends this. */
    it.onSecondary = (sent) => {
      if (sent === kind) world.guests.primary.continue();
    };
    return it;
  }

  test('before all of the checkpoint was sent: it is given up, and both go on', async () => {
    const it = await spoiltWhen('stopped');
    const { primary, secondary, events, world, pipe, served } = it;
    await expect(primary.checkpoint()).rejects.toMatchObject({
      code: 'VSMR_ABORTED',
      message: expect.stringContaining(SPOILT) as unknown,
    });
    expect([primary.phase, secondary.phase, secondary.number]).toEqual(['running', 'running', 1]);
    expect(events.map(({ kind }) => kind)).toEqual(['committed', 'aborted']);
    // The next one has all that both have changed since.
    delete it.onSecondary;
    await primary.checkpoint();
    world.settled(true);
    expect(world.faults).toEqual([]);
    pipe.cut();
    await served;
  });

  test.each([
    ['before all was sent: it is given up', 'stopped', 1],
    ['after that: the secondary has it, and may go on from there', 'committed', 2],
  ] as const)('but was stopped for good, %s', async (_what, kind, number) => {
    const it = await pair();
    const { primary, secondary, world, pipe, served } = it;
    await primary.checkpoint();
    world.run();
    it.onSecondary = (sent) => {
      const spoilt = { reason: 'its disk has failed', hasRun: false };
      if (sent === kind) world.guests.primary.spoilt = () => spoilt;
    };
    await primary.checkpoint().catch(() => undefined);
    expect([primary.phase, secondary.phase, secondary.number]).toEqual([
      ...['running', 'running', number],
    ]);
    pipe.cut();
    await served;
    await secondary.takeOver();
  });

  test('after that: the secondary has what never was, and never takes over', async () => {
    const { primary, secondary, events, world, served } = await spoiltWhen('committed');
    await expect(primary.checkpoint()).rejects.toMatchObject({
      code: 'VSMR_LINK_LOST',
      message: expect.stringContaining(SPOILT) as unknown,
    });
    await served;
    expect([primary.phase, secondary.phase]).toEqual(['cut', 'unfit']);
    expect(events.at(-1)).toMatchObject({ kind: 'unfit', reason: SPOILT });
    await expect(secondary.takeOver()).rejects.toMatchObject({ code: 'VSMR_UNFIT' });
    await primary.goAlone();
    expect(world.guests.primary.isRunning).toBe(true);
  });
});
