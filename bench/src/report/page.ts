/** A page that is written by hand, but for the part between two marks. */
import { readFile, writeFile } from 'node:fs/promises';
import { BenchError } from '../harness/scope.js';

const BEGIN = '<!-- bench: generated from here -->';
const END = '<!-- bench: generated to here -->';

/** @throws BenchError when the page has lost its marks */
export async function fill(page: string, text: string): Promise<void> {
  const old = await readFile(page, 'utf8');
  const [begin, end] = [old.indexOf(BEGIN), old.indexOf(END)];
  if (begin === -1 || end < begin) {
    throw new BenchError(`${page} has lost the lines ${BEGIN} and ${END}: put them back`);
  }
  const [before, after] = [old.slice(0, begin + BEGIN.length), old.slice(end)];
  await writeFile(page, `${before}\n\n${text}\n\n${after}`);
}
