import { describe, expect, jest, test } from '@jest/globals';
import { Checkpointer, type CheckpointEvent } from '../src/checkpointer.js';
import { ExternalSource } from '../src/external-source.js';
import type { CheckpointSignal, CheckpointSource } from '../src/ports.js';
import { FakeReplica } from './support/fake-replica.js';

class Scene implements CheckpointSource {
  readonly replica = new FakeReplica();
  readonly events: CheckpointEvent[] = [];
  nowMs = 1000;
  readonly checkpointer = new Checkpointer({
    source: this,
    replica: this.replica,
    now: () => this.nowMs,
    onEvent: (event) => this.events.push(event),
  });
  #listener: ((signal: CheckpointSignal) => void) | undefined;

  constructor() {
    this.checkpointer.start();
  }

  subscribe(listener: (signal: CheckpointSignal) => void): () => void {
    this.#listener = listener;
    return () => (this.#listener = undefined);
  }

  say(...kinds: (CheckpointSignal['kind'] | 'whole commit')[]): this {
    for (const kind of kinds) {
      if (kind === 'whole commit') {
        this.#listener?.({ kind: 'commit', primaryStoodWhole: true });
        continue;
      }
      const needsReason = kind === 'doubt' || kind === 'lost';
      this.#listener?.(needsReason ? { kind, reason: 'why' } : { kind });
    }
    return this;
  }

  get did(): string[] {
    return this.replica.calls.filter((call) => call !== 'close' && call !== 'open');
  }
}

/** What has happened to the link and the source before the signal. */
const SITUATIONS = {
  whole: () => new Scene().say('stop', 'seal'),
  'lost before this stop': () => {
    const scene = new Scene();
    scene.replica.lose(true);
    return scene.say('stop', 'seal');
  },
  'lost, clean, since this stop': () => {
    const scene = new Scene().say('stop');
    scene.replica.lose(true);
    return scene.say('seal');
  },
  'lost, unclean, since this stop': () => {
    const scene = new Scene().say('stop');
    scene.replica.lose(false);
    return scene.say('seal');
  },
  'in doubt': () => new Scene().say('stop', 'seal', 'doubt', 'stop', 'seal'),
  'never connected': () => {
    const scene = new Scene().say('seal');
    scene.replica.link.isConnected = false;
    return scene;
  },
} as const;

// prettier-ignore
const TABLE: readonly (readonly [keyof typeof SITUATIONS, CheckpointSignal['kind'], string[]])[] = [
  ['whole', 'commit', ['commit']],
  ['whole', 'failover', ['failOver']],
  ['whole', 'abort', []],
  ['whole', 'doubt', []],
  ['whole', 'lost', ['diverge']],
  ['lost before this stop', 'commit', ['outdate']],
  ['lost before this stop', 'failover', ['failOver']],
  ['lost before this stop', 'abort', []],
  ['lost, clean, since this stop', 'commit', ['commit']],
  ['lost, clean, since this stop', 'failover', ['failOver']],
  ['lost, unclean, since this stop', 'commit', ['outdate']],
  ['lost, unclean, since this stop', 'failover', ['failOver']],
  ['in doubt', 'commit', ['commit']],
  ['in doubt', 'failover', ['diverge']],
  ['in doubt', 'abort', []],
  ['never connected', 'commit', ['outdate']],
];

describe('Checkpointer', () => {
  test.each(TABLE)('I5 no silent divergence: link %s, %s: %j', (situation, signal, expected) => {
    const scene = SITUATIONS[situation]();
    expect(scene.replica.gate.isClosed).toBe(true);
    scene.say(signal);
    expect(scene.did).toEqual(expected);
    expect(scene.replica.gate.isClosed).toBe(false);
  });

  test('I2 atomic commit: the gate closes at seal, and opens after the commit, not before', () => {
    const scene = new Scene().say('stop');
    expect(scene.replica.calls).toEqual([]);
    scene.say('seal', 'commit');
    expect(scene.replica.calls).toEqual(['close', 'commit', 'open']);
  });

  test('the replica hears when the secondary stops and resumes', () => {
    const scene = new Scene();
    for (const [signal, isRunning] of [
      ['stop', false],
      ['seal', true],
    ] as const) {
      scene.say(signal);
      expect(scene.replica.isSecondaryRunning).toBe(isRunning);
    }
  });

  test('a commit settles the doubt before it: failover is possible again', () => {
    const scene = SITUATIONS['in doubt']().say('commit', 'stop', 'seal', 'failover');
    expect(scene.did).toEqual(['commit', 'failOver']);
  });

  test('I5 no silent divergence: a provisional commit is good for a failover', () => {
    const scene = SITUATIONS['lost, clean, since this stop']().say('commit', 'stop', 'seal');
    scene.say('failover');
    expect(scene.did).toEqual(['commit', 'failOver']);
    expect(scene.events[0]).toMatchObject({ kind: 'commit', provisional: true, epoch: 1 });
  });

  test('I5 no silent divergence: a commit after a provisional one diverges', () => {
    const scene = SITUATIONS['lost, clean, since this stop']().say('commit', 'stop', 'seal');
    scene.say('commit');
    expect(scene.did).toEqual(['commit', 'outdate']);
    expect(scene.events.at(-1)).toEqual({
      kind: 'diverged',
      reason: 'a checkpoint followed although writes may be missing: cable cut',
    });
  });

  test('no stop, no provisional commit: at the start of COLO a lost link diverges', () => {
    const scene = new Scene();
    scene.replica.lose(true);
    expect(scene.say('seal', 'commit').did).toEqual(['outdate']);
  });

  test.each([
    ['before it stopped', SITUATIONS['lost before this stop']],
    ['with an unfinished request', SITUATIONS['lost, unclean, since this stop']],
  ])('commits what a primary has left that stood still whole, its link lost %s', (_when, lost) => {
    const scene = lost().say('whole commit');
    expect(scene.did).toEqual(['commit']);
    expect(scene.events[0]).toMatchObject({ kind: 'commit', provisional: true });
    expect(scene.say('stop', 'seal', 'failover').did).toEqual(['commit', 'failOver']);
  });

  test('I5 no silent divergence: one commit with a lost link, whatever the source says', () => {
    const scene = SITUATIONS['lost, clean, since this stop']().say('whole commit');
    expect(scene.say('stop', 'seal', 'whole commit').did).toEqual(['commit', 'outdate']);
  });

  test.each(['failover', 'lost'] as const)('after %s nothing follows', (end) => {
    const scene = new Scene().say('seal', 'commit', 'stop', 'seal', end);
    const before = [...scene.replica.calls];
    scene.say('stop', 'seal', 'commit', 'failover', 'lost', 'abort', 'doubt');
    expect(scene.replica.calls).toEqual(before);
  });

  test.each(['commit', 'failover'] as const)(
    'a replica that refuses a %s is diverged, and its gate opens',
    (signal) => {
      const scene = new Scene().say('stop', 'seal');
      scene.replica.refusal = new Error('gave itself up');
      scene.say(signal);
      expect(scene.did).toEqual(['diverge']);
      expect(scene.replica.gate.isClosed).toBe(false);
      expect(scene.events).toEqual([{ kind: 'diverged', reason: 'gave itself up' }]);
    },
  );

  test('tells how long the gate was closed, from the first seal', () => {
    const scene = new Scene().say('stop', 'seal');
    scene.nowMs += 3;
    scene.say('seal');
    scene.nowMs += 4;
    expect(scene.say('commit').events).toEqual([
      expect.objectContaining({ kind: 'commit', gateClosedMs: 7, provisional: false }),
    ]);
  });

  test('listens from start to stop', () => {
    const scene = new Scene();
    scene.checkpointer.stop();
    scene.say('seal', 'commit');
    expect(scene.replica.calls).toEqual([]);
  });
});

describe('ExternalSource', () => {
  test('seal and commit, seal and abort, failover', () => {
    const { source, heard } = external();
    source.seal();
    expect(source.state).toBe('sealed');
    source.commit();
    source.seal();
    source.abort();
    expect(source.state).toBe('open');
    source.failOver();
    expect(source.state).toBe('ended');
    expect(heard).toEqual('stop seal commit stop seal abort stop seal failover'.split(' '));
  });

  test('the secondary may have stopped before the seal, which does not say it again', () => {
    const { source, heard } = external();
    source.stopped();
    source.seal();
    source.commit();
    source.seal();
    source.abort();
    source.stopped();
    source.failOver();
    expect(heard).toEqual('stop seal commit stop seal abort stop seal failover'.split(' '));
  });

  test('passes on that the primary stood still whole', () => {
    const { source, signals } = external();
    source.seal();
    source.commit({ primaryStoodWhole: true });
    expect(signals.at(-1)).toEqual({ kind: 'commit', primaryStoodWhole: true });
  });

  test('what ends says why, once', () => {
    const { source, signals } = external();
    source.end('why');
    source.end('why again');
    expect(signals).toEqual([{ kind: 'lost', reason: 'why' }]);
    expect(source.state).toBe('ended');
  });

  test('fails over from a sealed epoch too, without sealing twice', () => {
    const { source, heard } = external();
    source.seal();
    source.failOver();
    expect(heard).toEqual(['stop', 'seal', 'failover']);
  });

  test.each([
    ['commit', [], 'CHECKPOINT_NOT_SEALED', 'seal the epoch first'],
    ['abort', [], 'CHECKPOINT_NOT_SEALED', 'seal the epoch first'],
    [
      'seal',
      ['seal'],
      'CHECKPOINT_ALREADY_SEALED',
      'the epoch is already sealed: commit or abort it',
    ],
    [
      'stopped',
      ['seal'],
      'CHECKPOINT_ALREADY_SEALED',
      'the epoch is already sealed: commit or abort it',
    ],
    ['seal', ['failOver'], 'CHECKPOINT_ENDED', 'this source has failed over, or has ended'],
    ['commit', ['failOver'], 'CHECKPOINT_ENDED', 'this source has failed over, or has ended'],
    ['abort', ['failOver'], 'CHECKPOINT_ENDED', 'this source has failed over, or has ended'],
    ['failOver', ['failOver'], 'CHECKPOINT_ENDED', 'this source has failed over, or has ended'],
  ] as const)('%s after %j is a mistake', (step, before, code, message) => {
    const { source, heard } = external();
    for (const one of before) source[one]();
    const until = [...heard];
    expect(() => source[step]()).toThrow(expect.objectContaining({ code, message }));
    expect(heard).toEqual(until);
  });

  test('says nothing to one that has left', () => {
    const { source, heard, unsubscribe } = external();
    unsubscribe();
    source.seal();
    expect(heard).toEqual([]);
  });
});

function external() {
  const source = new ExternalSource();
  const heard: string[] = [];
  const signals: CheckpointSignal[] = [];
  const unsubscribe = source.subscribe((signal) => {
    heard.push(signal.kind);
    signals.push(signal);
  });
  return { source, heard, signals, unsubscribe };
}

describe('a listener that throws', () => {
  test.each<[CheckpointSignal['kind'], string]>([
    ['commit', 'commit'],
    ['abort', 'abort'],
    ['doubt', 'doubt'],
    ['failover', 'failover'],
    ['lost', 'diverged'],
  ])('about %s: the gate opens, and the source is not disturbed', (signal, event) => {
    const uncaught: (() => void)[] = [];
    const microtask = jest.spyOn(globalThis, 'queueMicrotask');
    microtask.mockImplementation((task) => void uncaught.push(task));
    try {
      const scene = new Scene();
      const checkpointer = new Checkpointer({
        source: scene,
        replica: scene.replica,
        now: () => scene.nowMs,
        onEvent: ({ kind }) => {
          throw new Error(kind);
        },
      });
      checkpointer.start();
      scene.say('stop', 'seal', signal);
      expect(scene.replica.gate.isClosed).toBe(false);
      expect(uncaught).toHaveLength(1);
      expect(uncaught[0]).toThrow(event);
    } finally {
      microtask.mockRestore();
    }
  });
});
