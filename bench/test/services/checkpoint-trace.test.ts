import { expect, test } from '@jest/globals';
import { checkpointsOf, parseTrace, PHASES } from '../../src/services/checkpoint-trace.js';

/** As QEMU writes it, with -msg timestamp=on; `ms` after a whole second. */
function trace(...lines: readonly (readonly [ms: number, text: string])[]): string {
  return lines
    .map(([ms, text]) => `4711@1796058287.${String(ms * 1000).padStart(6, '0')}:${text}`)
    .join('\n');
}

const sent = (message: string): string => `colo_send_message Send '${message}' message`;

const PRIMARY = trace(
  [100, sent('checkpoint-request')],
  [105, "colo_receive_message Receive 'checkpoint-reply' message"],
  [106, 'vm_state_notify running 0 reason 15 (colo)'],
  [126, 'vm_stop_flush_all ret 0'],
  [127, sent('vmstate-send')],
  [130, sent('vmstate-size')],
  [141, 'vm_state_notify running 1 reason 9 (running)'],
  [900, sent('checkpoint-request')],
  [901, 'vm_state_notify running 0 reason 15 (colo)'],
);
const SECONDARY = trace(
  [101, 'vm_state_notify running 0 reason 15 (colo)'],
  [104, 'vm_stop_flush_all ret 0'],
  [132, sent('vmstate-received')],
  [136, 'colo_flush_ram_cache_end '],
  [139, 'vm_state_notify running 1 reason 9 (running)'],
  [140, sent('vmstate-loaded')],
);

test('a pause is cut at the marks of both sides; a checkpoint without an end is left out', () => {
  const traces = { primary: parseTrace(PRIMARY), secondary: parseTrace(SECONDARY) };
  const [only, ...others] = checkpointsOf(traces);
  expect(others).toEqual([]);
  expect(only?.phasesMs.map(Math.round)).toEqual([4, 2, 20, 1, 3, 2, 4, 4, 1]);
  expect(only?.phasesMs).toHaveLength(PHASES.length);
  expect(only?.pauseMs).toBeCloseTo(35);
  expect(only?.stoppedAtMs).toBeCloseTo(1796058287106);
});

test('lines of others are no trace', () => {
  expect(parseTrace('qemu: warning\n1@2.000003:an event')).toEqual([
    { atMs: 2000.003, text: 'an event' },
  ]);
});
