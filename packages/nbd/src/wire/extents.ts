import { EXTENTS_MAX } from '../constants.js';
import type { Extent } from '../export.js';

/**
 * Makes the extents of a session fit one block status chunk: neighbours of the same
 * state are merged, nothing lies beyond the end of the export, only the last extent ends beyond
 * `length`, and with `one` there is a single extent that ends within `length`.
 *
 * @param longestBytes what a descriptor can hold
 * @param roomBytes from the request's offset to the end of the export
 * @returns an empty list if `extents` covers nothing
 */
export function shapeExtents(
  extents: readonly Extent[],
  length: number,
  roomBytes: number,
  one: boolean,
  longestBytes: number,
): readonly Extent[] {
  const shaped: Extent[] = [];
  const end = one ? length : roomBytes;
  let covered = 0;
  for (const extent of mergeNeighbours(extents)) {
    if (covered >= Math.min(length, end) || shaped.length === EXTENTS_MAX) break;
    if (one && shaped.length === 1) break;
    const wanted = Math.min(extent.length, end - covered);
    const fits = Math.min(wanted, longestBytes);
    shaped.push({ ...extent, length: fits });
    covered += fits;
    // The next extent would not be adjacent.
    if (fits < wanted) break;
  }
  return shaped;
}

function* mergeNeighbours(extents: readonly Extent[]): Generator<Extent> {
  let run: Extent | undefined;
  for (const extent of extents) {
    if (extent.length <= 0) continue;
    if (run?.hole === extent.hole && run.zero === extent.zero) {
      run = { ...run, length: run.length + extent.length };
      continue;
    }
    if (run !== undefined) yield run;
    run = extent;
  }
  if (run !== undefined) yield run;
}
