/**
 * TLS credentials as an object in QEMU, for nodes and migrations that name its id.
 */
import { type QmpClient, QmpCommandError } from 'qemu-qmp-client';
import { LinkError, step } from './errors.js';

/** Ids of the objects, by the end of a connection that uses them. */
export const TLS_CREDS_IDS = { client: 'gannet-tls', server: 'gannet-tls-server' } as const;
/** Id of the object that says whose certificates a server accepts. */
export const TLS_AUTHZ_ID = 'gannet-tls-authz';

export type TlsEnd = keyof typeof TLS_CREDS_IDS;

/** Whether an id is that of one of these credentials. */
export function isOurTls(id: string): boolean {
  return Object.values<string>(TLS_CREDS_IDS).includes(id);
}

/**
 * A folder with the names of qemu(1), `-object tls-creds-x509` and `tls-creds-psk`; QEMU reads it
 * itself.
 */
export type TlsCreds =
  | { readonly kind: 'x509'; readonly dir: string }
  | { readonly kind: 'psk'; readonly dir: string; readonly username: string };

/**
 * Makes QEMU read the credentials again, unless a connection still uses the object.
 * @throws LinkError `DRIVER_ADD_FAILED` with QEMU's words
 */
export async function putTlsCreds(
  qmp: QmpClient,
  creds: TlsCreds,
  timeoutMs: number,
  end: TlsEnd = 'client',
): Promise<void> {
  const id = TLS_CREDS_IDS[end];
  if (!(await drop(qmp, id, timeoutMs))) return;
  const common = { id, endpoint: end, dir: creds.dir } as const;
  const psk = { ...common, 'qom-type': 'tls-creds-psk' } as const;
  const object =
    creds.kind === 'x509'
      ? ({ ...common, 'qom-type': 'tls-creds-x509', 'verify-peer': true } as const)
      : // A server takes whatever name of its file the client says, and refuses to be given one.
        { ...psk, ...(end === 'client' && { username: creds.username }) };
  await step(
    () => qmp.execute('object-add', object, { timeoutMs }),
    (words, cause) => {
      const message = `QEMU cannot use the TLS credentials in ${creds.dir}: ${words}`;
      const remedy =
        'See that its process may read them; docs/how-to/tls.md says how to make them.';
      return new LinkError('DRIVER_ADD_FAILED', message, remedy, { cause });
    },
  );
}

/**
 * Lets servers of QEMU accept only certificates whose subject has one of these common names.
 * @throws LinkError `DRIVER_ADD_FAILED` with QEMU's words
 */
export async function putTlsAuthz(
  qmp: QmpClient,
  names: readonly string[],
  timeoutMs: number,
): Promise<void> {
  if (!(await drop(qmp, TLS_AUTHZ_ID, timeoutMs))) return;
  // The subject as a whole, such as `CN=host-a,O=Example`.
  const matches = names.flatMap((name) =>
    ['', ',*'].flatMap((after) => ['', '*,'].map((before) => `${before}CN=${name}${after}`)),
  );
  const rules = matches.map((match) => ({ match, policy: 'allow', format: 'glob' }) as const);
  const object = { 'qom-type': 'authz-list', id: TLS_AUTHZ_ID, policy: 'deny', rules } as const;
  await step(
    () => qmp.execute('object-add', object, { timeoutMs }),
    (words, cause) => {
      const message = `QEMU cannot be told who may connect to it: ${words}`;
      return new LinkError('DRIVER_ADD_FAILED', message, 'Leave out `tls.clients`.', { cause });
    },
  );
}

/** What a connection still uses stays. */
export async function dropTlsCreds(
  qmp: QmpClient,
  timeoutMs: number,
  end: TlsEnd = 'client',
): Promise<void> {
  const ids = end === 'server' ? [TLS_CREDS_IDS.server, TLS_AUTHZ_ID] : [TLS_CREDS_IDS.client];
  const there = await qmp.execute('qom-list', { path: '/objects' }, { timeoutMs });
  const names = new Set(there.map(({ name }) => name));
  for (const id of ids.filter((id) => names.has(id))) await drop(qmp, id, timeoutMs);
}

/** @returns whether the object is gone; a connection that uses it keeps it */
async function drop(qmp: QmpClient, id: string, timeoutMs: number): Promise<boolean> {
  try {
    await qmp.execute('object-del', { id }, { timeoutMs });
    return true;
  } catch (error) {
    if (!(error instanceof QmpCommandError)) throw error;
    return !error.desc.includes('is in use');
  }
}
