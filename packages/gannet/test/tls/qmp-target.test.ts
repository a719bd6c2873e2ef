import { expect, test } from '@jest/globals';
import { qmpTargetOf } from '../../src/tls/qmp-target.js';

test('an address is given as the QMP client wants it', () => {
  expect(qmpTargetOf({ type: 'unix', path: '/q' })).toEqual({ kind: 'unix', path: '/q' });
  expect(qmpTargetOf({ type: 'inet', host: '::1', port: 4 })).toEqual({
    ...{ kind: 'tcp', host: '::1', port: 4 },
  });
});
