import type { SecondaryConfig } from '@gannet/contract';
import { whyNotOverwrite, whyNotRecover } from '../arbitration/may-recover.js';
import { readTermFile } from './term-store.js';

/**
 * Before the bases of a host are made the disks of the VM: its daemon may know of a newer copy.
 *
 * @throws GannetError GANNET_REFUSED if it does
 * @throws GannetError GANNET_CONFIG if the term file can't be used
 */
export async function refuseOutdated({ vm, termFile }: SecondaryConfig): Promise<void> {
  const refusal = whyNotRecover(vm, await readTermFile(termFile, vm));
  if (refusal) throw refusal;
}

/**
 * Before a daemon starts whose configuration, and no option, says `overwrite`.
 *
 * @throws GannetError GANNET_REFUSED if the copy of this host may be the newest
 * @throws GannetError GANNET_CONFIG if the term file can't be used
 */
export async function refuseStandingOverwrite({ vm, termFile }: SecondaryConfig): Promise<void> {
  const refusal = whyNotOverwrite(vm, await readTermFile(termFile, vm));
  if (refusal) throw refusal;
}
