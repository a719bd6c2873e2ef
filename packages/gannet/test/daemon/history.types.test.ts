/** What must not compile. `tsc -p tsconfig.tests.json` fails where one of these does. */
import { expect, test } from '@jest/globals';
import type { DaemonEvent } from '@gannet/contract';
import type { History } from '../../src/daemon/history.js';

function use(value: unknown): unknown {
  return value;
}

/** Never called: it is there for the compiler. */
function misuse(history: History, event: DaemonEvent): void {
  history.add('link-lost', { reason: 'cable' });
  history.add('leaving');
  history.add('protected');
  // @ts-expect-error -- a misspelt kind
  history.add('link-lots', { reason: 'cable' });
  // @ts-expect-error -- a detail of the wrong type
  history.add('link-lost', { reason: 7 });
  // @ts-expect-error -- a detail that the kind does not have
  history.add('link-lost', { reason: 'cable', cause: 'cut' });
  // @ts-expect-error -- a detail is missing
  history.add('alone', { reason: 'cable' });
  // @ts-expect-error -- all of its details are missing
  history.add('link-lost');
  // @ts-expect-error -- details of two forms of `peer` at once
  history.add('peer', { pulse: 'up', silentMs: 0, notice: 'leaving' });
  // @ts-expect-error -- a state that no QEMU has
  history.add('vm', { state: 'gone', reason: 'x' });
  // @ts-expect-error -- a forwarded event of a kind that is not one
  history.record({ kind: 'backlog' });
  // @ts-expect-error -- a detail that not every kind has
  use(event.epoch);
  if (event.kind === 'commit') use(event.epoch.toFixed());
}

test('kinds and details are checked by the compiler', () => {
  expect(misuse).toBeInstanceOf(Function);
});
