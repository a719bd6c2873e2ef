import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { readCorpus } from './fuzz/corpus.js';
import { Fuzzer } from './fuzz/engine.js';
import { TARGETS } from './fuzz/targets.js';

// `make fuzz` goes on for minutes, guided by what is reached.

const CORPUS = path.resolve(import.meta.dirname, 'fuzz/corpus');
const INPUTS = 400;
const SEED = Number(process.env.GANNET_SEED ?? Math.floor(Math.random() * 2 ** 32));

describe.each(TARGETS)('$name', (target) => {
  test(`takes its corpus, and ${INPUTS} inputs like it (seed ${SEED})`, async () => {
    const corpus = readCorpus(path.join(CORPUS, target.name));
    expect(corpus.length).toBeGreaterThan(0);
    const fuzzer = new Fuzzer(target, SEED, corpus);
    const crash = (await fuzzer.replay()) ?? (await fuzzer.round(INPUTS));
    if (crash) throw new Error(`input ${crash.input.toString('base64')}`, { cause: crash.error });
  });
});
