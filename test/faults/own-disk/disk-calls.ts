/** A read or write of a file, as strace saw it. */
export interface DiskCall {
  readonly kind: 'read' | 'write';
  readonly fd: number;
  readonly offset: number;
  readonly bytes: number;
  readonly failed: boolean;
  /** When it began, and when it returned: in milliseconds since 1970. */
  readonly beganMs: number;
  readonly endedMs: number;
}

const LINE = /^(\d+)\s+(\d+\.\d+) (.*)$/;
const UNFINISHED = / <unfinished \.\.\.>$/;
const RESUMED = /^<\.\.\. \w+ resumed>/;
const CALL = /^p(read|write)(?:64|v2?)\((\d+), (.*), (\d+)(?:, 0)?\)\s+= (-?\d+)/;
/** Of pread64 and pwrite64; the vectors of the others say it for each part. */
const LENGTH = /, (\d+)$/;

/** Parses what `strace -f -ttt -s 0 -e trace=pread64,preadv,pwrite64,pwritev` has written. */
export function parseDiskCalls(log: string): DiskCall[] {
  const begun = new Map<string, { text: string; beganMs: number }>();
  return log.split('\n').flatMap((line) => {
    const [, thread = '', seconds = '', said = ''] = LINE.exec(line) ?? [];
    const nowMs = Number(seconds) * 1000;
    if (UNFINISHED.test(said)) {
      begun.set(thread, { text: said.replace(UNFINISHED, ''), beganMs: nowMs });
      return [];
    }
    const earlier = RESUMED.test(said) ? begun.get(thread) : undefined;
    const call = CALL.exec(`${earlier?.text ?? ''}${said.replace(RESUMED, '')}`);
    if (!call) return [];
    const [, kind, fd, what = '', offset, result] = call;
    const parts = [...what.matchAll(/iov_len=(\d+)/g)].map(([, bytes]) => Number(bytes));
    const bytes = parts.reduce((sum, part) => sum + part, 0) || Number(LENGTH.exec(what)?.[1]);
    return {
      kind: kind === 'read' ? 'read' : 'write',
      ...{ fd: Number(fd), offset: Number(offset), bytes, failed: Number(result) < 0 },
      ...{ beganMs: earlier?.beganMs ?? nowMs, endedMs: nowMs },
    };
  });
}

/** Reads that began after a write to the same bytes had failed: the disk answers with old data. */
export function staleReads(calls: readonly DiskCall[]): DiskCall[] {
  const failed = calls.filter((call) => call.kind === 'write' && call.failed);
  return calls.filter(
    (read) =>
      read.kind === 'read' &&
      failed.some(
        (write) =>
          write.fd === read.fd &&
          write.endedMs <= read.beganMs &&
          write.offset < read.offset + read.bytes &&
          read.offset < write.offset + write.bytes,
      ),
  );
}
