/**
 * Clients of the guest's TCP service (guest/network/service.c): a program, so that it can run in
 * another network namespace. Each connection sends numbered lines and checks every byte of the
 * answers, whose number and hash depend on all lines of this connection. Its arguments are HOST and
 * PORT; on stdin it reads
 *
 *   open N     N more connections
 *   report     a TrafficReport as a line of JSON on stdout
 *
 * and it ends when stdin does.
 */
import { connect } from 'node:net';
import { createInterface } from 'node:readline';

const PAUSE_MS = 10;
/** Lines of many lengths, so that packet boundaries fall everywhere. */
const LENGTHS = 40;

interface Connection {
  lines: number;
  answeredMs: number;
  longestMs: number;
  failure: string | undefined;
}

const [host = '', port = ''] = process.argv.slice(2);
const connections: Connection[] = [];

function hashOf(before: number, text: string): number {
  let hash = before;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 16777619);
  return hash >>> 0;
}

function open(id: number): Connection {
  const state: Connection = {
    ...{ lines: 0, longestMs: 0, failure: undefined },
    answeredMs: performance.now(),
  };
  let hash = 2166136261;
  let awaited = '';
  let received = '';
  const socket = connect({ host, port: Number(port), noDelay: true }).setEncoding('utf8');
  const send = (): void => {
    const line = `${id} ${state.lines} ${'x'.repeat(17 * (state.lines % LENGTHS))}\n`;
    hash = hashOf(hash, line);
    awaited = `${state.lines + 1} ${hash.toString(16).padStart(8, '0')} ${line}`;
    received = '';
    socket.write(line);
  };
  const fail = (why: string): void => {
    state.failure ??= why;
    socket.destroy();
  };
  socket.on('connect', send);
  socket.on('data', (text: string) => {
    received += text;
    if (!awaited.startsWith(received)) return fail(`wanted ${awaited}, got ${received}`);
    if (received.length < awaited.length) return;
    const now = performance.now();
    state.longestMs = Math.max(state.longestMs, now - state.answeredMs);
    state.answeredMs = now;
    state.lines++;
    setTimeout(send, PAUSE_MS);
  });
  socket.on('error', (error) => fail(error.message));
  socket.on('close', () => fail('closed'));
  return state;
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const [word, count = '0'] = line.split(' ');
    if (word === 'open') {
      for (let left = Number(count); left > 0; left--) connections.push(open(connections.length));
      return;
    }
    process.stdout.write(`${JSON.stringify(connections)}\n`);
    for (const connection of connections) connection.longestMs = 0;
  })
  .on('close', () => process.exit(0));
