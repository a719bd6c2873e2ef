/**
 * The name that was probably meant: one that begins with what was written, or differs from it by a
 * few letters. Undefined if none is near.
 */
export function nearest(written: string, names: readonly string[]): string | undefined {
  const [beginning] = written.length > 1 ? names.filter((name) => name.startsWith(written)) : [];
  if (beginning !== undefined) return beginning;
  const [best] = names
    .map((name) => ({ name, distance: distanceOf(written.toLowerCase(), name.toLowerCase()) }))
    .filter(({ distance }) => distance <= Math.ceil(written.length / 3))
    .sort((one, other) => one.distance - other.distance);
  return best?.name;
}

/** Letters to insert, remove, replace or exchange with the next one (optimal string alignment). */
function distanceOf(one: string, other: string): number {
  let before: number[] = [];
  let last = Array.from({ length: other.length + 1 }, (_, at) => at);
  for (let row = 1; row <= one.length; row++) {
    const next = [row];
    for (let column = 1; column <= other.length; column++) {
      const isSame = one[row - 1] === other[column - 1];
      const isExchanged =
        one[row - 1] === other[column - 2] && one[row - 2] === other[column - 1] && row > 1;
      next[column] = Math.min(
        (last[column] ?? 0) + 1,
        (next[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + (isSame ? 0 : 1),
        isExchanged ? (before[column - 2] ?? 0) + 1 : Infinity,
      );
    }
    [before, last] = [last, next];
  }
  return last[other.length] ?? 0;
}
