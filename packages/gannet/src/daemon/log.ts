import { fstatSync } from 'node:fs';
import { isatty } from 'node:tty';
import winston from 'winston';
import { stderrStream } from '../stderr-stream.js';

/** What a daemon needs of a logger. Levels: `error`, `warn`, `info`, `debug`. */
export interface Logger {
  log(level: string, message: string, details: object): unknown;
  error(message: string, details: object): unknown;
  info(message: string, details: object): unknown;
  /** With `details` in each line. */
  child(details: object): Logger;
}

/** Levels as syslog numbers them, which journald filters by (sd-daemon(3), `journalctl -p`). */
const PRIORITIES: Readonly<Record<string, number>> = { error: 3, warn: 4, info: 6, debug: 7 };

/** Where winston's formats keep the text, and the level, of a line. */
const MESSAGE = Symbol.for('message');
const LEVEL = Symbol.for('level');

/**
 * Logs to stderr: text on a terminal, otherwise one JSON object per line. If stderr is the journal,
 * each line has its priority in front, which journald takes off again. A log that nobody reads
 * neither stops nor ends the daemon.
 */
export function createLogger(options: { role: string; level?: string | undefined }): Logger {
  const { combine, timestamp, json, errors } = winston.format;
  const { role, level = 'info' } = options;
  const format = combine(
    errors({ stack: false }),
    isatty(2) ? forPeople() : combine(timestamp(), json(), priority()),
  );
  const lost = (lines: number): string => {
    const message = 'lines of the log were lost: nobody read them';
    const info = format.transform({ level: 'warn', [LEVEL]: 'warn', message, lines, role });
    return `${String((info as winston.Logform.TransformableInfo)[MESSAGE])}\n`;
  };
  const stream = stderrStream(lost);
  return winston.createLogger({
    ...{ level, defaultMeta: { role }, format },
    // winston types it as an interface.
    // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment
    transports: new winston.transports.Stream({ stream }),
  });
}

/** An event has its text; anything else its details as they are. */
function forPeople(): winston.Logform.Format {
  const { combine, timestamp, colorize, printf } = winston.format;
  return combine(
    colorize(),
    timestamp({ format: 'HH:mm:ss.SSS' }),
    printf(({ level, message, timestamp: at, vm, role, text, ...rest }) => {
      const details = Object.entries(rest)
        .map(
          ([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
        )
        .join(' ');
      const words = typeof text === 'string' ? text : `${String(message)} ${details}`;
      const who = typeof vm === 'string' ? `${vm} ${String(role)}` : String(role);
      return `${String(at)} ${who} ${level} ${words}`.trimEnd();
    }),
  );
}

function priority(): winston.Logform.Format {
  const isJournal = isJournalStream(process.env['JOURNAL_STREAM']);
  return winston.format((info) => {
    const prefix = isJournal ? `<${PRIORITIES[info.level] ?? 6}>` : '';
    info[MESSAGE] = `${prefix}${String(info[MESSAGE])}`;
    return info;
  })();
}

/** @param stream JOURNAL_STREAM of systemd.exec(5): device and inode of a service's stderr */
function isJournalStream(stream: string | undefined): boolean {
  if (stream === undefined) return false;
  const { dev, ino } = fstatSync(2);
  return stream === `${dev}:${ino}`;
}
