/**
 * Reading QEMU's object model (docs/devel/qom.rst): answers are checked, never trusted to have a
 * shape.
 */
import { QmpCommandError, type QmpClient } from 'qemu-qmp-client';
import { ColoError, step } from '../errors.js';
import type { QueryOptions } from '../disk/graph.js';
import type { Scalar } from './vm-report.js';

/**
 * Queries sent at a time. The client passes at most seven to QEMU, and the deadlines of those that
 * wait are running. One place is left for a query of somebody else on the same connection.
 */
const TOGETHER_MAX = 6;

export interface PropertyInfo {
  readonly name: string;
  readonly type: string;
  readonly defaultValue: unknown;
}

export class QomReader {
  readonly #types = new Map<string, Promise<PropertyInfo[]>>();

  constructor(
    private readonly qmp: QmpClient,
    private readonly options: QueryOptions,
  ) {}

  /**
   * What QEMU answers, or undefined where it refuses.
   * @throws ColoError `DRIVER_COMMAND_FAILED` WaitError
   */
  ask(command: string, args: object = {}): Promise<unknown> {
    return step(
      async () => {
        try {
          return await this.qmp.executeRaw(command, args, this.options);
        } catch (error) {
          if (error instanceof QmpCommandError) return undefined;
          throw error;
        }
      },
      (words, cause) => {
        const message = `QEMU cannot be asked what it is made of: ${words}`;
        const remedy = 'See whether QEMU still answers.';
        return new ColoError('DRIVER_COMMAND_FAILED', message, remedy, { cause });
      },
    );
  }

  get(path: string, property: string): Promise<unknown> {
    return this.ask('qom-get', { path, property });
  }

  async list(path: string): Promise<PropertyInfo[]> {
    return propertiesOf(await this.ask('qom-list', { path }));
  }

  /** Children made by somebody, in the order of their numbers. */
  async children(path: string): Promise<{ name: string; type: string }[]> {
    const all = await this.list(path);
    return all
      .flatMap(({ name, type }) => {
        const child = /^child<(.+)>$/.exec(type)?.[1];
        return child === undefined ? [] : [{ name, type: child }];
      })
      .sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }));
  }

  /** What a device of that type can be given; asked once a type. */
  typeProperties(typename: string, command = 'device-list-properties'): Promise<PropertyInfo[]> {
    const known = this.#types.get(typename) ?? this.ask(command, { typename }).then(propertiesOf);
    this.#types.set(typename, known);
    return known;
  }

  /** The values of many properties of one object. */
  async values(path: string, names: readonly string[]): Promise<Map<string, unknown>> {
    const values = new Map<string, unknown>();
    for (let start = 0; start < names.length; start += TOGETHER_MAX) {
      const some = names.slice(start, start + TOGETHER_MAX);
      const answers = await Promise.all(some.map((name) => this.get(path, name)));
      some.forEach((name, index) => values.set(name, answers[index]));
    }
    return values;
  }
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function isScalar(value: unknown): value is Scalar {
  return ['string', 'number', 'boolean'].includes(typeof value);
}

/** The members of a record that are plain values. */
export function scalarsOf(value: unknown): Record<string, Scalar> {
  if (!isRecord(value)) return {};
  const entries = Object.entries(value).filter((entry): entry is [string, Scalar] =>
    isScalar(entry[1]),
  );
  return Object.fromEntries(entries);
}

export function textOr(value: unknown, otherwise: string): string {
  return typeof value === 'string' && value !== '' ? value : otherwise;
}

function propertiesOf(answer: unknown): PropertyInfo[] {
  const list: readonly unknown[] = Array.isArray(answer) ? answer : [];
  return list.flatMap((one) => {
    if (!isRecord(one)) return [];
    const { name, type } = one;
    if (typeof name !== 'string' || typeof type !== 'string') return [];
    return [{ name, type, defaultValue: one['default-value'] }];
  });
}
