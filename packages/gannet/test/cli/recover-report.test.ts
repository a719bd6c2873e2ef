import { expect, test } from '@jest/globals';
import { showRecovered } from '../../src/cli/recover-report.js';

test('what was recovered is said in words: which disks there are, and of when', () => {
  const base = { disk: 'disk0', base: '/srv/web.raw', epoch: 48, sizeBytes: 1 << 26, image: 'raw' };
  expect(
    showRecovered([base, { ...base, disk: 'log', base: '/srv/log.qcow2', image: 'qcow2' }]),
  ).toBe(
    '  disk0  /srv/web.raw: raw, 64.0 MiB, as of epoch 48\n' +
      '  log    /srv/log.qcow2: qcow2, 64.0 MiB, as of epoch 48\n' +
      'These are the disks of the VM. If no QEMU runs on them, start it from them.\n',
  );
});
