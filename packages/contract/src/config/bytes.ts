const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

/** Parses a size: bytes, or a whole number with a unit. Undefined unless it is above 0. */
export function parseBytes(text: string): number | undefined {
  const match = /^(\d+)\s*(KiB|MiB|GiB|TiB|)$/.exec(text);
  const size = Number(match?.[1]) * (UNITS[match?.[2] ?? ''] ?? 1);
  return size > 0 && Number.isSafeInteger(size) ? size : undefined;
}
