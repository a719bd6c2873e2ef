/** An engine that goes on where one has ended: after a restart of the daemon that it was in. */
import { describe, expect, test } from '@jest/globals';
import { PrimaryEngine } from '../src/primary-engine.js';
import { SecondaryEngine } from '../src/secondary-engine.js';
import { FrameLink } from '../src/wire/frame-link.js';
import { BytePipe } from './support/byte-pipe.js';
import { brokenEngines } from './support/mutants.js';
import type { Engines } from './support/simulate.js';
import { PAGE_BYTES, PAGES, World } from './support/world.js';

const SHAPE = { pageBytes: PAGE_BYTES, pages: PAGES };
const ENGINES: Engines = { PrimaryEngine, SecondaryEngine };

/** A pair with a checkpoint, whose link is cut. */
async function afterTheFirst({ PrimaryEngine: P, SecondaryEngine: S }: Engines) {
  const world = new World([], () => undefined);
  const { guests, rams } = world;
  const first = new BytePipe();
  const ports = (pipe: BytePipe) => ({
    ...{ guest: guests.primary, ram: rams.primary, output: world.output },
    ...{ link: new FrameLink(pipe.ends[0], SHAPE), clock: { now: () => world.steps } },
  });
  const secondary = new S({
    ...{ guest: guests.secondary, ram: rams.secondary, disks: world.disks },
    link: new FrameLink(first.ends[1], SHAPE),
    onEvent: ({ kind }) => {
      if (kind === 'committed') world.settled(true);
    },
  });
  const served = secondary.serve();
  world.run();
  const engine = await P.start(ports(first));
  await engine.checkpoint();
  world.run();
  const cut = async (): Promise<void> => {
    first.cut();
    await served;
  };
  /** The look of an earlier process at RAM is gone with it. */
  const resume = async (): Promise<PrimaryEngine> => {
    const pipe = new BytePipe();
    const again = secondary.continueOn(new FrameLink(pipe.ends[1], SHAPE));
    again.catch(() => undefined);
    rams.primary.forget();
    return P.resume(ports(pipe));
  };
  return { world, secondary, engine, cut, resume };
}

/** What it was at the checkpoint is known to nobody here, and it is zero now. */
function zeroed({ guests }: World): void {
  guests.primary.ram.fill(0, PAGE_BYTES);
}

async function faultsOf(engines: Engines): Promise<readonly string[]> {
  const { world, cut, resume, secondary } = await afterTheFirst(engines);
  await cut();
  world.run();
  zeroed(world);
  const again = await resume();
  expect(again.number).toBe(1);
  await again.checkpoint();
  world.run();
  await again.checkpoint();
  expect(secondary.number).toBe(3);
  return world.faults;
}

test('the next checkpoint compares everything: nothing that changed is missed', async () => {
  expect(await faultsOf(ENGINES)).toEqual([]);
});

test('an engine ended within a checkpoint: its guest goes on, and is protected', async () => {
  const { world, engine, cut, resume, secondary } = await afterTheFirst(ENGINES);
  const { primary } = world.guests;
  const save = primary.saveDevices.bind(primary);
  primary.saveDevices = async () => {
    await cut();
    return save();
  };
  await expect(engine.checkpoint()).rejects.toMatchObject({ code: 'VSMR_LINK_LOST' });
  primary.saveDevices = save;
  expect([primary.isRunning, secondary.phase]).toEqual([false, 'running']);
  await primary.resume();
  world.run();
  await (await resume()).checkpoint();
  expect(world.faults).toEqual([]);
  expect(secondary.number).toBe(2);
});

describe('refused', () => {
  test('with the reason of the disks', async () => {
    const { world, cut, resume, secondary } = await afterTheFirst(ENGINES);
    await cut();
    world.disks.whyNotResume = () => 'writes may be missing';
    await expect(resume()).rejects.toThrow('writes may be missing');
    // It is as it was, and may take over.
    world.disks.whyNotResume = () => undefined;
    await secondary.takeOver();
  });

  test('an engine that begins, by a secondary that has a checkpoint', async () => {
    const { world, cut, secondary } = await afterTheFirst(ENGINES);
    await cut();
    const pipe = new BytePipe();
    const served = secondary.continueOn(new FrameLink(pipe.ends[1], SHAPE));
    const engine = await PrimaryEngine.start({
      ...{ guest: world.guests.primary, ram: world.rams.primary },
      ...{ link: new FrameLink(pipe.ends[0], SHAPE), clock: { now: () => world.steps } },
    });
    await expect(engine.checkpoint()).rejects.toMatchObject({ code: 'VSMR_ABORTED' });
    expect(await served).toContain('the primary begins');
    expect(secondary.phase).toBe('running');
  });

  test('where there is no checkpoint', async () => {
    const pipe = new BytePipe();
    const world = new World([], () => undefined);
    const secondary = new SecondaryEngine({
      ...{ guest: world.guests.secondary, ram: world.rams.secondary, disks: world.disks },
      link: new FrameLink(pipe.ends[1], SHAPE),
    });
    const served = secondary.serve();
    const resumed = PrimaryEngine.resume({
      ...{ guest: world.guests.primary, ram: world.rams.primary },
      ...{ link: new FrameLink(pipe.ends[0], SHAPE), clock: { now: () => world.steps } },
    });
    await expect(resumed).rejects.toMatchObject({ code: 'VSMR_ABORTED' });
    await served;
    const link = new FrameLink(new BytePipe().ends[1], SHAPE);
    expect(() => secondary.continueOn(link)).toThrow('nothing to go on from');
  });
});

test('a mutant is caught: it trusts what it sees changed', async () => {
  const engines = await brokenEngines({
    ...{ name: 'trusts', file: 'primary-engine.js' },
    edits: [['engine.#pending.add(page);', '']],
  });
  expect(await faultsOf(engines)).not.toEqual([]);
});
