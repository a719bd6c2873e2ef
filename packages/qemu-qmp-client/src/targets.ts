import { connect as connectTcp } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { QmpConnectionError, QmpUsageError } from './errors.js';

/** A unix socket: `-qmp unix:/run/vm.qmp,server=on,wait=off`. */
export interface UnixTarget {
  readonly kind: 'unix';
  readonly path: string;
}

/** Plain TCP: whoever reaches the port owns the VM. */
export interface TcpTarget {
  readonly kind: 'tcp';
  readonly host: string;
  readonly port: number;
}

/**
 * TLS over TCP, options as in node:tls; the server's certificate is verified unless told otherwise.
 */
export type TlsTarget = {
  readonly kind: 'tls';
  readonly host: string;
  readonly port: number;
} & Readonly<Omit<ConnectionOptions, 'host' | 'port' | 'path' | 'socket'>>;

/** A connected stream of bytes; the client owns it from then on, and destroys it at its end. */
export interface StreamTarget {
  readonly kind: 'stream';
  readonly stream: Duplex;
}

/** Where QEMU's monitor is. */
export type QmpTarget = UnixTarget | TcpTarget | TlsTarget | StreamTarget;

/** What each kind needs, and of which type. */
const NEEDS: Readonly<Record<QmpTarget['kind'], Readonly<Record<string, string>>>> = {
  unix: { path: 'string' },
  tcp: { host: 'string', port: 'number' },
  tls: { host: 'string', port: 'number' },
  stream: { stream: 'object' },
};

/**
 * For callers without types: what is no target is told before anything is dialled.
 * @throws QmpUsageError `QMP_INVALID_OPTION`
 */
export function checkTarget(target: QmpTarget): QmpTarget {
  const given: Partial<Record<string, unknown>> = { ...(target as QmpTarget | undefined) };
  const { kind } = given;
  if (typeof kind !== 'string' || !Object.hasOwn(NEEDS, kind)) {
    const kinds = Object.keys(NEEDS).join(', ');
    const message = `target.kind must be one of ${kinds}, not ${JSON.stringify(kind)}`;
    throw new QmpUsageError('QMP_INVALID_OPTION', message);
  }
  for (const [key, type] of Object.entries(NEEDS[kind as QmpTarget['kind']])) {
    // An empty path or name would be tried until the deadline.
    if (typeof given[key] === type && given[key] !== null && given[key] !== '') continue;
    const message = `a target of kind ${kind} needs \`${key}\` (${type})`;
    throw new QmpUsageError('QMP_INVALID_OPTION', message);
  }
  return target;
}

/** The target in a few words, for messages. */
export function describeTarget(target: QmpTarget): string {
  switch (target.kind) {
    case 'unix':
      return target.path;
    case 'tcp':
    case 'tls':
      return `${target.kind}:${target.host}:${target.port}`;
    case 'stream':
      return 'the stream';
  }
}

/**
 * Connects. When `signal` fires, whatever was begun is destroyed, and the promise rejects with the
 * signal's reason.
 * @throws QmpConnectionError `QMP_DIAL_FAILED`, with the system's error as `cause`
 */
export function dial(target: QmpTarget, signal: AbortSignal): Promise<Duplex> {
  if (signal.aborted) {
    if (target.kind === 'stream') target.stream.destroy();
    return Promise.reject(signal.reason as Error);
  }
  if (target.kind === 'stream') return Promise.resolve(target.stream);
  return new Promise((resolve, reject) => {
    const { socket, ready } = open(target);
    const settle = (): void => {
      signal.removeEventListener('abort', onAbort);
      socket.off('error', onError);
      socket.off(ready, onReady);
    };
    const onAbort = (): void => {
      settle();
      // The socket may still report its error; there is nobody left to care.
      socket.on('error', () => undefined);
      socket.destroy();
      reject(signal.reason as Error);
    };
    const onError = (cause: Error): void => {
      settle();
      socket.destroy();
      const message = `cannot connect to ${describeTarget(target)}: ${cause.message}`;
      reject(new QmpConnectionError('QMP_DIAL_FAILED', message, { cause }));
    };
    const onReady = (): void => {
      settle();
      resolve(socket);
    };
    socket.once('error', onError);
    socket.once(ready, onReady);
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

function open(target: UnixTarget | TcpTarget | TlsTarget): { socket: Duplex; ready: string } {
  if (target.kind === 'unix') {
    return { socket: connectTcp({ path: target.path }), ready: 'connect' };
  }
  if (target.kind === 'tcp') {
    const { host, port } = target;
    return { socket: connectTcp({ host, port, noDelay: true }), ready: 'connect' };
  }
  const socket = connectTls(target);
  socket.setNoDelay(true);
  return { socket, ready: 'secureConnect' };
}
