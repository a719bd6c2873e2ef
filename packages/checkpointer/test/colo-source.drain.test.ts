/** A QEMU that is slow to say why its VM has resumed, or waits for what the gate holds. */
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { COLO, FAILED_OVER, type FakeMonitor, listen } from './support/fake-monitor.js';

describe('stopped again before the answer, which a drain holds up', () => {
  // The answer is given one more turn of the loop, which takes a millisecond here.
  const TURN_MS = 1;
  beforeEach(() => void jest.useFakeTimers());
  afterEach(() => void jest.useRealTimers());

  function blocked(): { monitor: FakeMonitor; heard: string[]; stop: () => void } {
    const all = listen();
    all.monitor.event({ kind: 'stop' });
    all.monitor.state('colo');
    all.monitor.event({ kind: 'resume' });
    jest.advanceTimersByTime(1000);
    all.monitor.event({ kind: 'stop' });
    return all;
  }

  test('in doubt after BLOCKED_MS, so that QEMU can drain; the next commit settles it', () => {
    const { monitor, heard } = blocked();
    jest.advanceTimersByTime(249);
    expect(heard).toEqual('stop seal stop'.split(' '));
    jest.advanceTimersByTime(1 + TURN_MS);
    expect(heard).toEqual('stop seal stop doubt'.split(' '));
    monitor.status(COLO);
    monitor.state('colo');
    monitor.event({ kind: 'resume' });
    monitor.status(COLO);
    expect(heard).toEqual('stop seal stop doubt seal commit'.split(' '));
  });

  test('an answer in time decides as ever', () => {
    const { monitor, heard } = blocked();
    jest.advanceTimersByTime(200);
    monitor.status(COLO);
    monitor.state('colo');
    jest.advanceTimersByTime(1000);
    expect(heard).toEqual('stop seal stop commit'.split(' '));
  });

  test('each of them waits for BLOCKED_MS', () => {
    const { monitor, heard } = blocked();
    jest.advanceTimersByTime(200);
    monitor.status(COLO);
    monitor.state('colo');
    monitor.event({ kind: 'resume' });
    monitor.event({ kind: 'stop' });
    jest.advanceTimersByTime(249);
    expect(heard).toEqual('stop seal stop commit seal stop'.split(' '));
    jest.advanceTimersByTime(1 + TURN_MS);
    expect(heard.at(-1)).toBe('doubt');
  });

  test('a RESUME since keeps the gate closed', () => {
    const { monitor, heard } = blocked();
    monitor.event({ kind: 'resume' });
    jest.advanceTimersByTime(250 + TURN_MS);
    expect(heard).toEqual('stop seal stop seal doubt seal'.split(' '));
  });

  test('a late answer that reports the failover is passed on: the replica must not wait', () => {
    const { monitor, heard } = blocked();
    jest.advanceTimersByTime(250 + TURN_MS);
    monitor.status(FAILED_OVER);
    monitor.state('paused');
    expect(heard).toEqual('stop seal stop doubt failover'.split(' '));
  });

  test.each([
    ['a checkpoint', COLO, ''],
    ['the failover', FAILED_OVER, ' failover'],
  ])(
    '%s, or what else it was hangs on the STOP, whose answer is held up',
    (_what, status, more) => {
      const { monitor, heard } = blocked();
      jest.advanceTimersByTime(200);
      monitor.status(status);
      jest.advanceTimersByTime(49);
      expect(heard).toEqual('stop seal stop'.split(' '));
      jest.advanceTimersByTime(1 + TURN_MS);
      expect(heard).toEqual(`stop seal stop doubt${more}`.split(' '));
    },
  );

  // QEMU 10.0 and later send it only after they have drained the devices.
  describe('and no STOP came', () => {
    function silent(): { monitor: FakeMonitor; heard: string[] } {
      const all = listen();
      all.monitor.event({ kind: 'stop' });
      all.monitor.state('colo');
      all.monitor.event({ kind: 'resume' });
      return all;
    }

    test('in doubt after SILENT_MS, so that QEMU can drain; the next commit settles it', () => {
      const { monitor, heard } = silent();
      jest.advanceTimersByTime(999);
      expect(heard).toEqual('stop seal'.split(' '));
      jest.advanceTimersByTime(1 + TURN_MS);
      expect(heard).toEqual('stop seal doubt'.split(' '));
      monitor.event({ kind: 'stop' });
      monitor.status(COLO);
      monitor.state('colo');
      monitor.event({ kind: 'resume' });
      monitor.status(COLO);
      jest.advanceTimersByTime(10_000);
      expect(heard).toEqual('stop seal doubt stop seal commit'.split(' '));
    });

    test('a STOP that comes late has BLOCKED_MS of its own', () => {
      const { monitor, heard } = silent();
      jest.advanceTimersByTime(900);
      monitor.event({ kind: 'stop' });
      jest.advanceTimersByTime(249);
      expect(heard).toEqual('stop seal stop'.split(' '));
      jest.advanceTimersByTime(1 + TURN_MS);
      expect(heard).toEqual('stop seal stop doubt'.split(' '));
    });

    test('a late answer that reports the failover is passed on', () => {
      const { monitor, heard } = silent();
      jest.advanceTimersByTime(1000 + TURN_MS);
      monitor.status(FAILED_OVER);
      expect(heard).toEqual('stop seal doubt failover'.split(' '));
    });

    test('an answer in time decides, and nothing comes of it later', () => {
      const { monitor, heard } = silent();
      jest.advanceTimersByTime(999);
      monitor.status(COLO);
      jest.advanceTimersByTime(10_000);
      expect(heard).toEqual('stop seal commit'.split(' '));
    });
  });

  describe('while no request waits for the replica', () => {
    test.each([
      ['no STOP came', [], 1000],
      ['the VM was stopped again', [{ kind: 'stop' }], 250],
    ] as const)('the answer is waited for, and then decides (%s)', (_what, more, boundMs) => {
      let isHolding = false;
      const { monitor, heard } = listen({ isHolding: () => isHolding });
      const seen = `stop seal${more.map(() => ' stop').join('')}`;
      for (const kind of ['stop', 'resume'] as const) monitor.event({ kind });
      for (const event of more) monitor.event(event);
      jest.advanceTimersByTime(boundMs + 60_000);
      expect(heard.join(' ')).toBe(seen);
      for (let i = 0; i <= more.length; i++) monitor.state('colo');
      monitor.status(COLO);
      expect(heard.join(' ')).toBe(`${seen} commit`);
      isHolding = true;
      jest.advanceTimersByTime(60_000);
      expect(heard.join(' ')).toBe(`${seen} commit`);
    });

    test('in doubt soon after one waits', () => {
      let isHolding = false;
      const { monitor, heard } = listen({ isHolding: () => isHolding });
      for (const kind of ['stop', 'resume'] as const) monitor.event({ kind });
      jest.advanceTimersByTime(60_000);
      isHolding = true;
      jest.advanceTimersByTime(250 + TURN_MS);
      expect(heard).toEqual('stop seal doubt'.split(' '));
    });
  });

  test('emits nothing without a listener, nor after the end', () => {
    const first = blocked();
    first.stop();
    const second = blocked();
    second.monitor.event({ kind: 'end', error: undefined });
    jest.advanceTimersByTime(1000);
    expect(first.heard).toEqual('stop seal stop'.split(' '));
    expect(second.heard).toEqual('stop seal stop lost'.split(' '));
  });
});

test('halted for longer than it waits, it reads the answer that lies in its socket', async () => {
  const { monitor, heard } = listen();
  const { port1: qemu, port2: socket } = new MessageChannel();
  socket.on('message', () => monitor.status(COLO));
  monitor.event({ kind: 'resume' });
  qemu.postMessage('the answer');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1100);
  await new Promise((resolve) => setTimeout(resolve, 50));
  qemu.close();
  expect(heard).toEqual(['seal', 'commit']);
});
