import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

const run = promisify(execFile);
export const ROOT = path.resolve(import.meta.dirname, '../..');

/** All packages as they would be published, and a registry on loopback that has them. */
export class Packed {
  private constructor(
    readonly folder: string,
    private readonly registry: ChildProcess,
    readonly url: string,
  ) {}

  static async make(): Promise<Packed> {
    const folder = await mkdtemp(path.join(tmpdir(), 'gannet-packed-'));
    await run(process.execPath, [path.join(ROOT, 'scripts/pack.mjs'), folder]);
    const registry = spawn(
      process.execPath,
      [path.join(ROOT, 'scripts/local-registry.mjs'), folder],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    const [url] = (await once(createInterface(registry.stdout), 'line')) as [string];
    return new Packed(folder, registry, url);
  }

  /** `npm install`, with nothing of this user's configuration and nothing from the network. */
  async npm(folder: string, ...args: string[]): Promise<void> {
    await mkdir(folder, { recursive: true });
    const clean = Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name));
    const env = {
      ...Object.fromEntries(clean),
      npm_config_registry: this.url,
      npm_config_userconfig: '/dev/null',
      npm_config_cache: path.join(this.folder, 'cache'),
      npm_config_audit: 'false',
      npm_config_fund: 'false',
      npm_config_update_notifier: 'false',
    };
    await run('npm', ['install', ...args], { cwd: folder, env });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.registry.stdin?.end();
    if (this.registry.exitCode === null) await once(this.registry, 'exit');
    await rm(this.folder, { recursive: true });
  }
}
