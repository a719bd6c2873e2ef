/**
 * One end of a TwoHosts: a program in a network namespace of its own. Its argument is a JSON list
 * of links. It prints `started`, waits for a line on stdin, listens, prints `ready`, and ends when
 * stdin does. It forwards bytes unchanged, so a cut between the two ends is a cut for their users.
 */
import { connect, createServer, type NetConnectOpts, type Socket } from 'node:net';

export interface Forwarding {
  readonly from: { readonly path: string } | { readonly host: string; readonly port: number };
  readonly to: NetConnectOpts;
}

function join(near: Socket, far: Socket): void {
  for (const [one, other] of [
    [near, far],
    [far, near],
  ] as const) {
    one.setNoDelay(true);
    one.pipe(other);
    one.on('error', () => other.destroy());
    one.on('close', () => other.destroy());
  }
}

async function forward({ from, to }: Forwarding): Promise<void> {
  const server = createServer({ allowHalfOpen: false }, (near) => join(near, connect(to)));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(from, resolve);
  });
}

process.stdin.once('data', () => {
  const links = JSON.parse(process.argv[2] ?? '[]') as Forwarding[];
  Promise.all(links.map(forward)).then(
    () => process.stdout.write('ready\n'),
    (error: unknown) => {
      process.stderr.write(`${String(error)}\n`);
      process.exit(1);
    },
  );
});
process.stdin.once('end', () => process.exit(0));
process.stdout.write('started\n');
