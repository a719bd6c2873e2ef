// What daemons say that refuse a command, or fail in it.

import { eventAt, type Printed, refusalOf, type RemedyCase } from './case.js';
import { held, superseded } from './cases-verdicts.js';
import type { Stage } from './stage.js';

const restart = (stage: Stage): Promise<void> => stage.restartSecondary();

/** The host of the primary has no power any more, and nothing said so. */
async function darkness(stage: Stage): Promise<void> {
  await stage.protect();
  for (const network of [stage.peer, stage.data]) {
    network.silence('a');
    network.silence('b');
  }
  stage.killDaemon('a');
  stage.endQemu('a');
  await stage.pass(8000);
}

async function restartQemu(stage: Stage): Promise<void> {
  stage.endQemu('b');
  stage.startQemu('b');
  await stage.pass(1500);
}

async function yielding(stage: Stage): Promise<void> {
  await stage.protect();
  stage.qemu('a').panics();
  await stage.pass(1000);
}

export const REFUSAL_CASES: readonly RemedyCase[] = [
  {
    name: 'busy',
    print: async (stage) => {
      await stage.start();
      const protection = stage.begin('a', ['protect', 'web']);
      await stage.pass(200);
      const printed = await refusalOf(stage, 'a', 'protect web');
      await stage.answered(protection);
      return printed;
    },
    aim: 'answers',
  },
  {
    name: 'protected already',
    print: async (stage) => {
      await stage.protect();
      return refusalOf(stage, 'a', 'protect web');
    },
    aim: 'answers',
  },
  {
    name: 'notProtected: detach',
    print: async (stage) => {
      await stage.start();
      return refusalOf(stage, 'a', 'detach web');
    },
    aim: 'protects',
  },
  {
    name: 'verify of what is not protected',
    print: async (stage) => {
      await stage.start();
      return refusalOf(stage, 'a', 'verify web');
    },
    aim: 'protects',
  },
  {
    name: 'noCopy',
    print: async (stage) => {
      await stage.start();
      return refusalOf(stage, 'a', 'seed-rate web --rate 1MiB');
    },
    aim: 'protects',
  },
  {
    name: 'secondCopy: a new secondary',
    print: async (stage) => {
      await superseded(stage);
      return refusalOf(stage, 'a', 'protect web');
    },
    outside: ['make this host its new secondary', (stage) => stage.becomeSecondary('a')],
    runs: [0],
    aim: 'protects',
  },
  {
    name: 'secondCopy: by force',
    print: async (stage) => {
      await superseded(stage);
      stage.endQemu('b');
      await stage.pass(1000);
      return refusalOf(stage, 'a', 'failover web');
    },
    runs: [1],
    aim: 'runs',
  },
  {
    name: 'wellSurvivor',
    print: async (stage) => {
      await superseded(stage);
      return refusalOf(stage, 'a', 'failover web --force');
    },
    aim: 'moves',
  },
  {
    name: 'held, as a refusal',
    print: async (stage) => {
      await held(stage);
      stage.endQemu('b');
      return refusalOf(stage, 'a', 'protect web');
    },
    aim: 'runs',
  },
  {
    name: 'yields: over there',
    print: async (stage) => {
      await yielding(stage);
      return refusalOf(stage, 'a', 'detach web');
    },
    runs: [0],
    aim: 'runs',
  },
  {
    name: 'yields: here',
    print: async (stage) => {
      await yielding(stage);
      return refusalOf(stage, 'a', 'failover web');
    },
    runs: [1],
    aim: 'runs',
  },
  {
    name: 'noGuest: over there',
    print: async (stage) => {
      await yielding(stage);
      return refusalOf(stage, 'a', 'protect web');
    },
    runs: [0],
    aim: 'runs',
  },
  {
    name: 'noGuest: here',
    print: async (stage) => {
      await yielding(stage);
      return refusalOf(stage, 'a', 'protect web');
    },
    runs: [1],
    aim: 'runs',
  },
  {
    name: 'notTold',
    setting: { waits: true },
    print: async (stage) => {
      await stage.protect();
      stage.peer.silence('a');
      stage.peer.silence('b');
      await stage.pass(4000);
      return refusalOf(stage, 'a', 'detach web');
    },
    outside: ['Make sure that it never takes over', (stage) => stage.endQemu('b')],
    aim: 'keeps',
  },
  {
    name: 'stillProtected: detach',
    print: async (stage) => {
      await stage.protect();
      return refusalOf(stage, 'a', 'failover web');
    },
    runs: [0],
    aim: 'keeps',
  },
  {
    name: 'stillProtected: by force',
    print: async (stage) => {
      await stage.protect();
      return refusalOf(stage, 'a', 'failover web');
    },
    runs: [1],
    aim: 'keeps',
  },
  {
    name: 'unfitness: diverged',
    print: async (stage) => {
      await stage.protect();
      await stage.run('a', ['detach', 'web']);
      return refusalOf(stage, 'b', 'failover web');
    },
    outside: ['Restart this daemon, then its QEMU with -incoming', restart],
    aim: 'protects',
  },
  {
    name: 'wellPeer',
    print: async (stage) => {
      await stage.protect();
      return refusalOf(stage, 'b', 'failover web --force');
    },
    aim: 'moves',
  },
  {
    name: 'notProven, of a primary that promised nothing',
    print: async (stage) => {
      await darkness(stage);
      return refusalOf(stage, 'b', 'failover web');
    },
    aim: 'runs',
  },
  {
    name: 'notProven',
    setting: { fences: { a: 'works' } },
    print: async (stage) => {
      await darkness(stage);
      return refusalOf(stage, 'b', 'failover web');
    },
    aim: 'runs',
  },
  {
    name: 'notFenced',
    setting: { fences: { a: 'fails' }, waits: true },
    print: async (stage) => {
      await stage.protect();
      stage.killDaemon('b');
      stage.endQemu('b');
      await stage.pass(6000);
      return refusalOf(stage, 'a', 'failover web');
    },
    aim: 'keeps',
  },
  {
    name: 'fenceGone',
    setting: { fences: { a: 'works' }, waits: true },
    print: async (stage) => {
      await stage.protect();
      stage.killDaemon('b');
      await stage.pass(6000);
      await stage.reload('a', { fences: {}, waits: true });
      return refusalOf(stage, 'a', 'failover web');
    },
    outside: ['make sure that the secondary does not run', (stage) => stage.endQemu('b')],
    aim: 'keeps',
  },
  {
    name: 'awaitPeer: nobody answers',
    print: async (stage) => {
      stage.startQemu('a');
      await stage.startDaemon('a');
      await stage.pass(3000);
      return refusalOf(stage, 'a', 'protect web');
    },
    outside: ['Start it', (stage) => stage.startQemu('b')],
    again: true,
    aim: 'protects',
  },
  {
    name: 'interrupted',
    print: async (stage) => {
      await stage.start();
      const protection = stage.begin('a', ['protect', 'web']);
      await stage.pass(1200);
      await stage.run('a', ['detach', 'web']);
      const answer = await stage.answered(protection);
      if (answer.isDone) throw new Error('it was not interrupted');
      await stage.restartSecondary();
      return { text: answer.remedy, at: 'a', tried: ['protect', 'web'] };
    },
    aim: 'protects',
  },
  {
    name: 'release: fail over first',
    print: async (stage) => {
      await stage.protect();
      stage.endQemu('a');
      await stage.pass(1000);
      return refusalOf(stage, 'b', 'reprotect web');
    },
    aim: 'runs',
  },
  {
    name: 'absence: the QEMU has ended',
    print: async (stage) => {
      await stage.protect();
      stage.endQemu('a');
      await stage.pass(1000);
      return refusalOf(stage, 'a', 'detach web');
    },
    aim: 'runs',
  },
  {
    name: 'stillHung',
    setting: { waits: true },
    print: async (stage) => {
      await stage.protect();
      stage.qemu('a').hangs('hard');
      await stage.pass(4000);
      return refusalOf(stage, 'a', 'detach web --force');
    },
    outside: ['end it', (stage) => stage.endQemu('a')],
    aim: 'runs',
  },
  {
    name: 'foreign, of a protection',
    print: async (stage) => {
      await foreign(stage);
      return refusalOf(stage, 'a', 'protect web');
    },
    then: ['then its QEMU', restartQemu],
    again: true,
    aim: 'protects',
  },
  {
    name: 'foreign, as an event',
    print: async (stage) => {
      await foreign(stage);
      return eventAt(stage, 'a', 'foreign');
    },
    then: ['then its QEMU', restartQemu],
    aim: 'protects',
  },
  {
    name: 'takeoverFailed: the QEMU hangs up at its beginning',
    print: (stage) => failoverThatFails(stage, 20),
    outside: [
      'start its QEMU there',
      async (stage) => {
        stage.startQemu('a');
        await stage.pass(3000);
      },
    ],
    aim: 'runs',
  },
  {
    name: 'again: the QEMU hangs up in the middle of a failover',
    print: (stage) => failoverThatFails(stage, 60),
    aim: 'keeps',
  },
];

/** @param afterMs when the QEMU that takes over hangs up */
async function failoverThatFails(stage: Stage, afterMs: number): Promise<Printed> {
  await stage.protect();
  stage.endQemu('a');
  await stage.pass(1000);
  const asked = stage.begin('b', ['failover', 'web']);
  await stage.pass(afterMs);
  stage.qemu('b').hangsUp();
  const answer = await stage.answered(asked);
  if (answer.isDone) throw new Error('it does not fail');
  return { text: answer.remedy, at: 'b', tried: ['failover', 'web'] };
}

/** The daemons know different VMs by the name of this one. */
async function foreign(stage: Stage): Promise<void> {
  await stage.writeTerm('a', { lineage: 'a1', term: 3, word: 'alone' });
  await stage.writeTerm('b', { lineage: 'b2', term: 4, word: 'outdated' });
  await stage.start();
}
