/**
 * Sizes, durations and times for people. No imports and no Node.js: the web page loads this file.
 */

/** Of memory and of buffers: what checkpoints are counted in. */
const PAGE_BYTES = 4096;

export function bytesOfPages(pages: number): number {
  return pages * PAGE_BYTES;
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** Bytes with a unit, such as `1.5 GiB`. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  for (; value >= 1024 && unit < UNITS.length - 1; unit++) value /= 1024;
  const figure = value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1);
  return `${figure} ${UNITS[unit] ?? 'B'}`;
}

/** A short time, with three figures at most. */
export function formatMs(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return '–';
  if (ms >= 9995) return formatAge(ms);
  if (ms >= 995) return `${(ms / 1000).toFixed(2)} s`;
  return `${ms >= 99.5 ? Math.round(ms) : ms >= 9.95 ? ms.toFixed(1) : ms.toFixed(2)} ms`;
}

/** How long ago, or how long still. */
export function formatAge(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}

const two = (value: number): string => String(value).padStart(2, '0');

/** Time of day, where the reader is. */
export function formatTime(iso: string): string {
  const at = new Date(iso);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** Time of day; with its date if that is not today's. */
export function formatMoment(iso: string, nowMs?: number): string {
  if (nowMs === undefined) return formatTime(iso);
  const [at, now] = [new Date(iso), new Date(nowMs)];
  if (at.toDateString() === now.toDateString()) return formatTime(iso);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${formatTime(iso)}`;
}

/** A share in whole percent, such as `42 %`; a dash if the whole is 0. */
export function formatPercent(part: number, whole: number): string {
  return whole > 0 ? `${Math.floor((100 * part) / whole)} %` : '–';
}
