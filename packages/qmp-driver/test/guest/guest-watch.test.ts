import { describe, expect, test } from '@jest/globals';
import type { QmpEvent } from 'qemu-qmp-client';
import { guestEventOf } from '../../src/guest/guest-watch.js';

function event(name: string, data?: object): QmpEvent {
  const timestamp = { seconds: 0, microseconds: 0 };
  return { event: name, timestamp, ...(data && { data }) } as unknown as QmpEvent;
}

describe('what an event of QEMU means for the guest', () => {
  // All of QEMU's ShutdownCause (qapi/run-state.json).
  test.each([
    ['guest-shutdown', 'ended'],
    ['guest-reset', 'ended'],
    ['guest-panic', 'crashed'],
    ['host-qmp-quit', 'ended'],
    ['host-qmp-system-reset', 'ended'],
    ['host-ui', 'ended'],
    ['host-signal', undefined],
    ['host-error', undefined],
    ['subsystem-reset', undefined],
    ['snapshot-load', undefined],
    ['none', undefined],
  ])('SHUTDOWN by %s: %s', (reason, kind) => {
    expect(guestEventOf(event('SHUTDOWN', { guest: false, reason }))?.kind).toBe(kind);
  });

  test.each(['pause', 'poweroff', 'run'])('a panic, with the action %s', (action) => {
    expect(guestEventOf(event('GUEST_PANICKED', { action }))?.kind).toBe('crashed');
  });

  test.each([
    ['pause', 'crashed'],
    ['poweroff', 'crashed'],
    ['reset', undefined],
    ['shutdown', undefined],
    ['debug', undefined],
    ['none', undefined],
    ['inject-nmi', undefined],
  ])('a watchdog with the action %s: %s', (action, kind) => {
    expect(guestEventOf(event('WATCHDOG', { action }))?.kind).toBe(kind);
  });

  test('SUSPEND', () => {
    expect(guestEventOf(event('SUSPEND'))?.kind).toBe('asleep');
  });

  test.each(['RESET', 'STOP', 'RESUME', 'POWERDOWN', 'WAKEUP', 'SUSPEND_DISK'])(
    '%s changes nothing',
    (name) => {
      expect(guestEventOf(event(name, {}))).toBeUndefined();
    },
  );
});
