import { describe, expect, it } from '@jest/globals';
import { MemoryExport } from '../../src/index.js';
import type {
  Admission,
  ExportSession,
  NbdExport,
  NbdLimits,
  SessionEnd,
} from '../../src/index.js';
import * as bytes from '../support/bytes.js';
import { WirePeer, settle } from '../support/wire-peer.js';

/** A gate that a test opens one batch at a time. */
class Gate implements Admission {
  readonly waiting: (() => void)[] = [];
  open = true;

  admit(apply: () => void): void {
    if (this.open) apply();
    else this.waiting.push(apply);
  }

  step(): void {
    this.waiting.shift()?.();
  }

  release(): void {
    this.open = true;
    for (const apply of this.waiting.splice(0)) apply();
  }
}

interface Scene {
  readonly peer: WirePeer;
  readonly gate: Gate;
  readonly log: string[];
  readonly ends: SessionEnd[];
}

async function scene(
  changes: Partial<ExportSession> = {},
  limits: Partial<NbdLimits> = {},
  structured = false,
): Promise<Scene> {
  const disk = new MemoryExport('disk', 4 * 1024 * 1024);
  const log: string[] = [];
  const ends: SessionEnd[] = [];
  const session: ExportSession = {
    ...disk.open(),
    write: (offset, data) => void log.push(`${offset}+${data.length}`),
    close: (end) => {
      log.push('end');
      ends.push(end);
    },
    ...changes,
  };
  const { name, sizeBytes, features, blockSize } = disk;
  const target: NbdExport = { name, sizeBytes, features, blockSize, open: () => session };
  const gate = new Gate();
  const peer = new WirePeer({ exports: [target], admission: gate, limits });
  await peer.enter('disk', { structured });
  return { peer, gate, log, ends };
}

const w = (offset: number): Buffer => bytes.write(`w${offset}`, offset, Buffer.alloc(8));

describe('admission', () => {
  it('applies one batch for each call, in order, the end behind them', async () => {
    const { peer, gate, log, ends } = await scene();
    gate.open = false;
    for (const part of [Buffer.concat([w(0), w(8)]), w(16), w(24)]) peer.send(part);
    peer.end();
    await settle();
    expect(gate.waiting).toHaveLength(4);
    expect(log).toEqual([]);
    gate.step();
    expect(log).toEqual(['0+8', '8+8']);
    gate.step();
    expect(log).toEqual(['0+8', '8+8', '16+8']);
    gate.release();
    expect(log).toEqual(['0+8', '8+8', '16+8', '24+8', 'end']);
    expect(ends).toEqual([{ kind: 'lost', error: undefined, midRequest: false }]);
  });

  it('asks with the same function each time', async () => {
    const { peer, gate } = await scene();
    gate.open = false;
    peer.send(w(0));
    peer.send(w(8));
    await settle();
    expect(gate.waiting[0]).toBe(gate.waiting[1]);
  });

  it('applies what was received before the connection died, and drops the replies', async () => {
    const { peer, gate, log, ends } = await scene();
    gate.open = false;
    peer.send(w(0));
    peer.send(w(8).subarray(0, 30));
    await settle();
    peer.stream.destroy(new Error('reset'));
    await settle();
    expect(log).toEqual([]);
    expect(peer.server.connections).toHaveLength(1);
    gate.release();
    await settle();
    expect(log).toEqual(['0+8', 'end']);
    expect(ends).toMatchObject([{ kind: 'lost', error: { message: 'reset' }, midRequest: true }]);
    expect(await peer.received()).toHaveLength(0);
    expect(peer.server.connections).toHaveLength(0);
  });

  it.each([
    ['within a header', w(0).subarray(0, 27), true],
    ['within a payload', w(0).subarray(0, 35), true],
    ['between requests', w(0), false],
  ])('tells whether the connection broke %s', async (_name, sent, midRequest) => {
    const { peer, ends } = await scene();
    peer.send(sent);
    peer.end();
    await settle();
    expect(ends).toEqual([{ kind: 'lost', error: undefined, midRequest }]);
    expect(peer.closed).toBe(true);
  });

  it('closes the stream of a client that left within a WRITE after its parts', async () => {
    let release: () => void = () => undefined;
    const write = (): Promise<void> => new Promise((resolve) => (release = resolve));
    const { peer, ends } = await scene({ write });
    peer.send(bytes.write('w', 0, Buffer.alloc(9000)).subarray(0, 5000));
    peer.end();
    await settle();
    expect(ends).toMatchObject([{ kind: 'lost', midRequest: true }]);
    expect(peer.closed).toBe(false);
    release();
    await settle();
    expect(peer.closed).toBe(true);
  });

  it('closes the session once, after DISC and at once', async () => {
    const { peer, gate, log, ends } = await scene();
    gate.open = false;
    peer.send(Buffer.concat([w(0), bytes.request(2, 'd', 0, 0)]));
    peer.send(w(8));
    peer.end();
    await settle();
    gate.release();
    await settle();
    expect(log).toEqual(['0+8', 'end']);
    expect(ends).toEqual([{ kind: 'disconnect' }]);
    expect(peer.closed).toBe(true);
  });

  it('stops reading above the limit of queued bytes and goes on below', async () => {
    const { peer, gate, log } = await scene({}, { queuedBytes: 100 });
    gate.open = false;
    for (let i = 0; i < 20; i++) peer.send(w(8 * i));
    await settle();
    expect(peer.server.connections[0]!.queuedBytes).toBe(108);
    expect(gate.waiting).toHaveLength(3);
    gate.release();
    await settle();
    expect(log).toHaveLength(20);
    expect(peer.server.connections[0]!.queuedBytes).toBe(0);
  });

  it('stops reading above the limit of queued batches', async () => {
    const { peer, gate } = await scene({}, { queuedBatches: 5 });
    gate.open = false;
    for (let i = 0; i < 20; i++) peer.send(w(8 * i));
    await settle();
    expect(gate.waiting).toHaveLength(5);
  });

  it('asks the admission again for what a limit held up', async () => {
    const release: (() => void)[] = [];
    const flush = (): Promise<void> => new Promise((resolve) => release.push(resolve));
    const { peer, gate, log } = await scene({ flush }, { requestsInFlight: 1 });
    peer.send(Buffer.concat([bytes.request(3, 'f', 0, 0), w(0), w(8)]));
    peer.send(w(16));
    await settle();
    expect(log).toEqual([]);
    gate.open = false;
    release[0]!();
    await settle();
    expect(log).toEqual([]);
    expect(gate.waiting).toHaveLength(2);
    gate.step();
    expect(log).toEqual(['0+8', '8+8']);
    gate.step();
    expect(log).toEqual(['0+8', '8+8', '16+8']);
  });

  it('does not let a limit hold back the end', async () => {
    const { peer, log } = await scene(
      { flush: () => new Promise<void>(() => undefined) },
      { requestsInFlight: 1 },
    );
    peer.send(bytes.request(3, 'f', 0, 0));
    peer.end();
    await settle();
    expect(log).toEqual(['end']);
  });
});

describe('limits', () => {
  it.each([false, true])('holds replies that are not taken, structured %p', async (structured) => {
    let reads = 0;
    const read = (_offset: number, target: Uint8Array): void => {
      reads += 1;
      target.fill(reads);
    };
    const { peer } = await scene({ read }, { unreadReplyBytes: 256 * 1024 }, structured);
    peer.stuck = true;
    const asked = Array.from({ length: 40 }, (_, i) => bytes.request(0, `r${i}`, 0, 65536));
    peer.send(Buffer.concat(asked));
    await settle();
    expect(reads).toBeLessThan(8);
    expect(peer.stream.writableLength).toBeLessThan(400 * 1024);
    peer.unstick();
    const lengths = Object.fromEntries(asked.map((_, i) => [`r${i}`, 65536]));
    await settle(200);
    const replies = bytes.takeReplies(await peer.received(), lengths);
    expect(replies.map(({ cookie }) => cookie)).toEqual(asked.map((_, i) => `r${i}`));
  });

  it('bounds the bytes in flight', async () => {
    const release: (() => void)[] = [];
    const read = (): Promise<void> => new Promise((resolve) => release.push(resolve));
    const { peer } = await scene({ read }, { bytesInFlight: 100_000 });
    const asked = Array.from({ length: 10 }, (_, i) => bytes.request(0, `r${i}`, 0, 50_000));
    peer.send(Buffer.concat(asked));
    await settle();
    expect(release).toHaveLength(2);
    for (let i = 0; i < 10; i++) {
      release[i]!();
      await settle();
    }
    expect(await peer.received()).toHaveLength(10 * 50_016);
  });

  it('gives up on a handshake that takes too long', async () => {
    const peer = new WirePeer({ exports: [], limits: { handshakeMs: 1 } });
    await new Promise((resolve) => peer.stream.once('close', resolve));
    await settle();
    expect(peer.events.at(-1)).toMatchObject({
      end: { kind: 'lost', error: { code: 'NBD_CONNECTION' } },
    });
  });
});

describe('closing the server', () => {
  it('ends sessions in their order and waits for what is in flight', async () => {
    let release: () => void = () => undefined;
    const flush = (): Promise<void> => new Promise((resolve) => (release = resolve));
    const { peer, gate, log, ends } = await scene({ flush });
    peer.send(bytes.request(3, 'f', 0, 0));
    await settle();
    gate.open = false;
    peer.send(w(0));
    await settle();
    const closed = peer.server.close();
    gate.release();
    expect(log).toEqual(['0+8', 'end']);
    expect(ends).toMatchObject([{ kind: 'lost', error: { message: 'the server is closing' } }]);
    release();
    await closed;
    const cookies = bytes.takeReplies(await peer.received()).map(({ cookie }) => cookie);
    expect(cookies).toEqual(['w0', 'f']);
    expect(peer.closed).toBe(true);
  });
});
