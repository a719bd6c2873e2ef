import { dropTlsCreds, putTlsCreds } from '@gannet/qmp-driver';
import type { Credentials } from '../../tls/credentials.js';
import type { VmWatch } from './vm-watch.js';

const QMP_TIMEOUT_MS = 10_000;

/** QEMU's own credentials of TLS, which it has as long as its links may need them. */
export class LinkTls {
  constructor(
    private readonly vm: VmWatch,
    private readonly credentials: Credentials | undefined,
    private readonly isUsed: boolean,
  ) {}

  /** @throws LinkError where QEMU can't use them */
  async put(): Promise<void> {
    const { qmp } = this.vm;
    const creds = this.#creds;
    if (qmp && creds) await putTlsCreds(qmp, creds, QMP_TIMEOUT_MS);
  }

  /** Behind the links. Nothing depends on it. */
  async drop(): Promise<void> {
    const { qmp } = this.vm;
    if (qmp && this.#creds) await dropTlsCreds(qmp, QMP_TIMEOUT_MS).catch(() => undefined);
  }

  get #creds() {
    return this.isUsed ? this.credentials?.forQemu : undefined;
  }
}
