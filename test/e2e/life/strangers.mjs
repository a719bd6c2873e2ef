// A program of somebody who can reach the ports, and nothing more: node strangers.mjs FROM-ADDRESS
// PORT... It holds a crowd of connections, feeds some a byte at a time, sends garbage as fast as it
// is taken, in the clear and where TLS should begin, and comes back whenever it is thrown out. Ends
// when its input does; says then what it did.
import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { clearInterval, setInterval, setTimeout } from 'node:timers';

const CROWD = 1000;
const SLOW = 100;
const GARBAGE = 4;
/**
 * For one crowd; a connection that is thrown out comes back after that, so that this takes no core
 * of its own.
 */
const BACK_MS = 100;

const [from, ...ports] = process.argv.slice(2);
const noise = randomBytes(1 << 20);
const flags = Buffer.from([0, 0, 0, 3]);
const startTls = Buffer.concat([
  flags,
  Buffer.from('IHAVEOPT'),
  Buffer.from([0, 0, 0, 5, 0, 0, 0, 0]),
]);
const counts = { connections: 0, thrownOut: 0, bytes: 0 };

function visit(port, behave) {
  const socket = connect({ port: Number(port), host: '127.0.0.1', localAddress: from });
  socket.on('error', () => undefined).resume();
  socket.on('connect', () => {
    counts.connections += 1;
    behave(socket);
  });
  socket.on('close', () => {
    counts.thrownOut += 1;
    setTimeout(() => visit(port, behave), BACK_MS);
  });
}

const send = (socket, bytes, then) => {
  counts.bytes += bytes.length;
  socket.write(bytes, (error) => error ?? then?.());
};
const wait = () => undefined;
const slowly = (socket) => {
  let at = 0;
  const timer = setInterval(() => send(socket, startTls.subarray(at % 24, (at++ % 24) + 1)), 100);
  socket.on('close', () => clearInterval(timer));
};
const fast = (socket) => send(socket, noise, () => fast(socket));
const fastTls = (socket) => send(socket, startTls, () => fast(socket));
const halfTls = (socket) => send(socket, Buffer.concat([startTls, noise.subarray(0, 3)]));

for (const port of ports) {
  const share = (count) => Math.ceil(count / ports.length);
  for (let i = 0; i < share(CROWD); i++) visit(port, wait);
  for (let i = 0; i < share(SLOW); i++) visit(port, i % 2 === 0 ? slowly : halfTls);
  for (let i = 0; i < GARBAGE; i++) visit(port, i % 2 === 0 ? fast : fastTls);
}
process.stdin.resume().on('end', () => {
  process.stdout.write(JSON.stringify(counts), () => process.exit(0));
});
