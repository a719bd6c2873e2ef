/** What people see of a VM at a terminal. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ControlServer } from '../../../src/daemon/control/control-server.js';
import {
  type DaemonEvent,
  type EventDetails,
  type EventKind,
  type Status,
  STATUS_SCHEMA,
  statusSchema,
} from '@gannet/contract';
import { formatAge, formatMs } from '@gannet/contract/format';
import { checkpointsOf } from '../../../src/view/checkpoints.js';
import { printEvents } from '../../../src/cli/watch/print-events.js';
import {
  renderEvent,
  renderLine,
  renderStatus,
  renderWatch,
} from '../../../src/cli/watch/render.js';
import { watch } from '../../../src/cli/watch/watch.js';
import { MIB, RECORD, BUFFERS, SECONDARY, PRIMARY, judged } from '../../support/statuses.js';

const event = <K extends EventKind>(kind: K, details: EventDetails[K]): DaemonEvent =>
  ({
    ...{ at: '2026-01-01T10:00:00.000Z', role: 'primary', kind },
    ...details,
  }) as unknown as DaemonEvent;
const COMMIT = { ...RECORD, unflushedWrites: 0, checkpointMs: 12, provisional: false };
const STYLE = { columns: 100, rows: 40, hasColour: false };

describe('the status, for people', () => {
  test.each([SECONDARY, PRIMARY])(
    'has both sides, link, memory and the last checkpoint',
    (status) => {
      const text = renderStatus(status, STYLE).join('\n');
      for (const part of [
        `web: ${status.role} on`,
        '[ok] Protected',
        /primary +a( \(here\))?: protected, QEMU responding/,
        /secondary +b( \(here\))?: protected, QEMU responding, fit to take over/,
        'replication: connected; heartbeat: up, 0.2 s ago',
        'gate closed 0.40 ms, 70 pages committed, 8 dropped',
        /\[##+s+c+\.+\|\.+\] 256 MiB of 1.0 GiB/,
      ]) {
        expect(text).toMatch(part);
      }
    },
  );

  test('has since when it is so, and who decides on a takeover', () => {
    const since = '2026-01-01T10:00:00.000Z';
    const health = { ...PRIMARY.health, since };
    const nowMs = Date.parse(since) + 240_000;
    const about = { version: '0.1.0', failover: 'automatic', hasFence: true } as const;
    const peer = { ...PRIMARY.peer, status: { ...PRIMARY.peer.status!, about } };
    const status = { ...PRIMARY, health, peer };
    const lines = renderStatus(status, STYLE, nowMs);
    expect(lines[2]).toMatch(/^ {5}Since \d\d:\d\d:\d\d, 4 min ago\.$/);
    expect(lines).toContain('  failover    automatic, with a fence');
    const over = { ...peer, status: { ...peer.status, state: 'retired' } };
    const survived = { ...status, peer: over } as Status;
    expect(renderStatus(survived, STYLE, nowMs).join('\n')).not.toMatch(/failover /);
  });

  test('says of which epoch the figures of the last checkpoint are', () => {
    const { lastCheckpoint } = PRIMARY;
    const rowOf = (epoch: number): string | undefined =>
      renderStatus({ ...PRIMARY, epoch }, STYLE).find((line) => line.startsWith('  epoch'));
    const { epoch } = lastCheckpoint!;
    expect(rowOf(epoch)).toMatch(new RegExp(`epoch +${epoch}: guest paused`));
    expect(rowOf(epoch + 5)).toMatch(
      new RegExp(`epoch +${epoch + 5}; the last checkpoint, of ${epoch}: guest paused`),
    );
  });

  test('is plain ASCII, in colour or not, and never wider than the terminal', () => {
    const trouble = '“a” – b’s → c…\n\u001b[31mnot ours';
    const bad = judged({ ...SECONDARY, state: 'diverged', reason: trouble, needs: trouble });
    for (const columns of [20, 57, 80]) {
      for (const status of [bad, SECONDARY, PRIMARY]) {
        const events = [event('trouble', { code: 'X', message: trouble, remedy: trouble })];
        for (const line of renderWatch(status, events, { ...STYLE, columns }, 0)) {
          expect(line).toMatch(/^[\x20-\x7e]*$/);
          expect(line.length).toBeLessThanOrEqual(columns);
        }
      }
    }
    const coloured = renderStatus(bad, { ...STYLE, hasColour: true })[1] ?? '';
    expect(coloured.startsWith('\u001b[1;31m[!!] The replica on host b has diverged')).toBe(true);
  });

  test('leaves the events the room that there is', () => {
    const events = Array.from({ length: 99 }, (_, at) =>
      event('reloaded', { changed: [`k${at}`] }),
    );
    for (const rows of [5, 24, 30, 60]) {
      const lines = renderWatch(SECONDARY, events, { ...STYLE, rows }, 0);
      expect(lines.length).toBeLessThanOrEqual(rows);
      if (rows >= 24) expect(lines.join('\n')).toContain('changed: k98');
      expect(lines.at(-1)).toContain('Ctrl-C');
    }
  });

  test('says in one line what a log wants', () => {
    expect(renderLine(PRIMARY)).toBe(
      'primary protected: Protected, epoch 9, memory 256 MiB of 1.0 GiB, peer up 0.2 s ago',
    );
  });

  test('has a line for what is spilled, on both sides, where it may be', () => {
    const line = (status: Status): string | undefined =>
      renderStatus(status, STYLE).find((one) => one.startsWith('  spilled'));
    const spilling = { ...BUFFERS, onFull: 'spill' as const, spilled: 3 * MIB, slowedWrites: 0 };
    const here: Status = { ...SECONDARY, buffers: spilling };
    expect(line(here)).toBe('  spilled     3.0 MiB in the spill file');
    const { status: other } = PRIMARY.peer;
    if (!other) throw new Error('no peer');
    const there = {
      ...PRIMARY,
      peer: { ...PRIMARY.peer, status: { ...other, buffers: spilling } },
    };
    expect(line(statusSchema.parse(there))).toBe('  spilled     3.0 MiB in the spill file');
    expect(line({ ...here, buffers: { ...spilling, spilled: 0, spillTrouble: 'no space' } })).toBe(
      '  spilled     nothing in the spill file, which takes no more: no space',
    );
    expect([SECONDARY, PRIMARY].map(line)).toEqual([undefined, undefined]);
  });

  test('has a line for each network card, of the side that is asked', () => {
    const lines = (status: Status): string[] =>
      renderStatus(statusSchema.parse(status), STYLE).filter((one) => /^ {2}network/.test(one));
    const card = (state: 'compared' | 'direct' | 'walled' | 'open'): Status['network'] => [
      { netdev: 'net0', state },
    ];
    expect(lines({ ...PRIMARY, network: card('compared') })).toEqual([
      '  network     net0: packets wait until both guests have sent the same',
    ]);
    expect(lines({ ...PRIMARY, network: card('direct') })[0]).toContain('go out directly');
    expect(lines({ ...SECONDARY, network: card('walled') })[0]).toContain(
      'held back until a failover',
    );
    expect(lines({ ...SECONDARY, network: card('open') })[0]).toContain('packets go out from here');
    expect(lines(PRIMARY)).toEqual([]);
  });

  test('fits its schema', () => {
    for (const status of [PRIMARY, SECONDARY]) expect(statusSchema.parse(status)).toEqual(status);
    expect(statusSchema.safeParse({ ...PRIMARY, schema: STATUS_SCHEMA + 1 }).success).toBe(false);
  });
});

describe('words', () => {
  test('an error keeps its remedy, on a line of its own', () => {
    const lines = renderEvent(
      event('trouble', { code: 'X', message: 'no space on /x', remedy: 'Make some.' }),
      'web',
    );
    expect(lines[0]).toMatch(/^\d\d:\d\d:\d\d !! no space on \/x$/);
    expect(lines[1]).toMatch(/^ +Make some\.$/);
  });

  test.each([
    [0.123, '0.12 ms'],
    [12.34, '12.3 ms'],
    [250, '250 ms'],
    [1234, '1.23 s'],
    [12_345, '12 s'],
    [null, '–'],
  ])('%s ms is %s', (ms, text) => expect(formatMs(ms)).toBe(text));

  test.each([
    [230, '0.2 s'],
    [65_000, '65 s'],
    [600_000, '10 min'],
    [8_000_000, '2 h 13 min'],
    [300_000_000, '3 days'],
  ])('%s ms ago is %s', (ms, text) => expect(formatAge(ms)).toBe(text));
});

test('the timeline joins what both daemons tell of a checkpoint', () => {
  const told = [
    event('commit', { ...COMMIT, epoch: 1 }),
    event('commit', COMMIT),
    event('peer', { pulse: 'up', silentMs: 0 }),
    event('checkpoint', { ...RECORD, cause: 'memory', pausedMs: 8 }),
  ];
  expect(checkpointsOf(told, 10)).toMatchObject([
    { epoch: 1, cause: null, pausedMs: null, gateClosedMs: 0.4 },
    { epoch: 9, cause: 'memory', pausedMs: 8, committedPages: 70 },
  ]);
  expect(checkpointsOf(told, 1)).toHaveLength(1);
});

describe('a daemon that is watched', () => {
  let dir: string;
  let control: string;
  let server: ControlServer | undefined;
  let abort: AbortController;
  let events: DaemonEvent[];

  beforeEach(async () => {
    dir = await mkdtemp(path.join(tmpdir(), 'gannet-watch-'));
    control = path.join(dir, 'ctl');
    abort = new AbortController();
    events = [event('reloaded', { changed: ['before'] })];
    await listen();
  });

  afterEach(async () => {
    abort.abort();
    await server?.close();
    await rm(dir, { recursive: true, force: true });
  });

  async function listen(): Promise<void> {
    server = await ControlServer.listen(control, { status: () => SECONDARY, events: () => events });
  }

  function screenOf(isTTY: boolean) {
    const listeners = new Set<() => void>();
    const screen = {
      ...{ isTTY, columns: 100, rows: 40, text: '' },
      write: (text: string): void => void (screen.text += text),
      on: (_event: 'resize', listener: () => void): void => void listeners.add(listener),
      off: (_event: 'resize', listener: () => void): void => void listeners.delete(listener),
      resize: (columns: number): void => {
        screen.columns = columns;
        for (const listener of listeners) listener();
      },
      listeners,
    };
    return screen;
  }

  async function until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  const common = () => ({ vm: 'web', control, silenceMs: 2000, signal: abort.signal });

  test('is drawn over and over, at the size that the terminal has, which comes back', async () => {
    const screen = screenOf(true);
    const watching = watch({ ...common(), screen, env: { TERM: 'xterm', NO_COLOR: '1' } });
    await until(() => screen.text.includes('[ok] Protected'));
    expect(screen.text).toContain('changed: before');
    screen.text = '';
    screen.resize(30);
    const [first = ''] = screen.text.split('\r\n');
    expect(first).toBe('\u001b[Hweb: secondary on b\u001b[K');
    const parts = screen.text.split('\u001b').map((part) => part.replace(/^\[[0-9;]*[A-Za-z]/, ''));
    const lines = parts.join('').split('\r\n');
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(29);
    screen.resize(100);
    server?.publish(event('reloaded', { changed: ['after'] }));
    await until(() => screen.text.includes('after'));
    abort.abort();
    await watching;
    expect(screen.text.endsWith('\u001b[?25h\u001b[?1049l')).toBe(true);
    expect(screen.listeners.size).toBe(0);
  });

  test.each([
    ['no terminal', false, 'xterm'],
    ['a dumb one', true, 'dumb'],
  ])('says lines to %s, without any control', async (_name, isTTY, term) => {
    const screen = screenOf(isTTY);
    const watching = watch({ ...common(), screen, env: { TERM: term } });
    await until(() => screen.text.includes('== secondary protected: Protected'));
    server?.publish(event('checkpoint', { ...RECORD, cause: 'demand', pausedMs: 8 }));
    await until(() => screen.text.includes('checkpoint 9 on demand: guest paused 8.00 ms'));
    abort.abort();
    await watching;
    expect(screen.text).toMatch(/^[\x20-\x7e\n]*$/);
    expect(screen.text).not.toContain('before');
  });

  test('that goes is said once, and waited for', async () => {
    const screen = screenOf(false);
    const watching = watch({ ...common(), screen, env: {} });
    await until(() => screen.text.includes('=='));
    await server?.close();
    await until(() => screen.text.includes('trying again'));
    screen.text = '';
    await listen();
    await until(() => screen.text.includes('== secondary protected'));
    abort.abort();
    await watching;
  });

  test('has its events printed once each, as they are', async () => {
    let text = '';
    const write = (more: string): void => void (text += more);
    const printing = printEvents({ ...common(), json: true, follow: true, write });
    await until(() => text.includes('before'));
    server?.publish(event('reloaded', { changed: ['after'] }));
    await until(() => text.includes('after'));
    abort.abort();
    await printing;
    const lines = text.trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      events[0],
      event('reloaded', { changed: ['after'] }),
    ]);
  });

  test('has its checkpoints counted, unless each is asked for', async () => {
    const at = (epoch: number): DaemonEvent => event('commit', { ...COMMIT, epoch });
    events = [at(7), at(8), at(9), event('reloaded', { changed: ['k'] })];
    const printed = async (more: object): Promise<string[]> => {
      let text = '';
      const write = (part: string): void => void (text += part);
      await printEvents({ ...common(), json: false, follow: false, write, ...more });
      return text.trimEnd().split('\n');
    };
    const folded = await printed({});
    expect(folded).toHaveLength(2);
    expect(folded[0]).toMatch(/^2026-01-01 .*: 3 events of checkpoints, epochs 7 to 9$/);
    expect(await printed({ hasCheckpoints: true })).toHaveLength(4);
    expect(await printed({ filter: { kinds: ['commit'] } })).toHaveLength(3);
    expect(await printed({ filter: { level: 'info' } })).toHaveLength(1);
  });

  test('that goes ends what follows its events, with an error', async () => {
    const printing = printEvents({
      ...common(),
      json: false,
      follow: true,
      write: () => undefined,
    });
    printing.catch(() => undefined);
    await server?.close();
    await expect(printing).rejects.toMatchObject({ code: 'GANNET_CONTROL_UNREACHABLE' });
  });
});
