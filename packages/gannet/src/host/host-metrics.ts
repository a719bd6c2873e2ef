/** The metrics of all daemons of a host, as one text. */
import { METHODS } from '@gannet/contract';
import { configuredVms } from '@gannet/contract/find';
import type { Places } from '@gannet/contract/paths';
import { HOST_METRICS } from '../daemon/metrics/catalogue.js';
import { askDaemon } from './host-list.js';
import { mergeMetrics } from './merge-metrics.js';

/** As Prometheus knows the text format. */
export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/**
 * @param silenceMs for so long a daemon may be silent; `gannet_daemon_up` of its VM is 0 then
 */
export async function hostMetrics(places: Places, silenceMs: number): Promise<string> {
  const names = await configuredVms(places);
  const texts = await Promise.all(
    names.map(async (vm) => {
      try {
        const answer = await askDaemon('metrics', vm, places, silenceMs);
        return METHODS.metrics.result.parse(answer).text;
      } catch {
        return undefined;
      }
    }),
  );
  const [{ name, type, help }] = HOST_METRICS;
  const own = [
    `# HELP ${name} ${help}`,
    `# TYPE ${name} ${type}`,
    ...names.map((vm, at) => `${name}{vm="${vm}"} ${texts[at] === undefined ? 0 : 1}`),
  ];
  return mergeMetrics([own.join('\n'), ...texts.filter((text) => text !== undefined)]);
}
