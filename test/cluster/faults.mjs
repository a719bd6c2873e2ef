// What `make cluster` does to the node that runs the VM, or to the other one.
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * @typedef {object} Fault
 * @property {string} name
 * @property {true} [isOther] it is done to the node of the secondary
 * @property {'elsewhere' | 'stays' | 'anywhere'} [goes] where the VM is afterwards; elsewhere
 *   without it
 * @property {true} [reboots] the guest does not go on, but starts again from its disk
 * @property {(n: number, other: number) => Promise<unknown>} hurt
 * @property {(n: number, other: number) => Promise<unknown>} [after] once it is protected again
 */

/**
 * @param {object} lab
 * @param {import('./cluster.mjs').Cluster} lab.cluster
 * @param {(what: string, isSo: () => unknown) => Promise<void>} lab.until
 * @param {() => Promise<number>} lab.promoted
 * @param {(n: number) => Promise<any>} lab.statusOf
 * @param {() => Promise<void>} lab.expectOneGuest
 * @param {string} lab.JOURNAL
 * @param {string} lab.STATE
 * @returns {Fault[]}
 */
export function faultsOf({ cluster, until, promoted, statusOf, expectOneGuest, JOURNAL, STATE }) {
  /** @param {number} n @param {string} script */
  const shell = (n, script) => cluster.on(n, 'sh', '-c', script);
  /** @param {string[]} args */
  const attribute = (...args) => cluster.on(3, 'crm_attribute', ...args);
  /** @param {number} n @param {string} value */
  const standby = (n, value) => attribute('-N', `n${n}`, '-n', 'standby', '-v', value);
  /** @param {string} text */
  const isConstrained = async (text) =>
    (await cluster.on(3, 'cibadmin', '--query', '--scope', 'constraints')).includes(text);
  /** @param {number} n @param {string} isSo */
  const untilOn = (n, isSo) =>
    until(isSo, () =>
      shell(n, isSo).then(
        () => true,
        () => false,
      ),
    );
  /** What the daemon of a node said last of its copy. @param {number} n */
  const wordOf = (n) => JSON.parse(cluster.read(n, 'var/lib/gannet/web.term.json')).word;
  /** @param {number} n @param {string} what */
  const takeoverIs = (n, what) =>
    until(`the takeover to be ${what}`, async () => {
      await expectOneGuest();
      const ask = `printf 'GET /state HTTP/1.0\\r\\n\\r\\n' | socat -t 2 - \
        UNIX-CONNECT:/run/gannet/web.sock`;
      const text = await shell(n, ask).catch(() => '');
      return text.includes(`takeover=${what}`) && text.includes('state=failed-over');
    });

  return [
    { name: 'node killed', hurt: (n) => cluster.kill(n) },
    {
      name: 'cable cut',
      hurt: async (n) => {
        await cluster.unplug(n);
        // Its quorum is gone, and it does not know that yet: what would it be granted?
        await until('it to be fenced', async () => {
          if (wordOf(n) === 'alone') throw new Error('a quorum that is gone has granted the VM');
          await sleep(50);
          return !cluster.isAlive(n);
        });
      },
    },
    { name: 'QEMU killed', hurt: (n) => cluster.on(n, 'pkill', '-KILL', '-x', 'qemu-system-x86') },
    { name: 'standby', hurt: (n) => standby(n, 'on') },
    {
      ...{ name: 'daemon killed', goes: 'stays' },
      hurt: async (n) => {
        await shell(n, `kill -9 $(cat ${STATE}/daemon.pid)`);
        await sleep(3000);
      },
    },
    {
      ...{ name: 'node of the secondary killed', isOther: true, goes: 'stays' },
      hurt: async (n, primary) => {
        await cluster.kill(n);
        await until('the primary to be alone, with its constraint in the CIB', async () => {
          const alone = (await statusOf(primary))?.state === 'alone';
          return alone && (await isConstrained('gannet-web-alone'));
        });
      },
    },
    {
      // The constraint outlives the node that has put it.
      ...{ name: 'node of the secondary killed, then the other', goes: 'anywhere', reboots: true },
      hurt: async (n, secondary) => {
        await cluster.kill(secondary);
        await until('the constraint', () => isConstrained('gannet-web-alone'));
        await cluster.kill(n);
        await sleep(1000);
        await cluster.boot(n);
        await until('the VM where its newest disk is', async () => (await promoted()) === n);
      },
    },
    {
      ...{ name: 'all nodes killed', goes: 'stays', reboots: true },
      hurt: async () => {
        for (const n of [1, 2, 3]) await cluster.kill(n);
        for (const n of [1, 2, 3]) await cluster.boot(n);
      },
    },
    {
      // What has taken over has its guest in memory: its base is torn.
      ...{ name: 'node killed, then the one that takes over', goes: 'stays', reboots: true },
      hurt: async (n, other) => {
        const full = `mount -t tmpfs -o size=64k tmpfs ${JOURNAL} &&
          { dd if=/dev/zero of=${JOURNAL}/full bs=4k count=64 2>/dev/null || true; }`;
        await shell(other, full);
        await cluster.kill(n);
        await takeoverIs(other, 'under-way');
        await cluster.kill(other);
      },
    },
    {
      ...{ name: 'promote killed', goes: 'anywhere', reboots: true },
      hurt: async (n, other) => {
        await cluster.kill(n);
        await untilOn(other, "pkill -KILL -f '^/bin/sh .*gannet/vm promote'");
      },
    },
    {
      ...{ name: 'agents killed for a while', goes: 'anywhere', reboots: true },
      hurt: async (n) => {
        await standby(n, 'on');
        for (let times = 0; times < 20; times++) {
          for (const at of [1, 2]) {
            await shell(at, "pkill -KILL -f '^/bin/sh .*gannet/vm '").catch(() => '');
          }
          await expectOneGuest();
          await sleep(500);
        }
        await standby(n, 'off');
      },
    },
    {
      // The agent knows nothing any more of what it has started.
      name: 'files of the agent removed, standby',
      hurt: async (n) => {
        await shell(n, `rm -rf ${STATE}`);
        await standby(n, 'on');
      },
    },
    {
      // As a QEMU that no signal ends: stop and demote may not succeed, so the node is fenced.
      name: 'QEMU that does not end, standby',
      hurt: async (n) => {
        // It has the lock as soon as QEMU has ended, and no sign of whose it is.
        const hidden = `setsid env -i flock ${STATE}/qemu.lock sleep 600`;
        await shell(n, `${hidden} >/dev/null 2>&1 </dev/null & exit 0`);
        await standby(n, 'on');
      },
      after: async (n) => {
        if (!cluster.fenced.some(({ node }) => node === n)) throw new Error('it was not fenced');
      },
    },
    { name: 'QEMU stopped', hurt: (n) => cluster.on(n, 'pkill', '-STOP', '-x', 'qemu-system-x86') },
    {
      ...{ name: 'QEMU of the secondary stopped', isOther: true, goes: 'stays' },
      hurt: async (n, primary) => {
        await cluster.on(n, 'pkill', '-STOP', '-x', 'qemu-system-x86');
        await until('the primary to be alone', async () => {
          return (await statusOf(primary))?.state === 'alone';
        });
      },
    },
    {
      name: 'move',
      hurt: (_n, other) =>
        cluster.on(3, 'crm_resource', '--move', '-r', 'vm-clone', '-N', `n${other}`, '--promoted'),
      after: () => cluster.on(3, 'crm_resource', '--clear', '-r', 'vm-clone'),
    },
    {
      name: 'ban',
      hurt: (n) =>
        cluster.on(3, 'crm_resource', '--ban', '-r', 'vm-clone', '-N', `n${n}`, '--promoted'),
      after: () => cluster.on(3, 'crm_resource', '--clear', '-r', 'vm-clone'),
    },
    {
      ...{ name: 'QEMU killed in maintenance', goes: 'anywhere', reboots: true },
      hurt: async (n) => {
        await attribute('-n', 'maintenance-mode', '-v', 'true');
        await cluster.on(n, 'pkill', '-KILL', '-x', 'qemu-system-x86');
        await sleep(10_000);
        await expectOneGuest();
        if ((await promoted()) !== n) throw new Error('something was done in maintenance');
        await attribute('-n', 'maintenance-mode', '-D');
      },
    },
    {
      // Nobody may decide anything, and nobody is fenced.
      ...{ name: 'quorum lost and back', goes: 'anywhere' },
      hurt: async (n) => {
        for (const at of [1, 2, 3]) await cluster.unplug(at);
        for (let seconds = 0; seconds < 20; seconds++) {
          await expectOneGuest();
          await sleep(1000);
        }
        if (wordOf(n) === 'alone') throw new Error('it has gone on alone without a quorum');
        for (const at of [1, 2, 3]) await cluster.plug(at);
      },
    },
    {
      ...{ name: 'link flaps for a minute', goes: 'anywhere', reboots: true },
      hurt: async (n) => {
        for (let seconds = 0; seconds < 60; seconds += 4) {
          // It may be fenced, and comes back into the same.
          if (!cluster.isAlive(n)) await cluster.boot(n);
          await cluster.unplug(n);
          await sleep(1000 + 200 * (seconds % 10));
          await cluster.plug(n);
          await expectOneGuest();
          await sleep(1500);
        }
      },
    },
  ];
}
