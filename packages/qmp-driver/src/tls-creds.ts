/**
 * TLS credentials as an object in QEMU, for nodes and migrations that name its id.
 */
import { type QmpClient, QmpCommandError } from 'qemu-qmp-client';
import { LinkError, step } from './errors.js';

/** The object's id. */
export const TLS_CREDS_ID = 'gannet-tls';

/**
 * A folder with the names of qemu(1), `-object tls-creds-x509` and `tls-creds-psk`; QEMU reads it
 * itself.
 */
export type TlsCreds =
  | { readonly kind: 'x509'; readonly dir: string }
  | { readonly kind: 'psk'; readonly dir: string; readonly username: string };

/**
 * Makes QEMU read the credentials again, unless a link still uses the object.
 * @throws LinkError `DRIVER_ADD_FAILED` with QEMU's words
 */
export async function putTlsCreds(
  qmp: QmpClient,
  creds: TlsCreds,
  timeoutMs: number,
): Promise<void> {
  const isGone = await dropTlsCreds(qmp, timeoutMs);
  if (!isGone) return;
  const common = { id: TLS_CREDS_ID, endpoint: 'client', dir: creds.dir } as const;
  const object =
    creds.kind === 'x509'
      ? ({ ...common, 'qom-type': 'tls-creds-x509', 'verify-peer': true } as const)
      : ({ ...common, 'qom-type': 'tls-creds-psk', username: creds.username } as const);
  await step(
    () => qmp.execute('object-add', object, { timeoutMs }),
    (words, cause) => {
      const message = `QEMU cannot use the TLS credentials in ${creds.dir}: ${words}`;
      const remedy = 'See that its process may read them; docs/how-to/tls.md says how to make them.';
      return new LinkError('DRIVER_ADD_FAILED', message, remedy, { cause });
    },
  );
}

/** @returns whether the object is gone; a link that uses it keeps it */
export async function dropTlsCreds(qmp: QmpClient, timeoutMs: number): Promise<boolean> {
  try {
    await qmp.execute('object-del', { id: TLS_CREDS_ID }, { timeoutMs });
    return true;
  } catch (error) {
    if (!(error instanceof QmpCommandError)) throw error;
    return !error.desc.includes('is in use');
  }
}
