/**
 * The control socket for programs that speak plain HTTP, such as curl or socat in a shell script:
 * a cluster manager asks every few seconds, and must not start Node.js for that.
 *
 *     GET /state        one `key=value` a line: what a script decides by
 *     POST /METHOD      parameters as JSON; answers with the result, or with { error }
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  type ControlMethod,
  describeError,
  type ExitName,
  GannetError,
  type Status,
} from '@gannet/contract';
import { clusterReport } from '../arbitration/cluster-report.js';

const BODY_BYTES_MAX = 64 * 1024;

/** The status code of an error, by the exit code that the command would end with. */
const STATUS_CODES: Readonly<Record<ExitName, number>> = {
  done: 500,
  failed: 500,
  usage: 400,
  degraded: 500,
  refused: 409,
  timeout: 504,
};

type Methods = Readonly<Record<string, ControlMethod>>;

/** Answers one request. */
export async function answerPlain(
  methods: Methods,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { method, url = '' } = request;
  const actor = request.headers['x-gannet-actor'];
  try {
    if (method === 'GET' && url === '/state') {
      const status = (await methods['status']?.({}, () => undefined)) as Status;
      return end(response, 200, 'text/plain', stateLines(status, Date.now()));
    }
    const name = url.slice(1);
    const call = Object.hasOwn(methods, name) && name !== 'watch' ? methods[name] : undefined;
    if (method !== 'POST' || !call) {
      return end(response, 404, 'text/plain', 'GET /state, or POST /METHOD\n');
    }
    const params = await bodyOf(request);
    const result = await call(
      params,
      () => undefined,
      typeof actor === 'string' ? actor.slice(0, 200) : undefined,
    );
    end(response, 200, 'application/json', `${JSON.stringify(result ?? null)}\n`);
  } catch (error) {
    const { exit, ...shown } = describeError(error);
    const text = `${JSON.stringify({ error: { ...shown, exit } })}\n`;
    end(response, STATUS_CODES[exit], 'application/json', text);
  }
}

/** What a script decides by. Values have no spaces; keys may be added. */
export function stateLines(status: Status, nowMs: number): string {
  const { vm, role, state, health, record, peer } = status;
  const report = clusterReport(status, nowMs);
  const pairs: [string, unknown][] = [
    ['vm', vm],
    ['role', role],
    ['state', state],
    ['qemu', role === 'primary' ? status.primaryVm : status.secondaryVm],
    ['verdict', health.code],
    ['level', health.level],
    ['guest', health.guest],
    ['word', record.word],
    ['term', record.term],
    ['may_fail_over', role === 'secondary' && status.mayFailOver],
    ['epoch', status.epoch],
    ['peer', peer.pulse],
    ['peer_state', peer.status?.state ?? 'unknown'],
    ['peer_qemu', peer.status?.vm ?? 'unknown'],
    ['copy', report.copy],
    ['health', report.health],
    ['takeover', report.takeover],
  ];
  return pairs.map(([key, value]) => `${key}=${String(value)}\n`).join('');
}

async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown>> {
  let text = '';
  for await (const chunk of request) {
    text += String(chunk);
    if (text.length > BODY_BYTES_MAX) throw badBody('is too long');
  }
  if (text.trim() === '') return {};
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return value as Record<string, unknown>;
    }
  } catch {
    // As anything else that is no object.
  }
  throw badBody('is no JSON object');
}

function badBody(what: string): GannetError {
  const remedy = 'Send the parameters of the method as one JSON object, or nothing.';
  return new GannetError('GANNET_CONTROL_PROTOCOL', `the body ${what}`, remedy, 'usage');
}

function end(response: ServerResponse, code: number, type: string, text: string): void {
  const length = Buffer.byteLength(text);
  response
    .writeHead(code, { 'Content-Type': type, 'Content-Length': length, Connection: 'close' })
    .end(text);
}
