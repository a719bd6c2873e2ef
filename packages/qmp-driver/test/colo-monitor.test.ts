import { expect, test } from '@jest/globals';
import { type QmpColoEvent, QmpColoMonitor } from '../src/index.js';
import { FakeVm } from './support/fake-vm.js';

/** Until everything sent so far has been received and answered. */
async function settled(qmp: Awaited<ReturnType<FakeVm['connect']>>): Promise<void> {
  await qmp.execute('query-status');
}

test('translates the events of checkpoints, and no others', async () => {
  const vm = new FakeVm();
  const qmp = await vm.connect();
  const seen: QmpColoEvent[] = [];
  const off = new QmpColoMonitor(qmp).subscribe((event) => seen.push(event));
  vm.qemu.emit('STOP');
  vm.qemu.emit('QUORUM_REPORT_BAD', { 'node-name': 'x', type: 'write' });
  vm.qemu.emit('RESUME');
  vm.qemu.emit('COLO_EXIT', { mode: 'secondary', reason: 'error' });
  await settled(qmp);
  expect(seen).toEqual([
    { kind: 'stop', atUs: expect.any(Number) },
    { kind: 'resume', atUs: expect.any(Number) },
    { kind: 'colo-exit', reason: 'error' },
  ]);
  off();
  vm.qemu.emit('STOP');
  await settled(qmp);
  expect(seen).toHaveLength(3);
  await qmp.close();
});

test('hears an event while it is being handed round, not later', async () => {
  const vm = new FakeVm();
  const qmp = await vm.connect();
  const order: string[] = [];
  qmp.on(() => void order.push('before'));
  new QmpColoMonitor(qmp).subscribe(({ kind }) => void order.push(kind));
  qmp.on(() => void order.push('after'));
  vm.qemu.emit('RESUME');
  await settled(qmp);
  expect(order).toEqual(['before', 'resume', 'after']);
  await qmp.close();
});

test('answers stand among events as QEMU wrote them, within one turn', async () => {
  const vm = new FakeVm();
  const qmp = await vm.connect();
  const monitor = new QmpColoMonitor(qmp);
  const order: string[] = [];
  monitor.subscribe(({ kind }) => {
    order.push(kind);
    if (kind !== 'resume') return;
    void Promise.resolve().then(() => order.push('microtask'));
    monitor.queryColoStatus((status) => order.push(`colo ${JSON.stringify(status)}`));
    monitor.queryRunState((state) => order.push(`state ${String(state)}`));
  });
  vm.qemu.on('query-colo-status', (_request, peer) => {
    peer.emit('STOP');
    return { return: { mode: 'secondary', 'last-mode': 'none', reason: 'none' } };
  });
  vm.qemu.emit('RESUME');
  await settled(qmp);
  await settled(qmp);
  expect(order).toEqual([
    'resume',
    'microtask',
    'stop',
    'colo {"mode":"secondary","lastMode":"none","reason":"none"}',
    'state running',
  ]);
  await qmp.close();
});

test('a callback gets an error once, also after the end', async () => {
  const vm = new FakeVm();
  const qmp = await vm.connect();
  const monitor = new QmpColoMonitor(qmp, { timeoutMs: 20 });
  vm.qemu.on('query-colo-status', () => 'silence');
  const late = await new Promise((resolve) => monitor.queryColoStatus(resolve));
  expect(late).toMatchObject({ code: 'QMP_COMMAND_TIMEOUT' });
  await qmp.close();
  const gone = await new Promise((resolve) => monitor.queryRunState(resolve));
  expect(gone).toMatchObject({ code: 'QMP_NOT_OPEN' });
});

test.each(['drop', 'close'] as const)('the end after %s comes once, and last', async (how) => {
  const vm = new FakeVm();
  const qmp = await vm.connect();
  const seen: QmpColoEvent[] = [];
  const ended = new Promise<void>((resolve) => {
    new QmpColoMonitor(qmp).subscribe((event) => {
      seen.push(event);
      if (event.kind === 'end') resolve();
    });
  });
  await settled(qmp);
  if (how === 'drop') await vm.qemu.drop();
  else await qmp.close();
  await ended;
  const error: unknown = how === 'drop' ? expect.any(Error) : undefined;
  expect(seen).toEqual([{ kind: 'end', error }]);
});
