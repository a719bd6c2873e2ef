/** `gannet host`: checks its options, serves until it is told to end. */
import {
  describeError,
  GannetError,
  type HttpConfig,
  isLoopback,
  makePlaces,
} from '@gannet/contract';
import { placesOf } from '@gannet/contract/paths';
import path from 'node:path';
import { HostServer, OPTION_NAMES } from './host-server.js';

/** As commander has parsed them. */
export interface HostOptions {
  readonly listen: HttpConfig['listen'];
  readonly tokenFile?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly allowName?: readonly string[];
  readonly peer?: readonly string[];
  /** Seconds. */
  readonly timeout: number;
}

/**
 * Serves until `signal`. SIGHUP reads the token and the certificate again.
 *
 * @param say a line for the person or the journal
 * @throws GannetError GANNET_USAGE or GANNET_CONFIG if it can't serve what was asked for
 */
export async function serveHost(
  options: HostOptions,
  signal: AbortSignal,
  say: (line: string) => void,
): Promise<void> {
  const places = placesOf(process.env);
  const config = configOf(options, path.join(places.runDir, 'host-page.token'));
  await makePlaces([config.tokenFile]);
  const peers = options.peer ?? [];
  const server = await HostServer.listen({
    ...{ config, places, peers },
    silenceMs: 1000 * options.timeout,
  });
  const reload = (): void => {
    server.reload().then(
      () => say('the token and the certificate were read again'),
      (error: unknown) => say(`not read again, those before stay: ${describeError(error).message}`),
    );
  };
  process.on('SIGHUP', reload);
  say(`serving ${server.url}; the token is in ${config.tokenFile}`);
  if (!signal.aborted) await new Promise((end) => signal.addEventListener('abort', end));
  process.off('SIGHUP', reload);
  await server.close();
}

function configOf(options: HostOptions, usualToken: string): HttpConfig {
  const { listen, tokenFile = usualToken, tlsCert, tlsKey, allowName = [] } = options;
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    const missing = tlsCert === undefined ? '--tls-cert' : '--tls-key';
    throw usage(`${missing} is missing`, 'Give both, PEM files, or none.');
  }
  const tls =
    tlsCert !== undefined && tlsKey !== undefined ? { cert: tlsCert, key: tlsKey } : undefined;
  if (!isLoopback(listen.host) && !tls) {
    throw usage(
      `${listen.host} is not a loopback address, so ${OPTION_NAMES.tls} must be given`,
      'Give them, or listen on 127.0.0.1 and use a tunnel.',
    );
  }
  return { listen, tokenFile, hosts: [...allowName], ...(tls ? { tls } : {}) };
}

function usage(message: string, remedy: string): GannetError {
  return new GannetError('GANNET_USAGE', message, remedy, 'usage');
}
