import {
  type AuditAnswer,
  auditAnswerSchema,
  type AuditQuestion,
  GannetError,
} from '@gannet/contract';
import { type AuditedReplica, ReplicaAudit } from '@gannet/replicator';
import type { AskedReplica } from './verify-ports.js';

/** The replica behind the peer link. @param ask puts a question to the secondary's daemon */
export function askedReplica(ask: (question: AuditQuestion) => Promise<unknown>): AskedReplica {
  const answerTo = async (question: AuditQuestion): Promise<AuditAnswer> => {
    const { data } = auditAnswerSchema.safeParse(await ask(question));
    if (data) return data;
    throw new GannetError(
      'GANNET_PEER_FAILED',
      "the secondary's daemon does not know how to compare its replica",
      'Install the same version of Gannet on both hosts, and restart that daemon.',
    );
  };
  return {
    watch: async (ranges) => (await answerTo({ kind: 'watch', ranges: [...ranges] })).epoch,
    digests: (range, grainBytes) => answerTo({ kind: 'digests', ...range, grainBytes }),
    repair: async (disk, offset, data) => {
      await answerTo({ kind: 'repair', disk, offset, data: data.toString('base64') });
    },
  };
}

/** The answer of the daemon that has the replica. */
export async function answerAudit(
  replica: AuditedReplica & { readonly uuid: string },
  question: AuditQuestion,
): Promise<AuditAnswer> {
  const audit = new ReplicaAudit(replica);
  const none = { kind: 'audit' as const, digests: [], arrived: [], writtenBytes: 0 };
  switch (question.kind) {
    case 'epoch':
      return { ...none, epoch: replica.epoch, replica: replica.uuid };
    case 'watch':
      return { ...none, epoch: audit.watch(question.ranges) };
    case 'digests': {
      const { epoch, digests, arrived } = await audit.digests(question, question.grainBytes);
      const runs = arrived.map(([start, end]): [number, number] => [start, end]);
      return { ...none, epoch, digests: [...digests], arrived: runs };
    }
    case 'repair': {
      const writtenBytes = await audit.repair(question, Buffer.from(question.data, 'base64'));
      return { ...none, epoch: replica.epoch, writtenBytes };
    }
  }
}
