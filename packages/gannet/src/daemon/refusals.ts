import { GannetError } from '../errors.js';

export function busy(vm: string, state: string): GannetError {
  return new GannetError('BUSY', `${vm} is ${state}`, 'See `gannet status`.', 'refused');
}

export function notProtected(vm: string, state: string, what: string): GannetError {
  const message = `${vm} is ${state}: nothing to ${what}`;
  return new GannetError('REFUSED', message, 'Protect it first: `gannet protect`.', 'refused');
}
