import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { GannetError } from '@gannet/contract';

/** See `fence.evidence` of the configuration. */
export type FenceEvidence = 'fence' | 'arbiter';

export interface FenceConfig {
  /** Program and arguments; run without a shell. */
  readonly command: readonly string[];
  readonly timeoutMs: number;
  /** What its success is: the other host is off, or a third party has granted it. */
  readonly evidence?: FenceEvidence | undefined;
  /** For whoever runs it: to wait before, and to look again. */
  readonly delayMs: number;
}

export interface FenceOutcome {
  readonly succeeded: boolean;
  /** How it ended, with the end of its output. */
  readonly words: string;
  /** Its outcome was not needed any more. */
  readonly wasStopped?: true;
}

export interface FenceRun {
  readonly vm: string;
  /** The role of the host to be fenced. */
  readonly target: 'primary' | 'secondary';
  /** Stops the command: its outcome is not needed any more. */
  readonly signal?: AbortSignal | undefined;
}

const OUTPUT_CHARS = 2000;
/** After the command has exited: for output that is still in the pipe. */
const OUTPUT_GRACE_MS = 100;

type FenceProcess = ChildProcessByStdio<null, Readable, Readable>;

/**
 * Runs the command that makes sure that the other host no longer runs the VM. It has to cut that
 * host's power, or kill its QEMU, and exit with 0 only when that is certain. Its environment has
 * GANNET_VM, and GANNET_FENCE with the role of the host to be fenced.
 *
 * The exit of the command counts, not the end of its output: a background child, such as a
 * connection that ssh keeps (ControlPersist), may hold the pipes for hours. The command runs in a
 * process group of its own, so that a timeout kills everything that it has started.
 */
export function runFence(fence: FenceConfig, run: FenceRun): Promise<FenceOutcome> {
  const [program = '', ...args] = fence.command;
  const { vm, target, signal } = run;
  if (signal?.aborted === true) return Promise.resolve(STOPPED);
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      env: { ...process.env, GANNET_VM: vm, GANNET_FENCE: target },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    const output = collectOutput(child);
    const finish = (outcome: FenceOutcome): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      child.stdout.destroy();
      child.stderr.destroy();
      resolve(outcome);
    };
    const giveUp = (outcome: FenceOutcome): void => {
      killGroup(child);
      finish(outcome);
    };
    const onAbort = (): void => giveUp(STOPPED);
    const timer = setTimeout(() => {
      const words = `no exit within ${fence.timeoutMs} ms, killed ${output()}`.trim();
      giveUp({ succeeded: false, words });
    }, fence.timeoutMs);
    signal?.addEventListener('abort', onAbort);
    child.once('error', (error) => finish({ succeeded: false, words: error.message }));
    child.once('exit', (code, killer) => {
      clearTimeout(timer);
      const report = (): void => {
        const end = killer === null ? `exit code ${code}` : `killed by ${killer}`;
        finish({ succeeded: code === 0, words: `${end} ${output()}`.trim() });
      };
      const grace = setTimeout(report, OUTPUT_GRACE_MS);
      child.once('close', () => {
        clearTimeout(grace);
        report();
      });
    });
  });
}

const STOPPED: FenceOutcome = {
  succeeded: false,
  words: 'stopped: its outcome is not needed',
  wasStopped: true,
};

/** @returns a reader of the end of what the command has written so far */
function collectOutput(child: FenceProcess): () => string {
  let output = '';
  const note = (text: string): void => {
    output = (output + text).slice(-OUTPUT_CHARS);
  };
  child.stdout.setEncoding('utf8').on('data', note);
  child.stderr.setEncoding('utf8').on('data', note);
  return () => output.trim();
}

function killGroup({ pid }: FenceProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // The whole group has ended already.
  }
}

/** For a primary that must not run on before its secondary is harmless. */
export function notFenced(vm: string, words: string): GannetError {
  return new GannetError(
    'GANNET_REFUSED',
    `the secondary of ${vm} could not be fenced: ${words}`,
    `Make sure that it does not run, then run \`gannet failover ${vm} --force\` here.`,
    'refused',
  );
}

/** The secondary was promised that it would be fenced first. */
export function fenceGone(vm: string): GannetError {
  return new GannetError(
    'GANNET_REFUSED',
    `the secondary of ${vm} was promised that it would be fenced before the guest goes on ` +
      'without it, and the configuration has no fence any more',
    'Put the fence back and reload this daemon. Or make sure that the secondary does not run, ' +
      `then run \`gannet failover ${vm} --force\` here.`,
    'refused',
  );
}
