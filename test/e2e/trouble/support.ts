/** What tests of trouble ask: the command, and QEMU itself. */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { LabVm } from '@gannet/lab';
import { QmpClient } from 'qemu-qmp-client';
import { waiting } from '@gannet/test-support/waiting.js';

const BIN = path.resolve(import.meta.dirname, '../../../packages/gannet/dist/bin.js');
const PATIENCE_MS = 40_000;
export const MIB = 1024 * 1024;
/** A pair that notices within seconds. */
export const PEER = { heartbeatMs: 100, lowMs: 800, highMs: 2000 };

export type Json = Record<string, unknown>;

interface Outcome {
  readonly code: number;
  readonly json: Json;
  readonly error: Json;
}

export function gannet(...args: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(process.execPath, [BIN, ...args, '--json'], (error, stdout) => {
      const json = (stdout.startsWith('{') ? JSON.parse(stdout) : {}) as Json;
      const code = error === null ? 0 : Number(error.code);
      resolve({ code, json, error: (json['error'] ?? {}) as Json });
    });
  });
}

export const { until } = waiting({ patienceMs: PATIENCE_MS });

export async function withQmp<T>(vm: LabVm, work: (qmp: QmpClient) => Promise<T>): Promise<T> {
  const qmp = await QmpClient.connect({ target: { kind: 'unix', path: vm.qmpPaths[0] } });
  try {
    return await work(qmp);
  } finally {
    await qmp.close();
  }
}

/** The block layer as QEMU tells it: nodes, what uses them, jobs. */
export function graphOf(vm: LabVm): Promise<unknown> {
  return withQmp(vm, async (qmp) => {
    const nodes = await qmp.execute('query-named-block-nodes', {});
    const graph = await qmp.execute('x-debug-query-block-graph', {});
    const jobs = await qmp.execute('query-block-jobs', {});
    const { status } = await qmp.execute('query-status', {});
    return { nodes: nodes.map((node) => node['node-name']).sort(), graph, jobs, status };
  });
}
