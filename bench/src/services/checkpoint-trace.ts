/** Where the time of a checkpoint goes, by the trace events of both QEMUs (docs/devel/tracing). */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { LabVm } from '@gannet/lab';
import { QmpClient } from 'qemu-qmp-client';
import type { Side } from '../harness/pin.js';

/** For both VMs, so that their trace can be compared: both have the clock of this machine. */
export const TRACE_ARGS = ['-msg', 'timestamp=on'] as const;

const EVENTS = [
  'vm_state_notify',
  'vm_stop_flush_all',
  'colo_send_message',
  'colo_receive_message',
  'colo_flush_ram_cache_begin',
  'colo_flush_ram_cache_end',
  // What the drain of the primary's disks waits for: requests of the guest, flushes of the file
  // (in the thread pool), and what goes to the secondary.
  'virtio_blk_handle_write',
  'virtio_blk_handle_read',
  'virtio_blk_req_complete',
  'thread_pool_submit',
  'thread_pool_complete',
  'nbd_send_request',
  'nbd_receive_simple_reply',
] as const;

export interface TraceLine {
  readonly atMs: number;
  /** The event and its arguments. */
  readonly text: string;
}

interface Mark {
  /** What ends with this mark, and began with the one before. */
  readonly phase: string;
  readonly side: Side;
  /** How its line begins, or the message of COLO that is sent. */
  readonly event: string;
}

/** A checkpoint in the order of its marks, after the primary's request (QEMU migration/colo.c). */
const MARKS = [
  mark('the secondary stops, drains, flushes', 'secondary', 'vm_stop_flush_all'),
  mark('the primary hears of it, stops its processors', 'primary', 'vm_state_notify running 0'),
  mark('the primary drains and flushes its disks', 'primary', 'vm_stop_flush_all'),
  mark('the primary prepares its link to the disk', 'primary', sent('vmstate-send')),
  mark('the primary sends memory, saves devices', 'primary', sent('vmstate-size')),
  mark('the secondary receives the rest', 'secondary', sent('vmstate-received')),
  mark('the secondary takes over the memory', 'secondary', 'colo_flush_ram_cache_end'),
  mark('the secondary loads devices, resumes', 'secondary', sent('vmstate-loaded')),
  mark('the primary hears of it, resumes', 'primary', 'vm_state_notify running 1'),
];
/** The guest of the primary stands still from the third phase on, which is its drain. */
export const DRAIN = 2;

export const PHASES: readonly string[] = MARKS.map(({ phase }) => phase);

export interface TracedCheckpoint {
  /** When the primary stopped, as in the traces. */
  readonly stoppedAtMs: number;
  /** Of each of PHASES. */
  readonly phasesMs: readonly number[];
  /** From the primary's STOP to its RESUME. */
  readonly pauseMs: number;
}

function mark(phase: string, side: Side, event: string): Mark {
  return { phase, side, event };
}

function sent(message: string): string {
  return `colo_send_message Send '${message}'`;
}

/** A QEMU with TRACE_ARGS whose trace is written to a file, from now on. */
export async function startTrace(vm: LabVm): Promise<() => Promise<TraceLine[]>> {
  const file = path.join(vm.dir, 'trace.log');
  const qmp = await QmpClient.connect({ target: { kind: 'unix', path: vm.qmpPaths[0] } });
  const commands = [`logfile ${file}`, 'log trace', ...EVENTS.map((e) => `trace-event ${e} on`)];
  for (const command of commands) {
    await qmp.executeRaw('human-monitor-command', { 'command-line': command });
  }
  await qmp.close();
  return async () => parseTrace(await readFile(file, 'utf8'));
}

/** `PID@SECONDS.MICROSECONDS:event arguments`; other lines are left out. */
export function parseTrace(text: string): TraceLine[] {
  return text.split('\n').flatMap((line) => {
    const found = /^\d+@(\d+)\.(\d+):(.*)$/.exec(line);
    if (!found) return [];
    const [, seconds, microseconds, what = ''] = found;
    return [{ atMs: Number(seconds) * 1000 + Number(microseconds) / 1000, text: what }];
  });
}

/** Those that both traces show from begin to end. */
export function checkpointsOf(
  traces: Readonly<Record<Side, readonly TraceLine[]>>,
): TracedCheckpoint[] {
  const requests = traces.primary.filter(({ text }) => text.startsWith(sent('checkpoint-request')));
  return requests.flatMap((request) => {
    let lastMs = request.atMs;
    const phasesMs: number[] = [];
    for (const { side, event } of MARKS) {
      const found = traces[side].find(({ atMs, text }) => atMs >= lastMs && text.startsWith(event));
      if (!found) return [];
      phasesMs.push(found.atMs - lastMs);
      lastMs = found.atMs;
    }
    const [asked = NaN, told = NaN] = phasesMs;
    const stoppedAtMs = request.atMs + asked + told;
    const pauseMs = phasesMs.slice(DRAIN).reduce((sum, ms) => sum + ms, 0);
    return [{ stoppedAtMs, phasesMs, pauseMs }];
  });
}
