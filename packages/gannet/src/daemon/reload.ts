import type { PrimaryConfig, SecondaryConfig } from '@gannet/contract';

/** A primary's configuration with what can change while it runs. */
export function reloadedPrimary(current: PrimaryConfig, next: PrimaryConfig): PrimaryConfig {
  const { checkpointPeriodMs, onSecondaryLost, onGuestCrash, seedBytesPerSec } = next.primary;
  const reloaded = { checkpointPeriodMs, onSecondaryLost, onGuestCrash, seedBytesPerSec };
  const { fence, protection } = next;
  return { ...current, fence, protection, primary: { ...current.primary, ...reloaded } };
}

/** The same of a secondary's. */
export function reloadedSecondary(
  current: SecondaryConfig,
  next: SecondaryConfig,
): SecondaryConfig {
  const { fence, protection } = next;
  const { failover } = next.secondary;
  return { ...current, fence, protection, secondary: { ...current.secondary, failover } };
}

/** The keys, with dots, whose values differ; a list counts as one value. */
export function changedKeys(before: unknown, after: unknown, prefix = ''): string[] {
  if (!isSection(before) || !isSection(after)) {
    return JSON.stringify(before) === JSON.stringify(after) ? [] : [prefix];
  }
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...keys].flatMap((key) => {
    return changedKeys(before[key], after[key], prefix === '' ? key : `${prefix}.${key}`);
  });
}

function isSection(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
