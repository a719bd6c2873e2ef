/**
 * monitoring/dashboard.json against Grafana's own schema: Grafana publishes it as types, so the
 * compiler compares. Unknown keys and values that Grafana does not have are errors.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import ts from 'typescript';

const ROOT = path.resolve(import.meta.dirname, '..', '..');
const TYPES = './node_modules/@grafana/schema/dist/esm/raw/composable';
const PANELS = {
  stat: `${TYPES}/stat/panelcfg/x/StatPanelCfg_types.gen`,
  timeseries: `${TYPES}/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen`,
} as const;

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: Readonly<Record<'x' | 'y' | 'w' | 'h', number>>;
  readonly options?: object;
  readonly fieldConfig?: { readonly defaults: { readonly custom?: object } };
}
interface Dashboard {
  readonly panels: readonly Panel[];
}

const text = readFileSync(path.join(ROOT, 'monitoring', 'dashboard.json'), 'utf8');
const dashboard = JSON.parse(text) as Dashboard;

/** A source in which each part of the dashboard has to satisfy its type. */
function sourceOf({ panels, ...rest }: Dashboard): string {
  const parts = panels.flatMap(({ type, options, fieldConfig }) => {
    const custom = fieldConfig?.defaults.custom;
    return [
      ...(options ? [`(${JSON.stringify(options)}) satisfies Loose<${type}.Options>;`] : []),
      ...(custom ? [`(${JSON.stringify(custom)}) satisfies Loose<${type}.FieldConfig>;`] : []),
    ];
  });
  return [
    `import type { Dashboard } from '@grafana/schema';`,
    ...Object.entries(PANELS).map(([type, file]) => `import type * as ${type} from '${file}';`),
    // JSON has the values of enumerations, and leaves defaults out.
    `type Loose<T> = T extends readonly (infer U)[] ? readonly Loose<U>[]
       : T extends object ? { readonly [K in keyof T]?: Loose<T[K]> }
       : T extends string ? T | \`\${T}\` : T;`,
    `(${JSON.stringify({ ...rest, panels })}) satisfies Loose<Dashboard>;`,
    ...parts,
  ].join('\n');
}

/** What the compiler says of each source, by its name. */
function errorsOf(sources: ReadonlyMap<string, string>): ReadonlyMap<string, string[]> {
  const fileOf = (name: string): string => path.join(ROOT, `dashboard-${name}.ts`);
  const files = new Map([...sources].map(([name, source]) => [fileOf(name), source]));
  const options: ts.CompilerOptions = {
    ...{ noEmit: true, strict: true, skipLibCheck: true, types: [] },
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    target: ts.ScriptTarget.ES2022,
  };
  const host = ts.createCompilerHost(options);
  const read = host.getSourceFile.bind(host);
  host.getSourceFile = (name, language) => {
    const source = files.get(name);
    return source === undefined
      ? read(name, language)
      : ts.createSourceFile(name, source, language);
  };
  const exists = host.fileExists.bind(host);
  host.fileExists = (name) => files.has(name) || exists(name);
  const found = ts.getPreEmitDiagnostics(ts.createProgram([...files.keys()], options, host));
  return new Map(
    [...sources.keys()].map((name) => [
      name,
      found
        .filter(({ file }) => file?.fileName === fileOf(name))
        .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' ')),
    ]),
  );
}

/** Each has one thing that Grafana would refuse. */
const SPOILT = {
  value: text.replace('"graphMode": "none"', '"graphMode": "x"'),
  panelKey: text.replace('"colorMode"', '"colourMode"'),
  dashboardKey: text.replace('"refresh"', '"refreshes"'),
  type: text.replace('"graphTooltip": 1', '"graphTooltip": "1"'),
};

describe('the dashboard', () => {
  test('is what Grafana can load', () => {
    expect(dashboard.panels.length).toBeGreaterThan(25);
    const all = Object.entries({ own: text, ...SPOILT });
    const errors = errorsOf(
      new Map(all.map(([name, json]) => [name, sourceOf(JSON.parse(json) as Dashboard)])),
    );
    expect(errors.get('own')).toEqual([]);
    for (const name of Object.keys(SPOILT)) {
      expect({ name, errors: errors.get(name)?.length }).toEqual({ name, errors: 1 });
    }
  });

  test('has panels of different ids, none over another', () => {
    const { panels } = dashboard;
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const overlaps = panels.flatMap(({ title, gridPos: a }, at) =>
      panels
        .slice(at + 1)
        .filter(({ gridPos: b }) => a.x < b.x + b.w && b.x < a.x + a.w)
        .filter(({ gridPos: b }) => a.y < b.y + b.h && b.y < a.y + a.h)
        .map((other) => `${title} / ${other.title}`),
    );
    expect(overlaps).toEqual([]);
  });
});
