/**
 * The CPU, as `-cpu` and `-smp` have to be told to get the same.
 *
 * QMP does not say what `-cpu MODEL,…` was given. It can be found out, since what was given also
 * acts on every CPU that query-cpu-model-expansion makes (QEMU target/i386/cpu.c):
 * - `feature=on` and `key=value` are globals of the type of MODEL. `MODEL-v1` is another type with
 *   the same
 *   contents, so a difference between it and the live CPU was given.
 * - `+feature` and `-feature` are applied last, to CPUs of any type. What is on although it was
 *   asked to be
 *   off, or off although it was asked to be on, was given so.
 */
import { isRecord, isScalar, type QomReader, scalarsOf, textOr } from './qom.js';
import type { Properties, Scalar, VmReport } from './vm-report.js';

const TOPOLOGY = ['cpus', 'maxcpus', 'sockets', 'cores', 'threads'];
/**
 * Levels that a machine need not know: QEMU reports 1 for those that it does not, and may refuse to
 * be told so.
 */
const OPTIONAL_TOPOLOGY = ['drawers', 'books', 'dies', 'clusters', 'modules'];
/** What each CPU has for itself, or what comes of being one. */
const NOT_FEATURES =
  /^((apic|core|die|module|node|socket|thread)-id|hotplug.*|(unavailable|filtered)-features)$/;
const NOT_FEATURES_EITHER = new Set([
  ...['realized', 'start-powered-off', 'phys-bits', 'ucode-rev', 'hv-vendor-id'],
]);
/** Switches that are no CPUID bits: `+` and `-` are not used with them. */
const NOT_BITS =
  /^(hv-|kvm|x-|enforce|check|host|tcg|xen|migratable|pmu|full-|fill|cpuid-|l3|legacy|vmware|lmce)/;

export async function readCpu(
  qom: QomReader,
  path: string,
  target: string,
): Promise<VmReport['cpu']> {
  const type = textOr(await qom.get(path, 'type'), '');
  const model = type.replace(new RegExp(`-${target}-cpu$`), '');
  const smp = Object.entries(scalarsOf(await qom.get('/machine', 'smp')));
  const topology = smp.filter(
    (entry): entry is [string, number] =>
      typeof entry[1] === 'number' &&
      (TOPOLOGY.includes(entry[0]) || (OPTIONAL_TOPOLOGY.includes(entry[0]) && entry[1] > 1)),
  );
  const own = await expand(qom, model);
  const names = Object.keys(own).filter(isFeature);
  const values = await qom.values(path, names);
  const flags = [...values].flatMap(([name, value]) => (value === true ? [name] : [])).sort();
  const features = await featuresGiven(qom, model, values);
  return { model, flags, topology: Object.fromEntries(topology), ...(features && { features }) };
}

function isFeature(name: string): boolean {
  return !NOT_FEATURES.test(name) && !NOT_FEATURES_EITHER.has(name);
}

/** @returns undefined where it cannot be told */
async function featuresGiven(
  qom: QomReader,
  model: string,
  values: ReadonlyMap<string, unknown>,
): Promise<Properties | undefined> {
  const pristine = await expand(qom, `${model}-v1`);
  const bits = [...values].flatMap(([name, value]) =>
    typeof value === 'boolean' && !NOT_BITS.test(name) ? [name] : [],
  );
  const allOff = await expand(qom, 'base', asked(bits, false));
  const allOn = await expand(qom, 'base', asked(bits, true));
  if ([pristine, allOff, allOn].some((props) => Object.keys(props).length === 0)) return undefined;
  const features: Record<string, Scalar> = {};
  for (const [name, value] of values) {
    const isBit = bits.includes(name);
    const isSwitched = isBit && (allOff[name] === true || allOn[name] === false);
    const isGlobal = Object.hasOwn(pristine, name) && pristine[name] !== value;
    if (isScalar(value) && (isSwitched || isGlobal)) features[name] = value;
  }
  return features;
}

function asked(names: readonly string[], value: boolean): Properties {
  return Object.fromEntries(names.map((name) => [name, value]));
}

async function expand(qom: QomReader, name: string, props: Properties = {}): Promise<Properties> {
  const model = { name, props };
  const answer = await qom.ask('query-cpu-model-expansion', { type: 'full', model });
  const expanded = isRecord(answer) ? answer['model'] : undefined;
  return scalarsOf(isRecord(expanded) ? expanded['props'] : undefined);
}
