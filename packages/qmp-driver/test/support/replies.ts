import type { FakeReply } from 'qemu-qmp-client/testing';

export const DONE: FakeReply = { return: {} };

export function refuse(desc: string, errorClass = 'GenericError'): FakeReply {
  return { error: { class: errorClass, desc } };
}
