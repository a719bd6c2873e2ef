import { FrameLink } from '../../src/wire/frame-link.js';
import type { PrimaryEngine } from '../../src/primary-engine.js';
import type { SecondaryEngine } from '../../src/secondary-engine.js';
import type { Random } from '@gannet/test-support/random.js';
import { BytePipe } from './byte-pipe.js';
import { type Accident, PAGE_BYTES, PAGES, World } from './world.js';

/** The engines: those of this package, or broken ones. */
export interface Engines {
  readonly PrimaryEngine: typeof PrimaryEngine;
  readonly SecondaryEngine: typeof SecondaryEngine;
}

/** What goes wrong in a run: accidents at steps, or a connection that breaks after some bytes. */
export interface Plan {
  readonly accidents?: readonly Accident[];
  readonly cutAtByte?: number;
  /**
   * Steps take any time, bytes come late and in pieces, and the guests run meanwhile, as these
   * numbers have it. Default: steps take no time, and the guests run between them.
   */
  readonly random?: Random;
}

export interface Outcome {
  /** What must never be. */
  readonly faults: readonly string[];
  /** Whether all that was planned came before the end of the run. */
  readonly hasHappened: boolean;
  /** How the run ended. */
  readonly end: string;
  readonly checkpoints: number;
  /** Why the secondary's link ended. */
  readonly linkEnd: string;
}

const CHECKPOINTS = 3;
/** Of the event loop, at most: what a step takes, and what is between two ticks of a guest. */
const STEP_TURNS = 4;
const TICK_TURNS = 30;

/**
 * Copies RAM, makes three checkpoints, and lets one thing go wrong on the way. Then the side that
 * is left goes on alone, and must be exactly what it was: the primary itself; or the secondary as
 * of the last checkpoint and its own work since then, or as of a checkpoint that followed.
 */
export async function simulate(engines: Engines, plan: Plan): Promise<Outcome> {
  const { random } = plan;
  const pace = random && ((most: number) => turns(random.below(most)));
  const pipe = new BytePipe(plan.cutAtByte, random);
  const world = new World(plan.accidents ?? [], () => pipe.cut(), pace && (() => pace(STEP_TURNS)));
  const guestsRun = random && pace && keepRunning(world, random, () => pace(TICK_TURNS));
  const shape = { pageBytes: PAGE_BYTES, pages: PAGES };
  const secondary = new engines.SecondaryEngine({
    guest: world.guests.secondary,
    ram: world.rams.secondary,
    disks: world.disks,
    link: new FrameLink(pipe.ends[1], shape),
    onEvent: ({ kind }) => {
      if (kind === 'committed' || kind === 'aborted') world.settled(kind === 'committed');
    },
  });
  const served = secondary.serve();
  world.run();
  let primary: PrimaryEngine | undefined;
  let aborted = 0;
  try {
    const engine = await engines.PrimaryEngine.start({
      guest: world.guests.primary,
      ram: world.rams.primary,
      output: world.output,
      link: new FrameLink(pipe.ends[0], shape),
      clock: { now: () => world.steps },
    });
    primary = engine;
    // What was given up is tried again.
    const attempt = async (work: () => Promise<unknown>): Promise<void> => {
      await work().catch((error: unknown) => {
        const { code } = error as { code?: string };
        if (aborted++ > world.happened || code !== 'VSMR_ABORTED') throw error;
        world.run();
        return attempt(work);
      });
    };
    await attempt(() => engine.copyRam({ enoughPages: 4, roundsMax: 3 }));
    for (let made = 0; made < CHECKPOINTS; made++) {
      await attempt(() => engine.checkpoint());
      world.run();
    }
  } catch (error) {
    if (world.happened === 0 && plan.cutAtByte === undefined) {
      world.faults.push(`nothing was wrong, and yet: ${String(error)}`);
    }
  }
  world.isOver = true;
  await guestsRun;
  const end = await theEnd(world, secondary, primary);
  pipe.cut();
  const linkEnd = await served;
  const isEarly = world.happened < (plan.accidents?.length ?? 0);
  const hasHappened = plan.cutAtByte === undefined ? !isEarly : plan.cutAtByte <= pipe.passed;
  return { faults: world.faults, hasHappened, end, checkpoints: secondary.number, linkEnd };
}

async function keepRunning(world: World, random: Random, wait: () => Promise<void>): Promise<void> {
  await wait();
  while (!world.isOver) {
    world.tick(random.pick(['primary', 'secondary']));
    await wait();
  }
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

async function theEnd(
  world: World,
  secondary: SecondaryEngine,
  primary: PrimaryEngine | undefined,
): Promise<string> {
  if (!world.isDead('secondary')) {
    const end = await takesOver(world, secondary);
    if (world.isDead('primary') || end === 'took over') return end;
  }
  if (primary === undefined) return 'the primary had not begun';
  await goesAlone(world, primary);
  return secondary.phase === 'unfit' ? 'unfit' : 'went alone';
}

async function takesOver(world: World, secondary: SecondaryEngine): Promise<string> {
  try {
    await secondary.takeOver();
  } catch (error) {
    // Going back fails only if a step does while it goes back.
    const isSpoilt = world.guests.primary.isSpoilt;
    const mayBeUnfit = secondary.phase === 'unfit' && (isSpoilt || world.happened > 1);
    if (secondary.number > 0 && !mayBeUnfit) world.faults.push(`no takeover: ${String(error)}`);
    return 'nothing to take over';
  }
  if (world.leak !== undefined) world.faults.push(world.leak);
  if (world.lastSecondary === undefined) world.faults.push('took over what never was');
  else world.expectSecondary(world.lastSecondary, `took over at ${secondary.number}`);
  if (!world.guests.secondary.isRunning) world.faults.push('took over, and stands still');
  return 'took over';
}

async function goesAlone(world: World, primary: PrimaryEngine): Promise<void> {
  const before = world.guests.primary.state().whole;
  world.isPrimaryAlone = true;
  await primary.goAlone();
  if (world.guests.primary.state().whole !== before) world.faults.push('the primary has changed');
  if (!world.guests.primary.isRunning) world.faults.push('the primary is alone, and stands still');
  if (world.output.held.length > 0) world.faults.push('the primary is alone, and packets are held');
}
