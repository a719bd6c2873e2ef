import { describe, expect, it, jest } from '@jest/globals';
import { MemoryExport, NbdCommandError } from '../../src/index.js';
import type { NbdExport } from '../../src/index.js';
import * as bytes from '../support/bytes.js';
import {
  SIZE,
  READ,
  WRITE,
  DISC,
  FLUSH,
  TRIM,
  CACHE,
  ZERO,
  STATUS,
  FUA,
  NO_HOLE,
  DF,
  REQ_ONE,
  FAST_ZERO,
  altered,
  entered,
  exchange,
  payload,
} from '../support/transmission.js';
import { WirePeer, settle } from '../support/wire-peer.js';

it('a session is notified of refused requests that would have changed data', async () => {
  const heard: string[] = [];
  const peer = await entered(altered({ refused: (message) => heard.push(message) }));
  await exchange(peer, [
    bytes.write('a', SIZE - 1, payload),
    bytes.request(TRIM, 'b', 0, SIZE + 1),
    bytes.request(ZERO, 'c', 1, SIZE),
    bytes.request(READ, 'd', SIZE, 1),
    bytes.request(99, 'e', 0, 0),
  ]);
  expect(heard).toEqual([
    `512 bytes at ${SIZE - 1} go beyond the end at ${SIZE}`,
    `${SIZE + 1} bytes at 0 go beyond the end at ${SIZE}`,
    `${SIZE} bytes at 1 go beyond the end at ${SIZE}`,
  ]);
});

describe.each([false, true])('misuse, structured %p', (structured) => {
  const readOnly = new MemoryExport('disk', SIZE, { features: { readOnly: true } });
  const bare = new MemoryExport('disk', SIZE, {
    features: {
      ...{ flush: false, fua: false, trim: false },
      ...{ writeZeroes: false, fastZero: false, cache: false },
    },
  });
  const blocky = new MemoryExport('disk', SIZE, { blockSize: { minimum: 512 } });
  const W = bytes.write;
  const R = bytes.request;
  const tooLong = structured ? 75 : 22;

  it.each<[string, NbdExport | undefined, Buffer, number, RegExp]>([
    ['an unknown command', undefined, R(99, 'c', 0, 0), 22, /unknown command 99/],
    ['READ past the end', undefined, R(READ, 'c', SIZE - 1, 2), 22, /beyond the end/],
    ['READ at 2^64 - 1', undefined, R(READ, 'c', 2n ** 64n - 1n, 1), 22, /beyond the end/],
    ['READ at 2^53 + 1', undefined, R(READ, 'c', 2n ** 53n + 1n, 1), 22, /beyond the end/],
    ['READ over 32 MiB', undefined, R(READ, 'c', 0, 33554433), tooLong, /maximum payload/],
    ['WRITE past the end', undefined, W('c', SIZE - 1, payload), 28, /beyond the end/],
    ['TRIM past the end', undefined, R(TRIM, 'c', 0, SIZE + 1), 22, /beyond the end/],
    ['ZERO past the end', undefined, R(ZERO, 'c', 1, SIZE), 28, /beyond the end/],
    ['CACHE past the end', undefined, R(CACHE, 'c', 1, SIZE), 22, /beyond the end/],
    ['FLUSH with a length', undefined, R(FLUSH, 'c', 0, 1), 22, /neither offset nor length/],
    ['an unknown flag', undefined, R(READ, 'c', 0, 1, 0x80), 22, /flags 0x80/],
    ['NO_HOLE with WRITE', undefined, W('c', 0, payload, NO_HOLE), 22, /flags 0x2/],
    ['REQ_ONE with READ', undefined, R(READ, 'c', 0, 1, REQ_ONE), 22, /flags 0x8/],
    ['DF with TRIM', undefined, R(TRIM, 'c', 0, 1, DF), 22, /flags 0x4/],
    ['BLOCK_STATUS, not negotiated', undefined, R(STATUS, 'c', 0, 1), 22, /metadata context/],
    ['WRITE, read-only', readOnly, W('c', 0, payload), 1, /read-only/],
    ['TRIM, read-only', readOnly, R(TRIM, 'c', 0, 1), 1, /read-only/],
    ['ZERO, read-only', readOnly, R(ZERO, 'c', 0, 1), 1, /read-only/],
    ['FLUSH, not offered', bare, R(FLUSH, 'c', 0, 0), 22, /not offered/],
    ['TRIM, not offered', bare, R(TRIM, 'c', 0, 1), 22, /not offered/],
    ['ZERO, not offered', bare, R(ZERO, 'c', 0, 1), 22, /not offered/],
    ['CACHE, not offered', bare, R(CACHE, 'c', 0, 1), 22, /not offered/],
    ['FUA, not offered', bare, W('c', 0, payload, FUA), 22, /flags 0x1/],
    ['READ between blocks', blocky, R(READ, 'c', 1, 512), 22, /multiples of 512/],
    ['WRITE between blocks', blocky, W('c', 256, payload), 22, /multiples of 512/],
  ])('refuses %s and goes on', async (_name, target, sent, error, message) => {
    const peer = await entered(target, { structured });
    const replies = await exchange(peer, [sent, R(READ, 'after', 0, 512)], { after: 512 });
    expect(replies).toHaveLength(2);
    expect(replies[0]).toMatchObject({ cookie: 'c', error });
    if (structured) expect(replies[0]!.message).toMatch(message);
    expect(replies[1]).toMatchObject({ cookie: 'after', error: 0 });
    expect(replies[1]!.data.includes('p')).toBe(false);
  });

  it('refuses a WRITE over the maximum, drops its payload and goes on', async () => {
    const small = new MemoryExport('disk', SIZE, { blockSize: { maximum: 8192 } });
    const peer = await entered(small, { structured });
    const [first, second] = await exchange(peer, [
      W('big', 0, Buffer.alloc(8193, 1)),
      W('ok', 0, Buffer.alloc(8192, 2)),
    ]);
    expect([first!.error, second!.error]).toEqual([22, 0]);
    expect(small.data.subarray(0, 8193)).toEqual(Buffer.concat([Buffer.alloc(8192, 2), hex0]));
  });

  it.each([
    ['a wrong magic', Buffer.alloc(28)],
    ['a reply magic', bytes.hex('67446698' + '00'.repeat(24))],
    ['a WRITE of 4 GiB', bytes.request(WRITE, 'c', 0, 0xffffffff)],
  ])('hangs up on %s', async (_name, sent) => {
    const peer = await entered(undefined, { structured });
    peer.send(sent);
    await settle();
    expect(peer.closed).toBe(true);
    expect(peer.events.at(-1)).toMatchObject({
      end: { kind: 'lost', error: { code: 'NBD_PROTOCOL' }, midRequest: true },
    });
  });

  it('takes requests of no bytes', async () => {
    const peer = await entered(undefined, { structured });
    const replies = await exchange(
      peer,
      [READ, WRITE, TRIM, CACHE, ZERO].map((type) => R(type, `c${type}`, SIZE, 0)),
    );
    expect(replies.map(({ error, data }) => [error, data.length])).toEqual(
      Array.from({ length: 5 }, () => [0, 0]),
    );
  });

  it('accepts FUA with every command if it is offered', async () => {
    const peer = await entered(undefined, { structured });
    const types = [READ, FLUSH, TRIM, CACHE, ZERO];
    const sent = types.map((type) => R(type, `c${type}`, 0, type === FLUSH ? 0 : 1, FUA));
    const replies = await exchange(peer, sent, { c0: 1 });
    expect(replies.map(({ error }) => error)).toEqual([0, 0, 0, 0, 0]);
  });

  it.each<[string, unknown, number]>([
    ['an NbdCommandError', new NbdCommandError('ENOSPC', 'full'), 28],
    ['an error of another copy', Object.assign(new Error('x'), { wireError: 'EPERM' }), 1],
    ['any other error', new Error('secret'), 5],
    ['an unknown wire error', Object.assign(new Error('x'), { wireError: 'EWHAT' }), 5],
    ['ENOTSUP without FAST_ZERO', new NbdCommandError('ENOTSUP', 'slow'), 22],
  ])('passes on %s, thrown or rejected', async (_name, error, expected) => {
    const fail = (): never => {
      throw error;
    };
    const reject = (): Promise<never> => Promise.resolve().then(fail);
    for (const how of [fail, reject]) {
      const target = altered({ read: how, write: how, flush: how, trim: how, writeZeroes: how });
      const peer = await entered(target, { structured });
      const replies = await exchange(peer, [
        R(READ, 'r', 0, 9),
        W('w', 0, payload),
        ...[R(FLUSH, 'f', 0, 0), R(TRIM, 't', 0, 9), R(ZERO, 'z', 0, 9)],
      ]);
      expect(replies.map(({ cookie, error }) => [cookie, error])).toEqual(
        ['r', 'w', 'f', 't', 'z'].map((cookie) => [cookie, expected]),
      );
      expect(JSON.stringify(replies)).not.toContain('secret');
    }
  });

  it('answers a fast zero with ENOTSUP', async () => {
    const fail = (): never => {
      throw new NbdCommandError('ENOTSUP', 'slow');
    };
    const peer = await entered(altered({ writeZeroes: fail }), { structured });
    const [reply] = await exchange(peer, [R(ZERO, 'c', 0, 9, FAST_ZERO)]);
    expect(reply!.error).toBe(95);
  });

  it('takes a WRITE that fails in its middle to its end', async () => {
    let calls = 0;
    const write = (): void => {
      calls += 1;
      if (calls === 2) throw new NbdCommandError('ENOSPC', 'full');
    };
    const peer = await entered(altered({ write }), { structured });
    const whole = W('w', 0, Buffer.alloc(40000, 1));
    peer.send(whole.subarray(0, 10000));
    peer.send(whole.subarray(10000, 20000));
    peer.send(whole.subarray(20000));
    const replies = await exchange(peer, [R(FLUSH, 'f', 0, 0)]);
    expect(replies.map(({ cookie, error }) => [cookie, error])).toEqual([
      ['w', 28],
      ['f', 0],
    ]);
    expect(calls).toBe(2);
  });
});

const hex0 = Buffer.alloc(1);

describe('replies', () => {
  it('come out of order if a session answers later, with the right cookies', async () => {
    const release: (() => void)[] = [];
    const flush = (): Promise<void> => new Promise((resolve) => release.push(resolve));
    const read = (_offset: number, target: Uint8Array): Promise<void> =>
      flush().then(() => void target.fill(7));
    const peer = await entered(altered({ flush, read }), { structured: true });
    const R = bytes.request;
    const early = await exchange(peer, [
      ...[R(FLUSH, 'f', 0, 0), R(READ, 'r', 0, 10), R(TRIM, 't', 0, 1)],
    ]);
    expect(early.map(({ cookie }) => cookie)).toEqual(['t']);
    expect(peer.server.connections[0]!.requestsInFlight).toBe(2);
    release[1]!();
    release[0]!();
    const late = bytes.takeReplies(await peer.received());
    expect(late.map(({ cookie }) => cookie).sort()).toEqual(['f', 'r']);
    const data = late.find(({ cookie }) => cookie === 'r')!.data;
    expect(data).toEqual(Buffer.concat([Buffer.alloc(8), Buffer.alloc(10, 7)]));
    expect(peer.server.connections[0]!.requestsInFlight).toBe(0);
  });

  it('wait for all pieces of a WRITE', async () => {
    const release: (() => void)[] = [];
    const write = (): Promise<void> => new Promise((resolve) => release.push(resolve));
    const peer = await entered(altered({ write }));
    const whole = bytes.write('w', 100, Buffer.alloc(20000));
    peer.send(whole.subarray(0, 9000));
    peer.send(whole.subarray(9000));
    await settle();
    expect(release.length).toBeGreaterThan(1);
    for (const one of release.slice(1)) one();
    expect(await peer.received()).toHaveLength(0);
    release[0]!();
    expect(bytes.takeReplies(await peer.received())).toMatchObject([{ cookie: 'w', error: 0 }]);
  });

  it('tell the truth about a WRITE that is complete when DISC comes', async () => {
    let release: () => void = () => undefined;
    const write = (): Promise<void> => new Promise((resolve) => (release = resolve));
    const peer = await entered(altered({ write }));
    peer.send(bytes.write('w', 0, payload), bytes.request(DISC, 'd', 0, 0));
    await settle();
    release();
    expect(bytes.takeReplies(await peer.received())).toMatchObject([{ cookie: 'w', error: 0 }]);
    expect(peer.closed).toBe(true);
  });

  it('answer what is in flight before DISC closes', async () => {
    let release: () => void = () => undefined;
    const flush = (): Promise<void> => new Promise((resolve) => (release = resolve));
    const peer = await entered(altered({ flush }));
    peer.send(bytes.request(FLUSH, 'f', 0, 0), bytes.request(DISC, 'd', 0, 0));
    peer.send(bytes.request(FLUSH, 'late', 0, 0));
    await settle();
    expect(peer.closed).toBe(false);
    release();
    expect(bytes.takeReplies(await peer.received())).toMatchObject([{ cookie: 'f', error: 0 }]);
    expect(peer.closed).toBe(true);
    expect(peer.events.at(-1)).toMatchObject({ kind: 'ended', end: { kind: 'disconnect' } });
  });

  it('leave together for a batch', async () => {
    const peer = await entered();
    let writes = 0;
    const original = peer.stream.write.bind(peer.stream);
    peer.stream.write = ((chunk: Buffer) => {
      writes += 1;
      return original(chunk);
    }) as typeof peer.stream.write;
    const many = Array.from({ length: 50 }, (_, i) => bytes.write(`w${i}`, i, payload));
    const replies = await exchange(peer, [Buffer.concat(many)]);
    expect(replies).toHaveLength(50);
    expect(writes).toBe(1);
  });
});

describe.each([false, true])('what a session throws, later %p', (later) => {
  const failing = (error: Error) => (): void | Promise<void> => {
    if (later) return Promise.reject(error);
    throw error;
  };
  const systemError = (code: string): Error =>
    Object.assign(new Error(`${code}: failed at /secret/path`), { code });

  it.each([
    ['ENOSPC', 28],
    ['EDQUOT', 28],
    ['EFBIG', 28],
    ['EIO', 5],
    ['ENOENT', 5],
  ])('a system error %s is answered with %p, and reported', async (code, wireError) => {
    const fail = failing(systemError(code));
    const session = { write: fail, writeZeroes: fail, flush: fail, trim: fail };
    const peer = await entered(altered(session), { structured: true });
    const replies = await exchange(peer, [
      bytes.write('a', 0, payload),
      bytes.request(ZERO, 'b', 0, 512),
      bytes.request(FLUSH, 'c', 0, 0),
      bytes.request(TRIM, 'd', 0, 512),
    ]);
    expect(replies.map(({ error }) => error)).toEqual(Array(4).fill(wireError));
    expect(replies.map(({ message }) => message).join()).not.toContain('secret');
    const failed = peer.events.filter(({ kind }) => kind === 'failed');
    expect(failed).toHaveLength(4);
    expect(failed[0]).toMatchObject({ command: WRITE, error: { code } });
  });
});

describe('a session or listener that throws where it must not', () => {
  it('in refused() and close(): reported, the connection goes on and ends', async () => {
    const throws = (): never => {
      throw new Error('a bug');
    };
    const peer = await entered(altered({ refused: throws, close: throws }));
    const [refused, after] = await exchange(peer, [
      bytes.request(TRIM, 'a', 0, SIZE + 1),
      bytes.request(FLUSH, 'b', 0, 0),
    ]);
    expect([refused?.error, after?.error]).toEqual([22, 0]);
    peer.send(bytes.request(DISC, 'c', 0, 0));
    await settle();
    expect(peer.closed).toBe(true);
    const kinds = peer.events.map(({ kind }) => kind);
    expect(kinds).toEqual(['connected', 'opened', 'failed', 'failed', 'ended']);
    await peer.server.close();
  });

  it('in onEvent: the connection is served and closed all the same', async () => {
    const uncaught: (() => void)[] = [];
    const microtask = jest.spyOn(globalThis, 'queueMicrotask');
    microtask.mockImplementation((task) => void uncaught.push(task));
    try {
      const peer = new WirePeer({ exports: [new MemoryExport('disk', SIZE)] }, (event) => {
        throw new Error(event.kind);
      });
      await peer.enter('disk');
      const [reply] = await exchange(peer, [bytes.request(FLUSH, 'a', 0, 0)]);
      expect(reply?.error).toBe(0);
      peer.end();
      await settle();
      expect(peer.closed).toBe(true);
      expect(peer.server.connections).toEqual([]);
      expect(uncaught).toHaveLength(3);
      expect(uncaught[1]).toThrow('opened');
    } finally {
      microtask.mockRestore();
    }
  });
});
