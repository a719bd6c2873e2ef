/** The rules of the house (CONTRIBUTING.md), checked on the repository as it is. */
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { circles } from './tidy/circles.js';
import { errorCodes, undeclaredCodes } from './tidy/codes.js';
import { commitsOf, commitSubjects } from './tidy/commits.js';
import { documented } from './tidy/documented.js';
import { plainEnglish } from './tidy/english.js';
import { floors, FLOORS } from './tidy/floors.js';
import { mirroredTests } from './tidy/mirrored.js';
import { namesakes, sameFileNames } from './tidy/names.js';
import { fileLengths, folderSizes, lineLengths } from './tidy/sizes.js';
import { describeFault, readTree, type Rule } from './tidy/tree.js';

const root = path.resolve(import.meta.dirname, '..');
const tree = readTree(root);

const GENERATED_FOLDERS = ['packages/qemu-qmp-client/src/generated'];

const RULES: Readonly<Record<string, Rule>> = {
  'a folder imports only what its row allows': floors,
  'no file imports itself by way of others': circles,
  'a folder has at most 15 files': folderSizes,
  'a file has at most 450 lines': fileLengths,
  'a line of code or comment has at most 100 columns': lineLengths,
  'no two packages export the same name': namesakes,
  'no two sources of a package have the same name': sameFileNames,
  'an error code belongs to one package, and has its prefix': errorCodes,
  'what looks like an error code is declared': undeclaredCodes,
  'events, methods and error codes are documented': documented,
  'tests mirror the sources': mirroredTests,
  'words are plain English': plainEnglish,
};

describe('the repository', () => {
  test('was read', () => {
    expect(tree.has('README.md')).toBe(true);
    expect([...tree.keys()].filter((file) => file.endsWith('.ts')).length).toBeGreaterThan(300);
    // Each folder in the table of who may import whom: none of them was passed over.
    const folders = new Set([...tree.keys()].map((file) => path.posix.dirname(file)));
    const rows = Object.entries(FLOORS).flatMap(([name, { folders: inside }]) =>
      Object.keys(inside).map((folder) => path.posix.join('packages', name, 'src', folder)),
    );
    expect(rows.filter((folder) => !folders.has(folder))).toEqual(GENERATED_FOLDERS);
  });

  for (const [name, rule] of Object.entries(RULES)) {
    test(name, () => {
      expect(rule(tree).map(describeFault)).toEqual([]);
    });
  }

  test('subjects of commits are `area: verb …`, at most 72 columns', () => {
    expect(commitSubjects(commitsOf(root)).map(describeFault)).toEqual([]);
  });
});
