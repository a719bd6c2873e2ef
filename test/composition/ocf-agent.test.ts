/** ocf:gannet:vm: each action, repeated, killed, and with a cluster that answers or does not. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, rmSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, test } from '@jest/globals';
import {
  bench,
  REPLICA,
  RUNS,
  SURVIVOR,
  bystanders,
  at,
  state,
  said,
  scoreNow,
  currentNow,
  claimNow,
  place,
  isGranted,
  begin,
  run,
  POST_PROMOTE,
  arbitrate,
  lives,
  stateOf,
  who,
  SUCCESS,
  GENERIC,
  INSTALLED,
  CONFIGURED,
  NOT_RUNNING,
  PROMOTED,
  FAILED,
  WEAK,
  ALONE,
} from './agent-bench.js';

describe('start', () => {
  test('without the disk, it is a secondary, and has no score', async () => {
    expect(await run('monitor')).toBe(NOT_RUNNING);
    expect(await run('start')).toBe(SUCCESS);
    expect([await who(), scoreNow()]).toEqual([[true, true], '']);
    expect(await run('start')).toBe(SUCCESS);
    expect(await run('stop')).toBe(SUCCESS);
    expect(await who()).toEqual([false, false]);
    expect(await run('monitor')).toBe(NOT_RUNNING);
  });

  test('with the disk, nothing runs until it is promoted, and has a score then', async () => {
    await writeFile(at('current'), 'n1\n');
    await place('run');
    expect(await run('start')).toBe(SUCCESS);
    expect([await who(), scoreNow()]).toEqual([[false, false], '']);
    expect(await run('monitor')).toBe(SUCCESS);
    expect(scoreNow()).toBe('10');
    bench.facts = RUNS;
    expect(await run('promote')).toBe(SUCCESS);
    expect([await who(), currentNow()]).toEqual([[true, true], 'n1']);
    expect(await run('monitor')).toBe(PROMOTED);
    expect(said('asked')).toContain('--node n1 --current n1 --claim  --initial n2');
  });

  test('asks the cluster first: what is torn, or another may have, is left as it is', async () => {
    await writeFile(at('current'), 'n1\n');
    await place('wait', 'torn', 'the disks here are a replica');
    expect(await run('start')).toBe(SUCCESS);
    expect(await run('monitor')).toBe(WEAK);
    expect(await run('promote')).toBe(GENERIC);
    expect([await who(), scoreNow(), currentNow()]).toEqual([[false, false], '', 'n1']);
    // It becomes clear only later.
    await place('secondary');
    expect(await run('monitor')).toBe(SUCCESS);
    expect(await who()).toEqual([true, true]);
  });

  test('a journal is replayed beside it, however long it takes', async () => {
    await writeFile(at('current'), 'n1\n');
    await place('recover', 'journal');
    expect(await run('start')).toBe(SUCCESS);
    while (!existsSync(at('recovers'))) await sleep(10);
    expect(await run('monitor')).toBe(WEAK);
    expect([await run('promote'), scoreNow()]).toEqual([GENERIC, '']);
    await writeFile(at('recovered'), '');
    while (await lives('recover')) await sleep(10);
    await place('run', 'whole');
    expect([await run('monitor'), scoreNow()]).toEqual([SUCCESS, '10']);
  });

  test.each([
    ['give-back', '', 'n2'],
    ['confirm', '', 'n1'],
  ])('a takeover that was begun here: %s', async (role, claim, current) => {
    await writeFile(at('current'), 'n2\n');
    await writeFile(at('claim'), 'n1\n');
    await place(role, role === 'confirm' ? 'journal' : 'torn');
    expect(await run('start')).toBe(SUCCESS);
    expect([claimNow(), currentNow()]).toEqual([claim, current]);
  });

  test('a second resource with the same VM does not start, and stops nothing', async () => {
    await run('start');
    const other = { OCF_RESOURCE_INSTANCE: 'other:0' };
    expect(await run('monitor', other)).toBe(NOT_RUNNING);
    expect(await run('start', other)).toBe(CONFIGURED);
    expect(await run('promote', other)).toBe(NOT_RUNNING);
    expect(await run('stop', other)).toBe(SUCCESS);
    expect(await who()).toEqual([true, true]);
    await run('stop');
    expect(await run('start', other)).toBe(SUCCESS);
    expect(await run('stop', other)).toBe(SUCCESS);
  });
});

describe('a replica', () => {
  test.each([
    ['running', 'ready', SUCCESS, '5'],
    ['degraded', 'unfit', WEAK, ''],
    ['degraded', 'under-way', WEAK, ''],
    ['failed', 'unfit', GENERIC, ''],
  ])('that is %s and %s is %i, with the score "%s"', async (health, takeover, code, score) => {
    await run('start');
    await run('monitor');
    bench.facts = { ...REPLICA, health, takeover };
    expect([await run('monitor'), scoreNow()]).toEqual([code, score]);
  });

  test('whose daemon says nothing has no score; after a minute it is started again', async () => {
    await run('start');
    bench.facts = {};
    expect([await run('monitor'), scoreNow()]).toEqual([WEAK, '']);
    spawnSync('touch', ['-d', '2 minutes ago', state('silent')]);
    expect(await run('monitor')).toBe(GENERIC);
  });

  test('that is not valid is not promoted, and the node stays usable', async () => {
    await writeFile(at('current'), 'n2\n');
    await run('start');
    await run('monitor');
    bench.facts = { ...REPLICA, takeover: 'unfit' };
    expect(await run('promote')).toBe(GENERIC);
    expect([bench.orders, currentNow(), claimNow(), scoreNow()]).toEqual([[], 'n2', '', '']);
  });

  test.each([
    ['has gone on alone', 'alone'],
    ['has begun to take over', 'claim'],
  ])('takes over nothing if another node %s', async (_what, file) => {
    await writeFile(at('current'), 'n2\n');
    await run('start');
    await writeFile(at(file), 'n2\n');
    expect(await run('promote')).toBe(GENERIC);
    expect([bench.orders, said(file)]).toEqual([[], 'n2']);
  });

  test('takes over nothing if no majority has its claim', async () => {
    await writeFile(at('current'), 'n2\n');
    await run('start');
    await writeFile(at('answering'), 'n1\n');
    expect(await run('promote', { OCF_RESKEY_CRM_meta_timeout: '20000' })).toBe(GENERIC);
    expect([bench.orders, claimNow(), currentNow()]).toEqual([[], '', 'n2']);
  });

  test('that is valid claims the VM first, and has it once a crash loses nothing', async () => {
    await writeFile(at('current'), 'n2\n');
    await run('start');
    // The order itself lasts until the guest runs on its local disks: nobody waits for that.
    bench.onOrder = () => {
      bench.facts = { ...SURVIVOR, takeover: 'under-way' };
      setTimeout(() => (bench.facts = SURVIVOR), 500);
      return 0;
    };
    expect(await run('promote')).toBe(SUCCESS);
    expect(bench.orders).toEqual(['/failover granted=true current=n2 claim=n1']);
    expect([currentNow(), claimNow(), isGranted()]).toEqual(['n1', '', false]);
    expect([await run('monitor'), scoreNow()]).toEqual([ALONE, '10']);
  });

  test('that is refused is asked again until the time is over; then all is as it was', async () => {
    await writeFile(at('current'), 'n2\n');
    await run('start');
    bench.onOrder = () => 409;
    expect(await run('promote')).toBe(GENERIC);
    expect(bench.orders.length).toBeGreaterThan(1);
    expect([currentNow(), claimNow(), isGranted(), scoreNow()]).toEqual(['n2', '', false, '']);
  });

  test('that has begun to take over keeps its claim when the time is over', async () => {
    await writeFile(at('current'), 'n2\n');
    await run('start');
    bench.onOrder = () => {
      bench.facts = { ...SURVIVOR, takeover: 'under-way' };
      return 0;
    };
    expect(await run('promote')).toBe(GENERIC);
    expect([currentNow(), claimNow()]).toEqual(['n2', 'n1']);
    // The VM runs here, whatever Pacemaker thinks; it ends before anything else is promoted.
    expect(await run('monitor')).toBe(PROMOTED);
    expect(await run('demote')).toBe(SUCCESS);
    expect(await who()).toEqual([false, false]);
  });
});

describe('what runs', () => {
  beforeEach(async () => {
    await writeFile(at('current'), 'n1\n');
    await place('run');
    bench.facts = RUNS;
    await run('start');
    await run('promote');
  });

  test.each([
    [PROMOTED, {}, '10'],
    [ALONE, { health: 'degraded' }, '10'],
    // It is held, hangs, is outdated: the daemon has the table.
    [FAILED, { health: 'failed' }, ''],
  ])('is %i if its daemon says %j, with the score "%s"', async (code, change, score) => {
    bench.facts = { ...RUNS, ...change };
    expect([await run('monitor'), scoreNow()]).toEqual([code, score]);
  });

  test('has failed without QEMU, and gets its daemon back', async () => {
    process.kill(Number(await readFile(state('daemon.pid'), 'utf8')), 'SIGKILL');
    while (await lives('daemon')) await sleep(10);
    expect(await run('monitor')).toBe(PROMOTED);
    expect(await who()).toEqual([true, true]);
    process.kill(Number(await readFile(state('qemu.pid'), 'utf8')), 'SIGKILL');
    while (await lives('qemu')) await sleep(10);
    expect([await run('monitor'), scoreNow()]).toEqual([FAILED, '']);
  });

  test('lives on without its daemon, if the configuration cannot be read', async () => {
    process.kill(Number(await readFile(state('daemon.pid'), 'utf8')), 'SIGKILL');
    while (await lives('daemon')) await sleep(10);
    await writeFile(at('broken'), '');
    bench.facts = {};
    expect(await run('monitor')).toBe(ALONE);
    expect(await who()).toEqual([false, true]);
    rmSync(at('broken'));
    bench.facts = RUNS;
    expect(await run('monitor')).toBe(PROMOTED);
  });

  test('has failed if its disks were in the daemon that has ended', async () => {
    process.kill(Number(await readFile(state('daemon.pid'), 'utf8')), 'SIGKILL');
    while (await lives('daemon')) await sleep(10);
    await place('recover', 'journal');
    expect(await run('monitor')).toBe(FAILED);
  });

  test('has failed if the cluster has given the VM to another node', async () => {
    await writeFile(at('current'), 'n2\n');
    expect(await run('monitor')).toBe(FAILED);
    // But not what has taken over: the CIB of a node that was cut off may have come back.
    bench.facts = { ...RUNS, word: 'taken-over' };
    expect([await run('monitor'), currentNow()]).toEqual([PROMOTED, 'n1']);
  });

  test('removes the constraint that a daemon, or an agent before a reboot, has put', async () => {
    await writeFile(at('alone'), 'n1');
    bench.facts = { ...RUNS, health: 'degraded' };
    await run('monitor');
    expect(existsSync(at('alone'))).toBe(true);
    bench.facts = RUNS;
    expect(await run('monitor')).toBe(PROMOTED);
    expect(existsSync(at('alone'))).toBe(false);
  });

  test('makes a checkpoint and ends when it is demoted, and its daemon says so', async () => {
    expect(await run('demote')).toBe(SUCCESS);
    expect(bench.orders.map((order) => order.split(' ')[0])).toEqual(['/checkpoint']);
    expect(await who()).toEqual([true, false]);
    // The other node has begun to take over: its disks may be needed here.
    await place('wait', 'own', 'n2 has begun to take over');
    expect(await run('notify', POST_PROMOTE)).toBe(SUCCESS);
    expect(await run('monitor')).toBe(WEAK);
    expect(await readFile(state('role'), 'utf8')).toBe('idle\n');
    await place('secondary');
    bench.facts = REPLICA;
    expect(await run('notify', POST_PROMOTE)).toBe(SUCCESS);
    expect(await readFile(state('role'), 'utf8')).toBe('secondary\n');
  });

  test('is stopped without the files of the agent, and never while a QEMU lives', async () => {
    const pid = Number(await readFile(state('qemu.pid'), 'utf8'));
    rmSync(at('run/gannet-web'), { recursive: true });
    expect(await run('monitor')).toBe(GENERIC);
    expect(await run('stop')).toBe(SUCCESS);
    expect(['', 'Z']).toContain(stateOf(pid));
  });

  test('is not stopped while a QEMU lives that cannot be found', async () => {
    const hidden = spawn('env', ['-i', 'flock', state('qemu.lock'), '/bin/sleep', '1003']);
    bystanders.push(hidden);
    process.kill(Number(await readFile(state('qemu.pid'), 'utf8')), 'SIGKILL');
    await sleep(200);
    await writeFile(state('qemu.pid'), '');
    expect(await run('stop')).toBe(GENERIC);
    expect(await run('demote')).toBe(GENERIC);
    spawnSync('fuser', ['-k', '-KILL', state('qemu.lock')]);
    expect(await run('stop')).toBe(SUCCESS);
  });
});

describe('an agent that is killed in the middle', () => {
  const DONE: Readonly<Record<string, readonly boolean[]>> = {
    start: [false, false],
    promote: [true, true],
    demote: [true, false],
    stop: [false, false],
  };

  test.each(Object.keys(DONE))('of %s: the same action does the rest', async (action) => {
    await writeFile(at('current'), 'n1\n');
    await place('run');
    if (action !== 'start') await run('start');
    bench.facts = RUNS;
    if (action === 'demote' || action === 'stop') await run('promote');
    for (const afterMs of [20, 60, 150, 300]) {
      const agent = begin(action);
      await sleep(afterMs);
      agent.kill('SIGKILL');
      if (agent.exitCode === null && agent.signalCode === null) await once(agent, 'exit');
    }
    expect(await run(action)).toBe(SUCCESS);
    expect(await who()).toEqual(DONE[action]);
    expect(await run('stop')).toBe(SUCCESS);
    expect(await who()).toEqual([false, false]);
    expect(await run('monitor')).toBe(NOT_RUNNING);
  });

  test('of a takeover: the next one goes on with it, and only a promotion is granted', async () => {
    await writeFile(at('current'), 'n2\n');
    await run('start');
    bench.onOrder = () => {
      bench.facts = { ...SURVIVOR, takeover: 'under-way' };
      return 0;
    };
    const agent = begin('promote');
    while (bench.orders.length === 0) await sleep(10);
    expect(await arbitrate('primary')).toBe(SUCCESS);
    agent.kill('SIGKILL');
    await once(agent, 'exit');
    while (isGranted()) await sleep(10);
    expect(await arbitrate('primary')).toBe(GENERIC);
    expect([currentNow(), claimNow()]).toEqual(['n2', 'n1']);
    bench.onOrder = () => {
      bench.facts = SURVIVOR;
      return 200;
    };
    expect(await run('promote')).toBe(SUCCESS);
    expect([currentNow(), claimNow()]).toEqual(['n1', '']);
  });
});

describe('arbitrate, for a daemon', () => {
  beforeEach(async () => {
    await writeFile(at('current'), 'n1\n');
    await place('run');
    await run('start');
  });

  test('a primary that goes on alone first keeps everybody else from being promoted', async () => {
    expect(await arbitrate('secondary')).toBe(SUCCESS);
    expect(said('alone')).toBe('n1');
    const cib = await readFile(at('cib'), 'utf8');
    expect(cib).toContain('rsc="vm-clone"');
    expect(cib).toContain('attribute="#uname" operation="ne" value="n1"');
  });

  /** Nodes as Pacemaker sees them, those that answer, the quorum, and whether it is granted. */
  const QUORUMS: readonly [string, string, string, number, boolean][] = [
    ['all answer', 'n1 n2 n3', 'n1 n2 n3', 1, true],
    ['the other host has just gone', 'n1 n2 n3', 'n1 n3', 1, true],
    ['the other host is known to be gone', 'n1 n3', 'n1 n3', 1, true],
    ['this host was cut off just now, and its quorum is gone', 'n1 n2 n3', 'n1', 1, false],
    ['this host was cut off, and knows it', 'n1', 'n1', 0, false],
    ['of two nodes the other one is silent', 'n1 n2/', 'n1', 1, false],
    ['of two nodes the other one is gone, and a device has voted', 'n1/', 'n1', 1, true],
  ];

  test.each(QUORUMS)('%s', async (_what, members, answering, quorum, isGranted) => {
    const all = members.endsWith('/') ? ['n1', 'n2'] : ['n1', 'n2', 'n3'];
    const here = members.replace('/', '').split(' ');
    const lines = all.map((node, n) => `${n} ${node} ${here.includes(node) ? 'member' : 'lost'}\n`);
    await writeFile(at('nodes'), lines.join(''));
    await writeFile(at('answering'), answering);
    await writeFile(at('quorum'), `${quorum}\n`);
    expect(await arbitrate('secondary')).toBe(isGranted ? SUCCESS : GENERIC);
    // What a node that is cut off writes would be in its CIB when it comes back.
    expect(said('alone')).toBe(isGranted ? 'n1' : '');
  });

  test.each([
    ['is current', 'current', 'n2'],
    ['has begun to take over', 'claim', 'n2'],
  ])('not if another node %s', async (_what, file, node) => {
    await writeFile(at(file), `${node}\n`);
    expect(await arbitrate('secondary')).toBe(GENERIC);
    expect(said('alone')).toBe('');
  });
});

test('meta-data and validate-all', async () => {
  const child = begin('meta-data');
  let xml = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (xml += text));
  const [code] = (await once(child, 'close')) as [number];
  expect([code, xml]).toEqual([0, expect.stringContaining('<resource-agent name="vm"')]);
  expect(await run('validate-all')).toBe(SUCCESS);
  expect(await run('validate-all', { OCF_RESKEY_primary: '/no/such' })).toBe(INSTALLED);
  expect(await run('dance')).toBe(3);
});
