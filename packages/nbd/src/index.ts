/**
 * The server, the client, and what their users implement or receive. Of the wire's vocabulary only
 * the two parts that the interfaces speak in are public: transmission flags (`NbdClient.flags`) and
 * request types (`failed` events).
 */
export {
  NBD_CMD_BLOCK_STATUS,
  NBD_CMD_CACHE,
  NBD_CMD_DISC,
  NBD_CMD_FLUSH,
  NBD_CMD_READ,
  NBD_CMD_TRIM,
  NBD_CMD_WRITE,
  NBD_CMD_WRITE_ZEROES,
  NBD_FLAG_CAN_MULTI_CONN,
  NBD_FLAG_HAS_FLAGS,
  NBD_FLAG_READ_ONLY,
  NBD_FLAG_ROTATIONAL,
  NBD_FLAG_SEND_CACHE,
  NBD_FLAG_SEND_DF,
  NBD_FLAG_SEND_FAST_ZERO,
  NBD_FLAG_SEND_FLUSH,
  NBD_FLAG_SEND_FUA,
  NBD_FLAG_SEND_RESIZE,
  NBD_FLAG_SEND_TRIM,
  NBD_FLAG_SEND_WRITE_ZEROES,
} from './constants.js';
export type { CommandErrorName } from './constants.js';
export type { NbdAddress } from './address.js';
export * from './errors.js';
export type * from './export.js';
export { lockFile } from './file-lock.js';
export { DEFAULT_LIMITS } from './limits.js';
export type { NbdLimits } from './limits.js';
export { MEMORY_FEATURES, MemoryExport } from './memory-export.js';
export type { MemoryExportOptions } from './memory-export.js';
export { openSslReason } from './openssl-reason.js';
export { NbdClient } from './client/client.js';
export type { NbdClientOptions } from './client/client.js';
export type { ListedExport } from './client/client-handshake.js';
export { AcceptRateLimiter, networkOf } from './server/accept-rate-limiter.js';
export type { AcceptRateLimits } from './server/accept-rate-limiter.js';
export type { ConnectionInfo, ConnectionState, NbdServerEvent } from './server/connection-info.js';
export { NbdServer } from './server/server.js';
export type { NbdListenTarget, NbdServerOptions } from './server/server.js';
export type { NbdServerTls } from './server/server-tls.js';
export { UnixSocketPath } from './server/unix-socket.js';
