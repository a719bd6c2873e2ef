import type { DiskLink, PrimaryDriver } from '@gannet/qmp-driver';
import { GannetError } from '@gannet/contract';

/** @throws GannetError GANNET_NOT_READY with all that is in the way */
export async function expectLinkable(
  driver: PrimaryDriver,
  links: readonly DiskLink[],
): Promise<void> {
  const findings = await driver.preflight(links);
  const bad = findings.filter(({ severity }) => severity === 'error');
  if (bad.length === 0) return;
  const message = bad.map((finding) => finding.message).join('; ');
  throw new GannetError('GANNET_NOT_READY', message, bad.map(({ remedy }) => remedy).join(' '));
}
