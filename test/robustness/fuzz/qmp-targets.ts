import { Duplex } from 'node:stream';
import {
  decodeMessage,
  LineSplitter,
  QmpClient,
  QmpError,
  QmpProtocolError,
} from 'qemu-qmp-client';
import type { Random } from '@gannet/test-support/random.js';
import { expectKnown, Finding, type Target } from './target.js';

const LINE_BYTES_MAX = 4096;
const GREETING =
  '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}, ' +
  '"capabilities": ["oob"]}}';
const LINES = [
  GREETING,
  '{"return": {}, "id": "fuzz-1"}',
  '{"return": {}, "id": "fuzz-2"}',
  '{"return": [{"a": 1}, null], "id": 7}',
  '{"id": "fuzz-2", "error": {"class": "GenericError", "desc": "no"}}',
  '{"error": {"class": "CommandNotFound", "desc": "no"}}',
  '{"timestamp": {"seconds": 1700000000, "microseconds": 42}, "event": "STOP"}',
  '{"timestamp": {"seconds": 1700000000, "microseconds": 99}, "event": "RESUME"}',
  '{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "COLO_EXIT", ' +
    '"data": {"mode": "secondary", "reason": "error"}}',
  '{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "BLOCK_JOB_READY", ' +
    '"data": {"type": "mirror", "device": "j", "len": 1, "offset": 1, "speed": 0}}',
  '',
  '{"QMP": 5}',
];
const WORDS = [
  ...['\n', '\r\n', '{', '}', '[', ']', '"', ',', ':', 'null', '1e999', '-0', '\\u0000', '\\ud800'],
  ...[
    '"QMP"',
    '"event"',
    '"return"',
    '"error"',
    '"id"',
    '"data"',
    '"timestamp"',
    '"class"',
    '"desc"',
  ],
  ...['"__proto__"', '"fuzz-1"', '"constructor"', '{}', '"capabilities"', '"version"'],
].map((word) => Buffer.from(word));

function lines(random: Random): Buffer {
  const some = Array.from({ length: 1 + random.below(6) }, () => random.pick(LINES));
  const isStarted = random.chance(0.7);
  return Buffer.from(
    `X${isStarted ? `${GREETING}\r\n${LINES[1]}\r\n` : ''}${some.join('\r\n')}\r\n`,
  );
}

/** Lines and messages: it makes no difference where the bytes are cut. */
export const qmpLines: Target = {
  name: 'qmp-lines',
  bytesMax: 10_000,
  words: WORDS,
  make: lines,
  run: (input) => {
    const bytes = input.subarray(1);
    const whole = messages([bytes]);
    const pieces: Buffer[] = [];
    const step = 1 + ((input[0] ?? 0) % 29);
    for (let at = 0; at < bytes.length; at += step) pieces.push(bytes.subarray(at, at + step));
    if (whole !== messages(pieces)) throw new Finding('cut into pieces, it is another message');
  },
};

function messages(pieces: readonly Buffer[]): string {
  const splitter = new LineSplitter(LINE_BYTES_MAX);
  const found: string[] = [];
  try {
    for (const piece of pieces) {
      for (const line of splitter.push(piece))
        found.push(JSON.stringify(decodeMessage(line) ?? null));
      if (splitter.pendingBytes > LINE_BYTES_MAX) throw new Finding('holds more than a line');
    }
  } catch (error) {
    expectKnown(error, QmpProtocolError);
    found.push((error as QmpProtocolError).code);
  }
  return found.join('\n');
}

/**
 * A QEMU that says anything: the client connects or not, answers or not, and never throws where
 * nobody listens.
 */
export const qmpClient: Target = {
  name: 'qmp-client',
  bytesMax: 10_000,
  words: WORDS,
  make: lines,
  run: async (input) => {
    const stream = new Duplex({
      read: () => undefined,
      write: (_chunk, _encoding, done) => done(),
    });
    const target = { kind: 'stream', stream } as const;
    const connecting = QmpClient.connect({ target, idPrefix: 'fuzz', connectTimeoutMs: 0 });
    const asking = connecting.then(async (client) => {
      client.onEvent('RESUME', () => undefined);
      const answers = ['query-status', 'query-colo-status'].map((command) =>
        client.executeRaw(command).catch((error: unknown) => expectKnown(error, QmpError)),
      );
      await Promise.all(answers);
      await client.close();
    });
    const settled = asking.catch((error: unknown) => expectKnown(error, QmpError));
    const half = Math.floor(input.length / 2);
    stream.push(input.subarray(1, half + 1));
    await new Promise((resolve) => setImmediate(resolve));
    stream.push(input.subarray(half + 1));
    stream.push(null);
    await settled;
    stream.destroy();
  },
};
