/** Each rule on a small tree that breaks it, and on the same tree mended. */
import { describe, expect, test } from '@jest/globals';
import { circles } from './circles.js';
import { errorCodes, undeclaredCodes } from './codes.js';
import { commitSubjects } from './commits.js';
import { documented } from './documented.js';
import { plainEnglish } from './english.js';
import { floors } from './floors.js';
import { mirroredTests } from './mirrored.js';
import { namesakes, sameFileNames } from './names.js';
import { fileLengths, folderSizes, lineLengths } from './sizes.js';
import { describeFault, type Rule } from './tree.js';

/** Faults of a rule in a tree that is written as an object. */
function faults(rule: Rule, files: Readonly<Record<string, string>>): string[] {
  return rule(new Map(Object.entries(files))).map(describeFault);
}

/** The file that begins with these lines is at fault in the last of them, for one reason alone. */
function refused(rule: Rule, file: string, text: string, others = {}): string {
  const found = faults(rule, { ...others, [file]: text });
  const line = text.split('\n').length;
  expect(found).toEqual([expect.stringMatching(new RegExp(`^${file}:${line}: `))]);
  return found[0] ?? '';
}

describe('floors', () => {
  const page = 'packages/gannet/src/page/app.ts';

  test.each([
    ['packages/nbd/src/wire/replies.ts', "import { a } from '@gannet/replicator';"],
    ['packages/checkpointer/src/ports.ts', "import type { A } from '@gannet/nbd';"],
    ['packages/qmp-driver/src/disk/graph.ts', "export * from 'gannet';"],
    ['packages/gannet/src/view/format.ts', "import { a } from '@gannet/replicator';"],
  ])('a package: %s', (file, text) => {
    expect(refused(floors, file, `\n${text}`)).toContain('may not import the package');
  });

  test.each([
    [page, "import type {\n  A,\n} from '../daemon/history.js';"],
    ['packages/gannet/src/view/format.ts', "let a: import('../daemon/history.js').A;"],
    ['packages/gannet/src/cli/cli.ts', "import '../daemon/history.js';"],
    ['packages/gannet/src/daemon/metrics/metrics.ts', "export * from '../history.js';"],
    [
      'packages/gannet/src/daemon/metrics/metrics.ts',
      "import { a } from '../../daemon/history.js';",
    ],
  ])('a folder: %s', (file, text) => {
    const others = { 'packages/gannet/src/daemon/history.ts': '' };
    expect(refused(floors, file, text, others)).toContain('may not import gannet/src/daemon');
  });

  test('however it is written', () => {
    const others = { 'packages/gannet/src/daemon/history.ts': '' };
    for (const text of [
      'import { A } from "../daemon/history.js";',
      "import {\n  // its name isn't A; it is B\n  B,\n} from '../daemon/history.js';",
      "  import { A } from '../daemon/history.js';",
      "const a = await import(\n  '../daemon/history.js');",
      'const a = await import(`../daemon/history.js`);',
      "import a = require('../daemon/history.js');",
    ]) {
      refused(floors, page, text, others);
    }
    const comment = "// import { A } from '../daemon/history.js';";
    expect(faults(floors, { ...others, [page]: comment })).toEqual([]);
  });

  test('what is outside of src, or not among the dependencies', () => {
    const file = 'packages/nbd/src/wire/replies.ts';
    const others = {
      'packages/nbd/package.json':
        '{ "devDependencies": { "ws": "8", "@gannet/test-support": "1" } }',
      'packages/nbd/test/fake.ts': '',
      'bench/src/b1.ts': '',
    };
    for (const name of ['../../test/fake.js', '../../../../bench/src/b1.js']) {
      expect(refused(floors, file, `import '${name}';`, others)).toContain('reaches out of');
    }
    for (const name of ['ws', 'ws/lib/stream.js', '@gannet/test-support']) {
      expect(refused(floors, file, `import '${name}';`, others)).toContain('dependencies of');
    }
    for (const name of ['node:fs', 'fs']) {
      expect(faults(floors, { ...others, [file]: `import '${name}';` })).toEqual([]);
    }
    const test = { 'packages/nbd/test/wire/replies.test.ts': "import 'ws';" };
    expect(faults(floors, { ...others, ...test })).toEqual([]);
  });

  test('Node.js, and packages of others, in the browser', () => {
    for (const name of ['node:path', 'path', 'zod']) {
      expect(refused(floors, page, `import a from '${name}';`)).toContain('runs in a browser');
    }
    expect(faults(floors, { 'packages/gannet/src/cli/cli.ts': "import 'node:fs';" })).toEqual([]);
  });

  test('the lab, in sources and in tests of packages', () => {
    const text = "import { startPair } from '@gannet/lab';";
    for (const folder of ['src/daemon', 'test/daemon']) {
      refused(floors, `packages/gannet/${folder}/daemon.ts`, text);
    }
    const users = ['bench/src/b8.ts', 'test/e2e/pair.test.ts', 'examples/pair.ts'];
    for (const file of [...users, 'packages/gannet/test/tls/creds.interop.test.ts']) {
      expect(faults(floors, { [file]: text })).toEqual([]);
    }
  });

  test('another package by a relative path', () => {
    const others = { 'packages/nbd/src/client.ts': '' };
    const text = "import { a } from '../../packages/nbd/src/client.js';";
    expect(refused(floors, 'test/e2e/pair.ts', text, others)).toContain('by a relative path');
  });

  test('a folder, or a package, without a row', () => {
    refused(floors, 'packages/nbd/src/attic/old.ts', '');
    refused(floors, 'packages/attic/src/old.ts', '');
  });

  test('what is allowed', () => {
    const files = {
      'packages/gannet/src/page/app.ts': "import { a } from '../view/format.js';",
      'packages/gannet/src/view/format.ts': "import { a } from '@gannet/contract';",
      'packages/nbd/src/index.ts': "export * from './wire/replies.js';",
      'packages/nbd/src/wire/replies.ts': "import { a } from './extents.js';",
      'packages/nbd/src/wire/extents.ts': "import { a } from '../errors.js';",
      'packages/nbd/src/errors.ts': '',
    };
    expect(faults(floors, files)).toEqual([]);
  });
});

test('circles: of two, of three, of types, and of one file', () => {
  const two = { 'a/a.ts': "import { b } from './b.js';" };
  expect(refused(circles, 'a/b.ts', "import type { A } from './a.js';", two)).toContain('a/a.ts');
  const three = { ...two, 'a/b.ts': "export { c } from '../c.js';" };
  refused(circles, 'c.ts', "\nlet a: import('./a/a.js').A;", three);
  refused(circles, 'self.ts', "import './self.js';");
  expect(faults(circles, { ...three, 'c.ts': "import './d.js';", 'd.ts': '' })).toEqual([]);
});

describe('sizes', () => {
  test('16 files in a folder, but not in the root', () => {
    const filled = (folder: string, count: number): Record<string, string> =>
      Object.fromEntries(Array.from({ length: count }, (_, at) => [`${folder}${at}.ts`, '']));
    expect(faults(folderSizes, filled('a/', 16))).toEqual([expect.stringContaining('16 files')]);
    expect(faults(folderSizes, { ...filled('a/', 15), ...filled('a/b/', 15) })).toEqual([]);
    expect(faults(folderSizes, filled('', 16))).toEqual([]);
  });

  test('451 lines', () => {
    const found = faults(fileLengths, { 'a.ts': 'x\n'.repeat(451), 'b.ts': 'x\n'.repeat(450) });
    expect(found).toEqual([expect.stringMatching(/^a\.ts:451: 451 lines/)]);
    expect(faults(fileLengths, { 'page.md': 'x\n'.repeat(451) })).toEqual([]);
  });

  test('101 columns, of which each character is one', () => {
    refused(lineLengths, 'a.ts', `${'é'.repeat(100)}\n${'x'.repeat(101)}`);
    const address = `# https://example.org/${'x'.repeat(100)}`;
    expect(faults(lineLengths, { 'a.sh': address, 'page.md': 'x'.repeat(101) })).toEqual([]);
  });
});

describe('names', () => {
  test('of exports: in two files, index.ts aside', () => {
    const nbd = { 'packages/nbd/src/a.ts': 'export class Connection {}' };
    const text = 'export interface Connection {}';
    const found = faults(namesakes, { ...nbd, 'packages/gannet/src/page/b.ts': text });
    expect(found.map((fault) => fault.split(' ')[0])).toEqual([
      'packages/nbd/src/a.ts:1:',
      'packages/gannet/src/page/b.ts:1:',
    ]);
    for (const again of ['class A {}\nexport { A, B as Connection };', text]) {
      expect(faults(namesakes, { ...nbd, 'packages/nbd/src/b/b.ts': again })).toHaveLength(2);
    }
    const passedOn = "export { Connection } from './a.js';";
    expect(faults(namesakes, { ...nbd, 'packages/nbd/src/b.ts': passedOn })).toEqual([]);
    expect(faults(namesakes, { ...nbd, 'packages/gannet/src/index.ts': text })).toEqual([]);
    expect(faults(namesakes, { ...nbd, 'packages/gannet/src/b.ts': text.slice(7) })).toEqual([]);
  });

  test('of files: twice in one package', () => {
    const files = { 'packages/nbd/src/a/x.ts': '', 'packages/nbd/src/b/x.ts': '' };
    expect(faults(sameFileNames, files)).toHaveLength(2);
    const others = ['packages/nbd/src/a/index.ts', 'packages/nbd/src/index.ts'];
    const rest = [...others, 'packages/nbd/src/a/x.ts', 'packages/lab/src/x.ts'];
    expect(faults(sameFileNames, Object.fromEntries(rest.map((file) => [file, ''])))).toEqual([]);
  });
});

describe('error codes', () => {
  const file = 'packages/nbd/src/errors.ts';

  test('a prefix, and capitals', () => {
    refused(errorCodes, file, "export type NbdErrorCode =\n  /** Gone. */\n  | 'CLOSED';");
    refused(errorCodes, file, "export type NbdErrorCode =\n  | 'NBD_A'\n  | 'NBD_closed';");
    refused(errorCodes, file, "export class A extends Error {\n  readonly code = 'QMP_CLOSED';");
    refused(
      errorCodes,
      file,
      "class A extends Error {\n  public override readonly code = 'ended';",
    );
    const good = "export type NbdErrorCode =\n  // not 'CLOSED'\n  | 'NBD_CLOSED'\n  | 'NBD_TLS';";
    expect(faults(errorCodes, { [file]: good })).toEqual([]);
  });

  test('one package', () => {
    const gannet = { 'packages/gannet/src/a.ts': "type AErrorCode = 'GANNET_CLOSED';" };
    const contract = { 'packages/contract/src/a.ts': "type AErrorCode = 'GANNET_CLOSED';" };
    expect(faults(errorCodes, { ...gannet, ...contract })).toHaveLength(2);
    expect(faults(errorCodes, gannet)).toEqual([]);
  });

  test('declared before it is used', () => {
    const user = 'packages/gannet/src/a.ts';
    const text = "\nadd('refused', 'NBD_EXPORT');";
    refused(undeclaredCodes, user, text);
    refused(undeclaredCodes, user, 'add(`NBD_TLS13`)');
    const union = { [file]: "export type NbdErrorCode = 'NBD_EXPORT';" };
    expect(faults(undeclaredCodes, { ...union, [user]: text })).toEqual([]);
    expect(faults(undeclaredCodes, { [user]: "env('GANNET_RUN_DIR') // 'NBD_X'" })).toEqual([]);
  });
});

describe('documented', () => {
  const contract = {
    'packages/contract/src/events.ts':
      "export const EVENTS = {\n  commit: {\n    level: 'info',\n  },\n  'colo-exit': {},\n};",
    'packages/contract/src/methods.ts': 'export const METHODS = {\n  failOver: {},\n} as const;',
    'packages/contract/src/errors.ts': "export type GannetErrorCode = 'GANNET_BUSY';",
  };
  const pages = {
    'docs/reference/events.md': '`commit` `colo-exit`',
    'docs/reference/commands.md': '`failOver`',
    'docs/reference/errors.md': '`GANNET_BUSY`',
  };

  test('all of it', () => {
    expect(faults(documented, { ...contract, ...pages })).toEqual([]);
  });

  test.each([
    ['commit', 'packages/contract/src/events.ts:2: event `commit`'],
    ['colo-exit', 'packages/contract/src/events.ts:5: event `colo-exit`'],
    ['failOver', 'packages/contract/src/methods.ts:2: method `failOver`'],
    ['GANNET_BUSY', 'packages/contract/src/errors.ts:1: error code `GANNET_BUSY`'],
  ])('%s is missing', (name, fault) => {
    const without = Object.entries(pages).map(([file, text]) => {
      return [file, text.replace(`\`${name}\``, name)] as const;
    });
    const elsewhere = { 'docs/reference/metrics.md': Object.values(pages).join(' ') };
    const found = faults(documented, {
      ...contract,
      ...Object.fromEntries(without),
      ...elsewhere,
    });
    expect(found).toEqual([expect.stringContaining(fault)]);
  });

  test('errors of the lab need no page', () => {
    const lab = { 'packages/lab/src/errors.ts': "type LabErrorCode = 'GANNET_LAB';" };
    const files = { ...contract, ...lab, ...pages };
    expect(faults(documented, files)).toEqual([]);
  });

  test('a contract that is not found is a fault, too', () => {
    expect(faults(documented, pages)).toHaveLength(3);
  });
});

test('tests mirror sources, with a topic, between packages and in bench', () => {
  const sources = { 'packages/nbd/src/wire/a.ts': '', 'bench/src/harness/b.ts': '' };
  refused(mirroredTests, 'packages/nbd/test/a.test.ts', '', sources);
  refused(mirroredTests, 'packages/nbd/test/wire/b.test.ts', '', sources);
  refused(mirroredTests, 'bench/test/b.test.ts', '', sources);
  const tests = ['wire/a.test.ts', 'wire/a.interop.test.ts', 'wire/a.lent.interop.test.ts'];
  const good: Record<string, string> = { ...sources, 'bench/test/harness/b.test.ts': '' };
  for (const name of tests) good[`packages/nbd/test/${name}`] = '';
  expect(faults(mirroredTests, good)).toEqual([]);
});

describe('plain English', () => {
  test.each([
    ['a.ts', '// Begins anew'],
    ['a.ts', '/**\n * waits for\n * ever'],
    ['a.mjs', 'throw new Error("waited in vain'],
    ['page.md', 'For want of'],
    ['a.sh', '# waits, lest'],
    ['a.pml', '/* for a whole while'],
  ])('%s: %s', (file, text) => {
    const found = faults(plainEnglish, { [file]: `\n\n${text}\n` });
    expect(found).toEqual([expect.stringMatching(/:[34]: ".*": write /)]);
  });

  test('quotations in pages, and longer words', () => {
    const files = { 'page.md': 'never write `anew`', 'a.ts': 'a new table, celestial, forever' };
    expect(faults(plainEnglish, files)).toEqual([]);
  });
});

test('commit subjects', () => {
  const faulty = ['Let it be', 'nbd: Let it be', 'nbd:let it', `nbd: ${'x'.repeat(68)}`];
  expect(commitSubjects(faulty.map((subject) => ({ id: 'c0ffee', subject })))).toHaveLength(4);
  const good = ['nbd, qmp-driver: name the export', 'test/tidy: add', `nbd: ${'x'.repeat(67)}`];
  expect(commitSubjects(good.map((subject) => ({ id: 'c0ffee', subject })))).toEqual([]);
});
