import { PassThrough } from 'node:stream';
import { describe, expect, test } from '@jest/globals';
import { FrameLink } from '../../src/wire/frame-link.js';
import { encodeFrame, FRAME_BYTES_MAX } from '../../src/wire/frames.js';
import { BytePipe } from '../support/byte-pipe.js';

const RAM = { pageBytes: 8, pages: 100 };

test('frames arrive whole, in whatever pieces their bytes do', async () => {
  const frames = [
    { kind: 'prepare', number: 7 },
    { kind: 'stopped' },
    { kind: 'want', pages: Uint32Array.of(1, 2, 99) },
  ] as const;
  const bytes = Buffer.concat(frames.map(encodeFrame));
  for (let piece = 1; piece <= bytes.length; piece++) {
    const stream = new PassThrough();
    const link = new FrameLink(stream, RAM);
    for (let at = 0; at < bytes.length; at += piece) stream.write(bytes.subarray(at, at + piece));
    for (const frame of frames) expect(await link.receive()).toEqual(frame);
    link.close();
  }
});

test('a slow receiver makes the sender wait', async () => {
  const pipe = new BytePipe();
  const [from, to] = pipe.ends.map((end) => new FrameLink(end, RAM));
  let sent = 0;
  const data = Buffer.alloc(200);
  const sending = (async () => {
    for (; sent < 50; sent++)
      await from!.send({ kind: 'devices', bytes: data.length, offset: 0, data });
  })();
  await new Promise((resolve) => setImmediate(resolve));
  expect(sent).toBeLessThan(10);
  for (let received = 0; received < 50; received++) await to!.receive();
  await sending;
  expect(from!.sentBytes).toBe(50 * 213);
  pipe.cut();
});

describe('a connection that has ended', () => {
  test('fails who receives, who sends, and who waits to send more', async () => {
    const pipe = new BytePipe();
    const [link] = pipe.ends.map((end) => new FrameLink(end, RAM));
    const receiving = link!.receive();
    const sending = link!.send({
      kind: 'devices',
      bytes: 5000,
      offset: 0,
      data: Buffer.alloc(5000),
    });
    pipe.cut();
    const lost = { code: 'VSMR_LINK_LOST' };
    await expect(receiving).rejects.toMatchObject(lost);
    await expect(sending).rejects.toMatchObject(lost);
    await expect(link!.send({ kind: 'copy' })).rejects.toMatchObject(lost);
    await expect(link!.receive()).rejects.toMatchObject(lost);
  });

  test('half a frame is no frame', async () => {
    const pipe = new BytePipe(6);
    const [from, to] = pipe.ends.map((end) => new FrameLink(end, RAM));
    from!.send({ kind: 'prepare', number: 1 }).catch(() => undefined);
    await expect(to!.receive()).rejects.toMatchObject({ code: 'VSMR_LINK_LOST' });
  });
});

test.each([0, FRAME_BYTES_MAX + 1])('a frame of %d bytes is refused', async (length) => {
  const stream = new PassThrough();
  const link = new FrameLink(stream, RAM);
  const head = Buffer.alloc(4);
  head.writeUInt32BE(length);
  stream.write(head);
  await expect(link.receive()).rejects.toMatchObject({ code: 'VSMR_PROTOCOL' });
});
