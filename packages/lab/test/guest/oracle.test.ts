import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  compareDigests,
  defaultRegions,
  findGuest,
  formatRegions,
  imageDigest,
  labCacheDir,
  LabError,
  LabVm,
  lineSum,
  type LabGuest,
  type OracleDigest,
  OracleLog,
  parseOracleLine,
  primaryCommand,
  RegionDigest,
  secondaryCommand,
} from '../../src/index.js';

const summed = (text: string): string => `${text} sum=${lineSum(text)}`;
const COUNTERS =
  'gannet-oracle id=1 disk=vda mode=4k writes=549 reads=609 flushes=10 zeroes=0 bad=0 ' +
  'errors=0 gap_ms=15';
const MISMATCH = 'gannet-oracle-mismatch id=2 disk=vdb sector=77 found=1a0000001b expected=0';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-lab-test-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

describe('parseOracleLine', () => {
  test('reads a line as the guest wrote it', () => {
    expect(parseOracleLine(`${COUNTERS} sum=2b17\r`)).toEqual({
      ...{ kind: 'counters', id: 1, disk: 'vda', mode: '4k', writes: 549, reads: 609 },
      ...{ flushes: 10, zeroes: 0, bad: 0, errors: 0, gapMs: 15 },
    });
  });

  test.each([
    [
      'gannet-oracle-start id=3 disk=vda mode=zero first=24575 sectors=8193',
      { kind: 'start', id: 3, disk: 'vda', mode: 'zero', first: 24575, sectors: 8193 },
    ],
    [
      MISMATCH,
      { kind: 'mismatch', id: 2, disk: 'vdb', sector: 77, found: '1a0000001b', expected: '0' },
    ],
    [
      'gannet-oracle-error id=1 disk=vda op=write sector=9 errno=5',
      { kind: 'error', id: 1, disk: 'vda', op: 'write', sector: 9, errno: 5 },
    ],
    [
      'gannet-oracle-digest id=1 disk=vda mode=512 first=1 sectors=2 unknown=3 digest=00ff',
      {
        ...{ kind: 'digest', id: 1, disk: 'vda', mode: '512', first: 1, sectors: 2 },
        ...{ unknown: 3, digest: '00ff' },
      },
    ],
    [
      'gannet-oracle-scan id=1 disk=vda bad=4 errors=0',
      { kind: 'scan', id: 1, disk: 'vda', bad: 4, errors: 0 },
    ],
    ['gannet-oracle-go id=1 disk=vda', { kind: 'go', id: 1, disk: 'vda' }],
    ['gannet-oracle-fatal reason=bad-mode errno=0', { kind: 'fatal', reason: 'bad-mode' }],
  ])('%s', (text, expected) => {
    expect(parseOracleLine(summed(text))).toEqual(expected);
  });

  test('leaves the kernel alone', () => {
    expect(parseOracleLine('[    1.2] blk_update_request: I/O error, dev vda')).toBeUndefined();
    expect(parseOracleLine('')).toBeUndefined();
  });

  test('takes no splice of two lines for a line, wherever the cut is', () => {
    const line = summed(COUNTERS);
    const other = summed(COUNTERS.replace('writes=549 reads=609', 'writes=731 reads=802'));
    for (let cut = 0; cut <= line.length; cut++) {
      const splice = line.slice(0, cut) + other.slice(cut);
      if (splice === line || splice === other) continue;
      expect(parseOracleLine(splice)).toMatchObject({ kind: 'torn' });
    }
  });

  test('refuses malformed fields, even with a good sum', () => {
    for (const text of [
      COUNTERS.replace('mode=4k', 'mode=5k'),
      COUNTERS.replace('writes=549', 'writes=-1'),
      COUNTERS.replace(' gap_ms=15', ''),
      'gannet-oracle-unheard id=1 disk=vda',
    ]) {
      expect(parseOracleLine(summed(text))).toMatchObject({ kind: 'torn', mismatch: false });
    }
  });

  test('sees a mismatch in a torn line', () => {
    const line = summed(MISMATCH);
    expect(parseOracleLine(line.slice(0, 40))).toMatchObject({ kind: 'torn', mismatch: true });
    expect(parseOracleLine(line.slice(30))).toMatchObject({ kind: 'torn', mismatch: true });
  });
});

describe('OracleLog', () => {
  test('takes its input in any pieces', () => {
    const text = [COUNTERS, MISMATCH].map((line) => `${summed(line)}\r\n`).join('');
    for (let cut = 0; cut <= text.length; cut++) {
      const log = OracleLog.detached();
      log.feed(text.slice(0, cut));
      log.feed(text.slice(cut));
      expect([log.writes, log.reads, log.mismatches.length, log.torn]).toEqual([549, 609, 1, 0]);
    }
  });

  test('remembers what a checkpoint makes the guest forget', () => {
    const log = OracleLog.detached();
    expect(log.clean).toBe(true);
    log.feed(`${summed(COUNTERS.replace('bad=0', 'bad=3'))}\n${summed(COUNTERS)}\n`);
    expect(log.regions.get(1)?.bad).toBe(0);
    expect(log.clean).toBe(false);
  });

  test('is not clean after a failed request', () => {
    const log = OracleLog.detached();
    log.feed(`${summed('gannet-oracle-error id=1 disk=vda op=flush sector=0 errno=5')}\n`);
    expect(log.clean).toBe(false);
  });

  test('forgets a digest when its region goes on', () => {
    const log = OracleLog.detached();
    const digest = 'digest id=1 disk=vda mode=4k first=0 sectors=8 unknown=0 digest=0';
    log.feed(`${summed(`gannet-oracle-${digest}`)}\n`);
    expect(log.digests.size).toBe(1);
    log.feed(`${summed('gannet-oracle-go id=1 disk=vda')}\n`);
    expect(log.digests.size).toBe(0);
  });

  test('follows a file that appears later, and waits for more writes in each region', async () => {
    const file = path.join(dir, 'console.log');
    const log = OracleLog.follow(file);
    const line = (id: number, writes: number): string =>
      `${summed(COUNTERS.replace('id=1', `id=${id}`).replace('writes=549', `writes=${writes}`))}\n`;
    await writeFile(file, line(1, 10) + line(2, 20));
    await log.waitFor('both regions', () => log.regions.size === 2);
    const waiting = log.waitForWrites(5);
    await writeFile(file, line(1, 15), { flag: 'a' });
    await expect(log.waitForWrites(5, { timeoutMs: 60 })).rejects.toThrow(/not within 60 ms/);
    await writeFile(file, line(2, 25), { flag: 'a' });
    await waiting;
    await log.close();
  });

  test('ends a wait with the reason', async () => {
    const log = OracleLog.detached();
    const gone = { signal: AbortSignal.abort() };
    await expect(log.waitForStart(1, gone)).rejects.toThrow('the VM has gone');
    log.feed(`${summed('gannet-oracle-fatal reason=cannot-open-disk errno=2')}\n`);
    await expect(log.waitForStart(1)).rejects.toThrow(/gave up \(cannot-open-disk\)/);
    await expect(log.waitForStart(1)).rejects.toBeInstanceOf(LabError);
  });
});

describe('digests', () => {
  test('every bit and every place counts', () => {
    const bytes = new Uint8Array(1024);
    const digests = new Set([new RegionDigest().update(bytes).toString()]);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = bytes.slice();
      flipped[bit >> 3] = 1 << (bit & 7);
      digests.add(new RegionDigest().update(flipped).toString());
    }
    expect(digests.size).toBe(1 + bytes.length * 8);
  });

  test('does not depend on the pieces', () => {
    const bytes = Uint8Array.from({ length: 512 }, (_, i) => (i * 7) & 255);
    const whole = new RegionDigest().update(bytes).toString();
    const pieces = new RegionDigest().update(bytes.subarray(0, 100)).update(bytes.subarray(100));
    expect(pieces.toString()).toBe(whole);
    expect(() => new RegionDigest().update(bytes.subarray(0, 3))).toThrow(RangeError);
  });

  test('of an image: the region alone, and only all of it', async () => {
    const image = path.join(dir, 'disk.raw');
    const bytes = Buffer.alloc(4 * 512, 1);
    await writeFile(image, bytes);
    const region = { first: 1, sectors: 2 };
    const expected = new RegionDigest().update(bytes.subarray(512, 3 * 512)).toString();
    expect(await imageDigest(image, region)).toBe(expected);
    await expect(imageDigest(image, { first: 3, sectors: 2 })).rejects.toThrow(/ends at 2048/);

    const said: OracleDigest = {
      ...{ kind: 'digest', id: 1, disk: 'vda', mode: '512', unknown: 0, digest: expected },
      ...region,
    };
    const [same] = await compareDigests([said], { vda: image });
    expect(same?.equal).toBe(true);
    const [open] = await compareDigests([{ ...said, unknown: 1 }], { vda: image });
    expect(open?.equal).toBe(false);
    await expect(compareDigests([said], {})).rejects.toThrow(/no image given .* vda/);
  });
});

describe('the machine', () => {
  const guest: LabGuest = { kernel: '/k', initrd: '/i', shim: '/s.so' };

  test('regions follow each other and some share a page', () => {
    const regions = defaultRegions(['vda', 'vdb']);
    expect(formatRegions(regions.slice(0, 2))).toBe('vda:4k:0:16384,vda:512:16384:4097');
    for (const disk of ['vda', 'vdb']) {
      let next = 0;
      for (const region of regions.filter((r) => r.disk === disk)) {
        expect(region.first).toBe(next);
        next += region.sectors;
      }
      expect(next * 512).toBe(16 * 1024 * 1024);
    }
    expect(regions.some((region) => region.first % 8 !== 0)).toBe(true);
  });

  test('both sides have the same devices', () => {
    const primary = primaryCommand({ guest }, [{ path: '/a,b.raw' }, { path: '/c.raw' }]);
    const exports = [0, 1].map((n) => ({ socketPath: '/n.sock', exportName: `svm${n}` }));
    const secondary = secondaryCommand({ guest }, exports, 'unix:/m.sock');
    const devices = (args: readonly string[]): string[] =>
      args.filter((_, index) => args[index - 1] === '-device');
    expect(devices(primary.args)).toEqual([
      'virtio-blk-pci,id=vb0,drive=quorum0,addr=0x4',
      'virtio-blk-pci,id=vb1,drive=quorum1,addr=0x5',
    ]);
    expect(devices(secondary.args)).toEqual(devices(primary.args));
    expect(primary.args.join(' ')).toContain('file.filename=/a,,b.raw');
    expect(secondary.args.slice(-2)).toEqual(['-incoming', 'unix:/m.sock']);
  });

  test('the shim is for TCG alone', () => {
    expect(primaryCommand({ guest }, []).preload).toBe('/s.so');
    expect(primaryCommand({ guest, accel: 'kvm' }, [])).not.toHaveProperty('preload');
  });

  test('a guest that is missing or out of date names its remedy', async () => {
    expect(labCacheDir({ GANNET_LAB_CACHE: dir })).toBe(dir);
    await expect(findGuest(dir)).rejects.toThrow(/no lab guest in .*make setup.*build\.sh/);
    for (const name of ['vmlinuz', 'initrd.gz', 'colo-tcg-shim.so', 'stamp']) {
      await writeFile(path.join(dir, name), 'old');
    }
    await expect(findGuest(dir)).rejects.toThrow(/older than its sources: run/);
  });

  test('a QEMU that does not start says why', async () => {
    const start = (script: string): Promise<LabVm> =>
      LabVm.start({ name: 'vm', dir, args: [], qemu: ['/bin/sh', '-c', script] });
    await expect(start('echo no such machine >&2; exit 1')).rejects.toThrow(
      /vm did not start: QEMU ended\nno such machine/,
    );
    await expect(
      LabVm.start({ name: 'vm', dir, args: [], qemu: ['/bin/sleep', '60'], startTimeoutMs: 50 }),
    ).rejects.toThrow(/did not start/);
  });
});
