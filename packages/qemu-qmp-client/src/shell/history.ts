import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';

const MAX_LINES = 1000;

/** Where the shell keeps its history: in $XDG_STATE_HOME, by default ~/.local/state. */
export function historyPath(env: NodeJS.ProcessEnv): string {
  const state = env['XDG_STATE_HOME'];
  // The XDG specification: relative paths are invalid, and to be ignored.
  const base =
    state !== undefined && isAbsolute(state) ? state : join(homedir(), '.local', 'state');
  return join(base, 'qemu-qmp-client', 'history');
}

/**
 * Lines typed before, oldest first in the file. Readable by its owner alone: passwords may be among
 * them.
 */
export class LineHistory {
  constructor(readonly path: string) {}

  /**
   * Newest first, as node:readline wants it; a file grown long is cut. None where there is no file.
   */
  async load(): Promise<string[]> {
    let text;
    try {
      text = await readFile(this.path, 'utf8');
    } catch {
      // No file yet, or none to be read: add() will say so.
      return [];
    }
    const lines = text.split('\n').filter((line) => line !== '');
    const kept = lines.slice(-MAX_LINES);
    if (lines.length > 2 * MAX_LINES) {
      await writeFile(this.path, `${kept.join('\n')}\n`, { mode: 0o600 });
    }
    return kept.reverse();
  }

  /**
   * Appends, so that two shells at once lose nothing. A line that begins with a blank is not kept.
   */
  async add(line: string): Promise<void> {
    if (line === '' || line.startsWith(' ')) return;
    await mkdir(dirname(this.path), { recursive: true, mode: 0o700 });
    await appendFile(this.path, `${line}\n`, { mode: 0o600 });
  }
}
