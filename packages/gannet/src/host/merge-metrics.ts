/**
 * The metrics of several daemons as one text for Prometheus. Every sample has the label `vm`, so
 * samples of two daemons never collide; but all samples of one metric have to stand together.
 */

interface Family {
  /** Its HELP and TYPE. */
  readonly head: string[];
  readonly samples: string[];
}

/** Longest first: `x_bucket` belongs to the histogram `x`. */
const SUFFIXES = ['_bucket', '_count', '_sum'] as const;

/** @param texts in the text format of Prometheus, as Metrics.text() returns it */
export function mergeMetrics(texts: readonly string[]): string {
  const families = new Map<string, Family>();
  const familyOf = (name: string): Family => {
    const family = families.get(name) ?? { head: [], samples: [] };
    families.set(name, family);
    return family;
  };
  for (const text of texts) {
    for (const line of text.split('\n')) {
      const [, word, name = ''] = /^# (HELP|TYPE) (\S+)/.exec(line) ?? [];
      if (word !== undefined) {
        const { head } = familyOf(name);
        if (!head.some((known) => known.startsWith(`# ${word} `))) head.push(line);
      } else if (line !== '' && !line.startsWith('#')) {
        familyOf(ownerOf(line, families)).samples.push(line);
      }
    }
  }
  const lines = [...families.values()].flatMap(({ head, samples }) => [...head, ...samples]);
  return lines.map((line) => `${line}\n`).join('');
}

function ownerOf(sample: string, families: ReadonlyMap<string, Family>): string {
  const name = /^[^\s{]+/.exec(sample)?.[0] ?? '';
  if (families.has(name)) return name;
  const suffix = SUFFIXES.find((end) => name.endsWith(end));
  const base = suffix === undefined ? name : name.slice(0, -suffix.length);
  return families.has(base) ? base : name;
}
