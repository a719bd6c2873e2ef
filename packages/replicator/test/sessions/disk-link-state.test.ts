import { describe, expect, test } from '@jest/globals';
import {
  type DiskLinkEvent,
  type DiskLinkState,
  diskLinkStep,
  LINK_REFUSALS,
} from '../../src/sessions/disk-link-state.js';

const STATES = {
  idle: { phase: 'idle' },
  copying: { phase: 'copying' },
  interrupted: { phase: 'interrupted', isBroken: false },
  'interrupted, broken': { phase: 'interrupted', isBroken: true },
  linked: { phase: 'linked', links: 1, copy: 'none', isBroken: false },
  'linked twice': { phase: 'linked', links: 2, copy: 'none', isBroken: false },
  'linked twice, broken': { phase: 'linked', links: 2, copy: 'none', isBroken: true },
  'linked, broken': { phase: 'linked', links: 1, copy: 'none', isBroken: true },
  'linked beside its copy': { phase: 'linked', links: 1, copy: 'connected', isBroken: false },
  'linked twice beside its copy': { phase: 'linked', links: 2, copy: 'connected', isBroken: false },
  'linked after its copy': { phase: 'linked', links: 1, copy: 'complete', isBroken: false },
  'linked after its copy, broken': { phase: 'linked', links: 1, copy: 'complete', isBroken: true },
  gone: { phase: 'gone', copy: 'none', isBroken: false },
  'gone, broken': { phase: 'gone', copy: 'none', isBroken: true },
  'gone beside its copy': { phase: 'gone', copy: 'connected', isBroken: false },
  'gone beside its copy, broken': { phase: 'gone', copy: 'connected', isBroken: true },
  'gone after its copy': { phase: 'gone', copy: 'complete', isBroken: false },
  'gone after its copy, broken': { phase: 'gone', copy: 'complete', isBroken: true },
} as const satisfies Record<string, DiskLinkState>;

type Name = keyof typeof STATES;

const EVENTS: Readonly<Record<string, DiskLinkEvent>> = {
  begin: { kind: 'begin' },
  resume: { kind: 'resume' },
  link: { kind: 'link' },
  follow: { kind: 'follow' },
  'copy leaves': { kind: 'copy-ends', isBroken: false },
  'copy breaks': { kind: 'copy-ends', isBroken: true },
  'link leaves': { kind: 'link-ends', isBroken: false },
  'link breaks': { kind: 'link-ends', isBroken: true },
};

/**
 * The state after it (`!`: and writes may be lost), `-` where it does not happen, or the refusal.
 */
const TABLE: Readonly<Record<Name, readonly string[]>> = {
  // prettier-ignore
  idle: ['copying', 'unknown-copy', 'linked', 'unknown-copy', '-', '-', '-', '-'],
  copying: [
    ...['copying', 'copying', 'linked beside its copy', 'linked beside its copy'],
    ...['interrupted', 'interrupted, broken', '-', '-'],
  ],
  interrupted: [
    ...['copying', 'copying', 'interrupted-copy', 'interrupted-copy'],
    ...['-', '-', '-', '-'],
  ],
  'interrupted, broken': [
    ...['copying', 'copying', 'interrupted-copy', 'interrupted-copy'],
    ...['-', '-', '-', '-'],
  ],
  linked: [
    ...['in-use', 'unknown-copy', 'linked twice', 'unknown-copy'],
    ...['linked after its copy', 'linked after its copy, broken!', 'gone!', 'gone, broken!'],
  ],
  'linked twice': [
    ...['in-use', 'unknown-copy', 'too-many', 'unknown-copy'],
    ...['*', '*', 'linked', 'linked, broken!'],
  ],
  'linked twice, broken': [
    ...['in-use', 'unknown-copy', 'too-many', 'unknown-copy'],
    ...['*', '*', 'linked, broken', 'linked, broken!'],
  ],
  'linked, broken': [
    ...['in-use', 'unknown-copy', 'linked twice, broken', 'unknown-copy'],
    ...['linked after its copy, broken', 'linked after its copy, broken!'],
    ...['gone, broken!', 'gone, broken!'],
  ],
  'linked beside its copy': [
    ...['in-use', 'complete-copy', 'linked twice beside its copy', 'unknown-copy'],
    ...['linked after its copy', 'linked after its copy, broken!'],
    ...['gone beside its copy!', 'gone beside its copy, broken!'],
  ],
  'linked twice beside its copy': [
    ...['in-use', 'complete-copy', 'too-many', 'unknown-copy'],
    ...['*', '*', 'linked beside its copy', '*'],
  ],
  'linked after its copy': [
    ...['in-use', 'complete-copy', '*', 'unknown-copy'],
    ...['linked after its copy', 'linked after its copy, broken!'],
    ...['gone after its copy!', 'gone after its copy, broken!'],
  ],
  'linked after its copy, broken': [
    ...['in-use', 'complete-copy', '*', 'unknown-copy'],
    ...['linked after its copy, broken', 'linked after its copy, broken!'],
    ...['gone after its copy, broken!', 'gone after its copy, broken!'],
  ],
  gone: [
    ...['copying', 'unknown-copy', 'linked', 'unknown-copy'],
    ...['gone after its copy!', 'gone after its copy, broken!', '-', '-'],
  ],
  'gone, broken': [
    ...['copying', 'unknown-copy', 'broken-link', 'unknown-copy'],
    ...['gone after its copy, broken!', 'gone after its copy, broken!', '-', '-'],
  ],
  'gone beside its copy': [
    ...['in-use', 'complete-copy', 'in-use', 'unknown-copy'],
    ...['gone after its copy!', 'gone after its copy, broken!', '-', '-'],
  ],
  'gone beside its copy, broken': [
    ...['in-use', 'complete-copy', 'in-use', 'unknown-copy'],
    ...['gone after its copy, broken!', 'gone after its copy, broken!', '-', '-'],
  ],
  'gone after its copy': [
    ...['copying', 'complete-copy', 'linked', 'unknown-copy'],
    ...['gone after its copy!', 'gone after its copy, broken!', '-', '-'],
  ],
  'gone after its copy, broken': [
    ...['copying', 'complete-copy', 'broken-link', 'unknown-copy'],
    ...['gone after its copy, broken!', 'gone after its copy, broken!', '-', '-'],
  ],
};

const CELLS = (Object.keys(TABLE) as Name[]).flatMap((state) =>
  Object.keys(EVENTS).map((event, at) => [state, event, TABLE[state][at] ?? ''] as const),
);

describe('connections of a disk', () => {
  test.each(CELLS)('%s, %s: %s', (name, event, end) => {
    const state = STATES[name];
    const step = diskLinkStep(state, EVENTS[event] as DiskLinkEvent);
    if (end in LINK_REFUSALS) expect(step).toEqual({ refusal: end });
    else if (end === '-') expect(step).toEqual({ to: state, isLoss: false });
    else if (end === '*') expect(step).toMatchObject({ to: { phase: 'linked' } });
    else {
      const to = STATES[end.replace('!', '') as Name];
      expect(step).toEqual({ to, isLoss: end.endsWith('!') });
    }
  });
});
