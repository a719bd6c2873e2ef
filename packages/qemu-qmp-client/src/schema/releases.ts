/** What two releases have in common, from the types that were generated from their schemas. */
import type { Qemu100 } from '../generated/qemu-10.0.js';
import type { Qemu72 } from '../generated/qemu-7.2.js';

type Old = Qemu72['commands'];
type New = Qemu100['commands'];

/** What either release may answer: a member can be read if both have it. */
type Either<A, B> = [A, B] extends [readonly (infer X)[], readonly (infer Y)[]]
  ? readonly (X | Y)[]
  : A | B;

/** Commands by name, with arguments that both releases take. */
export type CommonCommands<Name extends keyof Old & keyof New> = {
  [N in Name]: {
    arguments: Old[N]['arguments'] & New[N]['arguments'];
    return: Either<Old[N]['return'], New[N]['return']>;
  };
};

/** Events by name. */
export type CommonEvents<Name extends keyof Qemu72['events'] & keyof Qemu100['events']> = {
  [N in Name]: Qemu72['events'][N] | Qemu100['events'][N];
};
