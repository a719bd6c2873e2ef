// What a whole daemon has around it, and its role alone has not: a control socket, and a host with
// a name.

import os from 'node:os';
import type { ControlMethod } from '@gannet/contract';
import { currentProcess, type Process } from '../arbitration/scheduler.js';

type Methods = Readonly<Record<string, ControlMethod>>;

const methods = new WeakMap<Process, Methods>();

/** What a daemon answers over its control socket; nothing while it has none. */
export function methodsOf(process: Process | undefined): Methods | undefined {
  return process && !process.isDead ? methods.get(process) : undefined;
}

/** In place of the daemon's. */
export class ControlServer {
  private constructor(private readonly process: Process) {}

  static listen(_path: string, given: Methods): Promise<ControlServer> {
    const process = currentProcess();
    methods.set(process, given);
    return Promise.resolve(new ControlServer(process));
  }

  publish(): void {
    // Nobody watches.
  }

  close(): Promise<void> {
    methods.delete(this.process);
    return Promise.resolve();
  }
}

/** Names that say which host is meant, and nothing about its role. */
export const HOST_NAMES = { a: 'alpha', b: 'beta' } as const;

/** Of the simulated machine: see scheduler.ts. */
export const uptime = (): number => os.uptime();

/** In place of node:os. */
export function hostname(): string {
  return currentProcess().name.endsWith('-a') ? HOST_NAMES.a : HOST_NAMES.b;
}
