import { expect, test } from '@jest/globals';
import type { DiskLink, VmReport } from '../../src/index.js';
import { preflight } from '../../src/inspect/preflight.js';
import { diskReport, primaryReport } from '../support/reports.js';

const LINK: DiskLink = {
  id: 'disk0',
  device: 'vb0',
  link: 'replication',
  server: { type: 'unix', path: '/run/r.nbd' },
  export: 'pvm',
};

interface Case {
  readonly what: string;
  readonly primary: Partial<VmReport>;
  /** Severity, code and device of each finding. */
  readonly finds: readonly string[];
  readonly says?: string;
}

const CASES: readonly Case[] = [
  {
    what: 'reasons against a migration',
    primary: { blockedReasons: ["The vdi format used by node 'disk0'", 'a device'] },
    finds: ['error migration-blocked', 'error migration-blocked'],
    says: "vdi format used by node 'disk0'",
  },
  {
    what: 'flash memory, which is migrated with the guest',
    primary: {
      disks: [
        diskReport(),
        diskReport({ device: '/machine/system.flash1', names: ['/machine/system.flash1'] }),
        diskReport({ device: 'pflash0', names: ['/machine/system.flash0', 'pflash0'] }),
      ],
    },
    finds: [],
  },
  {
    what: 'a read-only disk to be replicated',
    primary: { disks: [diskReport({ readOnly: true })] },
    finds: ['error disk-read-only vb0'],
  },
];

test.each(CASES)('$what', ({ primary, finds, says = '' }) => {
  const found = preflight(primaryReport(primary), [LINK]);
  expect(
    found.map(({ severity, code, device }) => [severity, code, device].join(' ').trim()),
  ).toEqual(finds);
  expect(found.map(({ message }) => message).join('; ')).toContain(says);
});
