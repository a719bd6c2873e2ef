import type { Random } from '@gannet/test-support/random.js';

const ODD_NUMBERS = [
  0n,
  1n,
  2n,
  7n,
  8n,
  0x7fn,
  0x80n,
  0xffn,
  0x100n,
  0xfffn,
  0x1000n,
  0x7fffn,
  0x8000n,
  0xffffn,
  0x10000n,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  0x100000000n,
  0x1fffffffffffffn,
  0x20000000000000n,
  0x7fffffffffffffffn,
  0xffffffffffffffffn,
] as const;

type Mutation = (
  input: Buffer,
  random: Random,
  others: readonly Buffer[],
  words: readonly Buffer[],
) => Buffer;

const MUTATIONS: readonly Mutation[] = [
  function flipBit(input, random) {
    const at = random.below(input.length);
    input[at] = (input[at] ?? 0) ^ (1 << random.below(8));
    return input;
  },
  function setByte(input, random) {
    input[random.below(input.length)] = random.below(256);
    return input;
  },
  function setNumber(input, random) {
    const bytes = random.pick([1, 2, 4, 8]);
    const at = random.below(Math.max(1, input.length - bytes));
    const wrapped = BigInt.asUintN(
      8 * bytes,
      random.pick(ODD_NUMBERS) + BigInt(random.below(3) - 1),
    );
    for (let place = 0; place < bytes && at + place < input.length; place++) {
      input[at + place] = Number((wrapped >> BigInt(8 * (bytes - 1 - place))) & 0xffn);
    }
    return input;
  },
  function cutOff(input, random) {
    return input.subarray(0, random.below(input.length + 1));
  },
  function takeOut(input, random) {
    const from = random.below(input.length);
    const length = 1 + random.below(Math.min(64, input.length - from));
    return Buffer.concat([input.subarray(0, from), input.subarray(from + length)]);
  },
  function repeat(input, random) {
    const from = random.below(input.length);
    const to = from + 1 + random.below(Math.min(256, input.length - from));
    return Buffer.concat([input.subarray(0, to), input.subarray(from)]);
  },
  function putWord(input, random, _others, words) {
    if (words.length === 0) return input;
    const at = random.below(input.length + 1);
    const rest = random.chance(0.5) ? at : Math.min(input.length, at + random.below(16));
    return Buffer.concat([input.subarray(0, at), random.pick(words), input.subarray(rest)]);
  },
  function splice(input, random, others) {
    if (others.length === 0) return input;
    const other = random.pick(others);
    const from = random.below(other.length + 1);
    return Buffer.concat([input.subarray(0, random.below(input.length + 1)), other.subarray(from)]);
  },
];

/** Another input like this one: some mutations in a row. */
export function mutate(
  input: Buffer,
  random: Random,
  others: readonly Buffer[],
  words: readonly Buffer[],
): Buffer {
  let mutated = Buffer.from(input);
  for (let count = 1 + random.below(4); count > 0; count--) {
    if (mutated.length === 0) mutated = Buffer.from([random.below(256)]);
    mutated = Buffer.from(random.pick(MUTATIONS)(mutated, random, others, words));
  }
  return mutated;
}
