// `make cluster`: a protected VM under Pacemaker on three nodes, hurt in each way, and measured.
//
//   node test/cluster/main.mjs [--only RE] [--dir DIR] [--agent FILE] [--keep]
import * as fs from 'node:fs';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { findGuest, OracleLog, primaryCommand, secondaryCommand } from '@gannet/lab';
import { Cluster } from './cluster.mjs';
import { faultsOf } from './faults.mjs';

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    // Another agent, to see what it does wrong.
    agent: { type: 'string', default: 'packages/gannet/ocf/vm' },
    dir: { type: 'string', default: '/dev/shm/gannet-cluster' },
    keep: { type: 'boolean', default: false },
  },
});
const source = path.resolve(import.meta.dirname, '../..');
const bin = path.join(source, 'packages/gannet/dist/bin.js');
const PATIENCE_MS = 240_000;
const JOURNAL = '/var/lib/gannet/journal';
const STATE = '/run/resource-agents/gannet-web';
const guest = await findGuest();
const cluster = new Cluster(values.dir, path.dirname(guest.kernel), values.keep);
/** @type {import('@gannet/lab').OracleLog[]} */
const oracles = [];
let consoles = 0;
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void end(130));

/** @param {number} code */
async function end(code) {
  await cluster.close();
  process.exit(code);
}

/** @param {readonly string[]} args */
const quoted = (args) => args.map((arg) => `'${arg.replaceAll("'", `'\\''`)}'`).join(' ');

/** A program that becomes QEMU. @param {import('@gannet/lab').QemuCommand} command */
const script = ({ args, preload }) => `#!/bin/sh
rm -f /run/gannet/qmp.sock
export LD_PRELOAD=${preload}
exec qemu-system-x86_64 -nodefaults -no-user-config -no-reboot -display none -name web \\
  -serial "file:/shared/console-$(uname -n)-$(date +%s%N).log" \\
  -qmp unix:/run/gannet/qmp.sock,server=on,wait=off ${quoted(args)}
`;

/** @param {number} n */
function configure(n) {
  const machine = { guest };
  const disk = '/var/lib/gannet/web.raw';
  const [own, other] = [`10.77.0.${n}`, `10.77.0.${3 - n}`];
  const svm = { socketPath: '/run/gannet/web.nbd', exportName: 'svm' };
  const config = {
    ...{ vm: 'web', qmp: 'unix:/run/gannet/qmp.sock', protection: 'automatic' },
    dangerouslyAllowPlaintextBeyondLoopback: true,
    disks: [{ name: 'disk0', device: 'vb0', base: disk, size: '64 MiB' }],
    peer: { heartbeatMs: 200, lowMs: 1000, highMs: 3000 },
    fence: {
      command: ['/usr/lib/ocf/resource.d/gannet/vm', 'arbitrate'],
      ...{ evidence: 'arbiter', timeoutMs: 20_000 },
    },
    primary: {
      ...{ nbd: `${other}:10809`, migrate: `tcp:${other}:4444`, peer: `${other}:10810` },
      checkpointPeriodMs: 1000,
    },
    secondary: { nbd: `${own}:10809`, peer: `${own}:10810`, journal: `${JOURNAL}/web.journal` },
  };
  cluster.put(n, {
    'etc/gannet/web.yaml': JSON.stringify(config),
    'etc/gannet/web-primary.sh': script(primaryCommand(machine, [{ path: disk }])),
    'etc/gannet/web-secondary.sh': script(secondaryCommand(machine, [svm], `tcp:${own}:4444`)),
    'usr/local/bin/gannet': `#!/bin/sh\nexec node ${bin} "$@"\n`,
    'var/lib/gannet/.keep': '',
    [`${JOURNAL.slice(1)}/.keep`]: '',
  });
}

/** @param {number} n */
function putAgents(n) {
  const ocf = path.resolve(source, values.agent);
  const fence = path.join(import.meta.dirname, 'fence_lab');
  cluster.put(n, {
    'usr/lib/ocf/resource.d/gannet/vm': fs.readFileSync(ocf),
    'usr/sbin/fence_lab': fs.readFileSync(fence),
  });
}

/** @param {Record<string, string>} pairs @param {string} id */
const nvpairs = (pairs, id) =>
  Object.entries(pairs)
    .map(([name, value], at) => `<nvpair id="${id}${at}" name="${name}" value="${value}"/>`)
    .join('');

/** @param {string} scope @param {string} xml */
const cib = (scope, xml) =>
  cluster.on(3, 'cibadmin', '--modify', '--allow-create', '--scope', scope, '--xml-text', xml);

async function configureCluster() {
  const options = {
    ...{ 'stonith-enabled': 'true', 'stonith-action': 'off', 'no-quorum-policy': 'freeze' },
    ...{ 'stonith-timeout': '30s', 'dc-deadtime': '5s' },
  };
  const set = `<cluster_property_set id="cib-bootstrap-options">${nvpairs(options, 'o')}`;
  await cib('crm_config', `<crm_config>${set}</cluster_property_set></crm_config>`);
  const fence =
    '<primitive id="fence" class="stonith" type="fence_lab"><instance_attributes id="fi">' +
    `${nvpairs({ pcmk_host_list: 'n1 n2 n3' }, 'f')}</instance_attributes></primitive>`;
  const meta = {
    ...{ promotable: 'true', 'promoted-max': '1', 'clone-max': '2', notify: 'true' },
    interleave: 'true',
  };
  /** @param {string} name @param {string} more */
  const op = (name, more) => `<op id="op-${name}" name="${name.replace(/\d/, '')}" ${more}/>`;
  const vm =
    `<clone id="vm-clone"><meta_attributes id="vm-m">${nvpairs(meta, 'm')}</meta_attributes>` +
    '<primitive id="vm" class="ocf" provider="gannet" type="vm"><instance_attributes id="vm-i">' +
    `${nvpairs({ vm: 'web', initial: 'n1' }, 'i')}</instance_attributes><operations>` +
    op('monitor1', 'interval="2s" role="Promoted" timeout="60s"') +
    op('monitor2', 'interval="3s" role="Unpromoted" timeout="60s"') +
    op('start', 'interval="0" timeout="90s"') +
    op('promote', 'interval="0" timeout="90s"') +
    op('demote', 'interval="0" timeout="60s" on-fail="fence"') +
    op('stop', 'interval="0" timeout="60s" on-fail="fence"') +
    '</operations></primitive></clone>';
  await cib('resources', `<resources>${fence}${vm}</resources>`);
  const away =
    '<rsc_location id="vm-not-n3" rsc="vm-clone" node="n3" score="-INFINITY" ' +
    'resource-discovery="never"/>';
  await cib('constraints', `<constraints>${away}</constraints>`);
}

/** @param {number} n @returns {Promise<any>} */
async function statusOf(n) {
  const text = await cluster
    .on(n, 'gannet', 'status', 'web', '--json')
    .catch((/** @type {any} */ error) => error.stdout ?? '');
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** @param {string} what @param {() => unknown} isSo */
async function until(what, isSo) {
  for (const startMs = performance.now(); ; await sleep(300)) {
    if (await isSo()) return;
    if (performance.now() - startMs < PATIENCE_MS) continue;
    const report = await cluster.on(3, 'crm_mon', '-1Arf').catch(String);
    throw new Error(`timed out: ${what}\n${report}`);
  }
}

/** The node on which Pacemaker has promoted the VM; 0 for none. */
async function promoted() {
  const text = await cluster.on(3, 'crm_mon', '-1', '--output-as=xml').catch(() => '');
  const found = [
    ...text.matchAll(/<resource id="vm"[^>]*role="Promoted"[^>]*>\s*<node name="n(\d)"/g),
  ];
  if (found.length > 1) throw new Error('the VM is promoted twice');
  return Number(found[0]?.[1] ?? 0);
}

async function expectProtected() {
  await until('a protected VM', async () => {
    const n = await promoted();
    return n !== 0 && (await statusOf(n))?.health?.level === 'good';
  });
  return promoted();
}

/** Every guest's console, from its beginning. */
function expectClean() {
  for (const file of fs.readdirSync(cluster.shared).filter((name) => /^console/.test(name))) {
    if (oracles.some((one) => one.file === file)) continue;
    const log = OracleLog.follow(path.join(cluster.shared, file));
    oracles.push(Object.assign(log, { file }));
    consoles++;
  }
  const bad = oracles.filter((log) => log.sawBad || log.mismatches.length > 0);
  if (bad.length > 0) throw new Error(`a guest read wrong data: ${bad.map(({ file }) => file)}`);
}

/** Whether a node runs QEMU as the VM: as its agent, its daemon or its command line says. */
const RUNS_VM = `pgrep -x qemu-system-x86 >/dev/null || exit 1
[ "$(cat ${STATE}/role 2>/dev/null)" = primary ] && exit 0
pgrep -f -- '-incoming' >/dev/null || exit 0
printf 'GET /state HTTP/1.0\r\n\r\n' | timeout 3 socat -t 2 - UNIX-CONNECT:/run/gannet/web.sock |
  grep -qE '^state=(failed-over|retired)'`;

/** No two nodes run QEMU as the VM. Nodes that are off run nothing. */
async function expectOneGuest() {
  const guests = await Promise.all(
    [1, 2].map((n) =>
      cluster.on(n, 'sh', '-c', RUNS_VM).then(
        () => 1,
        () => 0,
      ),
    ),
  );
  if (guests[0] === 1 && guests[1] === 1) throw new Error('two guests run as the VM');
}

async function main() {
  await cluster.prepare();
  for (const n of [1, 2, 3]) putAgents(n);
  for (const n of [1, 2]) configure(n);
  cluster.put(1, { 'var/lib/gannet/web.raw': '' });
  fs.truncateSync(path.join(cluster.dir, 'n1/upper/var/lib/gannet/web.raw'), 64 * 2 ** 20);
  for (const n of [1, 2, 3]) await cluster.boot(n);
  await until('three nodes', async () => {
    const text = await cluster.on(3, 'crm_mon', '-1').catch(() => '');
    return /Online: \[ n1 n2 n3 \]/.test(text);
  });
  await configureCluster();
  console.log('three nodes are online');
  let at = await expectProtected();
  console.log(`protected on n${at}`);
  const rows = [];
  const lab = { cluster, until, promoted, statusOf, expectOneGuest, JOURNAL, STATE };
  for (const { name, hurt, isOther, goes = 'elsewhere', after } of faultsOf(lab)) {
    if (!new RegExp(values.only).test(name)) continue;
    const before = at;
    const victim = isOther ? 3 - before : before;
    const fencedBefore = cluster.fenced.length;
    const startMs = performance.now();
    await hurt(victim, 3 - victim);
    let promotedMs = 0;
    if (goes === 'elsewhere') {
      await until('a promotion', async () => {
        await expectOneGuest();
        const n = await promoted();
        return n !== 0 && n !== before;
      });
      promotedMs = performance.now() - startMs;
    }
    const fence = cluster.fenced[fencedBefore];
    for (const n of [1, 2, 3]) {
      if (!cluster.isAlive(n)) await cluster.boot(n);
      await cluster.plug(n);
      await cluster.on(3, 'crm_attribute', '-N', `n${n}`, '-n', 'standby', '-D').catch(() => '');
    }
    await cluster.on(3, 'crm_resource', '--cleanup').catch(() => '');
    at = await expectProtected();
    await expectOneGuest();
    const protectedMs = performance.now() - startMs;
    if (goes === 'stays' && at !== before) throw new Error('the VM has moved');
    await after?.(victim, 3 - victim);
    await until('no constraint to be left', async () => {
      const xml = await cluster.on(3, 'cibadmin', '--query', '--scope', 'constraints');
      return !xml.includes('gannet-web-alone') && !xml.includes('cli-');
    });
    expectClean();
    const seconds = (/** @type {number} */ ms) => `${(ms / 1000).toFixed(1)} s`;
    const fencedMs = fence ? fence.atMs - startMs : 0;
    rows.push([
      name,
      ...[fencedMs, promotedMs, protectedMs].map((ms) => (ms > 0 ? seconds(ms) : '-')),
    ]);
    console.log(`${rows.at(-1)?.join('; ')} (on n${at})`);
  }
  await sleep(2000);
  expectClean();
  const lines = oracles.flatMap((log) => [...log.regions.values()]);
  if (lines.length === 0) throw new Error('no guest has said anything');
  console.log(
    `\n| hurt | fenced | promoted elsewhere | protected again |\n| --- | --- | --- | --- |`,
  );
  for (const row of rows) console.log(`| ${row.join(' | ')} |`);
  console.log(`${consoles} consoles, no wrong data`);
}

try {
  await main();
  await end(0);
} catch (error) {
  console.error(error);
  await end(1);
}
