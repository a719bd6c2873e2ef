import { type Status, type Unjudged, type Verdict, verdictOf } from '@gannet/contract';

/** The verdict on the VM, and since when it is so. */
export class HealthWatch {
  #code: Verdict['code'] | undefined;
  #since = '';

  /** @returns the status with its verdict */
  judge<S extends Unjudged>(status: S): S & Pick<Status, 'health'> {
    const verdict = verdictOf(status);
    if (verdict.code !== this.#code) this.#since = new Date().toISOString();
    this.#code = verdict.code;
    return { ...status, health: { ...verdict, since: this.#since } };
  }
}
