/** What `gannet check` prints, and its exit code. */
import type { SecondaryCommand } from '@gannet/qmp-driver';
import { shellText } from '@gannet/qmp-driver';
import { type ConfigChoice, EXIT, findConfig, GannetError } from '@gannet/contract';
import { type Output, wrap } from './terminal.js';
import {
  type AnyFinding,
  type AskPeer,
  check,
  type CheckResult,
  printSecondary,
} from '../inspect/check.js';

/** Options of `gannet check`. */
export interface CheckOptions extends ConfigChoice {
  readonly json: boolean;
  readonly printSecondary?: boolean;
  readonly incoming?: string;
  readonly backend?: readonly string[];
}

const TITLES = { error: 'Errors', warning: 'Warnings', info: 'Notes' } as const;

/**
 * Runs the command.
 *
 * @returns the exit code: 1 with errors, 3 with warnings only, else 0
 */
export async function runCheck(
  options: CheckOptions,
  askPeer: AskPeer,
  out: Output = process.stdout,
  aside: Output = process.stderr,
): Promise<number> {
  const config = await findConfig(options);
  const result = await check(config, askPeer);
  if (options.printSecondary !== true) {
    out.write(
      options.json ? `${JSON.stringify(result)}\n` : formatFindings(result, columnsOf(out)),
    );
    return exitCodeOf(result.findings);
  }
  const { incoming, backend = [] } = options;
  const printed = printSecondary(config, result, { incoming, backends: backendsOf(backend) });
  print(printed, options.json, out, aside);
  return exitCodeOf(printed.findings);
}

/** Only the command line goes to stdout, so that it can be piped into a shell. */
function print(
  { command, findings }: SecondaryCommand,
  json: boolean,
  out: Output,
  aside: Output,
): void {
  if (json) {
    out.write(`${JSON.stringify({ command, findings })}\n`);
    return;
  }
  out.write(`${shellText(command)}\n`);
  aside.write(formatGroups(findings, columnsOf(aside)));
}

/** The exit code for findings. */
export function exitCodeOf(findings: readonly AnyFinding[]): number {
  const has = (wanted: string): boolean => findings.some(({ severity }) => severity === wanted);
  if (has('error')) return EXIT.failed;
  return has('warning') ? EXIT.degraded : EXIT.done;
}

/** Findings as text, grouped by severity. */
export function formatFindings(
  { findings, primary, secondary }: CheckResult,
  columns = Infinity,
): string {
  const count = (wanted: string): number =>
    findings.filter(({ severity }) => severity === wanted).length;
  const [errors, warnings] = [count('error'), count('warning')];
  const sides = [primary, secondary]
    .flatMap((side) => (side === undefined ? [] : [`${side.role} ${side.vm}`]))
    .join(', ');
  const verdict =
    errors + warnings === 0
      ? 'ready'
      : `${plural(errors, 'error')}, ${plural(warnings, 'warning')}`;
  const last = wrap(`${sides}: ${verdict}`, columns).join('\n');
  return `${formatGroups(findings, columns)}${last}\n`;
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function formatGroups(findings: readonly AnyFinding[], columns: number): string {
  return (['error', 'warning', 'info'] as const)
    .map((severity) => {
      const group = findings.filter((one) => one.severity === severity);
      return group.length === 0
        ? ''
        : `${TITLES[severity]}\n${group.map((one) => format(one, columns)).join('')}\n`;
    })
    .join('');
}

function format({ code, device, message, why, remedy }: AnyFinding, columns: number): string {
  const about = device === undefined ? code : `${code} (${device})`;
  return [
    ...wrap(`  ${about}: ${message}`, columns, 6),
    ...wrap(`      why: ${why}`, columns, 11),
    ...wrap(`      do:  ${remedy}`, columns, 11),
    '',
  ].join('\n');
}

/** Lines are broken for people alone. */
function columnsOf({ isTTY, columns }: Output): number {
  return isTTY === true && columns !== undefined ? columns : Infinity;
}

function backendsOf(given: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    given.map((text) => {
      const [, id, backend] = /^([^=]+)=(.+)$/.exec(text) ?? [];
      if (id !== undefined && backend !== undefined) return [id, backend];
      const message = `--backend ${text} does not have the form ID=BACKEND`;
      throw new GannetError(
        'GANNET_USAGE',
        message,
        'Write, for example, --backend net0=tap,ifname=tap7.',
        'usage',
      );
    }),
  );
}
