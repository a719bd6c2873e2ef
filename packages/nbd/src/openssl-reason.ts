/**
 * The readable part of an OpenSSL error: its message without the memory addresses and source lines
 * that OpenSSL puts around it. The message of any other error is returned as it is.
 */
export function openSslReason(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return /:error:[0-9A-F]+:[^:]*:[^:]*:([^:]+):/.exec(message)?.[1] ?? message.trim();
}
