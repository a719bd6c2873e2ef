import { describe, expect, test } from '@jest/globals';
import { COLO, ENDED, NONE, Pair, PROTECTED, until } from '../../support/primary-pair.js';
import { record } from '../../support/records.js';

// What it remembers on disk decides: these restart its daemon, and its QEMU.

const TAKEN_OVER = record('taken-over', 4, { evidence: 'fence' });

describe('a primary whose secondary has taken over', () => {
  test('and that comes back is stopped at once, with an alarm, and stays so', async () => {
    // H8: host A was fenced and reboots; its VM and its daemon start by themselves.
    const pair = await Pair.start({ own: PROTECTED });
    pair.status = { ...pair.status, state: 'retired', link: 'none', record: TAKEN_OVER };
    await pair.connectSecondary();
    await until(() => !pair.isRunning && pair.terms.record.word === 'outdated');
    expect(pair.state).toBe('superseded');
    expect(pair.kinds('two-copies')).toMatchObject([{ newest: 'secondary', term: 4 }]);
    expect(pair.kinds('fence')).toEqual([]);
    const refused = pair.role.protect(() => undefined);
    await expect(refused).rejects.toMatchObject({ code: 'GANNET_REFUSED' });
    await expect(refused).rejects.not.toMatchObject({
      remedy: expect.stringMatching(/restart the secondary/i),
    });
    await expect(pair.role.runOn(false)).rejects.toMatchObject({ code: 'GANNET_REFUSED' });

    // Nobody is there to say it again: this side remembers.
    await pair.secondary?.close();
    pair.isRunning = true;
    await pair.restartDaemon();
    await until(() => !pair.isRunning);
    expect(pair.state).toBe('superseded');
  });

  test('and that went on alone is stopped: who has taken over has the VM', async () => {
    const alone = record('alone', 4);
    const pair = await Pair.start({ own: alone });
    pair.status = { ...pair.status, state: 'failed-over', record: TAKEN_OVER };
    await pair.connectSecondary();
    await until(() => !pair.isRunning);
    expect(pair.state).toBe('superseded');
  });

  test('and that a late checkpoint continues is stopped again', async () => {
    const pair = await Pair.start({ own: PROTECTED });
    pair.status = { ...pair.status, state: 'failed-over', record: TAKEN_OVER };
    await pair.connectSecondary();
    await until(() => !pair.isRunning);
    pair.isRunning = true;
    await until(() => !pair.isRunning);
    expect(pair.kinds('two-copies')).toHaveLength(1);
  });

  test('runs only by two words of an operator, and then the other side has to yield', async () => {
    const pair = await Pair.start({ own: PROTECTED });
    pair.status = { ...pair.status, state: 'retired', link: 'none', record: TAKEN_OVER };
    await pair.connectSecondary();
    await until(() => pair.terms.record.word === 'outdated');
    await until(() => pair.role.status().primaryVm === 'ready');
    await expect(pair.role.runOn(true)).rejects.toMatchObject({
      code: 'GANNET_REFUSED',
      message: expect.stringContaining('has the VM and is well'),
      remedy: expect.stringContaining('--overrule-peer'),
    });
    await pair.role.runOn(true, true);
    expect(pair.state).toBe('alone');
    expect(pair.terms.record).toMatchObject({ word: 'alone', term: 5, isForced: true });
    await until(() => pair.status.record.word === 'outdated');
    expect(pair.received('cont')).toBe(1);
  });

  test('in another lineage is another VM: nothing is stopped, and it is reported', async () => {
    const pair = await Pair.start({ own: record('alone', 4) });
    const foreign = { ...TAKEN_OVER, lineage: 'b2', term: 9 };
    pair.status = { ...pair.status, state: 'retired', record: foreign };
    await pair.connectSecondary();
    await until(() => pair.kinds('foreign').length > 0);
    expect(pair.received('stop')).toBe(0);
  });
});

describe('a new QEMU beside a secondary that was protected', () => {
  test('on a disk that lacks writes yields again, and runs by force only', async () => {
    const pair = await Pair.start({ own: PROTECTED, colo: COLO });
    await pair.connectSecondary();
    await until(() => pair.state === 'protected');
    const sector = { 'sector-num': 0, 'sectors-count': 1 };
    pair.fake?.qemu.emit('QUORUM_REPORT_BAD', { type: 'write', 'node-name': 'node0', ...sector });
    await until(() => pair.beats.at(-1)?.state === 'yielding');

    // Somebody starts the VM again: the disk may work by now, and lacks the same writes.
    pair.fake?.qemu.reply('query-colo-status', NONE);
    pair.isRunning = true;
    await pair.fake?.qemu.drop();
    await until(() => !pair.isRunning && pair.kinds('yielding').length === 2);
    await until(() => pair.beats.at(-1)?.state === 'yielding');
    expect(pair.terms.record).toMatchObject({ word: 'protected', term: 3 });
    await expect(pair.role.runOn(false)).rejects.toMatchObject({ code: 'GANNET_REFUSED' });

    pair.yields = false;
    await pair.role.runOn(true);
    expect(pair.received('cont')).toBe(1);
    expect(pair.terms.record).toMatchObject({ word: 'alone', term: 4, evidence: 'operator' });
  });

  test.each([
    ['a new QEMU', NONE],
    ['a guest in COLO that was not stopped yet', COLO],
  ])('on a disk that lacks writes yields for the next daemon, too: %s', async (_what, found) => {
    const pair = await Pair.start({ own: PROTECTED, colo: COLO });
    await until(() => pair.state === 'protected');
    const sector = { 'sector-num': 0, 'sectors-count': 1 };
    pair.fake?.qemu.emit('QUORUM_REPORT_BAD', { type: 'write', 'node-name': 'node0', ...sector });
    await until(() => pair.state === 'yielding' && pair.terms.record.lacks !== null);

    pair.fake?.qemu.reply('query-colo-status', found);
    pair.isRunning = true;
    await pair.restartDaemon();
    await pair.connectSecondary();
    await until(() => pair.beats.at(-1)?.state === 'yielding');
    await until(() => !pair.isRunning);
    expect(pair.terms.record).toMatchObject({ word: 'protected', term: 3 });
    expect(pair.status.record).toMatchObject({ word: 'protected', term: 3 });
    await expect(pair.role.runOn(false)).rejects.toMatchObject({ code: 'GANNET_REFUSED' });

    pair.fake?.qemu.reply('query-colo-status', ENDED);
    pair.yields = false;
    await pair.role.runOn(true);
    expect(pair.terms.record).toMatchObject({ word: 'alone', term: 4, lacks: null });
  });

  test('is held until the secondary has yielded', async () => {
    const pair = await Pair.start({ own: PROTECTED });
    await until(() => !pair.isRunning);
    expect(pair.state).toBe('held');
    await expect(pair.role.protect(() => undefined)).rejects.toMatchObject({
      message: expect.stringContaining('is held'),
    });
    await pair.connectSecondary();
    await until(() => pair.kinds('alone').length > 0);
    expect(pair.received('cont')).toBe(1);
    expect(pair.state).toBe('unprotected');
    expect(pair.status.record).toMatchObject({ word: 'outdated', term: 4 });
    expect(pair.terms.record).toMatchObject({ word: 'alone', term: 4, evidence: 'word' });
  });

  test('is held by the next daemon too, and runs when an operator forces it', async () => {
    const pair = await Pair.start({ own: PROTECTED });
    await until(() => pair.terms.record.word === 'leaving');
    await pair.restartDaemon();
    await until(() => pair.state === 'held');
    await pair.role.runOn(true);
    // The daemon before it had stopped the guest, and nobody else would continue it.
    expect(pair.received('cont')).toBe(1);
    expect(pair.terms.record).toMatchObject({ word: 'alone', term: 4, evidence: 'operator' });
  });

  test('is not released by its fence, which might end the only good copy', async () => {
    // The word of this daemon that its QEMU had ended may have been the proof for that.
    const pair = await Pair.start({ own: PROTECTED, fence: 'exit 0' });
    await until(() => pair.kinds('trouble').length > 0);
    expect(pair.state).toBe('held');
    expect(pair.kinds('fence')).toEqual([]);
    expect(pair.terms.record).toMatchObject({ word: 'leaving', term: 4 });
  });

  test('that was alone before runs at once', async () => {
    const pair = await Pair.start({ own: record('alone', 4) });
    await until(() => pair.role.status().primaryVm === 'ready' && pair.state === 'unprotected');
    expect(pair.received('stop')).toBe(0);
  });
});

describe('what a primary has let go stays so', () => {
  test('when it told nobody, and its daemon is restarted before the network is back', async () => {
    // C2: the notice was lost with the daemon, and a stale secondary took over without --force.
    const pair = await Pair.start({ colo: COLO, own: PROTECTED });
    await until(() => pair.state === 'protected');
    pair.fake?.qemu.reply('query-colo-status', ENDED);
    await pair.role.runOn(true);
    expect(pair.kinds('alone')).toMatchObject([{ secondaryKnows: false }]);
    expect(pair.terms.record).toMatchObject({ word: 'alone', term: 4 });
    await pair.restartDaemon();
    await pair.connectSecondary();
    await until(() => pair.status.record.word === 'outdated');
    expect(pair.status.record.term).toBe(4);
  });

  test('when COLO ended while no daemon ran: the secondary is outdated first', async () => {
    // D2
    const pair = await Pair.start({ colo: ENDED, own: PROTECTED });
    await pair.connectSecondary();
    await until(() => pair.kinds('alone').length > 0);
    expect(pair.kinds('alone')).toMatchObject([{ secondaryKnows: true }]);
    expect(pair.terms.record).toMatchObject({ word: 'alone', term: 4, evidence: 'word' });
    expect(pair.received('stop')).toBe(0);
  });

  test('does not without the fence that it promised, and that its configuration lost', async () => {
    // The secondary counts on the promise: it will fence this side, and take over.
    const own = record('protected', 3, { mustProve: true });
    const pair = await Pair.start({ colo: COLO, own });
    await until(() => pair.state === 'protected');
    pair.fake?.qemu.reply('query-colo-status', ENDED);
    const refused = pair.role.runOn(false);
    await expect(refused).rejects.toMatchObject({ code: 'GANNET_REFUSED' });
    await expect(refused).rejects.toThrow(/was promised that it would be fenced/);
    expect(pair.terms.record).toMatchObject({ word: 'leaving', mustProve: true });
    expect(pair.received('x-colo-lost-heartbeat')).toBe(0);
    await pair.role.runOn(true);
    expect(pair.terms.record).toMatchObject({ word: 'alone', evidence: 'operator' });
  });

  test('when its daemon ended between the new term and the cut', async () => {
    const pair = await Pair.start({ colo: COLO, own: record('leaving', 4) });
    await pair.connectSecondary();
    pair.fake?.qemu.reply('query-colo-status', ENDED);
    await until(() => pair.kinds('alone').length > 0);
    expect(pair.status.record).toMatchObject({ word: 'outdated', term: 4 });
    expect(pair.terms.record).toMatchObject({ word: 'alone', term: 4 });
  });

  test('the links are cut only when the new term is on the disk', async () => {
    const pair = await Pair.start({ colo: COLO, own: PROTECTED });
    await until(() => pair.state === 'protected');
    const words: string[] = [];
    pair.fake?.qemu.on('query-yank', () => {
      words.push(pair.terms.record.word);
      return { return: [] };
    });
    pair.fake?.qemu.reply('query-colo-status', ENDED);
    await pair.role.runOn(true);
    expect(words).toEqual(['alone']);
  });
});

test('that it was detached is written with what lets it run alone, not after that', async () => {
  // A daemon that dies in between would begin by itself what an operator has ended.
  const pair = await Pair.start({ colo: COLO, own: PROTECTED, isAutomatic: true });
  await until(() => pair.state === 'protected');
  await pair.connectSecondary();
  pair.fake?.qemu.reply('query-colo-status', NONE);
  const written: string[] = [];
  pair.terms.on(({ word, isDetached = false }) => {
    written.push(`${word} ${isDetached ? 'detached' : ''}`.trim());
  });
  await pair.role.detach(true);
  expect(written).toContain('alone detached');
  expect(written).not.toContain('alone');
});
