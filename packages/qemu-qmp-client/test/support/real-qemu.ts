import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type ConnectOptions, connectWithRetry, type QmpClient } from '../../src/index.js';

const START_DEADLINE_MS = 30_000;

/** A QEMU without a machine, its monitor on a unix socket in a folder of its own. */
export class RealQemu {
  private constructor(
    readonly folder: string,
    readonly process: ChildProcess,
  ) {}

  /** Starts one; `prepare` may fill its folder first and gives further arguments. */
  static async start(
    prepare: (folder: string) => Promise<readonly string[]> = () => Promise.resolve([]),
  ): Promise<RealQemu> {
    const folder = await mkdtemp(join(tmpdir(), 'qmp-interop-'));
    const more = await prepare(folder);
    const monitor = ['-qmp', `unix:${join(folder, 'qmp.sock')},server=on,wait=off`];
    const machine = ['-machine', 'none', '-nodefaults', '-display', 'none'];
    // If this process dies, so does QEMU.
    const child = spawn(
      'setpriv',
      ['--pdeathsig', 'KILL', 'qemu-system-x86_64', ...machine, ...monitor, ...more],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    );
    await once(child, 'spawn');
    return new RealQemu(folder, child);
  }

  get target(): { readonly kind: 'unix'; readonly path: string } {
    return { kind: 'unix', path: join(this.folder, 'qmp.sock') };
  }

  connect(options: Partial<Omit<ConnectOptions, 'target'>> = {}): Promise<QmpClient> {
    return connectWithRetry({ target: this.target, deadlineMs: START_DEADLINE_MS, ...options });
  }

  async stop(): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      const exited = once(this.process, 'exit');
      this.process.kill('SIGKILL');
      await exited;
    }
    await rm(this.folder, { recursive: true });
  }
}

/** The TCP port that QEMU chose for a listening chardev. */
export async function portOf(client: QmpClient, label: string): Promise<number> {
  const chardevs = await client.execute('query-chardev');
  const filename = chardevs.find((chardev) => chardev.label === label)?.filename ?? '';
  const port = /:(\d+),/.exec(filename)?.[1];
  if (port === undefined) throw new Error(`no port in ${filename}`);
  return Number(port);
}

const run = promisify(execFile);

/**
 * A CA, and certificates for a server at 127.0.0.1 and a client, by the names that QEMU looks for.
 */
export async function makeCertificates(folder: string): Promise<void> {
  const file = (name: string): string => join(folder, name);
  const key = (name: string): string[] => [
    ...['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
    ...[
      '-subj',
      `/CN=${name}`,
      '-keyout',
      file(`${name}-key.pem`),
      '-out',
      file(`${name}-cert.pem`),
    ],
  ];
  const openssl = (...args: string[]): Promise<unknown> => run('openssl', args);
  const sign = ['-addext', 'keyUsage=critical,keyCertSign'];
  await openssl('req', '-x509', ...key('ca'), ...sign);
  const signed = ['-CA', file('ca-cert.pem'), '-CAkey', file('ca-key.pem')];
  const leaf = ['-addext', 'basicConstraints=critical,CA:FALSE'];
  for (const name of ['server', 'client']) {
    const use = ['-addext', `extendedKeyUsage=${name}Auth`, '-addext', 'keyUsage=digitalSignature'];
    const address = ['-addext', 'subjectAltName=IP:127.0.0.1'];
    await openssl('req', '-x509', ...key(name), ...signed, ...leaf, ...use, ...address);
  }
}
