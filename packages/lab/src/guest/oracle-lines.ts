import type { OracleMode } from './regions.js';

/** What every line that speaks of a region begins with. */
interface OfRegion {
  readonly id: number;
  readonly disk: string;
}

export interface OracleCounters extends OfRegion {
  readonly kind: 'counters';
  readonly mode: OracleMode;
  readonly writes: number;
  readonly reads: number;
  readonly flushes: number;
  /** How many of the writes were write-zeroes requests. */
  readonly zeroes: number;
  /** Sectors that were not what memory says. */
  readonly bad: number;
  readonly errors: number;
  /**
   * Longest time between two completed requests since the last counters line, by the guest's clock.
   */
  readonly gapMs: number;
}

export interface OracleStart extends OfRegion {
  readonly kind: 'start';
  readonly mode: OracleMode;
  readonly first: number;
  readonly sectors: number;
}

export interface OracleMismatch extends OfRegion {
  readonly kind: 'mismatch';
  readonly sector: number;
  /**
   * Hexadecimal tag found on the disk: sequence number in the upper, nonce in the lower 32 bits.
   */
  readonly found: string;
  /** Hexadecimal tag that memory says; 0 = never written. */
  readonly expected: string;
}

export interface OracleError extends OfRegion {
  readonly kind: 'error';
  readonly op: string;
  readonly sector: number;
  readonly errno: number;
}

export interface OracleDigest extends OfRegion {
  readonly kind: 'digest';
  readonly mode: OracleMode;
  readonly first: number;
  readonly sectors: number;
  /** Sectors whose contents a failed write has left open. The digest means nothing unless 0. */
  readonly unknown: number;
  readonly digest: string;
}

export interface OracleScan extends OfRegion {
  readonly kind: 'scan';
  readonly bad: number;
  readonly errors: number;
}

export interface OracleGo extends OfRegion {
  readonly kind: 'go';
}

export interface OracleFatal {
  readonly kind: 'fatal';
  readonly reason: string;
}

/** A piece of an oracle's line: at a checkpoint, one VM's console goes on where the other's was. */
export interface OracleTorn {
  readonly kind: 'torn';
  readonly text: string;
  /** The piece is one of a mismatch. */
  readonly mismatch: boolean;
}

export type OracleLine =
  | OracleCounters
  | OracleStart
  | OracleMismatch
  | OracleError
  | OracleDigest
  | OracleScan
  | OracleGo
  | OracleFatal
  | OracleTorn;

const LINE = /^(gannet-oracle(?:-([a-z]+))? .*) sum=([0-9a-f]{4})$/;
const MODES: readonly string[] = ['4k', '512', 'unaligned', 'zero'] satisfies OracleMode[];

/**
 * Parses a line of the guest's console.
 *
 * @returns undefined for what the oracle did not write: the kernel's messages.
 */
export function parseOracleLine(line: string): OracleLine | undefined {
  const text = line.replace(/\r$/, '');
  const match = LINE.exec(text);
  if (match?.[1] !== undefined && lineSum(match[1]) === match[3]) {
    const parsed = interpret(match[2] ?? 'counters', fieldsOf(match[1]));
    if (parsed !== undefined) return parsed;
  }
  // A spliced line need not begin like one of ours, but always ends in a sum or begins with the
  // name.
  if (!/gannet|oracle|sum=/.test(text)) return undefined;
  return { kind: 'torn', text, mismatch: /mismatch|found=.*expected=/.test(text) };
}

/**
 * The check at the end of the oracle's lines: FNV-1a, folded to 16 bits, as four hexadecimal
 * digits.
 */
export function lineSum(text: string): string {
  let hash = 2166136261;
  for (const byte of Buffer.from(text, 'latin1')) hash = Math.imul(hash ^ byte, 16777619);
  return (((hash >>> 16) ^ hash) & 0xffff).toString(16).padStart(4, '0');
}

function fieldsOf(text: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const word of text.split(' ').slice(1)) {
    const equals = word.indexOf('=');
    if (equals > 0) fields.set(word.slice(0, equals), word.slice(equals + 1));
  }
  return fields;
}

/** Undefined when a field is missing or malformed. */
function interpret(kind: string, fields: ReadonlyMap<string, string>): OracleLine | undefined {
  const faults: string[] = [];
  const word = (name: string): string => {
    const value = fields.get(name);
    if (value === undefined) faults.push(name);
    return value ?? '';
  };
  const number = (name: string): number => {
    const value = word(name);
    if (!/^[0-9]+$/.test(value)) faults.push(name);
    return Number(value);
  };
  const mode = (): OracleMode => {
    const value = word('mode');
    if (!MODES.includes(value)) faults.push('mode');
    return value as OracleMode;
  };
  const region = (): OfRegion => ({ id: number('id'), disk: word('disk') });
  const extent = () => ({ mode: mode(), first: number('first'), sectors: number('sectors') });
  const build = (): OracleLine | undefined => {
    switch (kind) {
      case 'counters':
        return {
          kind,
          ...region(),
          mode: mode(),
          writes: number('writes'),
          reads: number('reads'),
          flushes: number('flushes'),
          zeroes: number('zeroes'),
          bad: number('bad'),
          errors: number('errors'),
          gapMs: number('gap_ms'),
        };
      case 'start':
        return { kind, ...region(), ...extent() };
      case 'mismatch':
        return {
          kind,
          ...region(),
          sector: number('sector'),
          found: word('found'),
          expected: word('expected'),
        };
      case 'error':
        return {
          kind,
          ...region(),
          op: word('op'),
          sector: number('sector'),
          errno: number('errno'),
        };
      case 'digest':
        return {
          kind,
          ...region(),
          ...extent(),
          unknown: number('unknown'),
          digest: word('digest'),
        };
      case 'scan':
        return { kind, ...region(), bad: number('bad'), errors: number('errors') };
      case 'go':
        return { kind, ...region() };
      case 'fatal':
        return { kind, reason: word('reason') };
      default:
        return undefined;
    }
  };
  const line = build();
  return faults.length === 0 ? line : undefined;
}
