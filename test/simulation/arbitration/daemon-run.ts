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
import type { HostName } from './network.js';
import type { Command, Plan } from './plan.js';

export type RoleName = 'primary' | 'secondary';

/** A host, as one VM has it. */
interface DaemonHost {
  readonly name: HostName;
  readonly vm: string;
  readonly qmpPath: string;
  /** It had the primary in the beginning. */
  readonly wasFirst: boolean;
  readonly mayOverwrite: boolean;
  /** The same host, for the other VM. */
  readonly beside: unknown;
  hasClaimed: boolean;
  readonly qemu: { readonly pid: number } | undefined;
}

/** What others see of a daemon. */
export interface DaemonWatcher {
  readonly note: (what: string) => void;
  /** A table of states has no cell for what has happened. */
  onBug(what: string): void;
  /** It says that there are two copies, and which side has the newest. */
  onAlarm(newest: RoleName): void;
  onProtected(): void;
  /** Its guest is stopped, so that the secondary takes over. */
  onGivenUp(): void;
  /** Its guest has taken over, and is on its local disks. */
  onSurvived(): void;
  /** The survivor is a primary from here on. */
  onRole(role: RoleName): void;
}

/** How a command has ended; `refused`: nothing was done. */
export type Answer = 'done' | 'failed' | 'refused';

/** There are few different ones, and daemons start often. */
const configs = new Map<string, Config>();
const SILENT = { log: () => undefined } as unknown as Logger;

export class DaemonRun {
  #primary: PrimaryRole | undefined;
  #secondary: SecondaryRole | undefined;
  #context: RoleContext | undefined;
  #calls = 0;
  #isQemuReady = false;
  readonly #config: Config;

  constructor(
    private readonly name: RoleName,
    private readonly host: DaemonHost,
    plan: Plan,
    private readonly watcher: DaemonWatcher,
  ) {
    this.#config = configOf(host, plan);
  }

  /** Whether it was connected with this QEMU, and had looked at it. */
  knows(pid: number): boolean {
    return this.#isQemuReady && this.host.qemu?.pid === pid;
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
    const { note } = this.watcher;
    const terms = await TermStore.open({ file: this.#config.termFile, vm: this.host.vm });
    terms.on(({ term, word }) => {
      note(`term ${term}, ${word}`);
      this.host.hasClaimed ||= word === 'taken-over';
    });
    const history = new History(SILENT, (event) => {
      if (!isRoutineEvent(event)) note(describeEvent(event).text);
      if (event.kind === 'trouble') this.#expectKnown(event.message);
      if (event.kind === 'two-copies') this.watcher.onAlarm(event.newest);
      if (event.kind === 'vm') this.#isQemuReady = event.state === 'ready';
      if (event.kind === 'protected') this.watcher.onProtected();
      if (event.kind === 'yielding') this.watcher.onGivenUp();
      if (event.kind === 'failover-done') this.watcher.onSurvived();
    });
    const health = new HealthWatch({ look: () => Promise.resolve(), onChange: () => undefined });
    const context: RoleContext = { log: SILENT, history, terms, health, page: () => undefined };
    this.#context = context;
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
  call(command: Command, onAnswer: (answer: Answer) => void = () => undefined): void {
    const { note } = this.watcher;
    this.#calls++;
    Promise.resolve()
      .then(() => this.#answer(command))
      .then(
        () => {
          note(`${command.name}: done`);
          onAnswer('done');
        },
        (error: unknown) => {
          const { message, exit } = describeError(error);
          note(`${command.name}: ${message}`);
          this.#expectKnown(message);
          onAnswer(exit === 'refused' ? 'refused' : 'failed');
        },
      )
      .finally(() => this.#calls--);
  }

  #expectKnown(message: string): void {
    if (/ cannot have /.test(message)) this.watcher.onBug(message);
  }

  #answer(command: Command): unknown {
    const silent = (): void => undefined;
    if (command.name === 'reprotect') return this.#reprotect();
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

  /** As Daemon does it: the QEMU of the survivor goes from one role to the other. */
  async #reprotect(): Promise<unknown> {
    if (this.#secondary && this.#context) {
      const secondary = this.#secondary;
      const vm = await secondary.release();
      this.#secondary = undefined;
      this.#primary = PrimaryRole.start(asPrimary(this.#config), this.#context, vm);
      this.watcher.onRole('primary');
    }
    return this.#answer({ name: 'protect' });
  }
}

function configOf(host: DaemonHost, plan: Plan): Config {
  const { vm, mayOverwrite, wasFirst, qmpPath, name } = host;
  const hasFence = wasFirst ? plan.primaryHasFence : plan.secondaryHasFence;
  // After a cut, both hosts have a primary that fences: one of them has to wait for the other.
  const delayMs = host.beside !== undefined && name === 'b' ? 8000 : 0;
  const failover = plan.isAutomatic && hasFence ? 'automatic' : 'manual';
  const text = `vm: ${vm}
qmp: unix:${qmpPath}
termFile: /sim/${vm}.term.json
control: /sim/control
disks: [{name: disk0, device: vb0, base: /sim/base}]
${hasFence ? `fence: {command: [/sim/fence], timeoutMs: 5000, delayMs: ${delayMs}}` : ''}
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
  overwrite: ${mayOverwrite}
  failover: ${failover}
`;
  const known = configs.get(text) ?? parseConfig(text, 'web.yaml');
  configs.set(text, known);
  return known;
}
