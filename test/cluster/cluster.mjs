// A cluster of three nodes on this machine, in namespaces: corosync, Pacemaker, a fence agent.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const here = import.meta.dirname;
const source = path.resolve(here, '../..');
const NODES = [1, 2, 3];
const CACHE = path.join(source, '.cache/cluster/root');

/** A cluster whose files are in one folder. Needs root. */
export class Cluster {
  /** @type {Map<number, { pid: number, unshare: import('node:child_process').ChildProcess }>} */
  #nodes = new Map();
  /** @type {import('node:child_process').ChildProcess | undefined} */
  #hub;
  #server = createServer((socket) => {
    socket.once('data', (data) => {
      const [what, node = ''] = String(data).trim().split(' ');
      void this.#fence(String(what), Number(node.slice(1))).then((answer) => socket.end(answer));
    });
    socket.on('error', () => undefined);
  });
  /** @type {{ node: number, atMs: number }[]} Nodes that were fenced, and when. */
  fenced = [];

  /**
   * @param {string} dir on another file system than `/`: an overlay's layers may not contain
   *   each other
   * @param {string} guest folder of the lab's guest
   * @param {boolean} keep its files in the end
   */
  constructor(dir, guest, keep) {
    this.keep = keep;
    this.dir = dir;
    this.guest = guest;
    this.shared = path.join(dir, 'shared');
  }

  /** Builds the nodes' files if they are missing, and starts the fence. */
  async prepare() {
    if (!fs.existsSync(path.join(CACHE, 'complete'))) {
      await run('unshare', ['--mount', 'bash', path.join(here, 'root.sh'), CACHE], {
        maxBuffer: 2 ** 24,
      });
    }
    fs.rmSync(this.dir, { recursive: true, force: true });
    fs.mkdirSync(path.join(this.dir, 'root'), { recursive: true });
    await run('cp', ['-a', path.join(CACHE, 'upper'), path.join(this.dir, 'root/upper')]);
    fs.mkdirSync(this.shared, { recursive: true });
    fs.copyFileSync(path.join(here, 'init.sh'), path.join(this.shared, 'init.sh'));
    fs.writeFileSync(path.join(this.shared, 'corosync.conf'), corosyncConf());
    this.#server.listen(path.join(this.shared, 'fencer.sock'));
    await once(this.#server, 'listening');
    this.#hub = spawn('unshare', ['--net', 'sleep', 'infinity'], { stdio: 'ignore' });
    await sleep(300);
    const script =
      'ip link set lo up; ip link add br0 type bridge; ip link set br0 up; ' +
      'ip address add 10.77.0.254/24 dev br0';
    await this.#inHub(script);
  }

  /** @param {string} script */
  #inHub(script) {
    return run('nsenter', ['--net', `--target=${this.#hub?.pid}`, 'sh', '-ec', script]);
  }

  /**
   * Files of a node, from before it starts.
   *
   * @param {number} n
   * @param {Record<string, string | Buffer>} files
   */
  put(n, files) {
    for (const [file, content] of Object.entries(files)) {
      const at = path.join(this.dir, `n${n}/upper`, file);
      fs.mkdirSync(path.dirname(at), { recursive: true });
      fs.writeFileSync(at, content, { mode: content.toString().startsWith('#!') ? 0o755 : 0o600 });
    }
  }

  /** @param {number} n */
  async boot(n) {
    const args = ['--mount', '--uts', '--ipc', '--net', '--pid', '--fork', '--kill-child'];
    const log = fs.openSync(path.join(this.dir, `n${n}.log`), 'a');
    const unshare = spawn(
      'unshare',
      [...args, 'bash', path.join(here, 'node.sh'), this.dir, `${n}`],
      {
        stdio: ['ignore', log, log],
        env: { ...process.env, SOURCE: source, GUEST: this.guest },
      },
    );
    fs.closeSync(log);
    let pid = 0;
    while (pid === 0) {
      await sleep(50);
      const { stdout } = await run('pgrep', ['-P', `${unshare.pid}`]).catch(() => ({ stdout: '' }));
      pid = Number(stdout.trim().split('\n')[0]);
    }
    this.#nodes.set(n, { pid, unshare });
    await this.#inHub(
      `ip link del v${n} 2>/dev/null || true; ` +
        `ip link add v${n} type veth peer name eth0 netns ${pid}; ` +
        `ip link set v${n} master br0; ip link set v${n} up`,
    );
  }

  /** @param {number} n */
  isAlive(n) {
    const node = this.#nodes.get(n);
    return node !== undefined && node.unshare.exitCode === null && node.unshare.signalCode === null;
  }

  /** Its cable is cut; it runs on. @param {number} n */
  async unplug(n) {
    await this.#inHub(`ip link set v${n} down`);
  }

  /** @param {number} n */
  async plug(n) {
    await this.#inHub(`ip link set v${n} up 2>/dev/null || true`);
  }

  /**
   * A file on the disk of a node, also when that is off.
   *
   * @param {number} n
   * @param {string} file
   */
  read(n, file) {
    return fs.readFileSync(path.join(this.dir, `n${n}/upper`, file), 'utf8');
  }

  /** As a power cut. @param {number} n */
  async kill(n) {
    const node = this.#nodes.get(n);
    if (!node || !this.isAlive(n)) return;
    const exited = once(node.unshare, 'exit');
    process.kill(node.pid, 'SIGKILL');
    await exited;
  }

  /**
   * @param {string} what
   * @param {number} n
   */
  async #fence(what, n) {
    if (what === 'status') return this.isAlive(n) ? 'on' : 'off';
    if (what !== 'off') return 'list';
    await this.kill(n);
    this.fenced.push({ node: n, atMs: performance.now() });
    return 'off';
  }

  /**
   * Runs a program on a node.
   *
   * @param {number} n
   * @param {string[]} command
   * @returns {Promise<string>} what it printed
   */
  async on(n, ...command) {
    const node = this.#nodes.get(n);
    if (!node) throw new Error(`n${n} does not run`);
    const enter = [`--target=${node.pid}`, '--mount', '--uts', '--ipc', '--net', '--pid', '--root'];
    const env = ['env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin', 'HOME=/root'];
    const { stdout } = await run('nsenter', [...enter, '--wd', ...env, ...command], {
      maxBuffer: 2 ** 24,
      timeout: 60_000,
    });
    return stdout;
  }

  async close() {
    for (const n of NODES) await this.kill(n).catch(() => undefined);
    this.#hub?.kill('SIGKILL');
    this.#server.close();
    if (!this.keep) fs.rmSync(this.dir, { recursive: true, force: true });
  }
}

function corosyncConf() {
  const nodes = NODES.map(
    (n) => ` node {\n  name: n${n}\n  nodeid: ${n}\n  ring0_addr: 10.77.0.${n}\n }\n`,
  );
  return `totem {
 version: 2
 cluster_name: gannet
 transport: knet
 token: 2000
 crypto_cipher: none
 crypto_hash: none
}
quorum {
 provider: corosync_votequorum
}
nodelist {
${nodes.join('')}}
logging {
 to_stderr: yes
 to_syslog: no
}
`;
}
