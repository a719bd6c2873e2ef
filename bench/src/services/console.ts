/** Talks with bench/services/main.sh on the console of a guest. */
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LabVm } from '@gannet/lab';
import { BenchError } from '../harness/scope.js';

const POLL_MS = 5;
const SHOWN_LINES = 6;

interface Line {
  /** When the host saw it, on performance.now(). */
  readonly atMs: number;
  readonly text: string;
}

export class GuestConsole {
  readonly #socket: Socket;
  readonly #lines: Line[] = [];
  #rest = '';
  /** Lines before it have been waited for. */
  #next = 0;

  constructor(private readonly vm: LabVm) {
    this.#socket = connect(vm.consoleSocketPath).setEncoding('latin1');
    this.#socket.on('data', (text: string) => this.#take(text));
    // The VM may be killed at any time; waits find out by themselves.
    this.#socket.on('error', () => undefined);
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Sends a command, and waits until it has been carried out. */
  async command(command: string, timeoutMs = 300_000): Promise<Line> {
    this.send(command);
    const [verb = '', what = ''] = command.split(' ');
    return this.done([verb.toUpperCase(), what].join(' ').trim(), timeoutMs);
  }

  send(command: string): void {
    this.#socket.write(`${command}\n`);
  }

  /** @throws BenchError if what has been done failed in the guest */
  async done(what: string, timeoutMs = 300_000): Promise<Line> {
    const line = await this.said(what, timeoutMs);
    if (line.text.endsWith(' 0')) return line;
    throw new BenchError(`${what} failed in the guest of ${this.vm.name}: ${this.#tail()}`);
  }

  /**
   * The first line since the last call that begins with GUEST and `what`.
   *
   * @throws BenchError if the VM ends, or time is up
   */
  async said(what: string, timeoutMs = 300_000): Promise<Line> {
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      for (; this.#next < this.#lines.length; this.#next++) {
        const line = this.#lines[this.#next];
        if (!line?.text.startsWith(`GUEST ${what}`)) continue;
        this.#next++;
        return line;
      }
      const { name, running, stderrTail } = this.vm;
      if (!running) throw new BenchError(`${name} has ended: ${stderrTail}`);
      if (performance.now() > deadlineMs) {
        throw new BenchError(`${name} did not say ${what} in ${timeoutMs} ms: ${this.#tail()}`);
      }
      await sleep(POLL_MS);
    }
  }

  /** What the guest has said already that begins with GUEST and `what`. */
  heard(what: string): string | undefined {
    return this.#lines.map(({ text }) => text).findLast((text) => text.startsWith(`GUEST ${what}`));
  }

  #take(text: string): void {
    const atMs = performance.now();
    const parts = (this.#rest + text).split('\n');
    this.#rest = parts.pop() ?? '';
    for (const part of parts) this.#lines.push({ atMs, text: part.replaceAll('\r', '') });
  }

  #tail(): string {
    return this.#lines
      .slice(-SHOWN_LINES)
      .map(({ text }) => text)
      .join(' | ');
  }
}
