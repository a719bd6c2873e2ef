// What verdicts say to do.

import { type RemedyCase, verdictAt } from './case.js';
import type { Stage } from './stage.js';

const restart = (stage: Stage): Promise<void> => stage.restartSecondary();
const RESTART = 'restart the daemon, then its QEMU with -incoming';

async function alone(stage: Stage): Promise<void> {
  await stage.protect();
  stage.endQemu('b');
  await stage.pass(4000);
}

/** The secondary has the VM, and the primary's QEMU has ended. */
export async function survived(stage: Stage): Promise<void> {
  await stage.protect();
  stage.endQemu('a');
  await stage.pass(1000);
  await stage.run('b', ['failover', 'web']);
  await stage.pass(2000);
}

/** The secondary has the VM by force; the primary has stopped its guest. */
export async function superseded(stage: Stage): Promise<void> {
  await stage.protect();
  await stage.run('b', ['failover', 'web', '--force', '--overrule-peer']);
  await stage.pass(3000);
}

/** A QEMU was started again, and its daemon too, while the other side can't be heard. */
export async function held(stage: Stage): Promise<void> {
  await stage.protect();
  stage.peer.silence('a');
  stage.peer.silence('b');
  stage.endQemu('a');
  await stage.pass(500);
  stage.startQemu('a');
  await stage.startDaemon('a');
  await stage.pass(3000);
}

export const VERDICT_CASES: readonly RemedyCase[] = [
  {
    name: 'alone',
    print: async (stage) => {
      await alone(stage);
      return verdictAt(stage, 'a', 'alone');
    },
    outside: [RESTART, restart],
    aim: 'protects',
  },
  {
    name: 'alone, and the secondary has been started again',
    print: async (stage) => {
      await alone(stage);
      await restart(stage);
      await stage.pass(2000);
      return verdictAt(stage, 'a', 'alone');
    },
    aim: 'protects',
  },
  {
    name: 'alone, and the secondary is not heard',
    print: async (stage) => {
      await stage.protect();
      for (const network of [stage.peer, stage.data]) {
        network.silence('a');
        network.silence('b');
      }
      await stage.pass(9000);
      return verdictAt(stage, 'a', 'alone');
    },
    outside: [
      'and the network or tunnel to it',
      async (stage) => {
        stage.peer.heal();
        stage.data.heal();
        await restart(stage);
      },
    ],
    aim: 'protects',
  },
  {
    name: 'unprotected, after a detach',
    print: async (stage) => {
      await stage.protect();
      await stage.run('a', ['detach', 'web']);
      return verdictAt(stage, 'a', 'unprotected');
    },
    outside: [RESTART, restart],
    aim: 'protects',
  },
  {
    name: 'secondary-down, before it was protected',
    print: async (stage) => {
      await stage.start();
      stage.endQemu('b');
      return verdictAt(stage, 'a', 'secondary-down');
    },
    outside: [RESTART, restart],
    aim: 'protects',
  },
  {
    name: 'unprotected',
    print: async (stage) => {
      await stage.start();
      return verdictAt(stage, 'a', 'unprotected');
    },
    aim: 'protects',
  },
  {
    name: 'unprotected, and the QEMU of the secondary is missing',
    print: async (stage) => {
      stage.startQemu('a');
      await stage.startDaemon('b');
      await stage.startDaemon('a');
      await stage.pass(1000);
      return verdictAt(stage, 'a', 'unprotected');
    },
    outside: [
      'Start the QEMU on',
      async (stage) => {
        stage.startQemu('b');
        await stage.pass(1000);
      },
    ],
    aim: 'protects',
  },
  {
    name: 'unprotected, and no secondary was ever heard',
    print: async (stage) => {
      stage.startQemu('a');
      await stage.startDaemon('a');
      await stage.pass(1000);
      return verdictAt(stage, 'a', 'unprotected');
    },
    outside: ["Start the secondary's daemon and QEMU", restart],
    aim: 'protects',
  },
  {
    name: 'survivor',
    print: async (stage) => {
      await survived(stage);
      return verdictAt(stage, 'b', 'survivor');
    },
    outside: ['Start a new secondary', (stage) => stage.becomeSecondary('a')],
    aim: 'protects',
  },
  {
    name: 'held, and the other daemon is started',
    print: async (stage) => {
      await held(stage);
      return verdictAt(stage, 'a', 'held');
    },
    outside: [
      'Start the daemon on the secondary host',
      async (stage) => {
        stage.peer.heal();
        await stage.pass(5000);
      },
    ],
    runs: [],
    aim: 'runs',
  },
  {
    name: 'held, by force',
    print: async (stage) => {
      await held(stage);
      stage.endQemu('b');
      return verdictAt(stage, 'a', 'held');
    },
    aim: 'runs',
  },
  {
    name: 'yielding',
    print: async (stage) => {
      await stage.protect();
      stage.qemu('a').panics();
      return verdictAt(stage, 'a', 'yielding');
    },
    aim: 'runs',
  },
  ...(['swallows', 'stops'] as const).map((how): RemedyCase => ({
    name: `stands-still: its disk failed before it was protected, and ${how}`,
    print: async (stage) => {
      await stage.start();
      const protecting = stage.begin('a', ['protect', 'web']);
      await stage.pass(300);
      stage.qemu('a').diskFault = how;
      stage.qemu('a').writesToBadDisk(true);
      await stage.answered(protecting);
      return verdictAt(stage, 'a', 'stands-still');
    },
    outside: [
      'repair the storage, end the QEMU and start the VM again',
      async (stage) => {
        stage.endQemu('a');
        await stage.pass(500);
        stage.startQemu('a');
        await stage.restartSecondary();
        await stage.pass(1000);
      },
    ],
    aim: 'protects',
  })),
  {
    name: 'yielding, and the secondary is not fit',
    print: async (stage) => {
      await stage.protect();
      stage.qemu('a').panics();
      await stage.pass(300);
      stage.endQemu('b');
      await stage.pass(1000);
      return verdictAt(stage, 'a', 'yielding');
    },
    aim: 'runs',
  },
  ...(['a', 'b'] as const).map((at): RemedyCase => ({
    name: `down-take-over, as ${at === 'a' ? 'alpha' : 'beta'} says it`,
    print: async (stage) => {
      await stage.protect();
      stage.endQemu('a');
      return verdictAt(stage, at, 'down-take-over');
    },
    aim: 'runs',
  })),
  {
    name: 'down-replica-unknown',
    print: async (stage) => {
      await stage.protect();
      stage.peer.silence('a');
      stage.peer.silence('b');
      await stage.startDaemon('a', { waits: true });
      await stage.pass(200);
      stage.endQemu('a');
      return verdictAt(stage, 'a', 'down-replica-unknown');
    },
    setting: { waits: true },
    aim: 'answers',
  },
  {
    name: 'down-no-replica',
    print: async (stage) => {
      await stage.protect();
      stage.endQemu('a');
      stage.endQemu('b');
      return verdictAt(stage, 'a', 'down-no-replica');
    },
    outside: [
      'start the VM again from its own disks',
      async (stage) => {
        stage.startQemu('a');
        await stage.pass(5000);
      },
    ],
    runs: [],
    aim: 'runs',
  },
  {
    name: 'down',
    print: async (stage) => {
      await stage.start();
      stage.endQemu('a');
      return verdictAt(stage, 'a', 'down');
    },
    outside: ['start the VM again from its own disks', (stage) => stage.startQemu('a')],
    runs: [],
    aim: 'runs',
  },
  {
    name: 'hung',
    print: async (stage) => {
      await stage.protect();
      stage.qemu('a').hangs('hard');
      return verdictAt(stage, 'b', 'hung');
    },
    outside: ['stop it', (stage) => stage.endQemu('a')],
    aim: 'runs',
  },
  {
    name: 'unfit',
    print: async (stage) => {
      await stage.protect();
      stage.qemu('b').stopped('paused');
      await stage.pass(100);
      stage.qemu('b').resumed();
      return verdictAt(stage, 'a', 'unfit');
    },
    aim: 'protects',
  },
  {
    name: 'replica-late',
    setting: { waits: true },
    print: async (stage) => {
      await stage.protect();
      await stage.restartSecondary();
      return verdictAt(stage, 'a', 'replica-late');
    },
    aim: 'answers',
  },
  {
    name: 'link-lost',
    print: async (stage) => {
      await stage.protect();
      stage.killDaemon('a');
      stage.endQemu('a');
      await stage.pass(1500);
      return verdictAt(stage, 'b', 'link-lost');
    },
    follows: true,
    aim: 'runs',
  },
  {
    name: 'peer-silent',
    print: async (stage) => {
      await stage.protect();
      for (const network of [stage.peer, stage.data]) {
        network.silence('a');
        network.silence('b');
      }
      stage.killDaemon('a');
      stage.endQemu('a');
      return verdictAt(stage, 'b', 'peer-silent');
    },
    follows: true,
    aim: 'runs',
  },
  {
    name: 'superseded',
    print: async (stage) => {
      await superseded(stage);
      return verdictAt(stage, 'a', 'survivor');
    },
    outside: ['Start a new secondary', (stage) => stage.becomeSecondary('a')],
    aim: 'protects',
  },
  {
    name: 'survivor-yields',
    print: async (stage) => {
      await superseded(stage);
      await stage.run('a', ['failover', 'web', '--force', '--overrule-peer']);
      await stage.pass(3000);
      return verdictAt(stage, 'a', 'survivor-yields');
    },
    outside: ['End the QEMU on host beta', (stage) => stage.endQemu('b')],
    runs: [],
    aim: 'keeps',
  },
];
