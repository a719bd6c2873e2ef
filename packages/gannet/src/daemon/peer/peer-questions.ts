import { type AuditQuestion, GannetError, type PeerMessage } from '@gannet/contract';

type Answer = PeerMessage & { readonly type: 'answer' };

interface Pending {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: GannetError) => void;
}

/** Questions to the other daemon that have no answer yet. */
export class PeerQuestions {
  readonly #pending = new Map<number, Pending>();
  #nextNumber = 1;

  /**
   * @throws GannetError GANNET_PEER_UNREACHABLE without an answer in time, or if it is cancelled
   * @throws GannetError GANNET_PEER_FAILED if the answer is an error
   */
  async ask(
    send: (message: PeerMessage) => void,
    timeoutMs: number,
    question?: AuditQuestion,
  ): Promise<unknown> {
    const number = this.#nextNumber++;
    let late: NodeJS.Timeout | undefined;
    const answered = new Promise<Answer>((resolve, reject) => {
      this.#pending.set(number, { resolve, reject });
      const why = `no answer over the peer link in ${Math.round(timeoutMs / 1000)} s`;
      late = setTimeout(() => reject(unanswered(why)), timeoutMs);
    });
    try {
      send({ type: 'ask', number, question });
      const { error, value } = await answered;
      if (error === undefined) return value;
      const remedy = 'Read the log of the daemon on the other host: it says what failed.';
      throw new GannetError('GANNET_PEER_FAILED', error, remedy);
    } finally {
      clearTimeout(late);
      this.#pending.delete(number);
    }
  }

  answered(answer: Answer): void {
    this.#pending.get(answer.number)?.resolve(answer);
  }

  /** No answer will come. */
  cancel(why: string): void {
    for (const { reject } of this.#pending.values()) reject(unanswered(why));
  }
}

export function unanswered(why: string): GannetError {
  const remedy = 'Start the daemon on the other host, and check the network between them.';
  return new GannetError('GANNET_PEER_UNREACHABLE', why, remedy);
}
