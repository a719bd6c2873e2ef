/** Machine, CPU, object and device commands. Source: QEMU qapi/{control,run-state,machine,qom}.json. */

/** A command without arguments, and a reply without content. */
export type Empty = Readonly<Record<string, never>>;

export interface VersionTriple {
  readonly major: number;
  readonly minor: number;
  readonly micro: number;
}

export interface VersionInfo {
  readonly qemu: VersionTriple;
  readonly package: string;
}

/** RunState. `paused` is a user's stop, `colo` a checkpoint, `inmigrate` a VM that awaits migration. */
export type RunState =
  | 'debug'
  | 'inmigrate'
  | 'internal-error'
  | 'io-error'
  | 'paused'
  | 'postmigrate'
  | 'prelaunch'
  | 'finish-migrate'
  | 'restore-vm'
  | 'running'
  | 'save-vm'
  | 'shutdown'
  | 'suspended'
  | 'watchdog'
  | 'guest-panicked'
  | 'colo';

export interface StatusInfo {
  readonly running: boolean;
  readonly status: RunState;
  /** Gone since QEMU 9.0. */
  readonly singlestep?: boolean;
}

export interface CpuInfoFast {
  readonly 'cpu-index': number;
  readonly 'qom-path': string;
  readonly 'thread-id': number;
  readonly target: string;
  readonly props?: Readonly<Record<string, number>>;
  readonly [member: string]: unknown;
}

/** Sizes in bytes. */
export interface MemorySizeSummary {
  readonly 'base-memory': number;
  readonly 'plugged-memory'?: number;
}

export interface MachineInfo {
  readonly name: string;
  readonly alias?: string;
  readonly 'is-default'?: boolean;
  readonly 'cpu-max': number;
  readonly 'hotpluggable-cpus': boolean;
  readonly 'numa-mem-supported': boolean;
  readonly deprecated: boolean;
  readonly 'default-cpu-type'?: string;
  readonly 'default-ram-id'?: string;
  readonly [member: string]: unknown;
}

export interface PciMemoryRegion {
  readonly bar: number;
  readonly type: 'io' | 'memory';
  readonly address: number;
  /** Bytes. */
  readonly size: number;
  readonly prefetch?: boolean;
  readonly mem_type_64?: boolean;
}

export interface PciDevice {
  readonly bus: number;
  readonly slot: number;
  readonly function: number;
  readonly class_info: { readonly desc?: string; readonly class: number };
  readonly id: {
    readonly device: number;
    readonly vendor: number;
    readonly subsystem?: number;
    readonly 'subsystem-vendor'?: number;
  };
  readonly irq?: number;
  readonly irq_pin: number;
  readonly qdev_id: string;
  readonly pci_bridge?: { readonly bus: unknown; readonly devices?: readonly PciDevice[] };
  readonly regions: readonly PciMemoryRegion[];
}

export interface PciInfo {
  readonly bus: number;
  readonly devices: readonly PciDevice[];
}

export interface QomProperty {
  readonly name: string;
  readonly type: string;
  readonly description?: string;
  readonly 'default-value'?: unknown;
}

export interface ChardevInfo {
  readonly label: string;
  /** Human-readable; for a listening socket it tells the address, also of a port chosen by the system. */
  readonly filename: string;
  readonly 'frontend-open': boolean;
}

/** SchemaInfo of query-qmp-schema: names of types are opaque and differ between builds. */
export interface SchemaInfo {
  readonly name: string;
  readonly 'meta-type': 'builtin' | 'enum' | 'array' | 'object' | 'alternate' | 'command' | 'event';
  readonly 'arg-type'?: string;
  readonly 'ret-type'?: string;
  readonly 'allow-oob'?: boolean;
  readonly [member: string]: unknown;
}

export type SocketAddress =
  | {
      readonly type: 'inet';
      readonly host: string;
      /** A decimal number or a service name. */
      readonly port: string;
      readonly ipv4?: boolean;
      readonly ipv6?: boolean;
      readonly 'keep-alive'?: boolean;
    }
  | { readonly type: 'unix'; readonly path: string; readonly abstract?: boolean }
  | { readonly type: 'vsock'; readonly cid: string; readonly port: string }
  | { readonly type: 'fd'; readonly str: string };

/** SocketAddressLegacy: the same, one level deeper; nbd-server-start and chardev-add want it. */
export type SocketAddressLegacy =
  | { readonly type: 'inet'; readonly data: { readonly host: string; readonly port: string } }
  | { readonly type: 'unix'; readonly data: { readonly path: string; readonly abstract?: boolean } }
  | { readonly type: 'vsock'; readonly data: { readonly cid: string; readonly port: string } }
  | { readonly type: 'fd'; readonly data: { readonly str: string } };

/** A connection that can be cut. Source: qapi/yank.json. */
export type YankInstance =
  | { readonly type: 'block-node'; readonly 'node-name': string }
  | { readonly type: 'chardev'; readonly id: string }
  | { readonly type: 'migration' };

export type ChardevBackend =
  | {
      readonly type: 'socket';
      readonly data: {
        readonly addr: SocketAddressLegacy;
        readonly server?: boolean;
        readonly wait?: boolean;
        readonly nodelay?: boolean;
        readonly reconnect?: number;
        readonly 'tls-creds'?: string;
      };
    }
  | { readonly type: 'null' | 'pty' | 'ringbuf'; readonly data: object }
  | { readonly type: 'file'; readonly data: { readonly out: string; readonly in?: string } };

/** Commands about the machine as a whole. */
export interface MachineCommands {
  qmp_capabilities: { arguments: { enable?: readonly string[] }; return: Empty };
  'query-version': { arguments: Empty; return: VersionInfo };
  'query-status': { arguments: Empty; return: StatusInfo };
  'query-commands': { arguments: Empty; return: readonly { readonly name: string }[] };
  'query-qmp-schema': { arguments: Empty; return: readonly SchemaInfo[] };
  'query-name': { arguments: Empty; return: { readonly name?: string } };
  'query-uuid': { arguments: Empty; return: { readonly UUID: string } };
  'query-kvm': {
    arguments: Empty;
    return: { readonly enabled: boolean; readonly present: boolean };
  };
  'query-cpus-fast': { arguments: Empty; return: readonly CpuInfoFast[] };
  'query-memory-size-summary': { arguments: Empty; return: MemorySizeSummary };
  'query-machines': { arguments: Empty; return: readonly MachineInfo[] };
  'query-pci': { arguments: Empty; return: readonly PciInfo[] };
  'query-chardev': { arguments: Empty; return: readonly ChardevInfo[] };
  stop: { arguments: Empty; return: Empty };
  cont: { arguments: Empty; return: Empty };
  quit: { arguments: Empty; return: Empty };
  system_powerdown: { arguments: Empty; return: Empty };
  system_reset: { arguments: Empty; return: Empty };
  /** Text of the human monitor; never fails as a command, errors are in the text. */
  'human-monitor-command': {
    arguments: { 'command-line': string; 'cpu-index'?: number };
    return: string;
  };
  'object-add': {
    arguments: { 'qom-type': string; id: string; [property: string]: unknown };
    return: Empty;
  };
  'object-del': { arguments: { id: string }; return: Empty };
  'chardev-add': {
    arguments: { id: string; backend: ChardevBackend };
    return: { readonly pty?: string };
  };
  'chardev-remove': { arguments: { id: string }; return: Empty };
  device_add: {
    arguments: { driver: string; bus?: string; id?: string; [property: string]: unknown };
    return: Empty;
  };
  device_del: { arguments: { id: string }; return: Empty };
  'qom-get': { arguments: { path: string; property: string }; return: unknown };
  'qom-list': { arguments: { path: string }; return: readonly QomProperty[] };
  /** May be executed out-of-band. */
  yank: { arguments: { instances: readonly YankInstance[] }; return: Empty };
  /** May be executed out-of-band. */
  'query-yank': { arguments: Empty; return: readonly YankInstance[] };
}
