/** Options of blockdev-add. Source: QEMU qapi/block-core.json, BlockdevOptions. */
import type { SocketAddress } from './machine.js';

/** A child: the name of a node that exists, or the options of one to be made. */
export type BlockdevRef = BlockdevOptions | string;

interface BlockdevCommon {
  readonly 'node-name'?: string;
  readonly discard?: 'ignore' | 'unmap';
  readonly cache?: { readonly direct?: boolean; readonly 'no-flush'?: boolean };
  readonly 'read-only'?: boolean;
  readonly 'auto-read-only'?: boolean;
  readonly 'force-share'?: boolean;
  readonly 'detect-zeroes'?: 'off' | 'on' | 'unmap';
}

interface BlockdevFile extends BlockdevCommon {
  readonly driver: 'file' | 'host_device';
  readonly filename: string;
  readonly aio?: 'threads' | 'native' | 'io_uring';
  readonly 'aio-max-batch'?: number;
  readonly locking?: 'on' | 'off' | 'auto';
  readonly 'pr-manager'?: string;
  readonly 'drop-cache'?: boolean;
}

/** `offset` and `size` in bytes. */
interface BlockdevRaw extends BlockdevCommon {
  readonly driver: 'raw';
  readonly file: BlockdevRef;
  readonly offset?: number;
  readonly size?: number;
}

interface BlockdevQcow2 extends BlockdevCommon {
  readonly driver: 'qcow2';
  readonly file: BlockdevRef;
  readonly backing?: BlockdevRef | null;
  readonly 'lazy-refcounts'?: boolean;
  readonly 'pass-discard-request'?: boolean;
  readonly 'cache-size'?: number;
  readonly 'l2-cache-size'?: number;
  readonly 'refcount-cache-size'?: number;
  readonly 'cache-clean-interval'?: number;
  readonly 'data-file'?: BlockdevRef;
}

/** `reconnect-delay` and `open-timeout` in seconds. */
interface BlockdevNbd extends BlockdevCommon {
  readonly driver: 'nbd';
  readonly server: SocketAddress;
  readonly export?: string;
  readonly 'tls-creds'?: string;
  readonly 'tls-hostname'?: string;
  readonly 'reconnect-delay'?: number;
  readonly 'open-timeout'?: number;
}

interface BlockdevQuorum extends BlockdevCommon {
  readonly driver: 'quorum';
  readonly children: readonly BlockdevRef[];
  readonly 'vote-threshold': number;
  readonly 'read-pattern'?: 'quorum' | 'fifo';
  readonly 'rewrite-corrupted'?: boolean;
  readonly blkverify?: boolean;
}

/** `top-id` is for the secondary: the front end that sits on top. */
interface BlockdevReplication extends BlockdevCommon {
  readonly driver: 'replication';
  readonly file: BlockdevRef;
  readonly mode: 'primary' | 'secondary';
  readonly 'top-id'?: string;
}

/** `size` in bytes, `latency-ns` in nanoseconds. */
interface BlockdevNull extends BlockdevCommon {
  readonly driver: 'null-co' | 'null-aio';
  readonly size?: number;
  readonly 'latency-ns'?: number;
  readonly 'read-zeroes'?: boolean;
}

/** Drivers whose options are left open here. Named, lest they hide mistakes in the options above. */
interface BlockdevOther extends BlockdevCommon {
  readonly driver:
    | 'blkdebug'
    | 'blklogwrites'
    | 'blkreplay'
    | 'blkverify'
    | 'copy-before-write'
    | 'copy-on-read'
    | 'compress'
    | 'gluster'
    | 'host_cdrom'
    | 'io_uring'
    | 'iscsi'
    | 'luks'
    | 'nfs'
    | 'nvme'
    | 'nvme-io_uring'
    | 'parallels'
    | 'preallocate'
    | 'qcow'
    | 'qed'
    | 'rbd'
    | 'snapshot-access'
    | 'ssh'
    | 'throttle'
    | 'vdi'
    | 'vhdx'
    | 'virtio-blk-vfio-pci'
    | 'virtio-blk-vhost-user'
    | 'virtio-blk-vhost-vdpa'
    | 'vmdk'
    | 'vpc'
    | 'vvfat';
  readonly [option: string]: unknown;
}

/** One node, told apart by `driver`. Anything else goes through executeRaw(). */
export type BlockdevOptions =
  | BlockdevFile
  | BlockdevRaw
  | BlockdevQcow2
  | BlockdevNbd
  | BlockdevQuorum
  | BlockdevReplication
  | BlockdevNull
  | BlockdevOther;
