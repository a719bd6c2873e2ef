import { expect, test } from '@jest/globals';
import { memoryFileFindings, memoryFileOf } from '../../src/inspect/memory-file.js';
import type { SideReport } from '../../src/inspect/side-report.js';

function side(hostname: string, properties: object): SideReport {
  const backend = { id: 'ram0', type: 'memory-backend-file', properties };
  const report = { objects: [backend], memory: { backend: 'ram0' } };
  return { hostname, report } as unknown as SideReport;
}

const shared = { share: true, 'mem-path': '/dev/shm/web.ram' };

test('one memory file for two VMs of one host is an error', () => {
  const [found] = memoryFileFindings(side('a', shared), side('a', shared));
  expect(found).toMatchObject({ severity: 'error', code: 'ram-shared-twice' });
});

test('on two hosts it is not, nor where QEMU has the memory for itself', () => {
  expect(memoryFileFindings(side('a', shared), side('b', shared))).toEqual([]);
  const own = { ...shared, share: false };
  expect(memoryFileOf(side('a', own))).toBeUndefined();
  expect(memoryFileFindings(side('a', own), side('a', own))).toEqual([]);
});
