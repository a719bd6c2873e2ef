// One life of a daemon, from its start to its end: the role that ships, with its term file. What a
// daemon is beside its role (control socket, web page) is not simulated.

import {
  asPrimary,
  asSecondary,
  type Config,
  describeError,
  describeEvent,
  isRoutineEvent,
  parseConfig,
} from '@gannet/contract';
import { HealthWatch } from '#daemon/health-watch.js';
import { History } from '#daemon/history.js';
import type { Logger } from '#daemon/log.js';
import { PrimaryRole } from '#daemon/primary/primary-role.js';
import type { RoleContext } from '#daemon/role-context.js';
import { SecondaryRole } from '#daemon/secondary/secondary-role.js';
import { TermStore } from '#daemon/terms/term-store.js';
import type { Command, Plan } from './plan.js';

const TERM_FILE = '/sim/web.term.json';
const SILENT = { log: () => undefined } as unknown as Logger;

export class DaemonRun {
  #primary: PrimaryRole | undefined;
  #secondary: SecondaryRole | undefined;
  #calls = 0;
  readonly #config: Config;

  constructor(
    private readonly name: 'primary' | 'secondary',
    plan: Plan,
    private readonly note: (what: string) => void,
    private readonly onBug: (what: string) => void,
  ) {
    this.#config = configOf(name, plan);
  }

  get isUp(): boolean {
    return this.#role !== undefined;
  }

  /** Whether somebody waits for an answer. */
  get isBusy(): boolean {
    return this.#calls > 0;
  }

  get #role(): PrimaryRole | SecondaryRole | undefined {
    return this.#primary ?? this.#secondary;
  }

  async start(): Promise<void> {
    const { note } = this;
    const terms = await TermStore.open({ file: TERM_FILE, vm: 'web' });
    terms.on(({ term, word }) => note(`term ${term}, ${word}`));
    const history = new History(SILENT, (event) => {
      const { text } = describeEvent(event);
      if (!isRoutineEvent(event)) note(text);
      if (event.kind === 'trouble') this.#expectKnown(event.message);
    });
    const health = new HealthWatch({ look: () => Promise.resolve(), onChange: () => undefined });
    const context: RoleContext = { log: SILENT, history, terms, health, page: () => undefined };
    if (this.name === 'primary') {
      this.#primary = PrimaryRole.start(asPrimary(this.#config), context);
    } else {
      this.#secondary = await SecondaryRole.start(asSecondary(this.#config), context);
    }
  }

  /** As on SIGTERM. */
  async stop(): Promise<void> {
    await this.#role?.drain();
    await this.#role?.close();
  }

  /** As over the control socket. */
  call(command: Command): void {
    const { note } = this;
    this.#calls++;
    Promise.resolve()
      .then(() => this.#answer(command))
      .then(
        () => note(`${command.name}: done`),
        (error: unknown) => {
          const { message } = describeError(error);
          note(`${command.name}: ${message}`);
          this.#expectKnown(message);
        },
      )
      .finally(() => this.#calls--);
  }

  /** A table of states that has no cell for what has happened. */
  #expectKnown(message: string): void {
    if (/ cannot have /.test(message)) this.onBug(message);
  }

  #answer(command: Command): unknown {
    const silent = (): void => undefined;
    if (this.#primary) {
      const { methods } = this.#primary;
      if (command.name === 'protect') return methods.protect({}, silent);
      if (command.name === 'detach') return methods.detach({ force: command.force }, silent);
      const { force, overrulePeer } = command;
      return methods.failover({ force, overrulePeer }, silent);
    }
    if (this.#secondary && command.name === 'failover') {
      const { force, overrulePeer } = command;
      return this.#secondary.methods.failover({ force, overrulePeer }, silent);
    }
    throw new Error('not for this side');
  }
}

function configOf(name: 'primary' | 'secondary', plan: Plan): Config {
  const hasFence = name === 'primary' ? plan.primaryHasFence : plan.secondaryHasFence;
  const failover = plan.isAutomatic && name === 'secondary' ? 'automatic' : 'manual';
  const text = `vm: web
qmp: unix:/sim/qmp
termFile: ${TERM_FILE}
control: /sim/control
disks: [{name: disk0, device: vb0, base: /sim/base}]
${hasFence ? 'fence: {command: [/sim/fence], timeoutMs: 5000}' : ''}
primary:
  nbd: unix:/sim/nbd
  migrate: unix:/sim/migrate
  peer: unix:/sim/peer
  link: mirror
  checkpointPeriodMs: 2000
  onSecondaryLost: ${plan.letsGo ? 'run-on' : 'wait'}
secondary:
  nbd: unix:/sim/nbd-b
  svm: unix:/sim/svm
  peer: unix:/sim/peer-b
  journal: /sim/journal
  failover: ${failover}
`;
  return parseConfig(text, 'web.yaml');
}
