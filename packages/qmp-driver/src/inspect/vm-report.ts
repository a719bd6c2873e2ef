/** What inspectVm() reads: plain data that survives JSON. Sizes in bytes. */
import type { ColoStatus } from 'qemu-qmp-client';
import type { DiskGraph } from '../disk/graph.js';

export type Scalar = string | number | boolean;
export type Properties = Readonly<Record<string, Scalar>>;

/** What a single VM can be judged by. */
export interface VmFacts {
  readonly version: {
    readonly major: number;
    readonly minor: number;
    readonly micro: number;
    readonly package: string;
  };
  /** Whether the connection executes out-of-band. */
  readonly oob: boolean;
  /** QEMU's RunState; `inmigrate` waits in -incoming. */
  readonly status: string;
  /** Status of the last migration; `none` where there was none. */
  readonly migration: string;
  /** Why QEMU refuses to migrate, in its words; devices that it cannot migrate are among them. */
  readonly blockedReasons: readonly string[];
  /** Whether x-colo is among the migration capabilities. */
  readonly coloCapable: boolean;
  /** Block drivers, of those that matter here, that this QEMU has. */
  readonly drivers: readonly string[];
  readonly disks: readonly DiskReport[];
  /** Names that a new node of the block graph cannot have. */
  readonly nodes: readonly string[];
}

export interface DiskReport extends DiskGraph {
  /** The nodes at the bottom: what the disk is made of in the end. */
  readonly leaves: readonly {
    readonly node: string;
    readonly driver: string;
    /** QEMU's word, such as `nbd+unix:///svm?socket=/run/r.sock`. */
    readonly filename: string;
  }[];
  readonly readOnly: boolean;
  /** Where it is no more than one file, with a format or without. */
  readonly image?: HostImage;
  /** Whether it is a medium that can be taken out. */
  readonly removable: boolean;
  /** The I/O thread that the device has, if it has one. */
  readonly iothread?: string;
}

/** An image that is a single file of the host. */
export interface HostImage {
  /** `raw`, `qcow2`…, or that of the file itself. */
  readonly format: string;
  readonly driver: string;
  readonly filename: string;
}

export interface VmReport extends VmFacts {
  readonly name?: string;
  readonly uuid?: string;
  readonly colo: ColoStatus;
  /** As in `qemu-system-…`. */
  readonly target: string;
  readonly accelerator: 'kvm' | 'tcg';
  readonly machine: {
    /** `pc-i440fx-7.2`: never an alias. */
    readonly type: string;
    readonly options: Properties;
    /** The drives of its flash memory, such as the firmware: `pflash0`, `pflash1`. */
    readonly flash: Readonly<Record<string, string>>;
    /** Options of `-boot`. */
    readonly boot: Properties;
  };
  readonly cpu: {
    /** As `-cpu` wants it. */
    readonly model: string;
    /** Features that are not as the model has them; absent where that cannot be told. */
    readonly features?: Properties;
    /** All features that are on. */
    readonly flags: readonly string[];
    /** Options of `-smp`. */
    readonly topology: Readonly<Record<string, number>>;
  };
  readonly memory: {
    readonly sizeBytes: number;
    readonly maxBytes?: number;
    readonly slots?: number;
    /** Id of the object that the user made for it. */
    readonly backend?: string;
    /** The NUMA nodes that it was divided into, in the words of the human monitor. */
    readonly numa?: string;
  };
  /** Bytes of each block of memory, by the name that a migration knows it by. */
  readonly ramBlocks: Readonly<Record<string, number>>;
  readonly devices: readonly DeviceReport[];
  /** Objects that the user made. */
  readonly objects: readonly ObjectReport[];
  readonly netdevs: readonly NetdevReport[];
  readonly chardevs: readonly { readonly id: string; readonly filename: string }[];
  /** Sockets of monitors that speak QMP or could; `connected` includes whoever asks. */
  readonly monitors: readonly {
    readonly id: string;
    readonly filename: string;
    readonly connected: boolean;
  }[];
}

export interface DeviceReport {
  readonly id?: string;
  /** In QOM. */
  readonly path: string;
  readonly type: string;
  /** Name of the bus that it sits on. */
  readonly bus?: string;
  /** In QOM: below the device that has the bus. */
  readonly busPath?: string;
  /** On a PCI bus: slot and function as `04.0`, in hexadecimal. */
  readonly address?: string;
  /** Made by QEMU itself for lack of -nodefaults, or by an option such as -serial. */
  readonly implicit: boolean;
  /** Those that are not as the type has them. */
  readonly properties: Properties;
  /** Properties that are no plain values. */
  readonly opaque: readonly string[];
}

export interface ObjectReport {
  readonly id: string;
  readonly type: string;
  readonly properties: Properties;
}

/**
 * A back end, or the port of a hub that a network card is in. `settings` as the human monitor
 * has them: `type=tap,ifname=tap0,…`.
 */
export interface NetdevReport {
  readonly id: string;
  readonly type: string;
  readonly settings: string;
  /** Where it is in a hub (`-net`). */
  readonly hub?: { readonly id: string; readonly port: string };
}
