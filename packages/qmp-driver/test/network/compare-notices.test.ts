/** Against a peer that says what QEMU's colo-compare says. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { CompareNotices } from '../../src/network/compare-notices.js';

/** colo-compare's end: the texts that came, and its own messages. */
class FakeCompare {
  readonly heard: string[] = [];
  answers = true;
  #unread: Buffer = Buffer.alloc(0);

  constructor(
    private readonly socket: Socket,
    private readonly headerBytes: number,
  ) {
    socket.on('data', (chunk) => this.#take(chunk));
    socket.on('error', () => undefined);
  }

  /** In pieces of `bytes`. */
  async say(text: string, bytes = Infinity): Promise<void> {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(text.length);
    const frame = Buffer.concat([head, Buffer.from(text)]);
    for (let at = 0; at < frame.length; at += bytes) {
      this.socket.write(frame.subarray(at, Math.min(at + bytes, frame.length)));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #take(chunk: Buffer): void {
    this.#unread = Buffer.concat([this.#unread, chunk]);
    const before = 4 + this.headerBytes;
    while (this.#unread.length >= before) {
      const end = before + this.#unread.readUInt32BE();
      if (this.#unread.length < end) return;
      const text = this.#unread.toString('latin1', before, end);
      this.#unread = this.#unread.subarray(end);
      this.heard.push(text);
      if (text === 'COLO_USERSPACE_PROXY_INIT' && this.answers) {
        void this.say('COLO_COMPARE_GET_XEN_INIT');
      }
    }
  }
}

let folder: string;
let server: Server;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'gannet-notices-'));
  file = path.join(folder, 'notices');
  server = createServer().listen(file);
  await once(server, 'listening');
});
afterEach(async () => {
  server.close();
  await rm(folder, { recursive: true });
});

async function connected(hasVnetHeader: boolean, timeoutMs = 10_000) {
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const differences: number[] = [];
  const compare = accepted.then(([socket]) => new FakeCompare(socket, hasVnetHeader ? 4 : 0));
  const notices = await CompareNotices.connect({
    ...{ path: file, hasVnetHeader, timeoutMs },
    onDiffer: () => differences.push(1),
  });
  return { compare: await compare, notices, differences };
}

describe.each([true, false])('with a virtio header: %s', (hasVnetHeader) => {
  test('it greets, and a checkpoint is over when what follows it is answered', async () => {
    const { compare, notices } = await connected(hasVnetHeader);
    await notices.checkpointed();
    await Promise.all([notices.checkpointed(), notices.checkpointed()]);
    const [greeting, checkpoint] = ['COLO_USERSPACE_PROXY_INIT', 'COLO_CHECKPOINT'];
    expect(compare.heard).toEqual([
      ...[greeting, checkpoint, greeting],
      ...[checkpoint, greeting, checkpoint, greeting],
    ]);
    notices.close();
  });
});

test('differences are reported, whatever the pieces in which they come', async () => {
  const { compare, notices, differences } = await connected(true);
  for (const bytes of [1, 3, 5, Infinity]) await compare.say('DO_CHECKPOINT', bytes);
  await compare.say('something else');
  await notices.checkpointed();
  expect(differences).toHaveLength(4);
  notices.close();
});

describe('refused', () => {
  const refused = { code: 'DRIVER_NETWORK_REFUSED' };
  const stuck = { code: 'DRIVER_NETWORK_STUCK' };
  const options = { hasVnetHeader: true, timeoutMs: 50, onDiffer: () => undefined };

  test('nobody listens, and nobody answers', async () => {
    const nowhere = path.join(folder, 'nowhere');
    await expect(CompareNotices.connect({ ...options, path: nowhere })).rejects.toMatchObject(
      refused,
    );
    await expect(CompareNotices.connect({ ...options, path: file })).rejects.toMatchObject(refused);
  });

  test('a checkpoint without an answer, one of a lost connection, and the next', async () => {
    const { compare, notices } = await connected(true, 200);
    compare.answers = false;
    await expect(notices.checkpointed()).rejects.toMatchObject(stuck);
    notices.close();
    await expect(notices.checkpointed()).rejects.toMatchObject(stuck);
    await expect(notices.checkpointed()).rejects.toMatchObject(stuck);
  });

  test('who sends what is no message', async () => {
    const { compare, notices } = await connected(true);
    await compare.say('x'.repeat(5000));
    await expect(notices.checkpointed()).rejects.toMatchObject(stuck);
  });
});
