import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { chmod, readFile, stat, writeFile } from 'node:fs/promises';
import { GannetError } from '@gannet/contract';

const SHAPE = /^[A-Za-z0-9_-]{32,256}$/;

/**
 * The secret that a browser or Prometheus has to know; made where there is none yet.
 *
 * @throws GannetError GANNET_CONFIG for a file that others may read, or that holds no token
 */
export async function loadToken(file: string): Promise<string> {
  try {
    await writeFile(file, `${randomBytes(32).toString('base64url')}\n`, {
      flag: 'wx',
      mode: 0o600,
    });
    await chmod(file, 0o600);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') {
      throw refused(
        file,
        (cause as Error).message,
        'Make its folder, or name another file.',
        cause,
      );
    }
  }
  const { mode } = await stat(file);
  if ((mode & 0o007) !== 0) {
    const remedy = `Say: chmod 600 ${file} (640 where a group may have it, such as Prometheus').`;
    throw refused(file, 'everybody on this host can use it', remedy);
  }
  const token = (await readFile(file, 'utf8')).trim();
  if (SHAPE.test(token)) return token;
  const remedy = 'Remove it and restart, or write 32 or more letters, digits, "-" and "_" into it.';
  throw refused(file, 'it holds no token', remedy);
}

/** In constant time, whatever is given. */
export function isToken(given: unknown, token: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return typeof given === 'string' && timingSafeEqual(digest(given), digest(token));
}

function refused(file: string, why: string, remedy: string, cause?: unknown): GannetError {
  return new GannetError('GANNET_CONFIG', `http.tokenFile ${file}: ${why}`, remedy, 'failed', {
    cause,
  });
}
