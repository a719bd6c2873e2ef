/** Where an NBD server listens: a unix socket, or a TCP port of a host. */
export type NbdAddress =
  { readonly path: string } | { readonly host: string; readonly port: number };
