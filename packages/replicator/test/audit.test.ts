import { describe, expect, it } from '@jest/globals';
import { ReplicaAudit } from '../src/audit.js';
import { digestsOf } from '../src/digests.js';
import { temporaryFiles } from './support/files.js';
import { CUT, DISK_BYTES, TestVm } from './support/vm.js';

const at = temporaryFiles();
const GRAIN = 4096;
const ALL = { disk: 'disk', offset: 0, length: DISK_BYTES };

async function protectedVm(): Promise<TestVm> {
  const vm = (await TestVm.open(at)).connectAll();
  await vm.write('pvm', 'seeded', 0);
  vm.commit();
  return vm;
}

/** What a disk with these texts has as digests. */
function expected(texts: Readonly<Record<number, string>>): Promise<string[]> {
  const disk = Buffer.alloc(DISK_BYTES);
  for (const [offset, text] of Object.entries(texts)) disk.write(text, Number(offset));
  return digestsOf(disk, GRAIN);
}

describe('what is compared', () => {
  it("is the primary's view: open epoch over committed over base", async () => {
    const vm = await protectedVm();
    const audit = new ReplicaAudit(vm.replica);
    await vm.write('pvm', 'committed', 8192);
    vm.commit();
    await vm.write('pvm', 'open', 16_384);
    await vm.write('svm', 'own', 20_480);
    const { digests, epoch, arrived } = await audit.digests(ALL, GRAIN);
    expect(digests).toEqual(await expected({ 0: 'seeded', 8192: 'committed', 16_384: 'open' }));
    expect({ epoch, arrived }).toEqual({ epoch: 2, arrived: [] });
    await vm.replica.close();
  });

  it('says what has arrived since it is watched', async () => {
    const vm = await protectedVm();
    const audit = new ReplicaAudit(vm.replica);
    expect(audit.watch([{ ...ALL, length: 8192 }])).toBe(1);
    await vm.write('pvm', 'xx', 100);
    await vm.pvm.get('disk')?.trim(8000, 400, false);
    const { arrived } = await audit.digests(ALL, GRAIN);
    expect(arrived).toEqual([
      [100, 102],
      [8000, 8192],
    ]);
    await vm.replica.close();
  });
});

describe('a repair', () => {
  it('is in the next commit, but for what has arrived meanwhile', async () => {
    const vm = await protectedVm();
    const audit = new ReplicaAudit(vm.replica);
    audit.watch([{ ...ALL, length: 512 }]);
    await vm.write('pvm', 'new', 2);
    expect(await audit.repair({ disk: 'disk', offset: 0 }, Buffer.from('abcdefgh'))).toBe(5);
    expect(await vm.read('svm', 8)).toBe('seeded..');
    vm.commit();
    expect(await vm.read('svm', 8)).toBe('abnewfgh');
    await vm.replica.close();
  });

  it('of what is not watched is refused', async () => {
    const vm = await protectedVm();
    const audit = new ReplicaAudit(vm.replica);
    audit.watch([{ ...ALL, length: 512 }]);
    const repair = audit.repair({ disk: 'disk', offset: 256 }, Buffer.alloc(512));
    await expect(repair).rejects.toThrow('not watched');
    await vm.replica.close();
  });
});

describe('a replica that takes nothing more', () => {
  it.each(['seeding', 'a lost link', 'diverged'])('is not compared: %s', async (what) => {
    const vm = (await TestVm.open(at)).connectAll();
    if (what !== 'seeding') vm.commit();
    if (what === 'a lost link') vm.pvm.get('disk')?.close(CUT);
    if (what === 'diverged') vm.replica.diverge('for the test');
    const audit = new ReplicaAudit(vm.replica);
    const refusal = { code: 'REPLICA_STATE' };
    expect(() => audit.watch([])).toThrow(expect.objectContaining(refusal));
    await expect(audit.digests(ALL, GRAIN)).rejects.toMatchObject(refusal);
    const repair = audit.repair({ disk: 'disk', offset: 0 }, Buffer.alloc(1));
    await expect(repair).rejects.toMatchObject(refusal);
    await vm.replica.close();
  });

  it('has a disk of that name and size', async () => {
    const vm = await protectedVm();
    const audit = new ReplicaAudit(vm.replica);
    await expect(audit.digests({ ...ALL, disk: 'other' }, GRAIN)).rejects.toThrow('no disk other');
    await expect(audit.digests({ ...ALL, offset: 1 }, GRAIN)).rejects.toThrow('no disk disk');
    await vm.replica.close();
  });
});
