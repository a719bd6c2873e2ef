declare global {
  /** Set by Jest's project e2e-long. */
  var hasTimeForAll: boolean | undefined;
}

/** The rows of a table of cases that a run has time for: `make long` has for all, CI for some. */
export function rows<T>(inCi: readonly T[], others: readonly T[]): T[] {
  return globalThis.hasTimeForAll === true ? [...inCi, ...others] : [...inCi];
}
