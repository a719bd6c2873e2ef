import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Mutant } from './mutants.js';

const ROOT = path.resolve(import.meta.dirname, '..', '..');

export interface DemoOutcome {
  readonly exitCode: number;
  /** Undefined when the demonstration did not get to its verdict. */
  readonly faults: readonly string[] | undefined;
  readonly stderr: string;
}

/** A copy of the compiled packages that can be broken without harm. */
export class MutantWorkspace {
  private constructor(readonly dir: string) {}

  /**
   * @throws Error when the text to be replaced is not there exactly once: the mutant has to follow
   * the code
   */
  static async create(mutant: Mutant): Promise<MutantWorkspace> {
    const dir = await mkdtemp(path.join(tmpdir(), 'gannet-mutant-'));
    const workspace = new MutantWorkspace(dir);
    try {
      // The links of pnpm are relative: they hold in the copy as they do in the original.
      await cp(path.join(ROOT, 'packages'), path.join(dir, 'packages'), {
        recursive: true,
        verbatimSymlinks: true,
        filter: (source) => !/\/(src|test)$/.test(source),
      });
      await symlink(path.join(ROOT, 'node_modules'), path.join(dir, 'node_modules'));
      for (const { file, find, replace } of mutant.edits) {
        const target = path.join(dir, file);
        const text = await readFile(target, 'utf8');
        const found = text.split(find).length - 1;
        if (found !== 1) throw new Error(`${mutant.name}: ${file} has the text ${found} times`);
        await writeFile(
          target,
          text.replace(find, () => replace),
        );
      }
    } catch (error) {
      await workspace.remove();
      throw error;
    }
    return workspace;
  }

  /** Runs the demonstration from the copy, on the guest of the original. */
  demo(args: readonly string[]): Promise<DemoOutcome> {
    const bin = path.join(this.dir, 'packages', 'lab', 'dist', 'demo', 'main.js');
    const cache = process.env['GANNET_LAB_CACHE'] ?? path.join(ROOT, '.cache', 'guest');
    const command = ['--pdeathsig', 'TERM', process.execPath, bin, '--json', ...args];
    const env = { ...process.env, GANNET_LAB_CACHE: cache, NODE_OPTIONS: '' };
    return new Promise((resolve) => {
      execFile('setpriv', command, { env, timeout: 110_000 }, (error, stdout, stderr) => {
        const exitCode = error === null ? 0 : Number(error.code ?? -1);
        const faults = faultsIn(stdout);
        resolve({ exitCode, faults, stderr });
      });
    });
  }

  async remove(): Promise<void> {
    await rm(this.dir, { recursive: true, force: true });
  }
}

function faultsIn(stdout: string): readonly string[] | undefined {
  const line = stdout.trim();
  return line === '' ? undefined : (JSON.parse(line) as { faults: string[] }).faults;
}
