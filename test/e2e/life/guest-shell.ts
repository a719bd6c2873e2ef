import { once } from 'node:events';
import { connect } from 'node:net';
import type { LabMachine, LabVm } from '@gannet/lab';
import { QmpClient } from 'qemu-qmp-client';

// The guest's init runs behind a root shell on its second serial port.
const PATH = '/bin/busybox --install -s /bin; export PATH=/bin';
const DEV = 'mount -t devtmpfs devtmpfs /dev';
const INIT = `"${PATH}; ${DEV}; sh </dev/ttyS1 >/dev/ttyS1 2>&1 & exec /init"`;

/** A machine with a root shell, a pvpanic device and a CD-ROM drive. */
export function eventfulMachine(
  ...more: readonly string[]
): Pick<LabMachine, 'extraArgs' | 'kernelArgs'> {
  return {
    // A boot that checkpoints interrupt would find its timer too slow.
    kernelArgs: [
      'no_console_suspend',
      'no_timer_check',
      'rdinit=/bin/busybox',
      '--',
      'sh',
      '-c',
      INIT,
    ],
    extraArgs: [
      // Two QEMUs have this line: each gets a port of its own, which query-chardev tells.
      ...['-chardev', 'socket,id=shell,host=127.0.0.1,port=0,server=on,wait=off'],
      ...['-serial', 'chardev:shell', '-device', 'pvpanic,ioport=0x505'],
      ...more,
    ],
  };
}

export async function onQmp<T>(vm: LabVm, work: (qmp: QmpClient) => Promise<T>): Promise<T> {
  const qmp = await QmpClient.connect({ target: { kind: 'unix', path: vm.qmpPaths[0] } });
  try {
    return await work(qmp);
  } finally {
    await qmp.close();
  }
}

/** Has the guest's root shell run a line. It may be the last one. */
export async function inGuest(vm: LabVm, line: string): Promise<void> {
  const chardevs = await onQmp(vm, (qmp) => qmp.execute('query-chardev', {}));
  const shell = chardevs.find(({ label }) => label === 'shell');
  const port = /tcp:127\.0\.0\.1:(\d+)/.exec(shell?.filename ?? '')?.[1];
  if (port === undefined) throw new Error(`no shell: ${JSON.stringify(shell)}`);
  const socket = connect(Number(port), '127.0.0.1');
  let said = '';
  socket.on('data', (data: Buffer) => (said += data.toString()));
  try {
    await once(socket, 'connect');
    socket.write(`echo now-$((6*7)); ${line}\n`);
    for (const startMs = Date.now(); !said.includes('now-42');) {
      if (Date.now() - startMs > 60_000) throw new Error(`the guest's shell said: ${said}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  } finally {
    socket.destroy();
  }
}
