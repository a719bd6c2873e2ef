import { afterEach, describe, expect, it } from '@jest/globals';
import { HARMLESS, MUTANTS } from '../../mutants/mutants.js';
import { rows } from '../rows.js';
import { type DemoOutcome, MutantWorkspace } from '../../mutants/workspace.js';

const DEMO = ['--checkpoints', '10', '--period', '500'];

const TRIES = 3;

/**
 * A guest that reads what it has not written may also crash, and the demonstration breaks off
 * without a verdict: that says nothing of what it compares.
 */
async function demoWithVerdict(workspace: MutantWorkspace): Promise<DemoOutcome> {
  const brokenOff: string[] = [];
  while (brokenOff.length < TRIES) {
    const outcome = await workspace.demo(DEMO);
    if (outcome.faults !== undefined) return outcome;
    brokenOff.push(outcome.stderr);
  }
  throw new Error(`no verdict in ${TRIES} demonstrations:\n${brokenOff.join('\n')}`);
}

/**
 * Tests of the tests: broken in one place, the code must fail the demonstration, by its verdict and
 * not by accident.
 */
describe('the demonstration catches a mutant', () => {
  let workspace: MutantWorkspace | undefined;
  afterEach(async () => {
    await workspace?.remove();
    workspace = undefined;
  });

  it.each(rows(MUTANTS.slice(-1), MUTANTS.slice(0, -1)))('$name', async (mutant) => {
    workspace = await MutantWorkspace.create(mutant);
    const { exitCode, faults, stderr } = await demoWithVerdict(workspace);
    const verdict = /mismatch|I\/O error|guest found something wrong|not what the guest says/;
    expect({ exitCode, faults, stderr }).toMatchObject({
      exitCode: 1,
      faults: expect.arrayContaining([expect.stringMatching(verdict)]),
    });
  });

  it(`and lets pass what does no harm: ${HARMLESS.name}`, async () => {
    workspace = await MutantWorkspace.create(HARMLESS);
    const { exitCode, faults, stderr } = await workspace.demo(DEMO);
    expect({ exitCode, faults, stderr }).toMatchObject({ exitCode: 0, faults: [] });
  });
});
