/** A daemon that gives no sign of life for so long is stopped, or hangs. */
export const SILENCE_MS = 10_000;
