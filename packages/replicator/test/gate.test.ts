import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Admission } from '@gannet/nbd';
import { Gate } from '../src/gate.js';

const ROUNDS = 3000;

/**
 * Plays QEMU: writes RESUME to one socket and then, without delay, a request to another. A byte
 * that comes back tells it to go on. The receiver is kept busy in between, so that both are often
 * there in one poll, in either order.
 */
const WRITER = `
  const net = require('node:net');
  const [events, requests, rounds] = process.argv.slice(1);
  const b = net.connect(events), a = net.connect(requests);
  let round = 0;
  const next = () => {
    if (round++ === Number(rounds)) return process.exit(0);
    b.write('R');
    a.write('W');
  };
  b.on('data', next);
  a.on('connect', () => a.write('hello'));
`;

let folder = '';

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'gannet-gate-'));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

/**
 * @returns how many requests were applied between their RESUME's arrival in QEMU's socket and its
 *   being heard
 */
async function overtaken(
  admission: Admission,
  close: () => void,
  open: () => void,
): Promise<number> {
  let heard = 0;
  let received = 0;
  let early = 0;
  const eventPath = path.join(folder, 'qmp');
  const requestPath = path.join(folder, 'nbd');
  const events = createServer();
  const requests = createServer();
  events.listen(eventPath);
  requests.listen(requestPath);
  await Promise.all([once(events, 'listening'), once(requests, 'listening')]);
  const arguments_ = ['-e', WRITER, eventPath, requestPath, String(ROUNDS)];
  const child = spawn(process.execPath, arguments_, { stdio: 'inherit' });
  const exited = once(child, 'exit');
  const [[event], [request]] = (await Promise.all([
    once(events, 'connection'),
    once(requests, 'connection'),
  ])) as [[Socket], [Socket]];
  await once(request, 'data');
  event.on('data', () => {
    heard++;
    close();
    // The answer to query-colo-status takes a while.
    setTimeout(() => {
      open();
      event.write('next');
      spin(heard % 7);
    }, 0);
  });
  request.on('data', (bytes: Buffer) => {
    for (let byte = 0; byte < bytes.length; byte++) {
      const itsResume = ++received;
      admission.admit(() => {
        if (heard < itsResume) early++;
      });
    }
  });
  event.write('next');
  await exited;
  event.destroy();
  request.destroy();
  events.close();
  requests.close();
  expect(heard).toBe(ROUNDS);
  return early;
}

/**
 * Leaves both sockets time to fill while nobody polls: on, the kernel may report them in any order.
 */
function spin(rounds: number): void {
  let sum = 0;
  for (let at = 0; at < rounds * 10_000; at++) sum += at % 7;
  if (sum < 0) throw new Error('never');
}

describe('Gate', () => {
  test('I2 atomic commit: no request is applied before an earlier RESUME', async () => {
    const gate = new Gate();
    expect(
      await overtaken(
        gate,
        () => gate.close(),
        () => gate.open(),
      ),
    ).toBe(0);
  });

  test('the same test catches a gate that applies at once', async () => {
    const naive: Admission = { admit: (apply) => apply() };
    const nothing = (): void => undefined;
    expect(await overtaken(naive, nothing, nothing)).toBeGreaterThan(0);
  });

  test('a batch waits for a full poll that began after it was read', async () => {
    const gate = new Gate();
    const order: string[] = [];
    gate.admit(() => order.push('applied'));
    setImmediate(() => {
      order.push('check 1');
      setImmediate(() => order.push('check 2'));
    });
    await turns(3);
    expect(order).toEqual(['check 1', 'applied', 'check 2']);
  });

  test('batches keep their order, whenever the gate closes and opens', async () => {
    const gate = new Gate();
    const applied: number[] = [];
    for (let at = 0; at < 400; at++) {
      gate.admit(() => applied.push(at));
      if (at % 7 === 0) gate.close();
      if (at % 5 === 0) gate.open();
      if (at % 3 === 0) await turns(1);
    }
    gate.open();
    await turns(4);
    expect(applied).toEqual(Array.from({ length: 400 }, (_, at) => at));
    expect(gate.waiting).toBe(0);
  });

  test('a closed gate applies nothing, not even the rest of a turn', async () => {
    const gate = new Gate();
    const applied: number[] = [];
    gate.admit(() => applied.push(1));
    gate.admit(() => {
      applied.push(2);
      gate.close();
    });
    gate.admit(() => applied.push(3));
    await turns(5);
    expect(applied).toEqual([1, 2]);
    expect(gate.isClosed).toBe(true);
    expect(gate.waiting).toBe(1);
    gate.open();
    await turns(3);
    expect(applied).toEqual([1, 2, 3]);
  });

  test('what was held ages again after opening: another RESUME may follow the answer', async () => {
    const gate = new Gate();
    let applied = 0;
    gate.close();
    gate.admit(() => applied++);
    await turns(5);
    gate.open();
    await turns(1);
    expect(applied).toBe(0);
    gate.close();
    await turns(3);
    expect(applied).toBe(0);
    gate.open();
    await turns(2);
    expect(applied).toBe(1);
  });

  test('closed and opened by one batch, the rest of its turn ages again, in order', async () => {
    const gate = new Gate();
    const order: string[] = [];
    gate.admit(() => {
      gate.close();
      gate.open();
      setImmediate(() => order.push('poll'));
    });
    gate.admit(() => order.push('second'));
    gate.admit(() => order.push('third'));
    await turns(5);
    expect(order).toEqual(['poll', 'second', 'third']);
    expect(gate.waiting).toBe(0);
  });

  test('a batch that admits another does not starve the loop', async () => {
    const gate = new Gate();
    let applied = 0;
    const again = (): void => {
      if (++applied < 10) gate.admit(again);
    };
    gate.admit(again);
    await turns(2);
    expect(applied).toBe(1);
    await turns(20);
    expect(applied).toBe(10);
  });
});

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}
