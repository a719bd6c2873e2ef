/** Gannet's contract: events, methods, status, errors, configuration, and a control client. */
export * from './client.js';
export * from './config/address.js';
export * from './config/bytes.js';
export * from './config/find.js';
export * from './config/key-metadata.js';
export * from './config/load.js';
export * from './config/network-card.js';
export * from './config/paths.js';
export * from './config/schema.js';
export * from './config/tls.js';
export * from './control.js';
export * from './errors.js';
export * from './events.js';
export * from './methods.js';
export * from './peer.js';
export * from './remedies.js';
export * from './status.js';
