import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { ExternalSource } from '@gannet/checkpointer';
import type { Replica } from '@gannet/replicator';
import {
  type DisksPort,
  type FileRam,
  FrameLink,
  type GuestPort,
  SecondaryEngine,
  type SecondaryEngineEvent,
} from '@gannet/vsmr';
import type { QmpClient } from 'qemu-qmp-client';
import { GannetError, hasTakenOver } from '@gannet/contract';
import type { Credentials } from '../../tls/credentials.js';
import { withTimeout } from '../with-timeout.js';
import { MemoryListener } from './memory-link.js';
import { SharedGuest } from './shared-guest.js';

export interface SecondaryVsmrOptions {
  readonly vm: string;
  /** `secondary.migrate` of the configuration: where to wait for the primary's engine. */
  readonly migrate: string;
  readonly credentials: Credentials | undefined;
  readonly replica: Pick<Replica, 'state' | 'reason' | 'link'>;
  /** The primary's engine is connected. */
  readonly onBegin: () => void;
  /** The link to the primary's engine has ended. */
  readonly onEnd: (reason: string) => void;
  readonly onTrouble: (error: unknown) => void;
  readonly onRefused: (reason: string, address: string) => void;
}

/** The engine of one connection. */
interface Serving {
  readonly ram: FileRam;
  readonly link: FrameLink;
  readonly engine: SecondaryEngine;
  readonly ended: Promise<void>;
}

/** How long another connection of the primary waits for the end of the last one. */
const END_PATIENCE_MS = 5000;

/** Phases in which nothing is here that a new connection of the primary would spoil. */
const MAY_BEGIN: ReadonlySet<string> = new Set(['blank', 'copying', 'preparing-first']);

/**
 * The secondary's side of checkpoints without COLO: waits for the primary's engine, and says to the
 * checkpointer what becomes of the disks.
 */
export class SecondaryVsmr {
  readonly source = new ExternalSource();
  #guest: SharedGuest | undefined;
  #listener: MemoryListener | undefined;
  #serving: Serving | undefined;
  /** One connection after another. */
  #turn: Promise<void> = Promise.resolve();
  /** The checkpointer has heard that the guest stops, and not yet what became of it. */
  #isStopped = false;

  constructor(
    private readonly qmp: QmpClient,
    private readonly options: SecondaryVsmrOptions,
  ) {
    qmp.onEnd((error) => {
      this.source.end(`the secondary's QMP socket ended: ${error?.message ?? 'closed'}`);
      this.#end().catch(options.onTrouble);
    });
  }

  /**
   * Checks that this QEMU has never run a guest and has its memory in a file, and waits for the
   * primary from then on.
   *
   * @throws SnapshotError, GannetError
   */
  async prepare(): Promise<void> {
    const { status } = await this.qmp.execute('query-status');
    if (status !== 'prelaunch') {
      const message = `this VM does not wait with -S for its primary: its status is ${status}`;
      const remedy = 'Start it with -S and without -incoming, as `check --print-secondary` says.';
      throw new GannetError('GANNET_NOT_READY', message, remedy);
    }
    const guest = await SharedGuest.open(this.qmp);
    const { migrate, credentials, onRefused } = this.options;
    const onConnection = (socket: Socket): void => {
      this.#turn = this.#turn
        .then(() => this.#serve(socket))
        .catch((error: unknown) => {
          socket.destroy();
          this.options.onTrouble(error);
        });
    };
    try {
      const listening = { migrate, credentials, onRefused, onConnection };
      this.#listener = await MemoryListener.listen(listening);
      this.#guest = guest;
    } catch (error) {
      await guest.close();
      throw error;
    }
  }

  /**
   * The guest goes on here. Whoever calls this has made sure that the primary is dead.
   *
   * @throws VsmrError VSMR_UNFIT if there is nothing to continue from
   */
  async failOver({ timeoutMs }: { readonly timeoutMs: number }): Promise<void> {
    const { engine } = this.#serving ?? {};
    if (engine === undefined && hasTakenOver(this.options.replica.state)) {
      // On an earlier connection to this QEMU: all that may be missing is that the guest runs.
      await this.qmp.execute('cont', {}, { timeoutMs });
      return;
    }
    if (engine === undefined) {
      const message = `the primary of ${this.options.vm} has made no checkpoint here`;
      const remedy = 'Only the primary has the VM: start it there.';
      throw new GannetError('GANNET_REFUSED', message, remedy, 'refused');
    }
    const taken = engine.phase === 'taken-over' ? this.#resume() : engine.takeOver();
    await withTimeout(taken, timeoutMs, 'the secondary VM to take over');
    await this.#end();
  }

  /** QEMU has no connection to the primary. */
  cutLinks(): Promise<void> {
    return Promise.resolve();
  }

  /** Ends everything that is not QEMU's. */
  async close(): Promise<void> {
    await this.#end();
  }

  async #end(): Promise<void> {
    const [listener, serving, guest] = [this.#listener, this.#serving, this.#guest];
    this.#listener = undefined;
    serving?.link.close();
    await listener?.close();
    await this.#turn;
    await serving?.ended;
    const last = this.#serving;
    this.#serving = undefined;
    await last?.ram.close();
    if (this.qmp.state === 'open') await guest?.close();
  }

  async #serve(socket: Socket): Promise<void> {
    const before = this.#serving;
    const guest = this.#guest;
    if (guest !== undefined && before !== undefined && (await hasEnded(before))) {
      const link = new FrameLink(socket, before.ram);
      this.#attend({ ...before, link }, before.engine.continueOn(link));
      return;
    }
    if (guest === undefined || (before && !MAY_BEGIN.has(before.engine.phase))) {
      this.options.onRefused('a primary is connected already', 'the memory link');
      socket.destroy();
      return;
    }
    before?.link.close();
    await before?.ended;
    await before?.ram.close();
    const ram = await guest.openRam();
    const link = new FrameLink(socket, ram);
    const engine = new SecondaryEngine({
      ...{ guest: this.#port(guest), ram, disks: this.#disks(), link },
      onEvent: (event) => this.#onEvent(event),
    });
    this.#attend({ ram, link, engine }, engine.serve());
  }

  #attend({ ram, link, engine }: Omit<Serving, 'ended'>, served: Promise<string>): void {
    const ended = served.then((reason) => {
      if (this.#serving === serving) this.options.onEnd(reason);
    });
    const serving: Serving = { ram, link, engine, ended };
    this.#serving = serving;
    this.options.onBegin();
  }

  #port({ vm }: SharedGuest): GuestPort {
    return {
      pause: async () => {
        // Before QEMU waits for the answers to its requests.
        if (this.source.state === 'open' && !this.#isStopped) {
          this.source.stopped();
          this.#isStopped = true;
        }
        await vm.pause();
      },
      resume: async () => {
        this.#goOn();
        await this.#resume();
      },
      saveDevices: () => vm.saveDevices(),
      loadDevices: (state) => vm.loadDevices(state),
    };
  }

  async #resume(): Promise<void> {
    await this.#guest?.vm.resume();
  }

  /** It resumes as it was: no checkpoint came of the stop. */
  #goOn(): void {
    if (!this.#isStopped || this.source.state !== 'open') return;
    this.#isStopped = false;
    this.source.seal();
    this.source.abort();
  }

  #disks(): DisksPort {
    return {
      commit: () => {
        this.source.seal();
        this.#isStopped = false;
        // The primary's engine has said so: its pause() fails if a link has failed before.
        this.source.commit({ primaryStoodWhole: true });
        this.#expect('protected');
      },
      whyNotResume: () => {
        const { state, reason, link } = this.options.replica;
        if (state !== 'protected') return `the replica is ${state}: ${reason}`;
        if (link.loss !== undefined) return `writes may be missing: ${link.loss}`;
        return link.isConnected ? undefined : 'no disk of the primary is connected';
      },
      failOver: () => {
        if (this.source.state !== 'ended') this.source.failOver();
        this.#expect('failed-over');
      },
    };
  }

  #expect(state: Replica['state']): void {
    const { replica } = this.options;
    if (replica.state !== state) throw new Error(replica.reason);
  }

  #onEvent(event: SecondaryEngineEvent): void {
    if (event.kind === 'unfit') this.source.end(event.reason);
    if (event.kind !== 'committed') this.options.onTrouble(troubleOf(event.kind, event.reason));
  }
}

/** Whether the engine of an earlier connection can go on; waits for the end of that one. */
async function hasEnded({ engine, ended }: Serving): Promise<boolean> {
  if (MAY_BEGIN.has(engine.phase)) return false;
  const late = sleep(END_PATIENCE_MS, false, { ref: false });
  return (await Promise.race([ended.then(() => true), late])) && engine.phase === 'running';
}

const WORDS = {
  aborted: ['a checkpoint was given up here', 'The guest runs on from the one before.'],
  unfit: ['a checkpoint failed half way', 'Restart this daemon and its QEMU, and protect again.'],
  'not-resumed': ['the guest could not be continued', 'The next checkpoint tries it again.'],
} as const;

function troubleOf(kind: keyof typeof WORDS, reason: string): GannetError {
  const [what, remedy] = WORDS[kind];
  return new GannetError('GANNET_STAGE_FAILED', `${what}: ${reason}`, remedy);
}
