import { createHash } from 'node:crypto';
import { BaseImageError, JournalError, parseState, replayFrom } from '@gannet/replicator';
import type { Random } from '@gannet/test-support/random.js';
import { expectKnown, Finding, type Target } from './target.js';

const UUID = '6f1c5a0e-0a40-4ac7-8ddf-6d3a2a64b1f0';
const HEADER_BYTES = 64;
const FRAME_BYTES = 48;
const PAYLOAD_MAX = 1024 * 1024;

interface Frame {
  readonly kind: number;
  readonly disk: number;
  readonly length: number;
  readonly offset: bigint;
  readonly sequence: bigint;
  readonly payload: Buffer;
}

function encode({ kind, disk, length, offset, sequence, payload }: Frame): Buffer {
  const head = Buffer.alloc(FRAME_BYTES);
  head.write('GJFR', 'latin1');
  head.writeUInt32BE(kind, 4);
  head.writeUInt32BE(disk, 8);
  head.writeUInt32BE(length, 12);
  head.writeBigUInt64BE(offset, 16);
  head.writeBigUInt64BE(sequence, 24);
  digest(head, payload).copy(head, 32);
  return Buffer.concat([head, payload]);
}

function digest(head: Buffer, payload: Buffer): Buffer {
  const hash = createHash('sha256').update(head.subarray(0, 32)).update(payload);
  return hash.digest().subarray(0, 16);
}

function journal(random: Random): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.write(`GANNETJ1${UUID}`, 'latin1');
  const parts: Buffer[] = [header];
  let sequence = 0n;
  for (let appends = random.below(4); appends > 0; appends--) {
    sequence += BigInt(1 + random.below(2));
    for (let frames = random.below(4); frames > 0; frames--) {
      const length = random.below(40);
      const isZero = random.chance(0.3);
      const payload = Buffer.alloc(isZero ? 0 : length, random.below(256));
      const common = { disk: random.below(3), length, offset: BigInt(random.below(9) * 4096) };
      parts.push(encode({ ...common, kind: isZero ? 2 : 1, sequence, payload }));
    }
    parts.push(
      encode({ kind: 3, disk: 0, length: 0, offset: 0n, sequence, payload: Buffer.alloc(0) }),
    );
  }
  return Buffer.concat(parts);
}

/**
 * Each frame up to the first that is not whole or not in its place, as the essay in journal.ts has
 * it.
 */
function* framesOf(bytes: Buffer): Generator<Frame> {
  let open: bigint | undefined;
  let sealed = 0n;
  for (let start = HEADER_BYTES; start + FRAME_BYTES <= bytes.length;) {
    const head = bytes.subarray(start, start + FRAME_BYTES);
    const [kind, length] = [head.readUInt32BE(4), head.readUInt32BE(12)];
    const end = start + FRAME_BYTES + (kind === 1 ? length : 0);
    if (head.toString('latin1', 0, 4) !== 'GJFR' || (kind === 1 && length > PAYLOAD_MAX)) return;
    const payload = bytes.subarray(start + FRAME_BYTES, end);
    if (end > bytes.length || !digest(head, payload).equals(head.subarray(32))) return;
    const sequence = head.readBigUInt64BE(24);
    if (sequence <= sealed || (open !== undefined && sequence !== open)) return;
    open = kind === 3 ? undefined : sequence;
    if (kind === 3) sealed = sequence;
    const [disk, offset] = [head.readUInt32BE(8), head.readBigUInt64BE(16)];
    yield { kind, disk, length, offset, sequence, payload };
    start = end;
  }
}

/** What a replay has to do, read by other code than ours. */
function expectedOf(all: readonly Frame[]): string[] {
  const last = all.findLastIndex(({ kind }) => kind === 3);
  return all.slice(0, last + 1).flatMap(({ kind, disk, offset, length, payload }) => {
    if (kind === 1) return [`write ${disk} ${offset} ${payload.toString('hex')}`];
    return kind === 2 ? [`zero ${disk} ${offset} ${length * 4096}`] : [];
  });
}

/** A journal's file: torn, flipped, or with frames that are whole and make no sense. */
export const journalReader: Target = {
  name: 'journal',
  bytesMax: 6000,
  words: [Buffer.from('GJFR'), encode({ ...seal(1n) }), encode({ ...seal(2n) })],
  make: journal,
  // Digests that are right, or no mutant but a shorter one would ever be read.
  mend: (input) => {
    const mended = Buffer.from(input);
    for (let start = HEADER_BYTES; start + FRAME_BYTES <= mended.length;) {
      const head = mended.subarray(start, start + FRAME_BYTES);
      if (head.toString('latin1', 0, 4) !== 'GJFR') break;
      const end = start + FRAME_BYTES + (head.readUInt32BE(4) === 1 ? head.readUInt32BE(12) : 0);
      if (end > mended.length) break;
      digest(head, mended.subarray(start + FRAME_BYTES, end)).copy(head, 32);
      start = end;
    }
    return mended;
  },
  run: async (input) => {
    const done: string[] = [];
    const read = (buffer: Buffer, offset: number, length: number, position: number) => {
      const bytesRead = input.subarray(position, position + length).copy(buffer, offset);
      return Promise.resolve({ bytesRead });
    };
    try {
      await replayFrom({ name: 'journal', read }, UUID, {
        write: (disk, offset, data) => {
          done.push(`write ${disk} ${offset} ${Buffer.from(data).toString('hex')}`);
          return Promise.resolve();
        },
        zero: (disk, offset, length) => {
          done.push(`zero ${disk} ${offset} ${length}`);
          return Promise.resolve();
        },
      });
    } catch (error) {
      expectKnown(error, JournalError);
      if (done.length > 0) throw new Finding('refused after it was replayed in part');
      return;
    }
    const frames = [...framesOf(input)];
    if (frames.some(({ kind, offset }) => kind < 1 || kind > 3 || offset > 2n ** 53n - 1n)) {
      throw new Finding('took a whole frame that makes no sense');
    }
    const expected = expectedOf(frames);
    if (done.join('\n') !== expected.join('\n')) {
      throw new Finding(`replayed [${done.join('; ')}], not [${expected.join('; ')}]`);
    }
  },
};

function seal(sequence: bigint): Frame {
  return { kind: 3, disk: 0, length: 0, offset: 0n, sequence, payload: Buffer.alloc(0) };
}

const STATES = ['seeding', 'protected', 'failed-over', 'retired', 'diverged'];
const KEYS = [
  'format',
  'image',
  'uuid',
  'vm',
  'disk',
  'disks',
  'sizeBytes',
  'state',
  'epoch',
  'journal',
];
const VALUES = [
  ...['null', 'true', '0', '-1', '1.5', '1e999', '9007199254740993', '""', '"x"', '[]', '["a"]'],
  ...['[1]', '{}', '"gannet-replica-1"', '"raw"', ...STATES.map((state) => `"${state}"`)],
];

function stateText(random: Random): Buffer {
  const record = {
    ...{ format: 'gannet-replica-1', image: 'raw', uuid: UUID, vm: 'web', disk: 'a' },
    ...{ disks: ['a', 'b'], sizeBytes: 4096, state: random.pick(STATES), epoch: random.below(9) },
    journal: '/var/lib/gannet/web.journal',
  };
  return Buffer.from(JSON.stringify(record, null, random.below(3)));
}

/** A state file: what is taken for one can be relied upon in every key. */
export const stateFile: Target = {
  name: 'state-file',
  bytesMax: 2000,
  words: [...KEYS.map((key) => `"${key}"`), ...VALUES, ':', ','].map((word) => Buffer.from(word)),
  make: stateText,
  mend: (input, random) => {
    // One value of a record that stays JSON.
    const key = random.pick(KEYS);
    const pattern = new RegExp(`"${key}":\\s*("[^"]*"|\\[[^\\]]*\\]|[^,}]*)`);
    return Buffer.from(input.toString().replace(pattern, `"${key}": ${random.pick(VALUES)}`));
  },
  run: (input) => {
    try {
      const record = parseState(input.toString('utf8'), 'state');
      const { image, disks, disk, sizeBytes, epoch } = record;
      const isWhole =
        (image === undefined || typeof image === 'string') &&
        [sizeBytes, epoch].every((count) => Number.isSafeInteger(count) && count >= 0) &&
        disks.includes(disk);
      if (!isWhole) throw new Finding(`taken for a state file: ${JSON.stringify(record)}`);
    } catch (error) {
      if (error instanceof Finding) throw error;
      expectKnown(error, BaseImageError);
    }
  },
};
