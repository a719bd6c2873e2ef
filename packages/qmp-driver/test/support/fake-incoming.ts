import type { FakeQemu } from 'qemu-qmp-client/testing';
import { DONE, refuse } from './replies.js';

/** Of -incoming: with `defer`, migrate-incoming says where. */
export type IncomingState = 'defer' | 'started' | 'none';

interface Waiting {
  readonly qemu: FakeQemu;
  incoming: IncomingState;
  incomingUri: string | undefined;
  /** By their ids. */
  readonly objects: Map<string, Readonly<Record<string, unknown>>>;
}

const REFUSED: Readonly<Record<string, string>> = {
  started: 'The incoming migration has already been started',
  none: "'-incoming' was not specified on the command line",
};

/** The commands by which a QEMU is told where and how to wait for its primary. */
export function serveIncoming(vm: Waiting): void {
  vm.qemu.on('migrate-incoming', ({ arguments: { uri } }) => {
    const words = REFUSED[vm.incoming];
    if (words !== undefined) return refuse(words);
    vm.incoming = 'started';
    vm.incomingUri = String(uri);
    return DONE;
  });
  vm.qemu.on('qom-list', () => ({
    return: [...vm.objects.keys()].map((name) => ({ name, type: 'child<x>' })),
  }));
  vm.qemu.on('object-add', ({ arguments: { id, ...properties } }) => {
    vm.objects.set(String(id), properties);
    return DONE;
  });
  vm.qemu.on('object-del', ({ arguments: { id } }) =>
    vm.objects.delete(String(id)) ? DONE : refuse(`object '${String(id)}' not found`),
  );
}
