import { isDeepStrictEqual } from 'node:util';
import {
  asPrimary,
  asSecondary,
  type Config,
  describeError,
  GannetError,
  type MethodHandler,
  type MethodHandlers,
  plaintextKeys,
  type PrimaryConfig,
  type PrimaryStatus,
  QEMU_TEXTS,
} from '@gannet/contract';
import { ControlServer } from './control/control-server.js';
import { methodsOf } from './control/dispatch.js';
import type { Web } from './http/web.js';
import type { Logger } from './log.js';
import { Credentials } from '../tls/credentials.js';
import { HealthWatch } from './health-watch.js';
import { History } from './history.js';
import { Metrics } from './metrics/metrics.js';
import { PrimaryRole } from './primary/primary-role.js';
import { AutoProtect } from './protection/auto-protect.js';
import { Scout } from './protection/scout.js';
import { busy } from './refusals.js';
import { changedKeys } from './reload.js';
import type { DaemonMethod, Role, RoleContext } from './role-context.js';
import { SecondaryRole } from './secondary/secondary-role.js';
import { TermStore } from './terms/term-store.js';

const MINUTE_MS = 60_000;

/**
 * The daemon of one VM on one host. It begins as primary or secondary; a secondary that has taken
 * over can go on as the primary of a new secondary, with the same QEMU.
 */
export class Daemon {
  readonly #history: History;
  readonly #health = new HealthWatch({
    look: () => this.#judge(),
    automatic: () => this.#automatic.view,
    onChange: ({ level, ...verdict }, was) => {
      this.#history.add('verdict', { ...verdict, verdictLevel: level, was: was ?? null });
    },
  });
  readonly #automatic = new AutoProtect({
    policy: () => this.config.protection,
    isBusy: () => this.#isHandingOver || this.#history.operations.own !== undefined,
    lookOut: () => this.#lookOut(),
    begin: (how) => this.#history.operate(how, AS_CONFIGURED, () => this.#protectAgain()),
    onWait: (details) => this.#history.add('protection-waits', details),
  });
  #credentials: Credentials | undefined;
  /** Of this host, whichever role it has. */
  #terms: TermStore | undefined;
  #control: ControlServer | undefined;
  #web: Web | undefined;
  readonly #metrics: Metrics;
  readonly #minutes: NodeJS.Timeout;
  /** The survivor's QEMU goes from its secondary role to its primary role. */
  #isHandingOver = false;
  #role: Promise<Role> = new Promise(() => undefined);
  /** Requests that arrive during start-up wait for the role, and fail with its error. */
  readonly #methods = methodsOf(
    async () => {
      const role = await this.#role;
      const own: MethodHandlers<Exclude<DaemonMethod, 'watch'>> = {
        status: () => role.status(),
        events: () => [...this.#history.events],
        page: () => this.#page(),
        metrics: async () => ({ text: await this.#metrics.text() }),
        reprotect: (params, progress) =>
          this.#reprotect(role, params, (report) => progress(report)),
      };
      const who = `the ${role.name} of ${this.config.vm}`;
      return { who, handlers: { ...own, ...role.methods } };
    },
    (...asked) => this.#history.operate(...asked),
  );

  private readonly log: Logger;

  private constructor(
    private config: Config,
    log: Logger,
    onEvent: () => void,
    private readonly readAgain: (() => Promise<Config>) | undefined,
  ) {
    // One journal has the lines of all VMs of the host.
    this.log = log.child({ vm: config.vm });
    this.#metrics = new Metrics({
      vm: config.vm,
      status: async () => (await this.#role).status(),
      certificates: () => [...(this.#credentials?.expiries ?? []), ...(this.#web?.expiries ?? [])],
    });
    this.#history = new History(this.log, (event) => {
      this.#control?.publish(event);
      this.#metrics.observe(event);
      this.#web?.publish(event);
      onEvent();
      this.#health.lookSoon();
    });
    this.#minutes = setInterval(() => this.#history.summarise(), MINUTE_MS);
  }

  /**
   * @param readAgain reads the configuration as it is now, for a survivor that gets a new secondary
   * @throws GannetError, ReplicatorError: what is in the way, and what to do
   * @throws GannetError GANNET_USAGE if an argument is missing
   */
  static async start(
    config: Config,
    role: Role['name'],
    log: Logger,
    onEvent: () => void = () => undefined,
    readAgain?: () => Promise<Config>,
  ): Promise<Daemon> {
    expectArguments(config, role, log);
    const daemon = new Daemon(config, log, onEvent, readAgain);
    daemon.#history.role = role;
    // A request may arrive before listen() returns; it waits for the role that begins after that.
    let begin = (): void => undefined;
    daemon.#role = new Promise<void>((resolve) => (begin = resolve)).then(() => daemon.#play(role));
    // First: who has the control socket is the only daemon of this configuration.
    daemon.#control = await ControlServer.listen(config.control, daemon.#methods);
    begin();
    try {
      await daemon.#role;
      daemon.#health.start();
      await daemon.#serveWeb();
    } catch (error) {
      await daemon.close();
      throw error;
    }
    return daemon;
  }

  /**
   * Takes over what can change while it runs: the checkpoint period, limits, who may fail over by
   * itself; and reads certificates, keys and the web page's token again.
   *
   * @throws GannetError GANNET_CONFIG if something cannot be used: then nothing changes
   */
  async reload(config: Config): Promise<void> {
    const before = this.config;
    const renewWeb = await this.#web?.renewal();
    await this.#credentials?.reload();
    renewWeb?.();
    const needsRestart = await (await this.#role).reload(config);
    this.config = config;
    const changed = changedKeys(before, config).filter((key) => !needsRestart.includes(key));
    this.#history.add('reloaded', { changed });
    if (needsRestart.length > 0) this.#history.add('needs-restart', { keys: needsRestart });
  }

  /** Of a configuration that can't be read, or not be used: the one before stays. */
  notReloaded(error: unknown): void {
    const { code, message, remedy } = describeError(error);
    this.#history.add('not-reloaded', { code, message, remedy });
  }

  /** One line for people: what this daemon is and how its VM is. */
  async statusLine(): Promise<string> {
    const status = (await this.#role).status();
    const { role, state, peer } = status;
    const vm = role === 'primary' ? status.primaryVm : status.secondaryVm;
    return `${role} of ${this.config.vm}: ${state}; QEMU ${QEMU_TEXTS[vm]}; peer ${peer.pulse}`;
  }

  /** Brings to an end what can be, then lets go of everything. */
  async stop(): Promise<void> {
    await (await this.#role).drain();
    await this.close();
  }

  /** stop(), for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async close(): Promise<void> {
    this.#health.close();
    this.#automatic.close();
    clearInterval(this.#minutes);
    const role = await this.#role.catch(() => undefined);
    await role?.close();
    await this.#web?.close();
    await this.#control?.close();
    await this.#terms?.close();
  }

  get #context(): RoleContext {
    const [log, history, terms] = [this.log, this.#history, this.#terms];
    if (!terms) throw new Error('the term file was not read');
    const page = (): string | undefined => this.#web?.sharedUrl;
    return { log, history, terms, health: this.#health, credentials: this.#credentials, page };
  }

  async #play(role: Role['name']): Promise<Role> {
    const { tls } = this.config;
    this.#credentials = tls && (await Credentials.read(tls));
    this.#credentials?.check(role === 'primary' ? 'client' : 'server');
    const keys = plaintextKeys(this.config);
    if (keys.length > 0) this.#history.add('plaintext', { keys, danger: IN_THE_CLEAR });
    this.#terms = await TermStore.open({ file: this.config.termFile, vm: this.config.vm });
    this.#terms.on(({ term, word, isForced, evidence }) => {
      this.#history.add('term', { term, word, isForced, evidence });
    });
    const context = this.#context;
    if (role === 'primary') return PrimaryRole.start(asPrimary(this.config), context);
    return SecondaryRole.start(asSecondary(this.config), context);
  }

  /** A status brings its verdict, and its change is an event. */
  async #judge(): Promise<void> {
    if (this.#isHandingOver) return;
    this.#automatic.consider((await this.#role).status());
  }

  /** For a survivor, whose own peer link waits for a primary. */
  #lookOut(): Scout | undefined {
    const terms = this.#terms;
    if (!terms || !this.config.primary) return undefined;
    try {
      const config = asPrimary(this.config);
      refuseItself(config);
      this.#credentials?.check('client');
      return new Scout(config, () => terms.record, this.#credentials);
    } catch {
      // `gannet reprotect` says what is wrong with it.
      return undefined;
    }
  }

  async #protectAgain(): Promise<PrimaryStatus> {
    return this.#reprotect(await this.#role, {}, () => undefined);
  }

  /** Loaded where it is wanted: most commands never need it. */
  async #serveWeb(): Promise<void> {
    const { http } = this.config;
    if (!http) return;
    const { Web } = await import('./http/web.js');
    const methods = this.#methods;
    this.#web = await Web.listen({ config: http, methods, metrics: this.#metrics });
    this.#history.add('web', { address: this.#web.url });
  }

  /** Where the web page is; who may ask here may know its token. */
  #page(): { readonly url: string } {
    if (this.#web) return { url: this.#web.pageUrl };
    const message = `the daemon of ${this.config.vm} serves no web page`;
    const remedy = 'Give its configuration `http.listen`, such as 127.0.0.1:9470, and restart it.';
    throw new GannetError('GANNET_REFUSED', message, remedy, 'refused');
  }

  /** The section `primary` of a survivor leads to a host that nobody knew when its daemon began. */
  async #readSection(): Promise<void> {
    const config = await this.readAgain?.();
    if (config && changedKeys(this.config, config).length > 0) await this.reload(config);
  }

  /** The survivor becomes the primary of a new secondary. */
  async #reprotect(
    role: Role,
    ...call: Parameters<MethodHandler<'protect'>>
  ): Promise<PrimaryStatus> {
    let primary = role instanceof PrimaryRole ? role : undefined;
    if (role instanceof SecondaryRole) {
      // Two primary roles would drive the same QEMU, one of them for good.
      if (this.#isHandingOver) throw busy(this.config.vm, 'being protected again');
      this.#isHandingOver = true;
      try {
        await this.#readSection();
        const config = asPrimary(this.config);
        refuseItself(config);
        this.#credentials?.check('client');
        const vm = await role.release();
        this.#history.role = 'primary';
        primary = PrimaryRole.start(config, this.#context, vm);
        this.#role = Promise.resolve(primary);
      } finally {
        this.#isHandingOver = false;
      }
      this.#history.add('role', { reason: 'the survivor is the primary now' });
    }
    if (!primary) throw new Error(`no role ${role.name}`);
    return primary.methods.protect(...call);
  }
}

/** Who asks, for the log and the events. */
const AS_CONFIGURED = 'this daemon (`protection: automatic`)';

const IN_THE_CLEAR =
  'anyone on the network between the hosts can read and change the VM. Write tls:HOST:PORT, and ' +
  'remove dangerouslyAllowPlaintextBeyondLoopback';

/** If its new secondary's addresses were its own, a survivor would wait for itself forever. */
function refuseItself({ vm, primary, secondary }: PrimaryConfig): void {
  for (const key of ['nbd', 'peer'] as const) {
    if (!isDeepStrictEqual(primary[key], secondary?.[key])) continue;
    throw new GannetError(
      'GANNET_REFUSED',
      `${vm} can't be its own secondary: primary.${key} is secondary.${key}, the address on ` +
        'which this daemon listens',
      `Set primary.${key} to an address of the new secondary's host.`,
      'refused',
    );
  }
}

/** For programs without types, which embed the daemon. */
function expectArguments(config: unknown, role: unknown, log: unknown): void {
  const { vm, control } = Object(config) as Partial<Config>;
  const { child } = Object(log) as Partial<Logger>;
  const isRole = role === 'primary' || role === 'secondary';
  if (typeof vm === 'string' && typeof control === 'string' && isRole && child) return;
  throw new GannetError(
    'GANNET_USAGE',
    'Daemon.start() needs a configuration, a role (primary or secondary) and a logger',
    'Pass what `loadConfig` of @gannet/contract and `createLogger` of gannet return.',
    'usage',
  );
}
