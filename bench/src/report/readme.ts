/** What README shows of the six services: a chart, and a few figures. */
import { COLO_DISK, COLO_RAM, NATIVE } from '../b1-path.js';
import { OURS } from '../b8-guest.js';
import { ratioOf, type Result } from '../harness/result.js';
import { fill } from './page.js';
import { boundServices, serviceNames } from './targets.js';

const PAGE = 'docs/explanation/services.md';

/**
 * Leaves the file as it is when B9 was not measured.
 *
 * @throws BenchError when it has no place for them
 */
export async function renderReadme(results: readonly Result[], file: string): Promise<void> {
  const both = results.find(({ name }) => name === 'B9');
  if (both)
    await fill(
      file,
      shown(
        both,
        results.find(({ name }) => name === 'B9B'),
      ),
    );
}

function shown(both: Result, secondary: Result | undefined): string {
  const bound = boundServices(both);
  const rows = [
    ['of the unprotected VM', spread(both, bound, NATIVE)],
    ['of stock COLO on the same disks', spread(both, bound, COLO_DISK)],
    ['of COLO with its overlays in memory', spread(both, bound, COLO_RAM)],
    [
      "the same, only the secondary's disk slow",
      secondary ? spread(secondary, serviceNames(), COLO_RAM) : undefined,
    ],
  ].filter(([, found]) => found !== undefined);
  const table = [
    `| throughput of ${bound.length} real services with Gannet, times that | least to most |`,
    '| --- | ---: |',
    ...rows.map((row) => `| ${row.join(' | ')} |`),
  ];
  return [
    `[![Throughput of real services](docs/explanation/charts/b9.svg)](${PAGE})`,
    table.join('\n'),
    `[What was measured, how, and what it does not show](${PAGE}).`,
  ].join('\n\n');
}

/** Least and most of our medians divided by the other's. */
function spread(result: Result, services: readonly string[], other: string): string | undefined {
  const ratios = services
    .map((service) => ratioOf(result, service, OURS, other))
    .filter((ratio) => ratio !== undefined);
  if (ratios.length === 0) return undefined;
  return `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}`;
}
