/** Runs docs/tutorial.md: every block of commands, in its order, as it stands there. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

const run = promisify(execFile);
const root = path.resolve(import.meta.dirname, '..', '..', '..');
/** `make setup` may have to compile. */
const BLOCK_TIMEOUT_MS = 200_000;
const PART_TIMEOUT_MS = 2 * BLOCK_TIMEOUT_MS;

interface Block {
  readonly host: string;
  readonly section: string;
  readonly text: string;
}

let dir: string;
let undo: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-tutorial-'));
  undo = [() => rm(dir, { recursive: true, force: true })];
});
afterEach(async () => {
  for (const step of undo.reverse()) await step();
});

/** The blocks of one part, each with its host and the title above it. */
async function blocksOf(part: string): Promise<Block[]> {
  const text = await readFile(path.join(root, 'docs', 'tutorial.md'), 'utf8');
  const [, ...parts] = text.split(/^## /m);
  const found = parts.find((one) => one.startsWith(part)) ?? '';
  return found.split(/^### /m).flatMap((section) =>
    [...section.matchAll(/^```sh(?: on=(\w+))?\n([\s\S]*?)^```$/gm)].map((match) => ({
      host: match[1] ?? 'here',
      section: section.split('\n')[0] ?? '',
      text: match[2] ?? '',
    })),
  );
}

/** What consoles and daemons said last. */
async function endsOfLogs(): Promise<string> {
  const files = await readdir(dir, { recursive: true });
  const logs = files.filter((file) => file.endsWith('.log'));
  const ends = logs.map(async (log) => {
    const lines = (await readFile(path.join(dir, log), 'utf8')).trimEnd().split('\n');
    return `${log}:\n${lines.slice(-8).join('\n')}`;
  });
  return (await Promise.all(ends)).join('\n\n');
}

/**
 * A shell that keeps what is defined in it, as a terminal does. It and all that it starts live in a
 * namespace of processes that ends with it.
 */
class Shell {
  #output = '';
  readonly #child: ChildProcess;
  #count = 0;

  constructor(
    private readonly host: string,
    namespaces: readonly string[] = [],
  ) {
    const own = ['unshare', '--pid', '--fork', '--kill-child=KILL', '--mount-proc', ...namespaces];
    const shell = ['bash', '-O', 'expand_aliases', '-seu'];
    this.#child = spawn('setpriv', ['--pdeathsig', 'KILL', ...own, ...shell], {
      cwd: root,
      env: { ...process.env, TMPDIR: dir, CI: 'true' },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (this.#output += text));
    }
    undo.push(() => this.end());
  }

  get pid(): string {
    return String(this.#child.pid);
  }

  /** Daemons and VMs that still run there. */
  async leftovers(): Promise<string[]> {
    const output = await this.run("pgrep -af 'gannet/dist/bin.js|qemu-system' || true\n");
    // The shell itself may report a job that was killed.
    return output.split('\n').filter((line) => /^\d+ /.test(line));
  }

  /** @returns what it wrote, in order of arrival */
  async run(text: string): Promise<string> {
    const file = path.join(dir, `${this.host}-${this.#count++}.sh`);
    await writeFile(file, text);
    const from = this.#output.length;
    const word = `ran ${file}`;
    // Not from stdin: what is started in the background would read the rest of it.
    this.#child.stdin?.write(`source ${file} </dev/null\necho '${word}'\n`);
    const deadline = Date.now() + BLOCK_TIMEOUT_MS;
    while (!this.#output.includes(`${word}\n`, from)) {
      const ended = this.#child.exitCode !== null || this.#child.signalCode !== null;
      if (ended || Date.now() > deadline) {
        const why = ended ? 'failed' : 'took too long';
        const said = `${this.#output.slice(from)}\n${await endsOfLogs()}`;
        throw new Error(`on ${this.host} this ${why}:\n${text}\n${said}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return this.#output.slice(from).replace(`${word}\n`, '');
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'close');
    this.#child.kill('SIGKILL');
    await ended;
  }
}

/** Runs the blocks and prints how long each took. @returns what all of them wrote */
async function follow(part: string, shells: Readonly<Record<string, Shell>>): Promise<string> {
  let output = '';
  const blocks = await blocksOf(part);
  expect(blocks.length).toBeGreaterThan(5);
  const startMs = performance.now();
  const secondsSince = (ms: number): string =>
    ((performance.now() - ms) / 1000).toFixed(1).padStart(6);
  process.stdout.write(`Time for a newcomer, ${part}\n`);
  for (const { host, section, text } of blocks) {
    const beganMs = performance.now();
    const shell = shells[host];
    if (!shell) throw new Error(`the tutorial speaks of a host ${host}`);
    output += await shell.run(text);
    const first = text.trim().split('\n')[0]?.slice(0, 60) ?? '';
    process.stdout.write(`${secondsSince(beganMs)} s  ${section.padEnd(28)} ${first}\n`);
  }
  process.stdout.write(`${secondsSince(startMs)} s  in all\n`);
  return output;
}

describe('the tutorial', () => {
  it(
    'leads through a failover on one machine',
    async () => {
      const here = new Shell('here');
      const output = await follow('Part 1', { here });
      const scans = output.split('\n').filter((line) => line.startsWith('gannet-oracle-scan'));
      expect(scans).toHaveLength(2);
      for (const scan of scans) expect(scan).toContain('bad=0 errors=0');
      expect(output).not.toContain('mismatch');
      expect(await here.leftovers()).toEqual([]);
    },
    PART_TIMEOUT_MS,
  );

  it(
    'leads through a failover between two hosts',
    async () => {
      const hosts = await twoHosts();
      const output = await follow('Part 2', hosts);
      expect(output).toContain('nothing proves that the primary of web is dead');
      expect(output).not.toContain('mismatch');
      for (const host of Object.values(hosts)) expect(await host.leftovers()).toEqual([]);
    },
    PART_TIMEOUT_MS,
  );
});

/**
 * Two hosts as the tutorial wants them: their own network with a cable between them, their own
 * /etc, /run, /var and /root, and an sshd on beta that lets alpha in. Nothing of it is seen, or
 * left, outside.
 */
async function twoHosts(): Promise<Readonly<Record<string, Shell>>> {
  const namespaces = ['--net', '--uts', '--mount'];
  const hosts = {
    alpha: new Shell('alpha', namespaces),
    beta: new Shell('beta', namespaces),
  };
  for (const [name, shell] of Object.entries(hosts)) {
    const upper = path.join(dir, name);
    await mkdir(upper);
    await shell.run(`
      hostname ${name}
      mount -t tmpfs tmpfs ${upper}
      mkdir ${upper}/etc ${upper}/work
      mount -t overlay overlay -o lowerdir=/etc,upperdir=${upper}/etc,workdir=${upper}/work /etc
      for place in /run /root /var/lib /var/log; do mount -t tmpfs tmpfs $place; done
      mkdir -m 700 /root/.ssh
      mkdir -p /run/sshd
      ip link set lo up
      printf '127.0.0.1 localhost\\n192.0.2.1 alpha\\n192.0.2.2 beta\\n' >/etc/hosts
    `);
  }
  const ends = await Promise.all([hosts.alpha, hosts.beta].map(innerPid));
  const cable = ['name', 'cable', 'netns'];
  const far = ['type', 'veth', 'peer', ...cable, ends[1] ?? ''];
  await run('ip', ['link', 'add', ...cable, ends[0] ?? '', ...far]);
  for (const [index, shell] of [hosts.alpha, hosts.beta].entries()) {
    await shell.run(`ip address add 192.0.2.${index + 1}/24 dev cable\nip link set cable up\n`);
  }
  await letIn(hosts.alpha, hosts.beta);
  return hosts;
}

/**
 * Of the shell itself: unshare, which has the pid that we know, stays outside of the new
 * namespaces.
 */
async function innerPid(shell: Shell): Promise<string> {
  const file = `/proc/${shell.pid}/task/${shell.pid}/children`;
  return (await readFile(file, 'utf8')).trim().split(' ')[0] ?? '';
}

async function letIn(guest: Shell, host: Shell): Promise<void> {
  const sshd = path.join(root, '.cache', 'sshd');
  await guest.run(`ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
    cp /root/.ssh/id_ed25519.pub ${dir}/guest.pub
    printf 'StrictHostKeyChecking accept-new\\n' >/root/.ssh/config`);
  await host.run(`
    cp ${dir}/guest.pub /root/.ssh/authorized_keys
    ssh-keygen -q -t ed25519 -N '' -f /root/host_key
    sed -i 's/^root:[^:]*/root:*/' /etc/shadow
    grep -q '^sshd:' /etc/passwd ||
      echo 'sshd:x:100:65534::/run/sshd:/usr/sbin/nologin' >>/etc/passwd
    LD_LIBRARY_PATH=$(echo ${sshd}/usr/lib/*-linux-gnu) ${sshd}/usr/sbin/sshd \\
      -D -e -f /dev/null -h /root/host_key \\
      -o ListenAddress=192.0.2.2 -o StrictModes=no -o PidFile=none \\
      -o Subsystem='sftp internal-sftp' 2>/root/sshd.log &
  `);
}
