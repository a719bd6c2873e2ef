/** Remedies about files and processes of one host, carried out with the real command. */
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { describeEvent, verdictOfFacts } from '@gannet/contract';
import { commandsIn } from '../simulation/remedies/printed.js';
import type { Bench, Outcome } from './remedy-bench.js';

export interface FileCase {
  readonly name: string;
  /** @returns what is printed, and the command that has printed it */
  readonly print: (bench: Bench) => Promise<{ text: string; tried?: readonly string[] }>;
  /** Which of its commands, in their order; all if absent. */
  readonly runs?: readonly number[];
  /** What there is afterwards, and was not before. */
  readonly then?: 'a daemon' | 'a disk' | 'a command';
  /** What the text says to do first that no command does. */
  readonly first?: (bench: Bench) => Promise<void>;
}

/** Of the daemon that does not start. */
async function refused(bench: Bench): Promise<{ text: string; tried: readonly string[] }> {
  const tried = ['secondary', 'web'];
  const { code, remedy } = await bench.start(...tried);
  if (code === 0) throw new Error('it is not refused');
  return { text: remedy, tried };
}

async function failing(
  bench: Bench,
  ...tried: readonly string[]
): Promise<{ text: string; tried: readonly string[] }> {
  const { code, remedy } = await bench.gannet(...tried);
  if (code === 0) throw new Error('it does not fail');
  return { text: remedy, tried };
}

/** The configuration names another base than the journal is of. */
async function journalOfOthers(bench: Bench): Promise<{ text: string; tried: readonly string[] }> {
  await bench.leave('failed-over');
  const disk = { name: 'disk0', device: 'vb0', base: bench.at('other'), size: '256 KiB' };
  await bench.configure({ disks: [disk] });
  return refused(bench);
}

type Facts = Parameters<typeof verdictOfFacts>[0];

const SIDE = { knowledge: 'here', ageMs: 0, host: 'beta', trouble: '' } as const;
const SECONDARY: Facts['secondary'] = {
  ...{ ...SIDE, isOutdated: false, reason: '', link: 'none', linkLoss: '', baseTrouble: '' },
  ...{ mayFailOver: false, commitAgeMs: undefined, qemu: 'lost', state: 'failed-over' },
};
const PRIMARY: Facts['primary'] = {
  ...{
    ...SIDE,
    knowledge: 'never',
    qemu: 'unknown',
    state: 'unknown',
    stage: '',
    standstill: '',
    movedTo: '',
  },
};

export const FILE_CASES: readonly FileCase[] = [
  {
    name: 'REPLICA_BASE_NEEDS_RECOVERY: recover',
    print: async (bench) => {
      await bench.leave('failed-over');
      return refused(bench);
    },
    runs: [0],
    then: 'a disk',
  },
  {
    name: 'REPLICA_BASE_NEEDS_RECOVERY: overwrite',
    print: async (bench) => {
      await bench.leave('failed-over');
      return refused(bench);
    },
    runs: [1],
    then: 'a daemon',
  },
  {
    name: 'REPLICA_BASE_HOLDS_DATA',
    print: async (bench) => {
      await bench.leave('retired');
      return refused(bench);
    },
    then: 'a daemon',
  },
  {
    name: 'REPLICA_BASE_FOREIGN',
    print: async (bench) => {
      await bench.leave('protected', 'mail');
      return refused(bench);
    },
    then: 'a daemon',
  },
  {
    name: 'REPLICA_BASE_LAST_COMMIT: recover',
    print: async (bench) => {
      await bench.leaveLastCommit('protected');
      return refused(bench);
    },
    runs: [0],
    then: 'a disk',
  },
  {
    name: 'REPLICA_BASE_LAST_COMMIT: overwrite',
    print: async (bench) => {
      await bench.leaveLastCommit('protected');
      return refused(bench);
    },
    runs: [1],
    then: 'a daemon',
  },
  {
    name: 'an outdated last commit: overwrite',
    print: async (bench) => {
      await bench.leaveLastCommit('outdated');
      return refused(bench);
    },
    runs: [0],
    then: 'a daemon',
  },
  {
    name: 'an outdated last commit: recover',
    print: async (bench) => {
      await bench.leaveLastCommit('outdated');
      return refused(bench);
    },
    runs: [1],
    then: 'a disk',
  },
  {
    name: 'an outdated copy is not recovered',
    print: async (bench) => {
      await bench.leaveLastCommit('outdated');
      return failing(bench, 'recover', 'web', '--last-commit');
    },
    then: 'a disk',
  },
  {
    name: 'copy-left',
    print: async (bench) => {
      await bench.leaveLastCommit('protected');
      const event = { at: '', role: 'secondary', kind: 'copy-left', epoch: 1 } as const;
      return { text: describeEvent(event, 'web').remedy };
    },
    then: 'a disk',
  },
  {
    name: 'survivor-down',
    print: async (bench) => {
      await bench.leave('failed-over');
      const facts = { vm: 'web', here: 'secondary', pulse: 'lost', termTrouble: '' } as const;
      return { text: verdictOfFacts({ ...facts, primary: PRIMARY, secondary: SECONDARY }).remedy };
    },
    then: 'a disk',
  },
  {
    name: 'a journal that no base knows: recover',
    print: journalOfOthers,
    first: (bench) => bench.configure({}),
    runs: [0],
    then: 'a disk',
  },
  {
    name: 'a journal that no base knows: overwrite',
    print: journalOfOthers,
    runs: [1],
    then: 'a daemon',
  },
  ...(['secondary', 'primary'] as const).map((role, at): FileCase => ({
    name: `no daemon answers: ${role}`,
    print: async (bench) => {
      await bench.blank();
      return failing(bench, 'status', 'web');
    },
    runs: [at],
    then: 'a daemon',
  })),
  {
    name: 'a daemon of this VM already runs',
    print: async (bench) => {
      await bench.start('primary', 'web');
      return failing(bench, 'secondary', 'web');
    },
    then: 'a daemon',
  },
  {
    name: 'base-holds-data, of gannet check',
    print: async (bench) => {
      await bench.leave('retired');
      await bench.configure({ primary: undefined });
      return bench.finding('base-holds-data');
    },
    then: 'a daemon',
  },
  {
    name: 'peer-unreachable, of gannet check',
    print: async (bench) => {
      await bench.blank();
      const [nbd, peer, migrate] = ['nbd', 'peer', 'mig'].map((name) => `unix:${bench.at(name)}`);
      await bench.configure({ primary: { nbd, peer, migrate } });
      return bench.finding('peer-unreachable');
    },
    then: 'a daemon',
  },
  {
    name: 'a key that others may read',
    print: async (bench) => {
      await bench.blank();
      await mkdir(bench.at('tls'));
      await writeFile(bench.at('tls/keys.psk'), `web:${'0a'.repeat(32)}\n`, { mode: 0o644 });
      await bench.configure({ tls: { dir: bench.at('tls'), kind: 'psk' } });
      return failing(bench, 'secondary', 'web');
    },
  },
  {
    name: 'a configuration that others may write',
    print: async (bench) => {
      await bench.configure({ fence: { command: ['/bin/true'] } });
      await chmod(bench.at('web.yaml'), 0o666);
      return refused(bench);
    },
    then: 'a command',
  },
  {
    name: 'a token that others may read',
    print: async (bench) => {
      await bench.configure({ http: { listen: '127.0.0.1:0', tokenFile: bench.at('token') } });
      await writeFile(bench.at('token'), 'a'.repeat(32), { mode: 0o644 });
      await bench.blank();
      return failing(bench, 'secondary', 'web');
    },
    then: 'a daemon',
  },
];

/** @returns whether there is what a case promises */
export async function isBetter(bench: Bench, { then }: FileCase): Promise<boolean> {
  if (then === 'a daemon') return bench.answers();
  if (then === 'a disk') return bench.hasDisk();
  if (then === undefined) return true;
  // It gets as far as to find no daemon.
  return (await bench.gannet('status', 'web')).output.includes('GANNET_CONTROL_UNREACHABLE');
}

/** Runs what a text says. @returns the commands */
export async function carryOutFiles(bench: Bench, one: FileCase): Promise<[string, string[]]> {
  const { text, tried } = await one.print(bench);
  const shell = [...text.matchAll(/`(chmod [^`]+)`/g)].map(([, command = '']) => command);
  const all = [
    ...shell.map((command) => ({ command, argv: undefined })),
    ...commandsIn(text, tried).map(({ argv }) => ({ command: `gannet ${argv.join(' ')}`, argv })),
  ];
  await one.first?.(bench);
  const wanted = one.runs?.map((at) => all[at]) ?? all;
  for (const each of wanted) {
    if (!each) throw new Error(`it has no such command: ${text}`);
    const { code, output } = await carryOut(bench, each);
    const isFine = code === 0 || (code === 3 && each.argv?.[0] === 'status');
    if (!isFine) throw new Error(`${each.command} ends with ${code}: ${output}\n${text}`);
  }
  if (wanted.length === 0) throw new Error(`nothing to do in: ${text}`);
  return [text, wanted.map((each) => each?.command ?? '')];
}

async function carryOut(
  bench: Bench,
  { command, argv }: { readonly command: string; readonly argv: readonly string[] | undefined },
): Promise<Outcome> {
  if (!argv) {
    const done = await bench.sh(command);
    // What was refused for it is tried again.
    if (command.includes('token')) return bench.start('secondary', 'web');
    return done;
  }
  const named = argv.includes('web') ? argv : [...argv.slice(0, 1), 'web', ...argv.slice(1)];
  const isDaemon = argv[0] === 'secondary' || argv[0] === 'primary';
  return isDaemon ? bench.start(...named) : bench.gannet(...named);
}
