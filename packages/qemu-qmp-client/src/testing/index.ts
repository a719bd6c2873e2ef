/** A scriptable QEMU monitor in this process, for tests of programs that talk QMP. */
export {
  type FakeHandler,
  FakeQemu,
  type FakeQemuOptions,
  type ListeningFakeQemu,
} from './fake-qemu.js';
export { FakePeer, type FakeReply, type FakeRequest } from './peer.js';
export { streamPair } from './stream-pair.js';
