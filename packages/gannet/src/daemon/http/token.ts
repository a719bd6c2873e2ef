import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { chmod, readFile, stat, writeFile } from 'node:fs/promises';
import { GannetError } from '@gannet/contract';
import { KEYS } from './endpoint.js';

const SHAPE = /^[A-Za-z0-9_-]{32,256}$/;

/**
 * Reads the token that browsers and Prometheus must present. Creates the file if it is missing.
 *
 * @throws GannetError GANNET_CONFIG if every user may read the file, or it holds no token
 */
export async function loadToken(file: string, name = KEYS.tokenFile): Promise<string> {
  try {
    await writeFile(file, `${randomBytes(32).toString('base64url')}\n`, {
      flag: 'wx',
      mode: 0o600,
    });
    await chmod(file, 0o600);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') {
      throw unusable(
        name,
        file,
        (cause as Error).message,
        `Create its folder, or set \`${name}\` to another path.`,
        cause,
      );
    }
  }
  const { mode } = await stat(file);
  if ((mode & 0o007) !== 0) {
    const remedy = `Run \`chmod 600 ${file}\`, or 640 to share it with a group (Prometheus).`;
    throw unusable(name, file, 'every user of this host may read it', remedy);
  }
  const token = (await readFile(file, 'utf8')).trim();
  if (SHAPE.test(token)) return token;
  const remedy =
    'Remove the file and start the daemon or send it SIGHUP: it creates a new token. ' +
    'Or write one: 32 or more letters, digits, "-" and "_".';
  throw unusable(name, file, 'the file does not hold a valid token', remedy);
}

/** Compares in constant time. */
export function isToken(given: unknown, token: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return typeof given === 'string' && timingSafeEqual(digest(given), digest(token));
}

function unusable(
  name: string,
  file: string,
  why: string,
  remedy: string,
  cause?: unknown,
): GannetError {
  return new GannetError('GANNET_CONFIG', `${name} ${file}: ${why}`, remedy, 'failed', { cause });
}
