/** Objects that the user made (-object): memory, I/O threads, sources of randomness. */
import { finding, type Finding } from '../inspect/finding.js';
import { hostFile } from './command-files.js';
import { optionText, type OptionValue } from './option-text.js';
import type { Properties, VmReport } from '../inspect/vm-report.js';

const BACKENDS = /^memory-backend-/;
/** Types of which all is known that can be given, and what is copied. */
const DERIVED: Readonly<Record<string, readonly string[]>> = {
  iothread: [],
  'can-bus': [],
  'rng-builtin': [],
  'rng-random': ['filename'],
};

export function objectArguments(
  { objects, memory, devices }: VmReport,
  { memoryFile }: { readonly memoryFile?: string | undefined },
  findings: Finding[],
): string[] {
  const used = new Set(devices.flatMap(({ properties }) => Object.values(properties)));
  return objects.flatMap(({ id, type, properties }) => {
    if (BACKENDS.test(type)) {
      const hasFile = properties['mem-path'] !== undefined && memoryFile !== undefined;
      const own = hasFile ? { ...properties, 'mem-path': memoryFile } : properties;
      return backendArguments(id, type, own, findings);
    }
    const copied = DERIVED[type];
    if (copied === undefined) {
      const message = `the object ${id} (${type}) cannot be derived`;
      const remedy = 'Add -object to the line by hand if the secondary needs it.';
      const severity = id === memory.backend || used.has(id) ? 'error' : 'warning';
      findings.push(finding(severity, 'object-not-derived', message, remedy, id));
      return [];
    }
    const entries: [string, OptionValue][] = [
      ['qom-type', type],
      ['id', id],
    ];
    for (const name of copied) {
      const value = properties[name];
      if (value !== undefined) entries.push([name, value]);
    }
    return ['-object', optionText(entries)];
  });
}

/** The memory itself comes with the migration: what it is backed by is the host's affair. */
function backendArguments(
  id: string,
  type: string,
  { size, share, 'mem-path': path }: Properties,
  findings: Finding[],
): string[] {
  if (path !== undefined) findings.push(hostFile(`memory ${id}`, path));
  const entries: [string, OptionValue][] = [
    ['qom-type', type],
    ['id', id],
    ['size', `${String(size)}B`],
  ];
  if (share === true) entries.push(['share', true]);
  if (path !== undefined) entries.push(['mem-path', path]);
  return ['-object', optionText(entries)];
}
