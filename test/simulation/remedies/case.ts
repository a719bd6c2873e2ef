// One remedy that is printed, carried out: what is printed is found in the state that a case makes,
// the commands are read out of it, run where it says, and the VM has to be better for it.

import type { DaemonEvent } from '@gannet/contract';
import type { HostName } from '../arbitration/network.js';
import { commandsIn, type PrintedCommand } from './printed.js';
import type { Setting } from './setting.js';
import { type Answer, remedyOf, type Seen, Stage } from './stage.js';

/**
 * What a remedy is for.
 *
 * - `protects`: the VM is protected in the end
 * - `runs`: a guest runs in the end, and did not before
 * - `answers`: it says something, and changes nothing
 * - `moves`: a guest runs in the end, as before, on the other host
 * - `keeps`: a guest runs in the end, as before, where it did
 */
export type Aim = 'protects' | 'runs' | 'answers' | 'moves' | 'keeps';

export interface Printed {
  readonly text: string;
  /** Where it is printed. */
  readonly at: HostName;
  /** What was refused, and printed it. */
  readonly tried?: readonly string[] | undefined;
}

export interface RemedyCase {
  readonly name: string;
  readonly setting?: Setting;
  /** Makes the state, and reads what is printed there. */
  readonly print: (stage: Stage) => Promise<Printed>;
  readonly aim: Aim;
  /** What the text says to do first that no command does; it has to have these words. */
  readonly outside?: readonly [words: string, act: (stage: Stage) => Promise<void> | void];
  /** The same after its first command. */
  readonly then?: readonly [words: string, act: (stage: Stage) => Promise<void> | void];
  /** Which of its commands, in their order; all if absent. */
  readonly runs?: readonly number[];
  /** What was tried is tried again then, as everybody does. */
  readonly again?: true;
  /** A refusal is followed as well: its own remedy has to help. */
  readonly follows?: true;
}

/** A remedy that was carried out. */
export interface Executed {
  readonly name: string;
  readonly text: string;
  /** As `gannet …`, and what only hands do. */
  readonly done: readonly string[];
}

const SETTLE_MS = 12_000;

export async function carryOut(one: RemedyCase): Promise<Executed[]> {
  const stage = new Stage(one.setting);
  try {
    return await carryOutOn(stage, one);
  } catch (error) {
    const trace = stage.trace.slice(-40).join('\n');
    throw new Error(`${one.name}: ${String(error)}\n${trace}`, { cause: error });
  } finally {
    stage.end();
  }
}

async function carryOutOn(stage: Stage, one: RemedyCase): Promise<Executed[]> {
  const executed: Executed[] = [];
  let printed: Printed | undefined = await one.print(stage);
  const before = await stage.look();
  const [words, act] = one.outside ?? [];
  if (words !== undefined && !printed.text.includes(words)) {
    throw new Error(`it does not say “${words}”: ${printed.text}`);
  }
  await act?.(stage);
  const [nextWords, nextAct] = one.then ?? [];
  if (nextWords !== undefined && !printed.text.includes(nextWords)) {
    throw new Error(`it does not say “${nextWords}”: ${printed.text}`);
  }
  // Nobody is as quick as this test.
  await stage.pass(1000);
  const { tried: wish, at: wisher } = printed;
  let isFirst = true;
  while (printed) {
    const { text, at, tried } = printed;
    const commands = commandsIn(text, tried);
    const wanted = isFirst
      ? (one.runs?.map((index) => commands[index]) ?? commands)
      : [commands[0]];
    const done = isFirst && words !== undefined ? [words] : [];
    printed = undefined;
    for (const command of wanted) {
      if (!command) throw new Error(`it has no such command: ${text}`);
      const where = stage.placeOf(command.place, at);
      const answer = await stage.run(where, command.argv);
      done.push(`gannet ${command.argv.join(' ')}`);
      if (isFirst && command === wanted[0]) await nextAct?.(stage);
      expectHelpful(one, command, answer, text);
      if (!answer.isDone) printed = { text: answer.remedy, at: where, tried: command.argv };
    }
    if (done.length === 0) throw new Error(`nothing to do in: ${text}`);
    executed.push({ name: one.name, text, done });
    isFirst = false;
  }
  if (one.again && wish) {
    const answer = await stage.run(wisher, wish);
    if (!answer.isDone) throw new Error(`it does not work afterwards: ${answer.message}`);
  }
  await stage.pass(SETTLE_MS);
  expectBetter(one.aim, before, await stage.look());
  return executed;
}

function expectHelpful(
  { aim, follows }: RemedyCase,
  { argv }: PrintedCommand,
  answer: Answer,
  text: string,
): void {
  if (answer.isDone) {
    const isNothing = aim === 'answers' && JSON.stringify(answer.result ?? null).length < 10;
    if (isNothing) throw new Error(`gannet ${argv.join(' ')} says nothing`);
    return;
  }
  if (follows) return;
  throw new Error(`gannet ${argv.join(' ')} fails: ${answer.message}\n  printed: ${text}`);
}

function expectBetter(aim: Aim, before: Seen, after: Seen): void {
  const hasMoved = before.holder !== after.holder;
  const didRun = before.health > 0;
  const isWrong = {
    protects: after.health < 2,
    runs: didRun || after.health < 1,
    answers: before.health !== after.health || hasMoved,
    moves: !didRun || after.health < 1 || !hasMoved,
    keeps: !didRun || after.health < 1 || hasMoved,
  };
  if (!isWrong[aim]) return;
  const [was, is] = [before, after].map(({ health, holder }) => `${health} on ${holder}`);
  throw new Error(`it does not help (${aim}): health ${was} → ${is}`);
}

/** The verdict that a daemon has, which must be this one. */
export async function verdictAt(stage: Stage, at: HostName, code: string): Promise<Printed> {
  let last = '';
  for (let passedMs = 0; passedMs < 40_000; passedMs += 100) {
    const { health } = await stage.status(at);
    last = health.code;
    if (last === code) return { text: health.remedy, at };
    await stage.pass(100);
  }
  throw new Error(`the verdict at ${at} is ${last}, not ${code}`);
}

/** The last event of a kind. */
export async function eventAt(
  stage: Stage,
  at: HostName,
  kind: DaemonEvent['kind'],
  is: (event: DaemonEvent) => boolean = () => true,
): Promise<Printed> {
  for (let passedMs = 0; passedMs < 40_000; passedMs += 100) {
    const events = await stage.events(at);
    const event = events.findLast((each) => each.kind === kind && is(each));
    if (event) return { text: remedyOf(event), at };
    await stage.pass(100);
  }
  throw new Error(`${at} has no event ${kind}`);
}

/** A command that must be refused, or fail. */
export async function refusalOf(stage: Stage, at: HostName, command: string): Promise<Printed> {
  const argv = command.split(' ');
  const answer = await stage.run(at, argv);
  if (answer.isDone) throw new Error(`gannet ${command} is not refused`);
  return { text: answer.remedy, at, tried: argv };
}
