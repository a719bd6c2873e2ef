import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { LineSplitter, QmpProtocolError } from '../../src/index.js';

const LF = 0x0a;
const line = fc.uint8Array({ maxLength: 300 }).map((bytes) => bytes.filter((byte) => byte !== LF));

function split(splitter: LineSplitter, chunks: readonly Uint8Array[]): Buffer[] {
  return chunks.flatMap((chunk) => {
    const lines: Buffer[] = [];
    // A line is valid until the next one is asked for: copy it.
    for (const bytes of splitter.push(chunk)) lines.push(Buffer.from(bytes));
    return lines;
  });
}

function cut(bytes: Uint8Array, at: readonly number[]): Uint8Array[] {
  const edges = [0, ...at.map((n) => n % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return edges.slice(1).map((end, i) => bytes.subarray(edges[i], end));
}

describe('LineSplitter', () => {
  it('gives the lines that were joined, however the bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(line), line, fc.array(fc.nat()), (lines, rest, at) => {
        const bytes = Buffer.concat([...lines.flatMap((l) => [l, Buffer.from([LF])]), rest]);
        const splitter = new LineSplitter(300);
        const found = split(splitter, cut(bytes, at));
        expect(found.map((l) => l.toString('hex'))).toEqual(
          lines.map((l) => Buffer.from(l).toString('hex')),
        );
        expect(splitter.pendingBytes).toBe(rest.length);
      }),
    );
  });

  it('refuses exactly the lines that are longer than the limit, wherever they are cut', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 0, max: 80 }),
        fc.array(fc.nat()),
        (maxLineBytes, lengthBytes, at) => {
          const splitter = new LineSplitter(maxLineBytes);
          const bytes = Buffer.concat([Buffer.alloc(lengthBytes, 'x'), Buffer.from([LF])]);
          const run = (): Buffer[] => split(splitter, cut(bytes, at));
          if (lengthBytes <= maxLineBytes) expect(run()).toHaveLength(1);
          else expect(run).toThrow(QmpProtocolError);
        },
      ),
    );
  });

  it('keeps nothing of what exceeds the limit', () => {
    const splitter = new LineSplitter(10);
    expect(split(splitter, [Buffer.from('12345678')])).toEqual([]);
    expect(() => split(splitter, [Buffer.alloc(1 << 20, 'x')])).toThrow('limit of 10 bytes');
    expect(splitter.pendingBytes).toBe(8);
  });

  it('gives the lines before the one that is too long', () => {
    const found: string[] = [];
    const run = (): void => {
      for (const bytes of new LineSplitter(3).push(Buffer.from('a\nbcd\nefgh\n'))) {
        found.push(Buffer.from(bytes).toString());
      }
    };
    expect(run).toThrow(QmpProtocolError);
    expect(found).toEqual(['a', 'bcd']);
  });
});
