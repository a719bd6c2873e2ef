import { isIP } from 'node:net';
import { hostname } from 'node:os';

/**
 * Whether a request's `Host` is a name of this daemon. This protects against DNS rebinding: another
 * site can point its own name at this address, but cannot make browsers send one of our names. IP
 * addresses cannot be rebound, so they are accepted.
 */
export function isOurHost(host: string | undefined, names: readonly string[]): boolean {
  const name = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?$/.exec(host ?? '')?.[1];
  if (name === undefined) return false;
  const bare = name.replace(/^\[|\]$/g, '').toLowerCase();
  if (isIP(bare) !== 0) return true;
  return ['localhost', hostname(), ...names].some((known) => known.toLowerCase() === bare);
}

/** Any page may open a WebSocket; its browser sends the page's origin. Programs send none. */
export function isOurOrigin(origin: string | undefined, host: string, isTls: boolean): boolean {
  return origin === undefined || origin === `${isTls ? 'https' : 'http'}://${host}`;
}

/** Headers of every response: only our own scripts, nothing from other sites, never in a frame. */
export const SAFE_HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
  ].join('; '),
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Permissions-Policy': 'camera=(), geolocation=(), microphone=()',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
};
