import { describe, expect, test } from '@jest/globals';
import * as records from '../../../src/daemon/arbitration/records.js';
import { record } from '../../support/records.js';

const { BLANK } = records;

describe('a term', () => {
  test('is opened above what either side has seen, in the lineage that is known', () => {
    expect(records.opened(BLANK, BLANK, 'new')).toMatchObject({ lineage: 'new', term: 1 });
    const [own, peer] = [record('alone', 4), record('none', 7)];
    expect(records.opened(own, peer, 'new')).toMatchObject({ lineage: 'a1', term: 8 });
    expect(records.opened(BLANK, peer, 'new')).toMatchObject({ lineage: 'a1', word: 'alone' });
  });

  test('is the same on both sides when they are in step', () => {
    expect(records.inStep(record('alone', 4))).toMatchObject({ term: 4, word: 'protected' });
  });

  test('rises when the primary leaves, and not again when it may go on', () => {
    const left = records.succeeding(
      record('protected', 4),
      records.leaving(record('protected', 4)),
      '',
    );
    expect(left).toMatchObject({ term: 5, word: 'leaving' });
    expect(records.alone(left, 'fence')).toMatchObject({
      term: 5,
      word: 'alone',
      evidence: 'fence',
    });
    expect(records.alone(left, 'operator')).toMatchObject({ isForced: true });
    expect(records.alone(record('protected', 4), 'word')).toMatchObject({ term: 5 });
  });

  test('does not change what the own disk lacks, as long as that copy may run', () => {
    const lacks = { reason: 'no space', hasReplica: true, qemu: null };
    const own = record('protected', 4, { lacks });
    const { leaving, alone, promised, outdatedBy, overruled, emptied, takenOver } = records;
    const next = (made: records.NextRecord | undefined): unknown =>
      made && records.succeeding(own, made, '').lacks;
    expect([leaving(own), alone(own, 'fence'), promised(own)].map(next)).toEqual([
      ...[lacks, lacks, lacks],
    ]);
    expect(next({ ...own, lacks: null })).toBeNull();
    const ends = [outdatedBy(own, own), emptied(own, false), takenOver(own, 'word')];
    expect(ends.map(next)).toEqual([null, null, null]);
    const outdated = records.succeeding(own, outdatedBy(own, own), '');
    expect(records.succeeding(outdated, overruled(outdated, own), '').lacks).toBeNull();
  });

  test('that was handed over stays so until this side may run again', () => {
    const own = records.succeeding(
      record('protected', 4),
      records.handedOver(record('protected', 4), 'b'),
      '',
    );
    expect(own).toMatchObject({ term: 4, word: 'protected', movedTo: 'b' });
    const { leaving, alone, promised, outdatedBy, overruled, emptied, opened } = records;
    const claimed = record('taken-over', 5);
    const kept = [promised(own), leaving(own), outdatedBy(own, claimed)];
    expect(kept.map((made) => made?.movedTo)).toEqual(['b', 'b', 'b']);
    const ended = [
      ...[alone(own, 'word'), overruled(own, claimed), emptied(own, false)],
      ...[opened(own, claimed, 'new'), records.takenBack(own)],
    ];
    expect(ended.map((made) => made?.movedTo)).toEqual(ended.map(() => undefined));
    expect(records.takenBack(own)).toMatchObject({ term: 4, word: 'protected' });
  });

  test('that is to be proven stays so while the primary leaves, and ends with it', () => {
    const own = records.succeeding(
      record('alone', 4),
      records.inStep(record('alone', 4), true),
      '',
    );
    expect(own).toMatchObject({ mustProve: true });
    const left = records.succeeding(own, records.leaving(own), '');
    expect(left).toMatchObject({ mustProve: true });
    expect(records.alone(left, 'fence')).toMatchObject({ mustProve: false });
  });

  test('is to be proven from when a primary that protects has a fence', () => {
    expect(records.promised(record('protected', 4))).toMatchObject({ term: 4, mustProve: true });
    expect(records.promised(record('protected', 4, { mustProve: true }))).toBeUndefined();
    for (const word of ['none', 'leaving', 'alone', 'outdated'] as const) {
      expect(records.promised(record(word, 4))).toBeUndefined();
    }
  });

  test('of a primary that lost its file rises above what the secondary has', () => {
    const left = records.leaving(BLANK, record('protected', 4));
    expect(left).toMatchObject({ lineage: 'a1', term: 5 });
  });

  test('of a takeover by force outranks a primary that goes on alone unseen', () => {
    const own = record('protected', 4);
    expect(records.takenOver(own, 'fence')).toMatchObject({ term: 5, isForced: false });
    expect(records.takenOver(own, 'operator')).toMatchObject({ term: 6, isForced: true });
  });

  test('of whoever overrules the other side is above it', () => {
    const forced = records.overruled(record('outdated', 6), record('taken-over', 6));
    expect(forced).toMatchObject({ term: 7, word: 'alone', isForced: true });
  });

  test('of whoever yields is that of the newer copy', () => {
    const yielded = records.outdatedBy(record('protected', 4), record('taken-over', 6));
    expect(yielded).toMatchObject({ term: 6, word: 'outdated' });
  });
});

describe('a secondary that begins', () => {
  test('has nothing, and remembers which VM and which term', () => {
    const begun = records.emptied(record('protected', 4), false);
    expect(begun).toMatchObject({ lineage: 'a1', term: 4, word: 'none' });
    expect(records.emptied(record('none', 4), false)).toBeUndefined();
  });

  test('may belong to any VM where its base may be overwritten', () => {
    const begun = records.emptied(record('outdated', 4), true);
    expect(begun).toMatchObject({ lineage: null, term: 0, word: 'none' });
    expect(records.emptied(BLANK, true)).toBeUndefined();
  });
});
