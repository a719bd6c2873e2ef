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
import { type CertificateExpiry, expiryOf } from '../certificate-expiry.js';

type End = 'server' | 'client';
/** File names of QEMU's tls-creds-x509 and tls-creds-psk: QEMU reads the same folder. */
const KEYS_FILE = 'keys.psk';
const CA_FILE = 'ca-cert.pem';
/** Both have forward secrecy. The first is also what GnuTLS chooses. */
const PSK_CIPHERS = 'ECDHE-PSK-CHACHA20-POLY1305:DHE-PSK-AES256-GCM-SHA384';
const OTHERS_MAY_READ = 0o004;
const HOW = 'docs/how-to/tls.md shows how to create the credentials.';

/**
 * The TLS credentials of this host, and the rule who may connect. Certificates use TLS 1.3. A
 * pre-shared key uses TLS 1.2 with an ephemeral key exchange, because Node.js supports external
 * keys in TLS 1.2 only.
 */
export class Credentials {
  readonly #listeners = new Set<() => void>();
  /** The ends that have been checked and are in use. */
  readonly #ends = new Set<End>();

  private constructor(
    private readonly config: TlsConfig,
    private files: ReadonlyMap<string, Buffer>,
  ) {}

  /**
   * Reads the files in the folder. A missing file is an error only once it is needed.
   *
   * @throws GannetError GANNET_CONFIG if a file cannot be read, or everyone may read a key
   */
  static async read(config: TlsConfig): Promise<Credentials> {
    return new Credentials(config, await readFiles(config));
  }

  /**
   * Reads the files again, for later connections. If they cannot be used, nothing changes.
   *
   * @throws GannetError GANNET_CONFIG as read() and check()
   */
  async reload(): Promise<void> {
    const files = await readFiles(this.config);
    const next = new Credentials(this.config, files);
    for (const end of this.#ends) next.check(end);
    this.files = files;
    for (const listener of this.#listeners) listener();
  }

  /** Calls the listener after each successful reload(). */
  onReload(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /**
   * Options of a TLS server.
   *
   * @throws GannetError GANNET_CONFIG if a file is missing
   */
  server(): TlsOptions {
    if (this.config.kind === 'psk') {
      const pskCallback = (_socket: TLSSocket, name: string): Buffer | null =>
        this.#keys().get(name) ?? null;
      return { ...this.#psk(), requestCert: false, pskCallback };
    }
    return { ...this.#x509('server'), requestCert: true, rejectUnauthorized: true };
  }

  /**
   * Options of a TLS client.
   *
   * @param options `serverName`: name in the server's certificate; default: `tls.serverName`
   * @throws GannetError GANNET_CONFIG if a file or key is missing
   */
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
      const message = `tls.username: ${file} has no key for ${username}`;
      throw missing(message, `Add the line ${username}:KEY to ${file}. ${HOW}`);
    }
    // Knowing the key is the proof of identity; there is no certificate to check.
    return {
      ...this.#psk(),
      pskCallback: () => ({ psk, identity: username }),
      checkServerIdentity: () => undefined,
    };
  }

  /**
   * The name of a client whose certificate or key was verified.
   *
   * @throws GannetError GANNET_REFUSED if it is not in `tls.clients`
   */
  readonly identify = (socket: TLSSocket): string => {
    if (this.config.kind === 'psk') return 'holder of the pre-shared key';
    const names = namesOf(socket);
    const { clients } = this.config;
    const name = clients ? names.find((each) => clients.includes(each)) : names[0];
    if (name !== undefined) return name;
    const message = `the certificate of ${names.join(', ') || 'no one'} is not in \`tls.clients\``;
    const remedy = 'If this host may connect, add its name to `tls.clients`.';
    throw new GannetError('GANNET_REFUSED', message, remedy, 'refused');
  };

  /** Options of the tls-creds object in this host's QEMU, which is a client. */
  get forQemu(): TlsCreds {
    const { dir, kind, username } = this.config;
    return kind === 'x509' ? { kind, dir } : { kind, dir, username };
  }

  /** Name that the other host's certificate must have, if it is configured. */
  get serverName(): string | undefined {
    return this.config.kind === 'x509' ? this.config.serverName : undefined;
  }

  /** Of the certificates in use; keys do not expire. */
  get expiries(): readonly CertificateExpiry[] {
    if (this.config.kind === 'psk') return [];
    const own = [...this.#ends].map((end) => expiryOf(end, this.#file(`${end}-cert.pem`)));
    return [expiryOf('ca', this.#file(CA_FILE)), ...own];
  }

  /** @throws GannetError GANNET_CONFIG if the credentials cannot be used for that end */
  check(end: End): void {
    const options = end === 'server' ? this.server() : this.client();
    this.#ends.add(end);
    if (this.config.kind === 'psk') {
      if (this.#keys().size > 0) return;
      throw missing(`tls.dir: ${this.#path(KEYS_FILE)} has no line of the form NAME:KEY`, HOW);
    }
    try {
      createSecureContext(options);
    } catch (cause) {
      const { dir } = this.config;
      const why = (cause as Error).message;
      const message = `tls.dir: the certificates in ${dir} cannot be used for a ${end}: ${why}`;
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
        const remedy = `Run \`chmod 600 ${file}\`, and replace the key: it may have been read.`;
        throw missing(`tls.dir: every user of this host may read ${file}`, remedy);
      }
      files.set(name, await readFile(file));
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') continue;
      if (cause instanceof GannetError) throw cause;
      const message = `tls.dir: ${file} cannot be read: ${(cause as Error).message}`;
      throw missing(message, `Check its permissions. ${HOW}`, cause);
    }
  }
  return files;
}

/** The common name and the alternative names (DNS, IP) in a client's certificate. */
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
