import { describe, expect, it } from '@jest/globals';
import { complete } from '../../src/shell/completion.js';
import { InputError, parseLine } from '../../src/shell/input.js';
import { SchemaIndex } from '../../src/shell/schema-index.js';
import type { SchemaInfo } from '../../src/index.js';

function argsOf(line: string): unknown {
  return parseLine(line)?.args;
}

describe('a line of the shell', () => {
  it.each([
    ['query-status', {}],
    ['a  x=1\ty=-2.5 z=1e3', { x: 1, y: -2.5, z: 1000 }],
    ['a x=true y=false z=null', { x: true, y: false, z: null }],
    ['a x=truth y=0x10 z=007 w=', { x: 'truth', y: '0x10', z: '007', w: '' }],
    ['a b.c=1 b.d.e=x f=g', { b: { c: 1, d: { e: 'x' } }, f: 'g' }],
    ['a x=[1, "b c"] y={"d": {"e": "}"}}', { x: [1, 'b c'], y: { d: { e: '}' } } }],
    [String.raw`a x={"b":"\"} c"}`, { x: { b: '"} c' } }],
    [`a x='{"b": "c d"}' y="[1]"`, { x: { b: 'c d' }, y: [1] }],
    ['a port="4444" on="true" text="a b=c"', { port: '4444', on: 'true', text: 'a b=c' }],
    [String.raw`a x="\"q\\" y='\'`, { x: '"q\\', y: '\\' }],
    ['a path=/a=b', { path: '/a=b' }],
    ['a __proto__.x=1', JSON.parse('{"__proto__": {"x": 1}}') as unknown],
  ])('%s', (line, args) => {
    expect(parseLine(line)).toEqual({ command: line.split(' ')[0], args, oob: false });
    expect(JSON.stringify(argsOf(line))).toBe(JSON.stringify(args));
  });

  it('may be JSON', () => {
    expect(parseLine('{"execute": "stop"}')).toEqual({ command: 'stop', args: {}, oob: false });
    const line = '{"exec-oob": "yank", "arguments": {"instances": []}, "id": 7}';
    expect(parseLine(line)).toEqual({ command: 'yank', args: { instances: [] }, oob: true, id: 7 });
  });

  it.each(['', '   ', '# a comment'])('may say nothing: "%s"', (line) => {
    expect(parseLine(line)).toBeUndefined();
  });

  it.each([
    ['a b', 'b is not of the form name=value'],
    ['a =1', '=1 is not of the form name=value'],
    ['a=1', "a line begins with a command's name; a=1 is an argument"],
    ['a b..c=1', 'b..c: a name is missing at a dot'],
    ['a b=1 b=2', 'b is given twice'],
    ['a b=1 b.c=2', 'b.c: b has a value already'],
    ['a b.c=2 b=1', 'b is given twice'],
    ['a b="c', 'the quote " is not closed: "c'],
    ['a b=[1', 'a bracket is not closed: [1'],
    ['a b=[1,]', 'b: not JSON'],
    ['a b=9007199254740993', 'b: 9007199254740993 is beyond 2^53'],
    ['{"execute": "a"', 'the line: not JSON'],
    ['{"run": "a"}', 'wants either "execute" or "exec-oob"'],
    ['{"execute": "a", "exec-oob": "a"}', 'wants either "execute" or "exec-oob"'],
    ['{"execute": "a", "arguments": []}', '"arguments" is no JSON object'],
    ['{"execute": "a", "args": {}}', 'a command has no member "args"'],
  ])('%s is refused', (line, message) => {
    expect(() => parseLine(line)).toThrow(InputError);
    expect(() => parseLine(line)).toThrow(message);
  });
});

const schema = [
  { name: 'add', 'meta-type': 'command', 'arg-type': '1', 'ret-type': '0' },
  { name: 'add-all', 'meta-type': 'command', 'arg-type': '0', 'ret-type': '0' },
  { name: 'str', 'meta-type': 'builtin', 'json-type': 'string' },
  { name: 'bool', 'meta-type': 'builtin', 'json-type': 'boolean' },
  { name: '0', 'meta-type': 'object', members: [] },
  {
    name: '1',
    'meta-type': 'object',
    members: [
      { name: 'driver', type: '2' },
      { name: 'ro', type: 'bool', default: null },
    ],
    tag: 'driver',
    variants: [
      { case: 'file', type: '3' },
      { case: 'raw', type: '4' },
    ],
  },
  { name: '2', 'meta-type': 'enum', values: ['file', 'raw'] },
  { name: '3', 'meta-type': 'object', members: [{ name: 'filename', type: 'str' }] },
  { name: '4', 'meta-type': 'object', members: [{ name: 'file', type: '5' }] },
  { name: '5', 'meta-type': 'alternate', members: [{ type: '1' }, { type: 'str' }] },
] as readonly SchemaInfo[];

describe('completion', () => {
  const index = new SchemaIndex(schema);

  it.each([
    ['', ['add ', 'add-all ']],
    ['add-', ['add-all ']],
    ['help a', ['add', 'add-all']],
    ['add ', ['driver=', 'ro=']],
    ['add d', ['driver=']],
    ['add driver=', ['driver=file ', 'driver=raw ']],
    ['add ro=t', ['ro=true ']],
    ['add driver=file ', ['ro=', 'filename=']],
    ['add driver=raw fi', ['file=', 'file.']],
    ['add driver=raw file.', ['file.driver=', 'file.ro=']],
    ['add driver=raw file.driver=file file.f', ['file.filename=']],
    ['add driver=raw file.driver=', ['file.driver=file ', 'file.driver=raw ']],
    ['add driver=file file.', []],
    ['add text="a b', []],
    ['unknown x', []],
  ])('of "%s"', (line, candidates) => {
    const [found, replaced] = complete(index, line);
    expect(found).toEqual(candidates);
    expect(line.endsWith(replaced)).toBe(true);
  });
});
