import type { SchemaInfo } from '../schema/machine.js';

/**
 * A member of an object, as query-qmp-schema has it; `default` is there (and null) if it is
 * optional.
 */
interface Member {
  readonly name: string;
  readonly type: string;
  readonly default?: unknown;
}

/** What an entity may have besides, by its meta-type; QEMU's word. */
interface Entity extends SchemaInfo {
  readonly members?: readonly Member[];
  readonly tag?: string;
  readonly variants?: readonly { readonly case: string; readonly type: string }[];
  readonly values?: readonly string[];
  readonly 'element-type'?: string;
}

/** Values of the members typed already, by dotted path: they choose between variants. */
export type Typed = ReadonlyMap<string, string>;

/** Argument of a command. */
export interface Argument {
  readonly name: string;
  readonly optional: boolean;
  /** In a few words, for help. */
  readonly type: string;
  /** Has members: `name.` goes on. */
  readonly nested: boolean;
  /** Takes a value: `name=`. */
  readonly scalar: boolean;
  /** All that it may be, where that is known: an enumeration or a boolean. */
  readonly values: readonly string[];
}

/**
 * Names of commands and of their arguments, out of the live schema. Source: QEMU
 * qapi/introspect.json.
 */
export class SchemaIndex {
  readonly commands: readonly string[];
  readonly #entities: ReadonlyMap<string, Entity>;

  constructor(schema: readonly SchemaInfo[]) {
    this.#entities = new Map(schema.map((entity) => [entity.name, entity as Entity]));
    this.commands = schema
      .filter((entity) => entity['meta-type'] === 'command')
      .map(({ name }) => name)
      .sort();
  }

  /**
   * Arguments of a command, at its top or inside the argument at `path`; none where nothing is
   * known.
   */
  argumentsOf(command: string, path: readonly string[], typed: Typed): readonly Argument[] {
    let type = this.#entities.get(command)?.['arg-type'];
    let prefix = '';
    for (const name of path) {
      type = this.#members(type, prefix, typed).find((member) => member.name === name)?.type;
      prefix += `${name}.`;
    }
    return this.#members(type, prefix, typed).map((member) => this.#argument(member));
  }

  #argument(member: Member): Argument {
    const types = this.#alternatives(member.type);
    const isObject = (one: Entity): boolean => one['meta-type'] === 'object';
    return {
      name: member.name,
      optional: 'default' in member,
      type: types.map((one) => this.#describe(one)).join(' or '),
      nested: types.some(isObject),
      scalar: !types.every(isObject),
      values: types.flatMap(valuesOf),
    };
  }

  /** Members of an object; of a union those of the variant that was typed too. */
  #members(type: string | undefined, prefix: string, typed: Typed): readonly Member[] {
    if (type === undefined) return [];
    return this.#alternatives(type).flatMap((entity) => {
      if (entity['meta-type'] !== 'object') return [];
      const { members = [], tag, variants = [] } = entity;
      if (tag === undefined) return members;
      const chosen = typed.get(`${prefix}${tag}`);
      const variant = variants.find((one) => one.case === chosen);
      return variant === undefined
        ? members
        : [...members, ...this.#members(variant.type, prefix, typed)];
    });
  }

  /** A type, or all that an alternate may be. */
  #alternatives(type: string): readonly Entity[] {
    const entity = this.#entities.get(type);
    if (entity === undefined) return [];
    if (entity['meta-type'] !== 'alternate') return [entity];
    return (entity.members ?? []).flatMap((member) => this.#alternatives(member.type));
  }

  #describe(entity: Entity): string {
    switch (entity['meta-type']) {
      case 'builtin':
        return entity.name;
      case 'enum':
        return valuesOf(entity).join('|');
      case 'array': {
        const element = this.#alternatives(entity['element-type'] ?? '');
        return `list of ${element.map((one) => this.#describe(one)).join(' or ')}`;
      }
      default:
        return 'object';
    }
  }
}

function valuesOf(entity: Entity): readonly string[] {
  if (entity['meta-type'] === 'enum') return entity.values ?? [];
  return entity.name === 'bool' ? ['true', 'false'] : [];
}
