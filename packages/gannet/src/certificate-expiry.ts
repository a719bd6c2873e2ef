import { X509Certificate } from 'node:crypto';

/** When a certificate in use expires. */
export interface CertificateExpiry {
  /** What it is for: `ca`, `server`, `client`, or `page` of the web page. */
  readonly certificate: string;
  readonly expiresAtMs: number;
}

/** @param pem with several certificates, it is the first that counts: the host's own */
export function expiryOf(certificate: string, pem: Buffer): CertificateExpiry {
  return { certificate, expiresAtMs: Date.parse(new X509Certificate(pem).validTo) };
}
