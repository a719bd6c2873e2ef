import { isIP } from 'node:net';
import { hostname } from 'node:os';

/**
 * Who is a browser to us. A page of somebody else's may point its own name at this address (DNS rebinding): so a name in
 * `Host` must be ours. Addresses need no check: nobody can point those elsewhere.
 */
export function isOurHost(host: string | undefined, names: readonly string[]): boolean {
  const name = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?$/.exec(host ?? '')?.[1];
  if (name === undefined) return false;
  const bare = name.replace(/^\[|\]$/g, '').toLowerCase();
  if (isIP(bare) !== 0) return true;
  return ['localhost', hostname(), ...names].some((known) => known.toLowerCase() === bare);
}

/** A WebSocket may be opened by any page: its browser says which. Programs say nothing. */
export function isOurOrigin(origin: string | undefined, host: string, isTls: boolean): boolean {
  return origin === undefined || origin === `${isTls ? 'https' : 'http'}://${host}`;
}

/** For all that is served. No script but ours, nothing from elsewhere, in nobody's frame. */
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
