import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { decodeMessage, encodeCommand, QmpProtocolError } from '../../src/index.js';
import { event, failed, GREETING, ok } from '../support/wire.js';

const decode = (text: string): unknown => decodeMessage(Buffer.from(text));

function codeOf(bytes: string | Uint8Array): string {
  try {
    decodeMessage(Buffer.from(bytes as string));
  } catch (error) {
    if (error instanceof QmpProtocolError) return error.code;
    throw error;
  }
  return 'accepted';
}

describe('decodeMessage', () => {
  it('reads a greeting', () => {
    expect(decode(GREETING)).toEqual({
      kind: 'greeting',
      version: { major: 7, minor: 2, micro: 22, package: 'Debian 1:7.2' },
      capabilities: ['oob'],
    });
  });

  it('reads replies, with and without id', () => {
    expect(decode(ok('a', '[1]'))).toEqual({ kind: 'return', id: 'a', value: [1] });
    expect(decode('{"return": null}')).toEqual({ kind: 'return', id: undefined, value: null });
    expect(decode(failed('a', 'GenericError', 'no'))).toEqual({
      kind: 'error',
      id: 'a',
      errorClass: 'GenericError',
      desc: 'no',
    });
  });

  it('reads events, with and without data, members unknown ignored', () => {
    const timestamp = { seconds: 1700000000, microseconds: 42 };
    expect(decode(event('STOP'))).toEqual({ kind: 'event', event: { event: 'STOP', timestamp } });
    expect(decode(event('X', '{"a": 1}').replace('{', '{"new": 1, '))).toEqual({
      kind: 'event',
      event: { event: 'X', timestamp, data: { a: 1 } },
    });
  });

  it('skips blank lines', () => {
    expect(decode('\r')).toBeUndefined();
    expect(decode('')).toBeUndefined();
  });

  it.each([
    ['{"return": {}', 'QMP_MALFORMED_JSON'],
    ['HTTP/1.1 400 Bad Request', 'QMP_MALFORMED_JSON'],
    [Uint8Array.from([0x22, 0xff, 0x22]), 'QMP_MALFORMED_JSON'],
    ['[]', 'QMP_MALFORMED_MESSAGE'],
    ['null', 'QMP_MALFORMED_MESSAGE'],
    ['7', 'QMP_MALFORMED_MESSAGE'],
    ['{"id": 1}', 'QMP_MALFORMED_MESSAGE'],
    ['{"event": 1, "timestamp": {"seconds": 1, "microseconds": 1}}', 'QMP_MALFORMED_MESSAGE'],
    ['{"event": "STOP"}', 'QMP_MALFORMED_MESSAGE'],
    ['{"event": "STOP", "timestamp": {"seconds": 1}}', 'QMP_MALFORMED_MESSAGE'],
    [event('STOP', '[]'), 'QMP_MALFORMED_MESSAGE'],
    ['{"error": "no", "id": 1}', 'QMP_MALFORMED_MESSAGE'],
    ['{"error": {"class": "GenericError"}, "id": 1}', 'QMP_MALFORMED_MESSAGE'],
    ['{"QMP": {}}', 'QMP_GREETING_INVALID'],
    ['{"QMP": {"version": {"qemu": {"major": 7}}, "capabilities": []}}', 'QMP_GREETING_INVALID'],
    [GREETING.replace('"capabilities": ["oob"]', '"capabilities": 1'), 'QMP_GREETING_INVALID'],
  ])('refuses %j as %s', (bytes, code) => {
    expect(codeOf(bytes)).toBe(code);
  });

  it('tells what is wrong with a monitor that prints prettily', () => {
    expect(() => decode('{')).toThrow('pretty=on');
  });

  it('never throws anything but QmpProtocolError', () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string(), fc.uint8Array()), (bytes) => {
        codeOf(bytes);
      }),
    );
  });
});

describe('encodeCommand', () => {
  it('writes one line, in the words of the specification', () => {
    expect(encodeCommand('stop', undefined, 'a', false)).toBe('{"execute":"stop","id":"a"}\n');
    expect(encodeCommand('yank', { instances: [] }, 'a', true)).toBe(
      '{"exec-oob":"yank","arguments":{"instances":[]},"id":"a"}\n',
    );
  });

  it('keeps a line break inside an argument from ending the line', () => {
    const line = encodeCommand('x', { text: 'a\nb' }, 'a', false);
    expect(line.indexOf('\n')).toBe(line.length - 1);
  });
});
