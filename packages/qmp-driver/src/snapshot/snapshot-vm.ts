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
const POLL_MS = 2;
const TAG = 'devices';

/** Options of a SnapshotVm. */
export interface SnapshotVmOptions {
  /** A folder that QEMU and this process can write to, in memory if possible. */
  readonly folder: string;
  /** Stem of the names of node, jobs and image; unique per VM. Default `gannet-devices`. */
  readonly id?: string;
  /** For one QMP command. Default 10 s. */
  readonly commandTimeoutMs?: number;
  /** For one step: pausing, saving, loading. Default 30 s. */
  readonly stepTimeoutMs?: number;
}

/** Pauses a VM, saves and loads the state of its devices. See prepare(). */
export class SnapshotVm {
  readonly #qmp: QmpClient;
  readonly #id: string;
  readonly #image: string;
  readonly #commandTimeoutMs: number;
  readonly #stepTimeoutMs: number;
  /** An image that is empty. */
  #empty: Uint8Array | undefined;

  constructor(qmp: QmpClient, options: SnapshotVmOptions) {
    const { folder, id = 'gannet-devices', commandTimeoutMs, stepTimeoutMs } = options;
    this.#qmp = qmp;
    this.#id = id;
    this.#image = path.join(folder, `${id}.qcow2`);
    this.#commandTimeoutMs = commandTimeoutMs ?? 10_000;
    this.#stepTimeoutMs = stepTimeoutMs ?? 30_000;
  }

  /**
   * Checks that RAM is shared, and tells QEMU to leave it out of snapshots and migrations. Harmless
   * when repeated.
   *
   * @returns where RAM is
   * @throws SnapshotError
   */
  async prepare(): Promise<SharedRam> {
    const deadline = this.#deadline('preparing snapshots');
    const ram = await sharedRam(this.#qmp, deadline.options(this.#commandTimeoutMs));
    const capabilities = [{ capability: 'x-ignore-shared', state: true }] as const;
    await this.#execute('leave out RAM', () =>
      this.#qmp.execute(
        'migrate-set-capabilities',
        { capabilities },
        deadline.options(this.#commandTimeoutMs),
      ),
    );
    this.#empty ??= await this.#makeEmpty(deadline);
    return ram;
  }

  /** Stops the guest, when its disks have drained and are flushed. */
  async pause(): Promise<void> {
    const options = this.#deadline('pausing').options(this.#stepTimeoutMs);
    await this.#execute('pause', () => this.#qmp.execute('stop', {}, options));
  }

  /** Lets the guest run. */
  async resume(): Promise<void> {
    const options = this.#deadline('resuming').options(this.#stepTimeoutMs);
    await this.#execute('resume', () => this.#qmp.execute('cont', {}, options));
  }

  /**
   * The state of a paused VM's devices.
   *
   * @throws SnapshotError `DRIVER_SNAPSHOT_FAILED`
   */
  async saveDevices(): Promise<Uint8Array> {
    const deadline = this.#deadline('saving the state of the devices');
    await this.#with(await this.#emptyImage(), deadline, () => this.#job('save', deadline));
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
    await this.#with(state, deadline, () => this.#job('load', deadline));
  }

  /** Removes the image. */
  async dispose(): Promise<void> {
    await rm(this.#image, { force: true });
  }

  async #emptyImage(): Promise<Uint8Array> {
    if (this.#empty === undefined) await this.prepare();
    return this.#empty ?? new Uint8Array();
  }

  /** Lets QEMU make an empty image, so that its format is QEMU's business alone. */
  async #makeEmpty(deadline: Deadline): Promise<Uint8Array> {
    const { commandTimeoutMs } = this.#timeouts;
    await this.#io(() => writeFile(this.#image, ''));
    const job = `${this.#id}-create`;
    const file = `${this.#id}-file`;
    const context = { qmp: this.#qmp, deadline, commandTimeoutMs };
    await addNode(context, file, { driver: 'file', 'node-name': file, filename: this.#image });
    try {
      await this.#run(job, deadline, () =>
        this.#qmp.execute(
          'blockdev-create',
          { 'job-id': job, options: { driver: 'qcow2', file, size: IMAGE_BYTES } },
          deadline.options(commandTimeoutMs),
        ),
      );
    } finally {
      await deleteNode(context, file);
    }
    return readFile(this.#image);
  }

  /** QEMU closes the image afterwards: only then all of it is in the file. */
  async #with(image: Uint8Array, deadline: Deadline, work: () => Promise<void>): Promise<void> {
    await this.#io(() => writeFile(this.#image, image));
    const context = { qmp: this.#qmp, deadline, ...this.#timeouts };
    // One that an earlier process has left.
    await deleteNode(context, this.#id);
    await addNode(context, this.#id, {
      driver: 'qcow2',
      'node-name': this.#id,
      file: { driver: 'file', filename: this.#image },
    });
    try {
      await work();
    } finally {
      await deleteNode(context, this.#id);
    }
  }

  #job(what: 'save' | 'load', deadline: Deadline): Promise<void> {
    const job = `${this.#id}-${what}`;
    const args = { 'job-id': job, tag: TAG, vmstate: this.#id, devices: [this.#id] };
    const options = deadline.options(this.#commandTimeoutMs);
    return this.#run(job, deadline, () =>
      what === 'save'
        ? this.#qmp.execute('snapshot-save', args, options)
        : this.#qmp.execute('snapshot-load', args, options),
    );
  }

  /** Starts a job, waits for its end, and dismisses it: its error is seen nowhere else. */
  async #run(id: string, deadline: Deadline, start: () => Promise<unknown>): Promise<void> {
    await this.#execute(`start ${id}`, start);
    for (;;) {
      const options = deadline.options(this.#commandTimeoutMs);
      const jobs = await this.#execute(`watch ${id}`, () =>
        this.#qmp.execute('query-jobs', {}, options),
      );
      const job = jobs.find((one: JobInfo) => one.id === id);
      if (job === undefined) throw this.#failed(id, 'the job is gone');
      if (job.status === 'concluded') {
        await this.#execute(`end ${id}`, () => this.#qmp.execute('job-dismiss', { id }, options));
        if (job.error !== undefined) throw this.#failed(id, job.error);
        return;
      }
      await deadline.pause(POLL_MS);
    }
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

  get #timeouts(): { commandTimeoutMs: number } {
    return { commandTimeoutMs: this.#commandTimeoutMs };
  }

  #deadline(what: string): Deadline {
    return new Deadline(what, { timeoutMs: this.#stepTimeoutMs });
  }
}
