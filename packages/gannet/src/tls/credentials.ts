import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import {
  type ConnectionOptions,
  createSecureContext,
  type TlsOptions,
  type TLSSocket,
} from 'node:tls';
import type { TlsCreds } from '@gannet/qmp-driver';
import { GannetError, type TlsConfig } from '@gannet/contract';

type End = 'server' | 'client';
/** Names of QEMU's tls-creds-x509 and tls-creds-psk, which reads the same folder. */
const KEYS_FILE = 'keys.psk';
const CA_FILE = 'ca-cert.pem';
/** With forward secrecy, both. The first is GnuTLS's choice too. */
const PSK_CIPHERS = 'ECDHE-PSK-CHACHA20-POLY1305:DHE-PSK-AES256-GCM-SHA384';
const OTHERS_MAY_READ = 0o004;
const HOW = 'docs/how-to/tls.md says how to make them.';

/**
 * Who we are to the other host, and whom we believe. Certificates are TLS 1.3 alone; a pre-shared key is TLS 1.2, which
 * is what Node.js has it in, with an ephemeral key exchange.
 */
export class Credentials {
  readonly #listeners = new Set<() => void>();
  /** That have been checked, and are in use. */
  readonly #ends = new Set<End>();

  private constructor(
    private readonly config: TlsConfig,
    private files: ReadonlyMap<string, Buffer>,
  ) {}

  /**
   * Reads what is in the folder; what is not there is missed when it is wanted.
   *
   * @throws GannetError GANNET_CONFIG for what can't be used, or could be read by anybody
   */
  static async read(config: TlsConfig): Promise<Credentials> {
    return new Credentials(config, await readFiles(config));
  }

  /** For the next connections. What can't be used changes nothing. @throws as read() */
  async reload(): Promise<void> {
    const files = await readFiles(this.config);
    const next = new Credentials(this.config, files);
    for (const end of this.#ends) next.check(end);
    this.files = files;
    for (const listener of this.#listeners) listener();
  }

  onReload(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** For a listener. @throws GannetError GANNET_CONFIG */
  server(): TlsOptions {
    if (this.config.kind === 'psk') {
      const pskCallback = (_socket: TLSSocket, name: string): Buffer | null =>
        this.#keys().get(name) ?? null;
      return { ...this.#psk(), requestCert: false, pskCallback };
    }
    return { ...this.#x509('server'), requestCert: true, rejectUnauthorized: true };
  }

  /** For a connection that we make, to the other host unless said otherwise. @throws GannetError GANNET_CONFIG */
  client({ serverName }: Pick<TlsConfig, 'serverName'> = this.config): ConnectionOptions {
    const { kind, username } = this.config;
    if (kind === 'x509') {
      return {
        ...this.#x509('client'),
        ...(serverName === undefined ? {} : { servername: serverName }),
      };
    }
    const psk = this.#keys().get(username);
    if (!psk) {
      const file = this.#path(KEYS_FILE);
      throw missing(`tls.username: ${file} has no key of ${username}`, 'Add a line NAME:KEY.');
    }
    // Who knows the key is who we mean; there is no certificate with a name.
    return {
      ...this.#psk(),
      pskCallback: () => ({ psk, identity: username }),
      checkServerIdentity: () => undefined,
    };
  }

  /**
   * Who a client is that has been verified.
   *
   * @throws GannetError GANNET_REFUSED for one that is not among `tls.clients`
   */
  readonly identify = (socket: TLSSocket): string => {
    if (this.config.kind === 'psk') return 'who knows the key';
    const names = namesOf(socket);
    const { clients } = this.config;
    const name = clients ? names.find((each) => clients.includes(each)) : names[0];
    if (name !== undefined) return name;
    const message = `a certificate of ${names.join(', ') || 'nobody'} is none of \`tls.clients\``;
    throw new GannetError('GANNET_REFUSED', message, 'Add the name if it may connect.', 'refused');
  };

  /** As an object of the QEMU beside us, which is a client. */
  get forQemu(): TlsCreds {
    const { dir, kind, username } = this.config;
    return kind === 'x509' ? { kind, dir } : { kind, dir, username };
  }

  get serverName(): string | undefined {
    return this.config.kind === 'x509' ? this.config.serverName : undefined;
  }

  /** @throws GannetError GANNET_CONFIG where these can't be used for that end */
  check(end: End): void {
    const options = end === 'server' ? this.server() : this.client();
    this.#ends.add(end);
    if (this.config.kind === 'psk') {
      if (this.#keys().size > 0) return;
      throw missing(`tls.dir: ${this.#path(KEYS_FILE)} has no line NAME:KEY`, HOW);
    }
    try {
      createSecureContext(options);
    } catch (cause) {
      const message = `tls.dir: the certificates in ${this.config.dir} can't be used for a ${end}: ${(cause as Error).message}`;
      throw missing(message, HOW, cause);
    }
  }

  #path(name: string): string {
    return path.join(this.config.dir, name);
  }

  #file(name: string): Buffer {
    const content = this.files.get(name);
    if (content) return content;
    throw missing(`tls.dir: ${this.#path(name)} is missing`, HOW);
  }

  #x509(end: End): { ca: Buffer; cert: Buffer; key: Buffer; minVersion: 'TLSv1.3' } {
    const [ca, cert] = [this.#file(CA_FILE), this.#file(`${end}-cert.pem`)];
    return { ca, cert, key: this.#file(`${end}-key.pem`), minVersion: 'TLSv1.3' };
  }

  #psk(): { ciphers: string; minVersion: 'TLSv1.2'; maxVersion: 'TLSv1.2' } {
    return { ciphers: PSK_CIPHERS, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' };
  }

  /** Lines of `NAME:KEY`, the key in hexadecimal. */
  #keys(): ReadonlyMap<string, Buffer> {
    const lines = this.#file(KEYS_FILE).toString('utf8').split('\n');
    return new Map(
      lines.flatMap((line) => {
        const [, name, hex] = /^([^:#]+):([0-9A-Fa-f]{32,})$/.exec(line.trim()) ?? [];
        return name && hex ? [[name, Buffer.from(hex, 'hex')] as const] : [];
      }),
    );
  }
}

async function readFiles({ dir, kind }: TlsConfig): Promise<ReadonlyMap<string, Buffer>> {
  const pairs = ['server', 'client'].flatMap((end) => [`${end}-cert.pem`, `${end}-key.pem`]);
  const names = kind === 'psk' ? [KEYS_FILE] : [CA_FILE, ...pairs];
  const files = new Map<string, Buffer>();
  for (const name of names) {
    const file = path.join(dir, name);
    try {
      const { mode } = await stat(file);
      if (/key/.test(name) && (mode & OTHERS_MAY_READ) !== 0) {
        throw missing(`tls.dir: anybody may read ${file}`, `chmod 600 ${file}; make a new key.`);
      }
      files.set(name, await readFile(file));
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') continue;
      if (cause instanceof GannetError) throw cause;
      throw missing(`tls.dir: ${file} can't be read: ${(cause as Error).message}`, HOW, cause);
    }
  }
  return files;
}

/** The common name and the alternative names (DNS, IP) of a client. */
function namesOf(socket: TLSSocket): string[] {
  const { subject, subjectaltname } = socket.getPeerCertificate();
  const alternatives = (subjectaltname ?? '').split(', ').flatMap((entry) => {
    return /^(?:DNS|IP Address):(.+)$/.exec(entry)?.[1] ?? [];
  });
  return [subject.CN, ...alternatives].flatMap((name) => name ?? []).filter((name) => name !== '');
}

function missing(message: string, remedy: string, cause?: unknown): GannetError {
  return new GannetError('GANNET_CONFIG', message, remedy, 'usage', { cause });
}
