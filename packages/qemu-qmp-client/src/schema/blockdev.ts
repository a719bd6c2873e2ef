/** Options of blockdev-add. Source: QEMU qapi/block-core.json, BlockdevOptions. */
import type { Qemu72 } from '../generated/qemu-7.2.js';

/**
 * One node, told apart by `driver`. A newer driver or option goes through executeRaw(), or with the
 * tables of its release.
 */
export type BlockdevOptions = Qemu72['commands']['blockdev-add']['arguments'];

/** A child: the name of a node that exists, or the options of one to be made. */
export type BlockdevRef = BlockdevOptions | string;
