/**
 * A QEMU without a machine: its block layer and an NBD export of it, as a guest's disk would go
 * through it.
 */
import path from 'node:path';
import { connectWithRetry, type QmpClient } from 'qemu-qmp-client';
import { uriOf } from './ports.js';
import type { Running, Scope } from './scope.js';

export class BlockLayer {
  /** Errors that only events tell of: a quorum goes on when one of its children fails. */
  readonly troubles: string[] = [];

  private constructor(
    readonly running: Running,
    readonly qmp: QmpClient,
    /** Of its NBD server. */
    readonly socketPath: string,
  ) {}

  static async start(scope: Scope, folder: string, args: readonly string[]): Promise<BlockLayer> {
    const qmpPath = path.join(folder, 'qmp.sock');
    const running = scope.start([
      ...['qemu-system-x86_64', '-machine', 'none', '-nodefaults', '-no-user-config'],
      ...['-display', 'none', '-qmp', `unix:${qmpPath},server=on,wait=off`],
      ...args,
    ]);
    const target = { kind: 'unix', path: qmpPath } as const;
    const qmp = await Promise.race([
      connectWithRetry({ target, deadlineMs: 15_000, retryDelayMs: 20 }),
      running.exited.then(() => {
        throw new Error(`QEMU did not start: ${running.stderrTail}`);
      }),
    ]);
    scope.defer(() => qmp.close());
    const layer = new BlockLayer(running, qmp, path.join(folder, 'export.sock'));
    qmp.on((event) => {
      if (event.event.includes('ERROR') || event.event.startsWith('QUORUM')) {
        layer.troubles.push(JSON.stringify(event));
      }
    });
    await layer.do('nbd-server-start', {
      addr: { type: 'unix', data: { path: layer.socketPath } },
    });
    return layer;
  }

  /** Any QMP command. */
  do(command: string, args: object = {}): Promise<unknown> {
    return this.qmp.executeRaw(command, args);
  }

  /** Exports a node under its own name; returns its URI. */
  async export(node: string): Promise<string> {
    const options = { id: `export-${node}`, type: 'nbd', writable: true };
    await this.do('block-export-add', { ...options, 'node-name': node, name: node });
    return this.uri(node);
  }

  /** Of an export of its NBD server. */
  uri(name: string): string {
    return uriOf({ transport: 'unix', path: this.socketPath }, name);
  }
}
