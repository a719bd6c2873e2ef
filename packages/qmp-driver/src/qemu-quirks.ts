/**
 * Bugs of QEMU that are known by the number of the release. They cannot be probed: a release with
 * the bug has the same commands as one without, and the bug shows when it is too late.
 */

interface Release {
  readonly major: number;
  readonly minor: number;
  readonly micro: number;
}

/** From `firstMicro` on, up to but not including `fixedInMicro`. */
export interface ReleaseRange {
  readonly major: number;
  readonly minor: number;
  readonly firstMicro: number;
  readonly fixedInMicro: number;
}

/** Their primary completes an ordinary migration instead of entering COLO: the guest is gone. */
const COLO_BROKEN: readonly ReleaseRange[] = [
  // Fixed by QEMU's commit 0b5bf4ea7620. Seen: 10.0.2 is broken, 10.0.13 is not.
  { major: 10, minor: 0, firstMicro: 0, fixedInMicro: 7 },
  { major: 10, minor: 1, firstMicro: 0, fixedInMicro: 3 },
];

/** The range of broken releases that this one is in, if any. */
export function coloBrokenIn({ major, minor, micro }: Release): ReleaseRange | undefined {
  return COLO_BROKEN.find(
    (range) =>
      range.major === major &&
      range.minor === minor &&
      micro >= range.firstMicro &&
      micro < range.fixedInMicro,
  );
}

/**
 * Whether QEMU aborts when a q35 machine enters COLO under TCG (system/memory.c,
 * memory_region_add_subregion_common). Seen: 7.2.22 and 10.0.13 do, 11.1.3 does not; those in
 * between are not known.
 */
export function abortsOnQ35({ major, minor }: Release): boolean {
  return major < 11 || (major === 11 && minor < 1);
}

/**
 * Whether a mirror may miss the guest's writes while it starts. It looks which parts of the disk
 * are allocated, and does not yet record a write to a part that it has passed (QEMU block/mirror.c,
 * mirror_dirty_init). Broken in 8.0 by "mirror: Fix access of uninitialised fields during start",
 * fixed in 10.0.10 by "mirror: Fix missed dirty bitmap writes during startup". 10.1 and 10.2 may
 * have the fix in a later micro release.
 */
export function mirrorMissesWrites({ major, minor, micro }: Release): boolean {
  if (major === 10) return minor > 0 || micro < 10;
  return major === 8 || major === 9;
}
