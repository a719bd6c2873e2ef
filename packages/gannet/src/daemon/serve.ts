/** Runs a daemon as a process: creates its folders, handles signals, and ends it. */
import {
  asSecondary,
  type Config,
  type ConfigChoice,
  EXIT,
  findConfig,
  makePlaces,
} from '@gannet/contract';
import { Daemon } from './daemon.js';
import { createLogger, type Logger } from './log.js';
import { Notifier } from './notify.js';
import { refuseStandingOverwrite } from './terms/refuse-outdated.js';

export interface ServeOptions extends ConfigChoice {
  readonly overwrite?: boolean;
  readonly logLevel?: string;
}

/**
 * Runs a daemon until SIGTERM or SIGINT. A second such signal ends the process at once. SIGHUP
 * reads the configuration again.
 */
export async function serve(options: ServeOptions, role: 'primary' | 'secondary'): Promise<void> {
  // Everything that is created is for our own user only, even where no mode is given.
  process.umask(0o077);
  const log = createLogger({ role, level: options.logLevel });
  const load = async (): Promise<Config> => {
    const config = await findConfig(options);
    if (role === 'primary' || options.overwrite !== true) return config;
    return { ...config, secondary: { ...asSecondary(config).secondary, overwrite: true } };
  };
  const notifier = Notifier.start(process.env, (reason) => {
    log.error('cannot send the state of this service to systemd', { reason });
  });
  let tell = (): void => undefined;
  const start = async (): Promise<Daemon> => {
    const config = await load();
    if (config.secondary?.overwrite === true && options.overwrite !== true) {
      if (role === 'secondary') await refuseStandingOverwrite(asSecondary(config));
    }
    const token = config.http ? [config.http.tokenFile] : [];
    const files = role === 'secondary' ? filesOf(config) : [];
    await makePlaces([config.control, config.termFile, ...token, ...files]);
    const onEvent = (): void => void setImmediate(() => tell());
    const running = await Daemon.start(config, role, log, onEvent, load);
    notifier.ready();
    return running;
  };
  const reload = async (): Promise<void> => {
    // A daemon that does not start reports the error itself.
    const running = await starting.catch(() => undefined);
    if (!running) return;
    notifier.reloading();
    // A configuration that cannot be used changes nothing, and the service stays ready.
    await load()
      .then((next) => running.reload(next))
      .catch((error: unknown) => running.notReloaded(error));
    notifier.ready();
  };
  // Handled from the start, because SIGHUP ends a process that does not handle it. Reloads run one
  // after the other.
  let reloads = Promise.resolve();
  process.on('SIGHUP', () => {
    reloads = reloads.then(reload);
  });
  const asked = askedToEnd(log);
  const starting = start();
  const running = await starting;
  tell = () => {
    void running.statusLine().then((text) => notifier.status(text));
  };
  tell();
  await asked;
  notifier.stopping();
  await running.stop();
  notifier.close();
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
  const { nbd, svm, peer, journal } = asSecondary(config).secondary;
  return [nbd, peer].flatMap((at) => (at?.type === 'unix' ? [at.path] : [])).concat(svm, journal);
}
