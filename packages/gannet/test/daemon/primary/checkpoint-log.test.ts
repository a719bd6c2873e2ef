import { beforeEach, describe, expect, test } from '@jest/globals';
import { CheckpointLog } from '../../../src/daemon/primary/checkpoint-log.js';
import { RequestTally } from '../../../src/daemon/secondary/request-tally.js';
import type { CheckpointRecord } from '@gannet/contract';

const commitOf = (epoch: number) => ({
  ...{ epoch, committedPages: 10 * epoch, droppedPages: epoch, gateClosedMs: 1, checkpointMs: 5 },
});

describe('the log of checkpoints', () => {
  let records: CheckpointRecord[];
  let log: CheckpointLog;
  beforeEach(() => {
    records = [];
    log = new CheckpointLog((record) => records.push(record));
  });

  test('joins the pause of the guest with what the secondary says, whichever comes first', () => {
    log.stopped(100);
    log.resumed(112);
    expect(records).toEqual([]);
    log.committed(commitOf(1));
    log.stopped(200);
    log.committed(commitOf(2));
    expect(records).toHaveLength(1);
    log.resumed(207);
    expect(records).toMatchObject([
      { epoch: 1, pausedMs: 12, cause: 'period', committedPages: 10 },
      { epoch: 2, pausedMs: 7, cause: 'period', droppedPages: 2 },
    ]);
    expect(log.last).toBe(records[1]);
  });

  test('hears of each commit once, however often a heartbeat repeats it', () => {
    for (let beat = 0; beat < 3; beat++) log.committed(commitOf(1));
    log.stopped(0);
    log.resumed(5);
    for (let beat = 0; beat < 3; beat++) log.committed(commitOf(1));
    expect(records).toMatchObject([{ epoch: 1, pausedMs: 5 }]);
  });

  describe('when the clock of the host is set', () => {
    /** QEMU's events, whose time is that of the host's clock. */
    function attended(periodMs?: number): (kind: 'STOP' | 'RESUME', atMs: number) => void {
      const listeners = new Map<string, (event: object) => void>();
      const qmp = {
        onEvent: (kind: string, listener: (event: object) => void) => listeners.set(kind, listener),
      };
      let offsetMs = 1_700_000_000_000;
      let steadyMs = 0;
      const clock = { wallMs: () => steadyMs + offsetMs, steadyMs: () => steadyMs };
      log = new CheckpointLog(
        (record) => records.push(record),
        () => periodMs,
        clock,
      );
      log.attend(qmp as unknown as Parameters<CheckpointLog['attend']>[0]);
      steps = (ms) => (offsetMs += ms);
      return (kind, atMs) => {
        steadyMs = atMs;
        const us = Math.round(clock.wallMs() * 1000);
        const timestamp = { seconds: Math.floor(us / 1e6), microseconds: us % 1e6 };
        listeners.get(kind)?.({ timestamp });
      };
    }
    let steps: (ms: number) => void;

    test.each([-3000, 3000, -86_400_000])(
      'by %d ms in a pause, the pause stays right',
      (stepMs) => {
        const event = attended();
        event('STOP', 100);
        steps(stepMs);
        event('RESUME', 112);
        log.committed(commitOf(1));
        event('STOP', 200);
        event('RESUME', 207);
        log.committed(commitOf(2));
        expect(records.map(({ pausedMs }) => Math.round(pausedMs ?? NaN))).toEqual([12, 7]);
      },
    );

    test('back between two checkpoints, the second is not taken for early', () => {
      const event = attended(2000);
      event('STOP', 0);
      event('RESUME', 5);
      log.committed(commitOf(1));
      steps(-3000);
      event('STOP', 2000);
      event('RESUME', 2005);
      log.committed(commitOf(2));
      expect(records.map(({ cause }) => cause)).toEqual(['period', 'period']);
    });

    test('little by little, as NTP does, QEMU knows better than the events that come late', () => {
      const event = attended();
      event('STOP', 100);
      steps(2);
      event('RESUME', 110);
      log.committed(commitOf(1));
      expect(records.map(({ pausedMs }) => pausedMs)).toEqual([12]);
    });

    test('at the very moment of an event, there is no pause to speak of', () => {
      log.stopped(100);
      log.resumed(99);
      log.committed(commitOf(1));
      expect(records).toMatchObject([{ epoch: 1, pausedMs: null }]);
    });
  });

  test('gives the cause to the checkpoint that follows, and to no other', () => {
    log.stopped(0);
    log.asked('memory');
    log.resumed(5);
    log.committed(commitOf(1));
    log.stopped(10);
    log.resumed(15);
    log.committed(commitOf(2));
    log.stopped(20);
    log.resumed(25);
    log.committed(commitOf(3));
    expect(records.map(({ cause }) => cause)).toEqual(['period', 'memory', 'period']);
  });

  describe('where packets are compared', () => {
    const PERIOD_MS = 2000;
    let periodMs: number | undefined;
    let epoch: number;
    beforeEach(() => {
      periodMs = PERIOD_MS;
      epoch = 0;
      log = new CheckpointLog(
        (record) => records.push(record),
        () => periodMs,
      );
    });
    const checkpoint = (atMs: number): string | undefined => {
      log.stopped(atMs);
      log.resumed(atMs + 10);
      log.committed(commitOf(++epoch));
      return records.at(-1)?.cause;
    };

    test('one that comes before its period, and that nobody asked for, is for the output', () => {
      expect([0, 2000, 2300, 2320, 4320].map(checkpoint)).toEqual([
        ...['period', 'period', 'output', 'output', 'period'],
      ]);
      log.asked('demand');
      expect(checkpoint(4500)).toBe('demand');
      log.asked('memory');
      expect(checkpoint(4600)).toBe('memory');
      expect(checkpoint(6600)).toBe('period');
    });

    test('a period that comes out somewhat short is one all the same', () => {
      expect([0, 1801, 3600, 5399].map(checkpoint)).toEqual([
        ...['period', 'period', 'output', 'output'],
      ]);
      periodMs = 100;
      expect([5450, 5499].map(checkpoint)).toEqual(['period', 'output']);
    });

    test('a pause that was none does not begin a period', () => {
      checkpoint(0);
      // Somebody's stop and cont: there is no commit.
      log.stopped(1500);
      log.resumed(1600);
      expect(checkpoint(2000)).toBe('period');
    });

    test('nor is anything early where they are not compared', () => {
      periodMs = undefined;
      expect([0, 100, 200].map(checkpoint)).toEqual(['period', 'period', 'period']);
    });
  });

  test('says that it does not know a pause that it has not seen', () => {
    log.committed(commitOf(1));
    log.committed(commitOf(2));
    expect(records).toMatchObject([{ epoch: 1, pausedMs: null }]);
  });
});

describe('the tally of NBD requests and bytes', () => {
  const connection = (id: number, exportName: string, requests: number) => ({
    ...{ peer: { id, address: 'unix:' }, state: 'transmission' as const, exportName, requests },
    ...{ requestsInFlight: 0, receivedBytes: requests * 100, queuedBytes: 0 },
  });

  test('goes on where a connection has ended, and never back', () => {
    const live = [connection(1, 'pvm-seed', 10), connection(2, 'svm', 3)];
    const tally = new RequestTally([{ name: 'disk0' }], () => live);
    expect(tally.of('disk0')).toEqual({ requests: 13, receivedBytes: 1000 });
    const end = { kind: 'disconnect' } as const;
    tally.note({ kind: 'ended', peer: { id: 1, address: '' }, end });
    expect(tally.of('disk0')).toEqual({ requests: 13, receivedBytes: 1000 });
    live.shift();
    expect(tally.of('disk0')).toEqual({ requests: 13, receivedBytes: 1000 });
    live.push(connection(3, 'pvm-link', 5));
    expect(tally.of('disk0')).toEqual({ requests: 18, receivedBytes: 1500 });
  });

  test('tells disks apart whose names begin alike', () => {
    const live = [
      connection(1, 'a-pvm', 1),
      connection(2, 'a-b-pvm', 20),
      connection(3, 'a-b-svm', 300),
    ];
    const tally = new RequestTally([{ name: 'a' }, { name: 'a-b' }], () => live);
    expect([tally.of('a'), tally.of('a-b')]).toEqual([
      { requests: 1, receivedBytes: 100 },
      // What the secondary VM writes comes over no link.
      { requests: 320, receivedBytes: 2000 },
    ]);
  });
});
