/**
 * A session with QEMU in which the compiler knows every command, argument, reply and event of one
 * release.
 *
 *     qemu-system-x86_64 -S -nodefaults -display none -qmp unix:vm.qmp,server=on,wait=off &
 *     node examples/dist/qmp-session.js vm.qmp
 */
import { connectWithRetry, QmpCommandError } from 'qemu-qmp-client';
import type { Qemu72 } from 'qemu-qmp-client/qemu-7.2';

const [path = 'vm.qmp'] = process.argv.slice(2);
const qmp = await connectWithRetry<Qemu72>({ target: { kind: 'unix', path }, deadlineMs: 10_000 });
qmp.onEvent('BLOCK_IO_ERROR', ({ data }) =>
  console.log(`${data.operation} failed: ${data.reason}`),
);

const { status, running } = await qmp.execute('query-status');
console.log(`the guest is ${status}`);

if (running) await qmp.execute('stop');
// Subscribe, then execute: the event comes before the reply.
const resumed = qmp.waitForEvent('RESUME', { timeoutMs: 5000 });
await qmp.execute('cont');
console.log(`resumed, seconds since 1970: ${(await resumed).timestamp.seconds}`);

await qmp.execute('object-add', {
  'qom-type': 'throttle-group',
  id: 'slow',
  limits: { 'iops-total': 100 },
});
const groups = await qmp.execute('qom-list', { path: '/objects' });
console.log(`objects: ${groups.map(({ name }) => name).join(', ')}`);
await qmp.execute('object-del', { id: 'slow' });

try {
  await qmp.execute('device_del', { id: 'nobody' });
} catch (error) {
  if (!(error instanceof QmpCommandError)) throw error;
  console.log(`refused, class ${error.errorClass}: ${error.message}`);
}
await qmp.close();
