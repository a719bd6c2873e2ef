import { spawn } from 'node:child_process';
import { GannetError } from '@gannet/contract';

export interface FenceConfig {
  /** Program and arguments; run without a shell. */
  readonly command: readonly string[];
  readonly timeoutMs: number;
}

export interface FenceOutcome {
  readonly succeeded: boolean;
  /** How it ended, with the end of what it said. */
  readonly words: string;
}

const OUTPUT_CHARS = 2000;

/**
 * Runs the command that makes sure that the other host no longer runs the VM: it has to cut its power, or have it
 * killed, and exit with 0 only when that is certain. The environment tells it GANNET_VM and GANNET_FENCE, the role of
 * the host to be fenced.
 */
export function runFence(
  fence: FenceConfig,
  vm: string,
  target: 'primary' | 'secondary',
): Promise<FenceOutcome> {
  const [program = '', ...args] = fence.command;
  return new Promise((resolve) => {
    let said = '';
    const child = spawn(program, args, {
      env: { ...process.env, GANNET_VM: vm, GANNET_FENCE: target },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: fence.timeoutMs,
      killSignal: 'SIGKILL',
    });
    const note = (text: string): void => {
      said = (said + text).slice(-OUTPUT_CHARS);
    };
    child.stdout.setEncoding('utf8').on('data', note);
    child.stderr.setEncoding('utf8').on('data', note);
    child.once('error', (error) => resolve({ succeeded: false, words: error.message }));
    child.once('close', (code, signal) => {
      const end = signal === null ? `exit code ${code}` : `killed by ${signal}`;
      resolve({ succeeded: code === 0, words: `${end} ${said.trim()}`.trim() });
    });
  });
}

/** For a primary that must not run on before its secondary is harmless. */
export function notFenced(vm: string, words: string): GannetError {
  return new GannetError(
    'GANNET_REFUSED',
    `the secondary of ${vm} could not be fenced: ${words}`,
    'Make sure that it does not run, then say `gannet failover --force` here.',
    'refused',
  );
}
