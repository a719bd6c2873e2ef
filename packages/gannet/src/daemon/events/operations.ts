import { randomBytes } from 'node:crypto';
import type { MethodName } from '@gannet/contract';

/** Something that a daemon was asked to do, or does by itself, from its beginning to its end. */
export interface Operation {
  /** Short, to search two logs for. */
  readonly id: string;
  /** Who wanted it, in words. */
  readonly actor: string;
  /** What was asked for; missing for what a daemon does by itself. */
  readonly name?: MethodName | undefined;
}

/** What a daemon does by itself, as the configuration says. */
export const ITSELF = 'this daemon';
const ID_BYTES = 4;
/** The other daemon repeats the id of what it does with each heartbeat. */
const HEARD_MS = 10_000;

/**
 * Which operation an event belongs to: the latest of this daemon's that is under way; if there is
 * none, the one that the other daemon says it has under way. So both logs have one id for it.
 */
export class Operations {
  readonly #running: Operation[] = [];
  #heard: { readonly id: string; readonly atMs: number } | undefined;

  constructor(private readonly now: () => number = () => performance.now()) {}

  /** This daemon's own, for its heartbeats. */
  get own(): Operation | undefined {
    return this.#running.at(-1);
  }

  /** For an event that happens now. */
  get current(): Partial<Operation> {
    if (this.own) return this.own;
    const heard = this.#heard;
    return heard && this.now() - heard.atMs < HEARD_MS ? { id: heard.id } : {};
  }

  /** @param id of what the other daemon has under way, as its heartbeat says */
  hear(id: string | undefined): void {
    this.#heard = id === undefined ? undefined : { id, atMs: this.now() };
  }

  /** Everything that happens while `work` runs belongs to a new operation. */
  async run<T>(
    actor: string,
    work: (operation: Operation) => Promise<T>,
    name?: MethodName,
  ): Promise<T> {
    const operation = { id: randomBytes(ID_BYTES).toString('hex'), actor, name };
    this.#running.push(operation);
    try {
      return await work(operation);
    } finally {
      this.#running.splice(this.#running.indexOf(operation), 1);
    }
  }

  /** As run(), for what nobody asked for; what an operation brings about is part of it. */
  join<T>(work: () => Promise<T>): Promise<T> {
    return this.own ? work() : this.run(ITSELF, work);
  }
}
