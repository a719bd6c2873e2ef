import { GannetError } from '../errors.js';

export function busy(vm: string, state: string): GannetError {
  return new GannetError('BUSY', `${vm} is ${state}`, 'See `gannet status`.', 'refused');
}

export function notProtected(vm: string, state: string, what: string): GannetError {
  const message = `${vm} is ${state}: nothing to ${what}`;
  return new GannetError('REFUSED', message, 'Protect it first: `gannet protect`.', 'refused');
}

export function notTold(vm: string): GannetError {
  return new GannetError(
    'REFUSED',
    `the secondary of ${vm} can't be told that it is outdated`,
    'Make sure that it never takes over, then say --force.',
    'refused',
  );
}

export function stillProtected(vm: string): GannetError {
  return new GannetError(
    'REFUSED',
    `the secondary of ${vm} is alive and protects it`,
    'If the protection may be given up all the same, say --force, or `gannet detach`.',
    'refused',
  );
}
