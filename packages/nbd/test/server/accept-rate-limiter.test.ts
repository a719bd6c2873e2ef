import { describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import {
  AcceptRateLimiter,
  MemoryExport,
  NbdClient,
  NbdServer,
  networkOf,
} from '../../src/index.js';
import type { NbdLimits, NbdServerEvent } from '../../src/index.js';
import * as bytes from '../support/bytes.js';
import { WirePeer } from '../support/wire-peer.js';

describe('AcceptRateLimiter', () => {
  it('lets a burst in, and then so many a second', () => {
    let nowMs = 0;
    const door = new AcceptRateLimiter({ acceptBurst: 3, acceptsPerSecond: 2 }, () => nowMs);
    const count = (address: string): number => {
      let admitted = 0;
      for (let at = 0; at < 10; at++) if (door.tryAccept(address)) admitted += 1;
      return admitted;
    };
    expect(count('a')).toBe(3);
    expect(count('b')).toBe(3);
    nowMs = 1000;
    expect(count('a')).toBe(2);
    nowMs = 100_000;
    expect(count('a')).toBe(3);
  });

  it('remembers no more than it can, the least recent go first', () => {
    const door = new AcceptRateLimiter({ acceptBurst: 1, acceptsPerSecond: 0 }, () => 0);
    expect(door.tryAccept('early')).toBe(true);
    expect(door.tryAccept('early')).toBe(false);
    for (let at = 0; at < 4096; at++) door.tryAccept(`other-${at}`);
    expect(door.tryAccept('other-4095')).toBe(false);
    expect(door.tryAccept('early')).toBe(true);
  });

  it.each([
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['::1', '0:0:0:0'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['2001:db8::6', '2001:db8:0:0'],
    ['fe80::1%eth0', 'fe80:0:0:0'],
  ])('counts %s as %s', (address, network) => expect(networkOf(address)).toBe(network));
});

describe('a server with strangers', () => {
  interface Scene {
    readonly port: number;
    readonly server: NbdServer;
    readonly events: NbdServerEvent[];
  }

  async function serving(
    limits: Partial<NbdLimits>,
    use: (scene: Scene) => Promise<void>,
  ): Promise<void> {
    const events: NbdServerEvent[] = [];
    const server = new NbdServer({
      exports: [new MemoryExport('disk', 65536)],
      limits,
      onEvent: (event) => events.push(event),
    });
    const address = await server.listen({ host: '127.0.0.1', port: 0 });
    try {
      await use({ port: 'port' in address ? address.port : 0, server, events });
    } finally {
      await server.close();
    }
  }

  async function stranger(port: number, localAddress: string): Promise<Socket> {
    const socket = connect({ port, host: '127.0.0.1', localAddress });
    socket.on('error', () => undefined);
    // The greeting: the server has taken it in, and what it did to others is done.
    await once(socket, 'data');
    return socket;
  }

  it('drops the oldest connection of the largest origin when there are too many', () =>
    serving({ handshakes: 4 }, async ({ port, events }) => {
      const lone = await stranger(port, '127.0.0.2');
      const crowd = [];
      for (let at = 0; at < 3; at++) crowd.push(await stranger(port, '127.0.0.3'));
      expect(events.filter(({ kind }) => kind === 'ended')).toHaveLength(0);
      const client = await NbdClient.connect({ host: '127.0.0.1', port }, { export: 'disk' });
      if (crowd[0]?.closed === false) await once(crowd[0], 'close');
      expect(events.filter(({ kind }) => kind === 'ended')).toMatchObject([
        { end: { error: { message: 'too many connections in the handshake phase' } } },
      ]);
      expect([lone, ...crowd.slice(1)].map(({ destroyed }) => destroyed)).toEqual([
        false,
        false,
        false,
      ]);
      await client.write(0, Buffer.from('mine'));
      await client.disconnect();
      for (const socket of [lone, ...crowd]) socket.destroy();
    }));

  it('limits how fast one address connects, without effect on others', () =>
    serving({ acceptBurst: 2, acceptsPerSecond: 0 }, async ({ port, events }) => {
      await stranger(port, '127.0.0.2');
      await stranger(port, '127.0.0.2');
      const third = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' });
      third.on('error', () => undefined).resume();
      await once(third, 'close');
      expect(events.at(-1)).toMatchObject({ kind: 'turned-away' });
      const client = await NbdClient.connect({ host: '127.0.0.1', port }, { export: 'disk' });
      await client.disconnect();
    }));

  it('refuses one use of an export too many, and says why', () =>
    serving({ connections: 1 }, async ({ port }) => {
      const first = await NbdClient.connect({ host: '127.0.0.1', port }, { export: 'disk' });
      const second = NbdClient.connect({ host: '127.0.0.1', port }, { export: 'disk' });
      await expect(second).rejects.toMatchObject({ code: 'NBD_REFUSED', reason: 'policy' });
      await first.disconnect();
    }));

  it('hangs up on a client that sends too many options', async () => {
    const peer = new WirePeer({
      exports: [new MemoryExport('disk', 65536)],
      limits: { handshakeBytes: 1000 },
    });
    peer.send(bytes.clientFlags());
    for (let at = 0; at < 9; at++) peer.send(bytes.option(99, Buffer.alloc(100)));
    await peer.received();
    expect(peer.closed).toBe(true);
    expect(peer.events.at(-1)).toMatchObject({
      end: { error: { message: 'more than 1000 bytes of options' } },
    });
  });

  it('takes requests that come at once with the last option, however many', async () => {
    const peer = new WirePeer({
      exports: [new MemoryExport('disk', 65536)],
      limits: { handshakeBytes: 1000 },
    });
    const write = bytes.write('w', 0, Buffer.alloc(5000, 7));
    peer.send(Buffer.concat([bytes.clientFlags(), bytes.go('disk'), write]));
    await peer.received();
    expect(peer.events.map(({ kind }) => kind)).toEqual(['connected', 'opened']);
    expect(peer.server.connections).toMatchObject([{ requests: 1 }]);
  });
});
