/**
 * What query-qmp-schema returns to TypeScript. The schema hides the names of types behind numbers
 * that differ between builds, so types are named here by where they are used:
 *
 *   1. QueryBlockReturn, DeviceAddArguments, BlockIoErrorData: what a command or event names;
 *   2. OnSourceError: what every use in the schema calls by one name that nothing else has;
 *   3. QueryBlockReturn + Inserted: otherwise, by the member that leads to it first, breadth first.
 *
 * Source: QEMU qapi/introspect.json.
 */

const BUILTINS = {
  any: 'unknown',
  bool: 'boolean',
  int: 'number',
  null: 'null',
  number: 'number',
  str: 'string',
};

/** Names that would hide what the file or every TypeScript program uses. */
const RESERVED = ['Commands', 'Events', 'Empty', 'Error', 'Object', 'Readonly', 'Record', 'Date'];

/**
 * Commands whose arguments are more than the schema tells: QEMU marks them `'gen': false`, takes
 * any member, and checks it against the device.
 */
const OPEN_ARGUMENTS = new Set(['device_add']);

const ROOT_SUFFIX = /(Arguments|Return|Data)$/;

/** Source of a module for `schema`; `release` as '7.2'. Not formatted. */
export function typesOf(schema, release) {
  const model = new Model(schema, [tableName(release)]);
  const { commands, events } = model;
  const parts = [
    `/**
      * Every command (${commands.length}) and event (${events.length}) of QEMU ${release}.
      * Generated from query-qmp-schema by scripts/generate-types.mjs: do not edit.
      */`,
    `/** No arguments, or a reply without content. */
     export type Empty = Readonly<Record<string, never>>;`,
    `/** Tables of QEMU ${release}, for \`QmpClient.connect<${tableName(release)}>()\`. */
     export interface ${tableName(release)} {
        readonly commands: Commands; readonly events: Events;
      }`,
    `export interface Commands { ${commands.map((entity) => model.command(entity)).join('\n')} }`,
    `/** Data of each event; undefined where it has none. */
     export interface Events { ${events.map((entity) => model.event(entity)).join('\n')} }`,
    ...model.declarations(),
  ];
  return { text: parts.join('\n\n'), commands: commands.length, events: events.length };
}

/** 7.2: Qemu72. */
function tableName(release) {
  return `Qemu${release.replaceAll('.', '')}`;
}

class Model {
  #entities;
  #names = new Map();
  #taken;
  #ownNames;

  constructor(schema, reserved) {
    const byName = (left, right) => (left.name < right.name ? -1 : 1);
    const all = (metaType) => schema.filter((entity) => entity['meta-type'] === metaType);
    this.#entities = new Map(schema.map((entity) => [entity.name, entity]));
    this.#taken = new Set([...RESERVED, ...reserved]);
    this.commands = all('command').sort(byName);
    this.events = all('event').sort(byName);
    this.#ownNames = this.#namesOfTheirOwn(schema);
    this.#nameAll();
  }

  command(entity) {
    const { name } = entity;
    const open = OPEN_ARGUMENTS.has(name) ? ' & { readonly [property: string]: unknown }' : '';
    const args = `${this.#use(entity['arg-type'])}${open}`;
    const oob = entity['allow-oob'] ? ['Can be executed out-of-band.'] : [];
    const result = this.#use(entity['ret-type']);
    return `${docOf(entity, oob)}${key(name)}: { arguments: ${args}; return: ${result} };`;
  }

  event(entity) {
    const empty = this.#isEmpty(entity['arg-type']);
    const data = empty ? 'undefined' : this.#use(entity['arg-type']);
    return `${docOf(entity)}${entity.name}: ${data};`;
  }

  declarations() {
    return [...this.#names].map(([id, name]) => this.#declare(this.#entities.get(id), name));
  }

  #declare(entity, name) {
    switch (entity['meta-type']) {
      case 'enum':
        return declareEnum(entity, name);
      case 'alternate': {
        const types = entity.members.map(({ type }) => this.#use(type));
        return `${docOf(entity)}export type ${name} = ${types.join(' | ')};`;
      }
      case 'object':
        if (entity.variants) return this.#declareUnion(entity, name);
        return `${docOf(entity)}export interface ${name} { ${this.#members(entity.members)} }`;
      default:
        throw new Error(`${name} is a ${entity['meta-type']}, of which this script does not know`);
    }
  }

  /** What all variants have, and for each value of the tag what that one has. */
  #declareUnion(entity, name) {
    const common = this.#members(entity.members.filter((member) => member.name !== entity.tag));
    const cases = new Map();
    for (const variant of entity.variants) {
      const values = cases.get(variant.type) ?? [];
      cases.set(variant.type, [...values, `'${variant.case}'`]);
    }
    const variants = [...cases].map(([type, values]) => {
      const tag = `{ readonly ${key(entity.tag)}: ${values.join(' | ')} }`;
      return this.#isEmpty(type) ? tag : `(${tag} & ${this.#use(type)})`;
    });
    const union = `(${variants.join(' | ')})`;
    if (common === '') return `${docOf(entity)}export type ${name} = ${union};`;
    return `${docOf(entity)}export type ${name} = { ${common} } & ${union};`;
  }

  #members(members) {
    const lines = members.map((member) => {
      // `default` is null wherever it is; that it is there says that the member is optional.
      const optional = 'default' in member ? '?' : '';
      return `${docOf(member)}readonly ${key(member.name)}${optional}: ${this.#use(member.type)};`;
    });
    return lines.join('\n');
  }

  /** How a type is written where it is used. */
  #use(id) {
    if (this.#isEmpty(id)) return 'Empty';
    const entity = this.#entities.get(id);
    if (entity['meta-type'] === 'builtin') return BUILTINS[id];
    if (entity['meta-type'] === 'array') return `readonly ${this.#use(entity['element-type'])}[]`;
    return this.#names.get(id);
  }

  #isEmpty(id) {
    const { members, variants } = this.#entities.get(id);
    return this.#entities.get(id)['meta-type'] === 'object' && !members.length && !variants;
  }

  /** Behind arrays; undefined for what has no name of its own. */
  #named(id) {
    const entity = this.#entities.get(id);
    if (entity['meta-type'] === 'array') return this.#named(entity['element-type']);
    return entity['meta-type'] === 'builtin' || this.#isEmpty(id) ? undefined : entity;
  }

  /** Types that a type uses, each with what it is there. */
  #uses(entity) {
    const { members = [], variants = [] } = entity;
    if (entity['meta-type'] === 'enum') return [];
    if (entity['meta-type'] === 'alternate') {
      return members.map(({ type }) => ({ type, as: this.#entities.get(type)['meta-type'] }));
    }
    return [
      ...members.map(({ type, name }) => ({ type, as: name })),
      ...variants.map(({ type, case: as }) => ({ type, as })),
    ];
  }

  /** Types that all uses call by the same name, which no other type has: that name. */
  #namesOfTheirOwn(schema) {
    const namesOf = new Map();
    const typesOf = new Map();
    for (const entity of schema) {
      if (entity['meta-type'] !== 'object') continue;
      for (const { type, as } of this.#uses(entity)) {
        const used = this.#named(type)?.name;
        if (used === undefined) continue;
        const name = pascal(as);
        namesOf.set(used, (namesOf.get(used) ?? new Set()).add(name));
        typesOf.set(name, (typesOf.get(name) ?? new Set()).add(used));
      }
    }
    const own = [...namesOf].flatMap(([type, [name, ...others]]) =>
      others.length === 0 && typesOf.get(name).size === 1 ? [[type, name]] : [],
    );
    return new Map(own);
  }

  #nameAll() {
    const queue = [];
    const name = (id, wanted) => {
      const entity = this.#named(id);
      if (entity === undefined || this.#names.has(entity.name)) return;
      this.#names.set(entity.name, this.#take(wanted(entity)));
      queue.push(entity);
    };
    for (const command of this.commands) {
      name(command['arg-type'], () => `${pascal(command.name)}Arguments`);
      name(command['ret-type'], () => `${pascal(command.name)}Return`);
    }
    for (const event of this.events) {
      name(event['arg-type'], () => `${pascal(event.name.toLowerCase())}Data`);
    }
    for (let parent = queue.shift(); parent !== undefined; parent = queue.shift()) {
      const prefix = this.#names.get(parent.name).replace(ROOT_SUFFIX, '');
      for (const { type, as } of this.#uses(parent)) {
        name(type, (entity) => this.#ownNames.get(entity.name) ?? prefix + pascal(as));
      }
    }
  }

  #take(wanted) {
    let name = /^\d/.test(wanted) ? `T${wanted}` : wanted;
    for (let count = 2; this.#taken.has(name); count += 1) name = `${wanted}${count}`;
    this.#taken.add(name);
    return name;
  }
}

function declareEnum(entity, name) {
  const { members = [], values = members.map((member) => member.name) } = entity;
  const notes = ['deprecated', 'unstable'].flatMap((feature) => {
    const having = members.filter((member) => member.features?.includes(feature));
    if (having.length === 0) return [];
    return [`${pascal(feature)}: ${having.map((member) => member.name).join(', ')}.`];
  });
  const literals = values.map((value) => `'${value}'`);
  return `${docOf(entity, notes)}export type ${name} = ${literals.join(' | ')};`;
}

function docOf({ features = [] }, notes = []) {
  const unstable = features.includes('unstable') ? ['Unstable: may change or go.'] : [];
  const deprecated = features.includes('deprecated') ? ['@deprecated by QEMU'] : [];
  const lines = [...notes, ...unstable, ...deprecated];
  return lines.length === 0 ? '' : `/** ${lines.join(' ')} */\n`;
}

/** query-block, x_y, aio.max: QueryBlock, XY, AioMax. */
function pascal(name) {
  return name
    .split(/[^A-Za-z0-9]+/)
    .map((word) => word.slice(0, 1).toUpperCase() + word.slice(1))
    .join('');
}

/** As a key of an object type; prettier takes needless quotes off. */
function key(name) {
  return `'${name}'`;
}
