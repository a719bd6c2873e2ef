import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { render } from '../faults/render.js';

test('reliability.md is what the fault matrix and the soak have found', async () => {
  const page = path.resolve(import.meta.dirname, '../../docs/explanation/reliability.md');
  expect(await readFile(page, 'utf8')).toBe(await render());
});
