import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, connect } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { sourceOf, StreamSource } from '../../src/server/byte-source.js';
import type { ByteSource } from '../../src/server/byte-source.js';

/** Makes the handle look like one of a Node.js that does it differently. */
function spoil(socket: Socket): void {
  const { _handle: handle } = socket as unknown as { _handle: object };
  Object.defineProperty(handle, 'useUserBuffer', { value: undefined });
}

interface Ends {
  readonly source: ByteSource;
  readonly client: Socket;
}

describe.each([
  ['moved to a socket of our own', () => undefined, false],
  ['read as a stream where that can not be', spoil, true],
])('a connection is %s', (_name, prepare, isStream) => {
  let dir: string;
  let ends: Ends;
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });

  beforeEach(async () => {
    dir = await mkdtemp(path.join(tmpdir(), 'gannet-source-'));
    const address = path.join(dir, 'sock');
    server.listen(address);
    const client = connect({ path: address, allowHalfOpen: true });
    const [accepted] = (await once(server, 'connection')) as [Socket];
    prepare(accepted);
    ends = { source: sourceOf(accepted), client };
    expect(ends.source instanceof StreamSource).toBe(isStream);
  });

  afterEach(async () => {
    ends.client.destroy();
    ends.source.stream.destroy();
    server.close();
    await once(server, 'close');
    await rm(dir, { recursive: true });
  });

  it('and delivers every byte, in order, however late batches are released', async () => {
    const { source, client } = ends;
    const sent = Buffer.alloc(8 * 1024 * 1024);
    for (let at = 0; at < sent.length; at += 4) sent.writeUInt32LE(at, at);
    const held: Buffer[] = [];
    let checked = 0;
    const check = (batch: Buffer): void => {
      expect(batch.equals(sent.subarray(checked, checked + batch.length))).toBe(true);
      checked += batch.length;
      source.release();
    };
    source.listen((batch) => {
      held.push(batch);
      if (held.length > 3) for (const oldest of held.splice(0, 2)) check(oldest);
    });
    const hasEnded = once(source.stream, 'end');
    client.end(sent);
    await hasEnded;
    for (const batch of held) check(batch);
    expect(checked).toBe(sent.length);
  });

  it('pauses, resumes, and can still be written to after its end', async () => {
    const { source, client } = ends;
    let received = 0;
    source.listen((batch) => {
      received += batch.length;
      source.release();
      source.stream.pause();
    });
    client.write('one');
    while (received < 3) await turn();
    client.write('two');
    for (let i = 0; i < 20; i++) await turn();
    expect(received).toBe(3);
    const hasEnded = once(source.stream, 'end');
    client.end();
    source.stream.resume();
    while (received < 6) await turn();
    source.stream.resume();
    await hasEnded;
    source.stream.end('bye');
    const [said] = (await once(client, 'data')) as [Buffer];
    expect(said.toString()).toBe('bye');
  });
});
