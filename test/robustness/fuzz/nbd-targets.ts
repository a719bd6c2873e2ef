import { Duplex } from 'node:stream';
import { MemoryExport, NbdServer, type NbdServerEvent } from '@gannet/nbd';
import type { Random } from '@gannet/test-support/random.js';
import { Finding, type Target } from './target.js';

const DISK_BYTES = 16 * 1024;
const TURNS_MAX = 200;

const u16 = (value: number): Buffer => Buffer.from([value >>> 8, value & 0xff]);
const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
};
const text = (words: string): Buffer => Buffer.concat([u32(words.length), Buffer.from(words)]);
const OPTION_MAGIC = Buffer.from('IHAVEOPT');
const REQUEST_MAGIC = Buffer.from('25609513', 'hex');

function option(number: number, data: Buffer = Buffer.alloc(0)): Buffer {
  return Buffer.concat([OPTION_MAGIC, u32(number), u32(data.length), data]);
}

function request(random: Random): Buffer {
  const type = random.pick([0, 1, 1, 2, 3, 4, 5, 6, 7, 9]);
  const length = random.pick([0, 1, 512, 4096, 5000, DISK_BYTES, 2 ** 25, 2 ** 32 - 1]);
  const offset = random.pick([0, 1, 511, 4096, DISK_BYTES - 512, DISK_BYTES, 2 ** 31]);
  const cookie = Buffer.from(String(random.below(1e8)).padEnd(8));
  const header = [REQUEST_MAGIC, u16(random.chance(0.2) ? random.below(64) : 0), u16(type), cookie];
  const payload =
    type === 1 ? Buffer.alloc(Math.min(length, 5000), random.below(256)) : Buffer.alloc(0);
  return Buffer.concat([...header, u32(0), u32(offset), u32(length), payload]);
}

function handshakeOption(random: Random): Buffer {
  const name = random.pick(['disk', 'disk', 'ro', '', 'none', 'x'.repeat(5000)]);
  const infos = Array.from({ length: random.below(5) }, () => u16(random.below(6)));
  const queries = Array.from({ length: random.below(4) }, () => {
    return text(random.pick(['base:allocation', 'base:', 'qemu:', 'x', '']));
  });
  const info = Buffer.concat([text(name), u16(infos.length), ...infos]);
  const meta = Buffer.concat([text(name), u32(queries.length), ...queries]);
  return random.pick([
    ...[option(3), option(5), option(8), option(11), option(2), option(99, info)],
    ...[option(1, Buffer.from(name)), option(6, info), option(7, info)],
    ...[option(9, meta), option(10, meta)],
  ]);
}

const ENTER = [
  option(8),
  option(10, Buffer.concat([text('disk'), u32(1), text('base:allocation')])),
];
const GO = option(7, Buffer.concat([text('disk'), u16(1), u16(3)]));

/** The first byte says how the rest is cut into pieces. */
function conversation(random: Random): Buffer {
  const parts: Buffer[] = [
    Buffer.from([random.below(256)]),
    u32(random.pick([0, 1, 2, 3, 3, 3, 3])),
  ];
  for (let count = random.below(3); count > 0; count--) parts.push(handshakeOption(random));
  if (random.chance(0.6)) parts.push(...(random.chance(0.5) ? ENTER : []), GO);
  for (let count = random.below(6); count > 0; count--) parts.push(request(random));
  return Buffer.concat(parts);
}

interface Talk {
  readonly replies: Buffer;
  readonly disk: Buffer;
  readonly end: string;
}

/** What a server made of it. */
async function talk(pieces: Iterable<Buffer>): Promise<Talk> {
  const disk = new MemoryExport('disk', DISK_BYTES);
  const readOnly = new MemoryExport('ro', 4096, { features: { readOnly: true } });
  const events: NbdServerEvent[] = [];
  const server = new NbdServer({
    exports: [disk, readOnly],
    onEvent: (event) => events.push(event),
  });
  const replies: Buffer[] = [];
  const stream = new Duplex({
    allowHalfOpen: true,
    read: () => undefined,
    write: (chunk: Buffer, _encoding, done) => {
      replies.push(Buffer.from(chunk));
      done();
    },
  });
  server.handle(stream);
  for (const piece of pieces) stream.push(piece);
  stream.push(null);
  for (let turns = 0; server.connections.length > 0; turns++) {
    if (turns > TURNS_MAX) throw new Finding('the connection did not end with its input');
    await new Promise((resolve) => setImmediate(resolve));
  }
  stream.destroy();
  const fault = events.find((event) => event.kind === 'failed');
  if (fault) throw new Finding(`the session failed: ${String(fault.error)}`);
  const ended = events.find((event) => event.kind === 'ended')?.end;
  const end = JSON.stringify(
    ended?.kind === 'lost' ? [ended.midRequest, String(ended.error)] : ended,
  );
  return { replies: Buffer.concat(replies), disk: disk.data, end };
}

function* cut(bytes: Buffer, how: number): Generator<Buffer> {
  let step = how;
  for (let at = 0; at < bytes.length;) {
    step = (step * 31 + 7) % 251;
    const end = at + 1 + (step % 37);
    yield bytes.subarray(at, end);
    at = end;
  }
}

/**
 * Bytes from a stranger's socket, from the handshake on: it makes no difference where they are cut.
 */
export const nbdServer: Target = {
  name: 'nbd-server',
  bytesMax: 20_000,
  words: [
    ...[OPTION_MAGIC, REQUEST_MAGIC, GO, ...ENTER, option(1, Buffer.from('disk'))],
    ...[1, 2, 3, 4, 5, 6, 7].map((type) => Buffer.concat([REQUEST_MAGIC, u16(0), u16(type)])),
  ],
  make: conversation,
  run: async (input) => {
    const [how = 0] = input;
    const bytes = input.subarray(1);
    const whole = await talk([bytes]);
    const pieces = await talk(cut(bytes, how));
    if (!whole.replies.equals(pieces.replies) || whole.end !== pieces.end) {
      throw new Finding('cut into pieces, the same bytes got other replies');
    }
    if (!whole.disk.equals(pieces.disk))
      throw new Finding('cut into pieces, they wrote other data');
  },
};
