// What events say to do.

import { eventAt, type RemedyCase } from './case.js';
import { held, superseded, survived } from './cases-verdicts.js';
import type { Stage } from './stage.js';

const restart = (stage: Stage): Promise<void> => stage.restartSecondary();

/** Nothing gets from one host to the other. */
function cut(stage: Stage): void {
  for (const network of [stage.peer, stage.data]) {
    network.silence('a');
    network.silence('b');
  }
}

function heal(stage: Stage): void {
  stage.peer.heal();
  stage.data.heal();
}

export const EVENT_CASES: readonly RemedyCase[] = [
  {
    name: 'vm lost',
    print: async (stage) => {
      await stage.protect();
      stage.endQemu('a');
      return eventAt(stage, 'a', 'vm', (event) => event.kind === 'vm' && event.state === 'lost');
    },
    aim: 'runs',
  },
  {
    name: 'unprotected, after a restart of its QEMU',
    print: async (stage) => {
      await stage.start();
      stage.endQemu('a');
      await stage.pass(2000);
      stage.startQemu('a');
      return eventAt(stage, 'a', 'unprotected');
    },
    outside: ["Restart the secondary's daemon and QEMU", restart],
    aim: 'protects',
  },
  {
    name: 'alone, and the secondary knows',
    print: async (stage) => {
      await stage.protect();
      await stage.run('a', ['detach', 'web']);
      return eventAt(stage, 'a', 'alone');
    },
    outside: ["Restart the secondary's daemon and QEMU", restart],
    aim: 'protects',
  },
  {
    name: 'alone, and the secondary may not know',
    print: async (stage) => {
      await stage.protect();
      cut(stage);
      return eventAt(stage, 'a', 'alone');
    },
    outside: [
      'make sure that it never takes over',
      async (stage) => {
        stage.endQemu('b');
        heal(stage);
        await stage.restartSecondary();
      },
    ],
    aim: 'protects',
  },
  {
    name: 'yielding, as an event',
    print: async (stage) => {
      await stage.protect();
      stage.qemu('a').panics();
      return eventAt(stage, 'a', 'yielding');
    },
    aim: 'runs',
  },
  {
    name: 'guest-ended',
    print: async (stage) => {
      await stage.protect();
      stage.qemu('a').shutsDown();
      return eventAt(stage, 'a', 'guest-ended');
    },
    outside: [
      'start its QEMU on this host',
      async (stage) => {
        stage.endQemu('a');
        await stage.pass(2000);
        stage.startQemu('a');
        await stage.restartSecondary();
      },
    ],
    aim: 'protects',
  },
  {
    name: "fence failed, the secondary's of the primary",
    setting: { fences: { a: 'fails', b: 'fails' }, isAutomatic: true },
    print: async (stage) => {
      await stage.protect();
      stage.killDaemon('a');
      stage.qemu('a').hangs('hard');
      cut(stage);
      return eventAt(stage, 'b', 'fence');
    },
    outside: ["Make sure that the primary's QEMU does not run", (stage) => stage.endQemu('a')],
    aim: 'runs',
  },
  {
    name: "fence failed, the primary's of the secondary",
    setting: { fences: { a: 'fails' } },
    print: async (stage) => {
      await stage.protect();
      cut(stage);
      return eventAt(stage, 'a', 'fence');
    },
    outside: ["Make sure that the secondary's QEMU does not run", (stage) => stage.endQemu('b')],
    aim: 'keeps',
  },
  {
    name: 'diverged, as an event',
    print: async (stage) => {
      await stage.protect();
      stage.endQemu('b');
      return eventAt(stage, 'b', 'diverged');
    },
    outside: [
      "restart the secondary's daemon, then its QEMU with -incoming",
      (stage) => stage.restartSecondary(),
    ],
    aim: 'protects',
  },
  {
    name: 'link-lost, as an event',
    print: async (stage) => {
      await stage.protect();
      stage.endQemu('a');
      return eventAt(stage, 'b', 'link-lost');
    },
    aim: 'runs',
  },
  {
    name: 'held, as an event',
    print: async (stage) => {
      await held(stage);
      stage.endQemu('b');
      return eventAt(stage, 'a', 'held');
    },
    aim: 'runs',
  },
  ...(['a', 'b'] as const).map((at): RemedyCase => ({
    name: `two-copies, as ${at === 'a' ? 'alpha' : 'beta'} says it`,
    print: async (stage) => {
      await superseded(stage);
      return eventAt(stage, at, 'two-copies');
    },
    aim: 'answers',
  })),
  {
    name: 'second-copy-stopped',
    print: async (stage) => {
      await superseded(stage);
      return eventAt(stage, 'a', 'second-copy-stopped');
    },
    aim: 'answers',
  },
  {
    name: 'failover-done',
    print: async (stage) => {
      await survived(stage);
      return eventAt(stage, 'b', 'failover-done');
    },
    outside: ['Start a new secondary', (stage) => stage.becomeSecondary('a')],
    aim: 'protects',
  },
];
