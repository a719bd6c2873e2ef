import { expect, test } from '@jest/globals';
import { PrimaryEngine } from '../src/primary-engine.js';
import { SecondaryEngine } from '../src/secondary-engine.js';
import { FrameLink } from '../src/wire/frame-link.js';
import { BytePipe } from './support/byte-pipe.js';
import { PAGE_BYTES, PAGES, World } from './support/world.js';

// The last checkpoint of a planned move.

const SHAPE = { pageBytes: PAGE_BYTES, pages: PAGES };

async function pair() {
  const pipe = new BytePipe();
  const world = new World([], () => undefined);
  const released: string[] = [];
  const secondary = new SecondaryEngine({
    ...{ guest: world.guests.secondary, ram: world.rams.secondary, disks: world.disks },
    link: new FrameLink(pipe.ends[1], SHAPE),
  });
  const primary = await PrimaryEngine.start({
    ...{ guest: world.guests.primary, ram: world.rams.primary },
    output: {
      release: () => {
        released.push(primary.phase);
        return Promise.resolve();
      },
    },
    link: new FrameLink(pipe.ends[0], SHAPE),
    clock: { now: () => world.steps },
  });
  const served = secondary.serve();
  world.run();
  await primary.copyRam({ enoughPages: 100 });
  await primary.checkpoint();
  return { pipe, world, primary, secondary, served, released };
}

test('the guest stays paused, its output goes, and the secondary is what it was', async () => {
  const { world, primary, secondary, served, released } = await pair();
  const { primary: p, secondary: s } = world.guests;
  released.length = 0;
  await primary.handOver();
  expect([primary.phase, primary.number, p.isRunning]).toEqual(['handed-over', 2, false]);
  expect(released).toEqual(['releasing']);
  const before = Buffer.from(p.ram);
  await secondary.takeOver();
  await served;
  expect([secondary.phase, s.isRunning, p.isRunning]).toEqual(['taken-over', true, false]);
  expect(Buffer.compare(before, p.ram)).toBe(0);
});

test('nobody was told: taken back, it is protected as before', async () => {
  const { pipe, world, primary, secondary, served } = await pair();
  await primary.handOver();
  await expect(primary.checkpoint()).rejects.toMatchObject({ code: 'VSMR_PHASE' });
  await primary.takeBack();
  expect([primary.phase, world.guests.primary.isRunning]).toEqual(['running', true]);
  expect((await primary.checkpoint()).number).toBe(3);
  await expect(primary.takeBack()).rejects.toMatchObject({ code: 'VSMR_PHASE' });
  expect(secondary.number).toBe(3);
  pipe.cut();
  await served;
});

test('the secondary does not go on: this side does, alone', async () => {
  const { world, primary } = await pair();
  await primary.handOver();
  await primary.goAlone();
  expect([primary.phase, world.guests.primary.isRunning]).toEqual(['alone', true]);
});

test('given up by the secondary: both run, and it can be asked for again', async () => {
  const { pipe, world, primary, served } = await pair();
  const { primary: p, secondary: s } = world.guests;
  const load = s.loadDevices.bind(s);
  let isRefused = false;
  s.loadDevices = (state) => {
    if (isRefused) return load(state);
    isRefused = true;
    return Promise.reject(new Error('not this time'));
  };
  await expect(primary.handOver()).rejects.toMatchObject({ code: 'VSMR_ABORTED' });
  expect([primary.phase, p.isRunning, s.isRunning]).toEqual(['running', true, true]);
  await primary.handOver();
  expect([primary.phase, p.isRunning]).toEqual(['handed-over', false]);
  pipe.cut();
  await served;
});

test('the link breaks at any moment: the guest stands still until somebody decides', async () => {
  for (const step of ['prepare', 'stopped', 'committed'] as const) {
    const { pipe, primary, served, world } = await pair();
    const { primary: p, secondary: s } = world.guests;
    const cut = (): void => pipe.cut();
    if (step === 'prepare') cut();
    if (step === 'stopped') p.saveDevices = () => Promise.resolve((cut(), Buffer.of(1)));
    const load = s.loadDevices.bind(s);
    if (step === 'committed') s.loadDevices = (state) => (cut(), load(state));
    await expect(primary.handOver()).rejects.toMatchObject({ code: 'VSMR_LINK_LOST' });
    await served;
    expect(primary.phase).toBe('cut');
    await primary.goAlone();
    expect(p.isRunning).toBe(true);
  }
});
