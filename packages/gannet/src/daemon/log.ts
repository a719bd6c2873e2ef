import winston from 'winston';

export type Logger = winston.Logger;

/** Logs to stderr: for people on a terminal, one JSON object a line otherwise. */
export function createLogger(options: { role: string; level?: string | undefined }): Logger {
  const { combine, timestamp, json, colorize, printf, errors } = winston.format;
  const human = combine(
    colorize(),
    timestamp({ format: 'HH:mm:ss.SSS' }),
    printf(({ level, message, timestamp: at, role, ...rest }) => {
      const details = Object.entries(rest)
        .map(
          ([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
        )
        .join(' ');
      return `${String(at)} ${String(role)} ${level} ${String(message)} ${details}`.trimEnd();
    }),
  );
  return winston.createLogger({
    level: options.level ?? 'info',
    defaultMeta: { role: options.role },
    format: combine(
      errors({ stack: false }),
      process.stderr.isTTY ? human : combine(timestamp(), json()),
    ),
    transports: [
      // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment -- winston types it as an interface
      new winston.transports.Console({ stderrLevels: Object.keys(winston.config.npm.levels) }),
    ],
  });
}
