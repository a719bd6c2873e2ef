/**
 * A remedy that is printed helps, and never harms: each is carried out where it is printed. The
 * commands are read out of the text, as a person reads it. What the product prints is read out of
 * the code (scripts/docs/remedies.mjs), so a new remedy without a case is found.
 */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { commandsIn } from '../simulation/remedies/printed.js';
import { carryOutFiles, FILE_CASES, isBetter } from './remedies-of-files.js';
import { Bench } from './remedy-bench.js';

const ROOT = path.resolve(import.meta.dirname, '../..');

interface Remedy {
  readonly text: string;
  readonly kind: 'command' | 'config' | 'outside';
  readonly of: readonly string[];
}

interface Simulated {
  readonly name: string;
  readonly error?: string;
  readonly executed: readonly { readonly text: string; readonly done: readonly string[] }[];
}

function read(...argv: readonly string[]): unknown {
  const { stdout, stderr } = spawnSync(process.execPath, argv, {
    cwd: ROOT,
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout) as unknown;
}

const printed = read('scripts/docs/remedies.mjs') as readonly Remedy[];
const MAIN = 'test/simulation/dist/remedies/main.js';
const simulated = read(MAIN, '--json') as readonly Simulated[];
/** What was carried out: by each text, its commands. */
const executed: { readonly text: string; readonly done: readonly string[] }[] = simulated.flatMap(
  (one) => one.executed,
);

describe('in a simulated pair, both daemons in one process', () => {
  test.each(simulated.map(({ name, error }) => [name, error] as const))('%s', (_name, error) => {
    expect(error).toBeUndefined();
  });
});

describe('on one host, by the command', () => {
  let bench: Bench | undefined;
  afterEach(async () => {
    await bench?.end();
    bench = undefined;
  });

  test.each(FILE_CASES.map((one) => [one.name, one] as const))('%s', async (_name, one) => {
    bench = await Bench.make();
    const [text, done] = await carryOutFiles(bench, one);
    executed.push({ text, done });
    expect(await isBetter(bench, one)).toBe(true);
  });
});

/** Commands that no case here runs, and why not. A text that is not printed any more must go. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  'Add it to -cpu by hand; `gannet check`': 'e2e/command/check runs it, on real QEMUs',
  'Start its daemon, then its QEMU; `gannet check --print-secondary`': 'e2e/command/check',
  'Start the secondary with the command line that `gannet check --print-secondary`':
    'e2e/command/check starts a secondary with that line, and protects it',
  'Start it if it does not run: on the primary host, `gannet check --print-secondary`':
    'e2e/command/check starts a secondary with that line',
  'Start the primary VM and `gannet secondary`': 'e2e/command/check',
  'Read the reason that QEMU gives; `gannet check`': 'a hint at what e2e/command/check runs',
  'It is tried again. See whether the configuration fits this QEMU': 'e2e/command/check',
  'Run on the primary host, as root: `ip route replace': 'inspect/routes.interop runs it',
  'Run on the secondary host, as root: `ip route replace': 'inspect/routes.interop runs it',
  'Call `commit` or `abort`': 'methods, no commands: e2e/command/command.external calls them',
  'Call `seal` first': 'methods, no commands: e2e/command/command.external calls them',
  'There are no checkpoints after a failover': 'said to who drives checkpoints by call',
  'Snapshots are taken of a protected VM': 'a hint: `gannet status` runs in other cases',
  '`gannet snapshot': 'no data is simulated; e2e/copies takes and drops one on a real pair',
  '`gannet status … --json` shows it; `gannet snapshot': 'the same',
  'To begin one, run `gannet verify': 'no NBD is simulated; e2e/copies runs it on a real pair',
  'Check the storage of the replica on the secondary host: its log': 'the same',
  'So much is no fault of single places': 'the same; other cases detach and protect',
  '`gannet status … --json` shows how far it is': 'no NBD is simulated; e2e/copies runs both',
  'Compare both: on each host': 'the last verdict of the table: no state that leads to it is known',
  'See `gannet status`.': 'a finding about a VM that is well: nothing is to be done',
  'Run `gannet status` on the other host': 'an NBD client says it: no NBD is simulated',
  'See that the replica': 'an NBD client says it; e2e/life/seed protects again after it',
  'Check the image and its disk. Write-back retries': 'needs a disk that fails: e2e/trouble',
  'Make space on its file system, or raise the quota': 'needs a full disk: e2e/trouble/no-space',
  'Leave the guest stopped: its disks are in the bases now': 'failover-steps.test asks again',
  'Try again in a moment; `gannet status': 'for the moment in which a QMP connection ends',
  'Remove the cause, then run `gannet failover': 'failover-steps.test asks again',
  'Stop this daemon, run `gannet recover':
    'the verdict survivor-down says the same of the same state, and a case runs it',
  'Remove `overwrite` from the configuration': 'serve.test starts the daemon in both ways',
  'Run `gannet failover … --force` on the secondary host, to go on':
    'needs a disk that fails: seeds of the simulation force either side then',
  'Its fence FAILED': 'failover.test forces it after a fence that failed',
  'To protect it with this host, end the QEMU':
    'e2e/vsmr/move.long moves a VM and back, by that way',
  'To move the VM, run `gannet move': 'no engine vsmr is simulated; e2e/vsmr/move.long runs it',
  'If this lasts, …. Nothing is lost': 'primary-role.move.test: both, by word and by force',
  'On the secondary host, `gannet status': 'a hint: `gannet status` runs in other cases',
  'The copy there cannot take over: …. To go on here':
    'primary-role.move.test takes a VM back by force',
  'Protect it with `engine: vsmr`': 'of COLO: other cases detach',
  '`gannet status …` shows what is the matter': 'a hint: `gannet status` runs in other cases',
  'The guest runs on here. If `gannet status':
    'no engine vsmr is simulated; hand-over.test asks again',
  'See that the daemon on … runs': 'no engine vsmr is simulated; hand-over.test asks again',
  'Run `gannet status …` on …: it says why': 'failover.test carries on a takeover that has failed',
  'The protection goes on as it is': 'e2e/trouble/renamed.long detaches and protects again',
  'The secondary has taken over: its QEMU runs a VM':
    'only a daemon without term files says it; what it prints first is refused there',
};

describe('every command that is printed', () => {
  const commands = printed.filter(({ kind }) => kind === 'command');
  const isElsewhere = ({ text }: Remedy): boolean =>
    Object.keys(ELSEWHERE).some((head) => text.startsWith(head));

  test('is run by a case, or there is a reason why not', () => {
    const missing = commands.filter((one) => !isElsewhere(one) && !isExecuted(one));
    expect(missing.map(({ text, of }) => `${of.join(', ')}: ${text}`)).toEqual([]);
  });

  test('has no reason if it is run, or is not printed any more', () => {
    const stale = Object.keys(ELSEWHERE).filter((head) => {
      const found = commands.filter(({ text }) => text.startsWith(head));
      return found.length === 0 || found.some((one) => isExecuted(one));
    });
    expect(stale).toEqual([]);
  });

  test('can be read out of its text', () => {
    const unread = commands.filter(({ text }) => commandsOf(text).length === 0);
    expect(unread.filter((one) => !isElsewhere(one)).map(({ text }) => text)).toEqual([]);
  });
});

/** What is put in at run time stands as `…`. */
function patternOf(text: string): RegExp {
  const parts = text.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(parts.join('.*'), 's');
}

/** As `gannet …`, or as a command of the system. */
function commandsOf(text: string): string[] {
  const own = commandsIn(text.replaceAll('…', 'web'), ['…']).map(({ argv }) => argv.join(' '));
  const system = [...text.matchAll(/`(chmod [^`]+)`/g)].map(([, command = '']) => command);
  return [...own.map((words) => `gannet ${words.replaceAll(' web', ' …')}`), ...system];
}

function isExecuted({ text }: Remedy): boolean {
  const pattern = patternOf(text);
  const done = executed.filter((one) => pattern.test(one.text)).flatMap((one) => one.done);
  const wanted = commandsOf(text).map((command) => patternOf(command.replace(/ …/g, '…')));
  return done.length > 0 && wanted.every((own) => done.some((one) => own.test(one)));
}
