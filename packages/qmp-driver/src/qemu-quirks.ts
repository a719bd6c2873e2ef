/**
 * What is known of QEMU's releases by number, for want of a probe: they have all commands of a release that is mended, and
 * what is wrong shows only when it is too late.
 */
interface Release {
  readonly major: number;
  readonly minor: number;
  readonly micro: number;
}

export interface ReleaseRange {
  readonly major: number;
  readonly minor: number;
  readonly firstMicro: number;
  readonly fixedInMicro: number;
}

/** Their primary completes an ordinary migration in place of entering COLO: the guest has been migrated away. */
const COLO_BROKEN: readonly ReleaseRange[] = [
  { major: 10, minor: 0, firstMicro: 0, fixedInMicro: 13 },
];

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
 * Whether a mirror may miss writes of the guest while it begins: it looks which parts of the disk are allocated, and takes
 * no notice yet of a write into one that it has passed (QEMU block/mirror.c, mirror_dirty_init; since "mirror: Fix access
 * of uninitialised fields during start" in 8.0, until "mirror: Fix missed dirty bitmap writes during startup", which is in
 * 10.0.10; 10.1 and 10.2 may have it in later releases).
 */
export function mirrorMissesWrites({ major, minor, micro }: Release): boolean {
  if (major === 10) return minor > 0 || micro < 10;
  return major === 8 || major === 9;
}
