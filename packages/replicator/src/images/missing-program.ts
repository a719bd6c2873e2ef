import { MissingProgramError } from '../errors.js';

/** The programs that work on images, and the Debian packages that have them. */
const PACKAGES = {
  'qemu-storage-daemon': 'qemu-utils (Debian 13) or qemu-system-common (Debian 12)',
  'qemu-img': 'qemu-utils',
  setpriv: 'util-linux',
} as const;

/**
 * The error of a program that is not installed.
 *
 * @param image what it was needed for
 * @param words of the system, or of setpriv(1), which starts a program
 * @returns undefined if the words are about something else
 */
export function missingProgram(image: string, words: string): MissingProgramError | undefined {
  const [, spawned, executed] =
    /^(?:spawn (\S+) ENOENT|setpriv: failed to execute (\S+): No such file)/.exec(words) ?? [];
  const program = spawned ?? executed;
  if (program === undefined || !Object.hasOwn(PACKAGES, program)) return undefined;
  return new MissingProgramError(
    'REPLICA_PROGRAM_MISSING',
    `${program} is not installed: without it, ${image} can't be used`,
    `Install ${PACKAGES[program as keyof typeof PACKAGES]}, and start again.`,
  );
}
