/**
 * Machine, CPU, object and device commands. Source: QEMU qapi/{control,run-state,machine,qom}.json.
 */
import type { CommonCommands } from './releases.js';

/** A command without arguments, and a reply without content. */
export type Empty = Readonly<Record<string, never>>;

type Common = CommonCommands<
  | 'chardev-add'
  | 'chardev-remove'
  | 'cont'
  | 'device_del'
  | 'human-monitor-command'
  | 'object-del'
  | 'qmp_capabilities'
  | 'qom-get'
  | 'qom-list'
  | 'query-chardev'
  | 'query-commands'
  | 'query-cpus-fast'
  | 'query-kvm'
  | 'query-machines'
  | 'query-memdev'
  | 'query-memory-size-summary'
  | 'query-name'
  | 'query-pci'
  | 'query-status'
  | 'query-uuid'
  | 'query-version'
  | 'query-yank'
  | 'quit'
  | 'stop'
  | 'system_wakeup'
  | 'system_powerdown'
  | 'system_reset'
  | 'yank'
>;

/** Commands about the machine as a whole. */
export interface MachineCommands extends Common {
  'query-qmp-schema': { arguments: Empty; return: readonly SchemaInfo[] };
  /** The properties depend on the type. */
  'object-add': {
    arguments: { 'qom-type': string; id: string; [property: string]: unknown };
    return: Empty;
  };
  device_add: {
    arguments: { driver: string; bus?: string; id?: string; [property: string]: unknown };
    return: Empty;
  };
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

export type VersionInfo = Common['query-version']['return'];

export interface VersionTriple {
  readonly major: number;
  readonly minor: number;
  readonly micro: number;
}

export type StatusInfo = Common['query-status']['return'];

/** `paused` is a user's stop, `colo` a checkpoint, `inmigrate` a VM that awaits migration. */
export type RunState = StatusInfo['status'];

export type CpuInfoFast = Common['query-cpus-fast']['return'][number];

/** Sizes in bytes. */
export type MemorySizeSummary = Common['query-memory-size-summary']['return'];

export type MachineInfo = Common['query-machines']['return'][number];

export type PciInfo = Common['query-pci']['return'][number];

export type PciDevice = PciInfo['devices'][number];

export type PciMemoryRegion = PciDevice['regions'][number];

export type QomProperty = Common['qom-list']['return'][number];

/**
 * `filename` is for people; of a listening socket it shows the address, and a port that was chosen.
 */
export type ChardevInfo = Common['query-chardev']['return'][number];

export type ChardevBackend = Common['chardev-add']['arguments']['backend'];

type Connection = Extract<ChardevBackend, { readonly type: 'socket' }>['data'];

/** One level deeper than SocketAddress; nbd-server-start and chardev-add want it. */
export type SocketAddressLegacy = Connection['addr'];

/** A connection that can be cut, out-of-band. Source: qapi/yank.json. */
export type YankInstance = Common['query-yank']['return'][number];

/** Where blockdev-add connects to. A port is a decimal number or a service name. */
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
