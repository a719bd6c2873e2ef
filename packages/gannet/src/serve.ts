/** A daemon as a process: its signals, its folders, its end. */
import { asSecondary, type Config } from './config.js';
import { type ConfigChoice, findConfig } from './config-file.js';
import { Daemon } from './daemon/daemon.js';
import { describeError, EXIT } from './errors.js';
import { createLogger, type Logger } from './log.js';
import { makePlaces } from './places.js';

export interface ServeOptions extends ConfigChoice {
  readonly overwrite?: boolean;
  readonly logLevel?: string;
}

/**
 * Runs a daemon until SIGTERM or SIGINT asks for its end; a second one does not wait for it. SIGHUP re-reads the
 * configuration.
 */
export async function serve(options: ServeOptions, role: 'primary' | 'secondary'): Promise<void> {
  const log = createLogger({ role, level: options.logLevel });
  const load = async (): Promise<Config> => {
    const config = await findConfig(options);
    if (role === 'primary' || options.overwrite !== true) return config;
    return { ...config, secondary: { ...asSecondary(config).secondary, overwrite: true } };
  };
  const asked = askedToEnd(log);
  const config = await load();
  await makePlaces([config.control, ...(role === 'secondary' ? filesOf(config) : [])]);
  const daemon = await Daemon.start(config, role, log);
  process.on('SIGHUP', () => {
    load()
      .then((next) => daemon.reload(next))
      .catch((error: unknown) => log.error('not reloaded', { ...describeError(error) }));
  });
  await asked;
  await daemon.stop();
}

function askedToEnd(log: Logger): Promise<void> {
  let isAsked = false;
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        if (isAsked) {
          log.error('ended without waiting', { signal });
          process.exit(EXIT.failed);
        }
        isAsked = true;
        resolve();
      });
    }
  });
}

function filesOf(config: Config): string[] {
  const { nbd, peer, journal } = asSecondary(config).secondary;
  return [nbd, peer].flatMap((at) => (at?.type === 'unix' ? [at.path] : [])).concat(journal);
}
