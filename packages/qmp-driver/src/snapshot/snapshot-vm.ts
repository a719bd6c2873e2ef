/**
 * A VM whose device state is saved and loaded by QEMU's snapshots, without its RAM: with the
 * capability x-ignore-shared, snapshots leave out RAM that is shared. A snapshot goes into a qcow2
 * image that holds nothing else, and that QEMU has open only meanwhile. So the image can be taken
 * elsewhere as a file, and no other node is touched.
 */
import { readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { JobInfo, QmpClient } from 'qemu-qmp-client';
import { Deadline } from '../deadline.js';
import { addNode, deleteNode } from '../disk/blockdev.js';
import { qemuReason, SnapshotError, step } from '../errors.js';
import { sharedRam, type SharedRam } from './shared-ram.js';

/** Of the image. The state is beside it, so this is no limit of the state. */
const IMAGE_BYTES = 64 * 1024 * 1024;
/** While a job of an earlier process ends. */
const LEFTOVER_PAUSE_MS = 20;
const TAG = 'devices';

/** Options of a SnapshotVm. */
export interface SnapshotVmOptions {
  /** A folder that QEMU and this process can write to, in memory if possible. */
  readonly folder: string;
  /** Stem of the names of node, jobs and image; unique per VM. Default `gannet-devices`. */
  readonly id?: string;
  /** QEMU's process, for RAM that is in no file system (memory-backend-memfd). */
  readonly pid?: number | undefined;
  /** For one QMP command. Default 10 s. */
  readonly commandTimeoutMs?: number;
  /** For one step: pausing, saving, loading. Default 30 s. */
  readonly stepTimeoutMs?: number;
}

/** Pauses a VM, saves and loads the state of its devices. See prepare(). */
export class SnapshotVm {
  readonly #id: string;
  readonly #pid: number | undefined;
  readonly #image: string;
  readonly #jobs: Readonly<Record<'create' | 'save' | 'load', string>>;
  readonly #commandTimeoutMs: number;
  readonly #stepTimeoutMs: number;
  /** An image that is empty. */
  #empty: Uint8Array | undefined;
  /** A job has failed, and something of it may be left in QEMU. */
  #hasLeftovers = false;

  constructor(
    private readonly qmp: QmpClient,
    options: SnapshotVmOptions,
  ) {
    const { folder, id = 'gannet-devices', commandTimeoutMs, stepTimeoutMs } = options;
    this.#id = id;
    this.#pid = options.pid;
    this.#image = path.join(folder, `${id}.qcow2`);
    this.#jobs = { create: `${id}-create`, save: `${id}-save`, load: `${id}-load` };
    this.#commandTimeoutMs = commandTimeoutMs ?? 10_000;
    this.#stepTimeoutMs = stepTimeoutMs ?? 30_000;
  }

  /**
   * Checks that RAM is shared, and tells QEMU to leave it out of snapshots and migrations. Removes
   * what an earlier process has left. Harmless when repeated.
   *
   * @returns where RAM is
   * @throws SnapshotError
   */
  async prepare(): Promise<SharedRam> {
    const deadline = this.#deadline('preparing snapshots');
    const { timeoutMs } = deadline.options(this.#commandTimeoutMs);
    const ram = await sharedRam(this.qmp, { timeoutMs, pid: this.#pid });
    const capabilities = [{ capability: 'x-ignore-shared', state: true }] as const;
    await this.#execute('leave out RAM', () =>
      this.qmp.execute(
        'migrate-set-capabilities',
        { capabilities },
        deadline.options(this.#commandTimeoutMs),
      ),
    );
    await this.#clean(deadline);
    this.#empty ??= await this.#makeEmpty(deadline);
    return ram;
  }

  /** Stops the guest, when its disks have drained and are flushed. */
  async pause(): Promise<void> {
    const options = this.#deadline('pausing').options(this.#stepTimeoutMs);
    await this.#execute('pause', () => this.qmp.execute('stop', {}, options));
  }

  /** Lets the guest run. */
  async resume(): Promise<void> {
    const options = this.#deadline('resuming').options(this.#stepTimeoutMs);
    await this.#execute('resume', () => this.qmp.execute('cont', {}, options));
  }

  /**
   * The state of a paused VM's devices.
   *
   * @throws SnapshotError `DRIVER_SNAPSHOT_FAILED`
   */
  async saveDevices(): Promise<Uint8Array> {
    const deadline = this.#deadline('saving the state of the devices');
    await this.#job('save', await this.#emptyImage(), deadline);
    return readFile(this.#image);
  }

  /**
   * Replaces the state of a paused VM's devices. RAM has to be in place: devices read it. QEMU
   * resets the machine before it loads, also if the loading fails.
   *
   * @throws SnapshotError `DRIVER_SNAPSHOT_FAILED`
   */
  async loadDevices(state: Uint8Array): Promise<void> {
    const deadline = this.#deadline('loading the state of the devices');
    await this.#job('load', state, deadline);
  }

  /** Removes the image. */
  async dispose(): Promise<void> {
    await rm(this.#image, { force: true });
  }

  async #emptyImage(): Promise<Uint8Array> {
    if (this.#empty === undefined) await this.prepare();
    return this.#empty ?? new Uint8Array();
  }

  /** Jobs and a node of an earlier process. Its jobs end by themselves. */
  async #clean(deadline: Deadline): Promise<void> {
    const { qmp } = this;
    for (;;) {
      const options = deadline.options(this.#commandTimeoutMs);
      const jobs = await this.#execute('list jobs', () => qmp.execute('query-jobs', {}, options));
      const ours = jobs.filter(({ id }) => Object.values(this.#jobs).includes(id));
      for (const { id } of ours.filter(({ status }) => status === 'concluded')) {
        await this.#execute(`end ${id}`, () => qmp.execute('job-dismiss', { id }, options));
      }
      if (ours.every(({ status }) => status === 'concluded')) break;
      await deadline.pause(LEFTOVER_PAUSE_MS);
    }
    await this.#deleteImageNode(deadline);
  }

  /** Lets QEMU make an empty image, so that its format is QEMU's business alone. */
  async #makeEmpty(deadline: Deadline): Promise<Uint8Array> {
    const options = deadline.options(this.#commandTimeoutMs);
    const file = `${this.#id}-file`;
    const context = this.#context(deadline);
    await this.#io(() => writeFile(this.#image, ''));
    await addNode(context, file, { driver: 'file', 'node-name': file, filename: this.#image });
    try {
      const job = this.#jobs.create;
      const image = { driver: 'qcow2', file, size: IMAGE_BYTES } as const;
      const ended = this.#ended(job, deadline);
      await this.#execute(`start ${job}`, () =>
        this.qmp.execute('blockdev-create', { 'job-id': job, options: image }, options),
      );
      await ended;
      await this.#outcome(job, deadline);
    } finally {
      await deleteNode(context, file);
    }
    return readFile(this.#image);
  }

  /**
   * QEMU has the image open only meanwhile: only when it has closed it, all of it is in the file.
   * The guest stands still, so commands do not wait for each other's answers: QEMU takes them in
   * order.
   */
  async #job(what: 'save' | 'load', image: Uint8Array, deadline: Deadline): Promise<void> {
    // It may have the image open still.
    if (this.#hasLeftovers) await this.#tidy();
    await this.#io(() => writeFile(this.#image, image));
    const id = this.#jobs[what];
    const args = { 'job-id': id, tag: TAG, vmstate: this.#id, devices: [this.#id] };
    const options = deadline.options(this.#commandTimeoutMs);
    const ended = this.#ended(id, deadline);
    const opened = this.#open(deadline);
    const started = this.#execute(`start ${id}`, () =>
      what === 'save'
        ? this.qmp.execute('snapshot-save', args, options)
        : this.qmp.execute('snapshot-load', args, options),
    );
    started.catch(() => undefined);
    try {
      await opened;
      await started;
      await ended;
      const outcome = this.#outcome(id, deadline);
      outcome.catch(() => undefined);
      await this.#close(deadline);
      await outcome;
    } catch (error) {
      // If this fails, too, the next job tries it again. What counts is the first error.
      this.#hasLeftovers = true;
      await this.#tidy().catch(() => undefined);
      throw error;
    }
  }

  /** With time of its own: a job that was too slow has used up all that it had. */
  async #tidy(): Promise<void> {
    await this.#clean(this.#deadline('tidying up'));
    this.#hasLeftovers = false;
  }

  /** @throws LinkError `DRIVER_ADD_FAILED` */
  #open(deadline: Deadline): Promise<void> {
    const file = { driver: 'file', filename: this.#image } as const;
    const options = { driver: 'qcow2', 'node-name': this.#id, file } as const;
    return addNode(this.#context(deadline), this.#id, options);
  }

  /** Asks for the graph only if QEMU refuses. */
  async #close(deadline: Deadline): Promise<void> {
    const options = deadline.options(this.#commandTimeoutMs);
    await this.qmp
      .execute('blockdev-del', { 'node-name': this.#id }, options)
      .catch(() => this.#deleteImageNode(deadline));
  }

  async #deleteImageNode(deadline: Deadline): Promise<void> {
    await deleteNode(this.#context(deadline), this.#id);
  }

  /** To be called before the job is started. Says nothing about its outcome. */
  #ended(id: string, deadline: Deadline): Promise<void> {
    const ended = this.qmp.waitForEvent(
      (event) =>
        event.event === 'JOB_STATUS_CHANGE' &&
        event.data.id === id &&
        event.data.status === 'concluded',
      deadline.options(this.#stepTimeoutMs),
    );
    const done = this.#execute(`wait for ${id}`, () => ended).then(() => undefined);
    done.catch(() => undefined);
    return done;
  }

  /** Takes the error of a job that has ended, which is seen nowhere else, and dismisses it. */
  async #outcome(id: string, deadline: Deadline): Promise<void> {
    const options = deadline.options(this.#commandTimeoutMs);
    const [jobs] = await this.#execute(`end ${id}`, () =>
      Promise.all([
        this.qmp.execute('query-jobs', {}, options),
        this.qmp.execute('job-dismiss', { id }, options),
      ]),
    );
    const job = jobs.find((one: JobInfo) => one.id === id);
    if (job === undefined) throw this.#failed(id, 'the job is gone');
    if (job.error !== undefined) throw this.#failed(id, job.error);
  }

  #execute<T>(what: string, run: () => Promise<T>): Promise<T> {
    return step(run, (words, cause) => this.#failed(what, words, cause));
  }

  async #io<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      throw this.#failed('write the image', qemuReason(cause), cause);
    }
  }

  #failed(what: string, words: string, cause?: unknown): SnapshotError {
    const message = `the state of the devices: cannot ${what}: ${words}`;
    const remedy = 'See that both sides have the same QEMU and the same devices, and disk space.';
    return new SnapshotError('DRIVER_SNAPSHOT_FAILED', message, remedy, { cause });
  }

  #context(deadline: Deadline) {
    return { qmp: this.qmp, deadline, commandTimeoutMs: this.#commandTimeoutMs };
  }

  #deadline(what: string): Deadline {
    return new Deadline(what, { timeoutMs: this.#stepTimeoutMs });
  }
}
