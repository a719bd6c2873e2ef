/** From a method's name and parameters, as they come over a socket, to its handler. */
import {
  type ControlMethod,
  GannetError,
  type MethodName,
  METHODS,
  parseParams,
} from '@gannet/contract';

/** They change nothing, or come with every checkpoint: the log does not need to say who asked. */
const UNLOGGED: ReadonlySet<MethodName> = new Set([
  ...(['status', 'events', 'watch', 'page', 'metrics', 'inspect'] as const),
  ...(['checkpoint', 'seal', 'commit', 'abort'] as const),
]);
const SOMEBODY = 'a program at the control socket';

/** Carries out what an actor asked for, and logs it. */
export type Operate = <T>(name: MethodName, actor: string, work: () => Promise<T>) => Promise<T>;

/** Any handlers, called by name once the parameters have been checked. */
type AnyHandlers = Readonly<Partial<Record<MethodName, ControlMethod>>>;

/**
 * The methods of a daemon for its sockets: each checks its parameters, then asks for the handlers,
 * which change with the role.
 *
 * @param handlersOf waits until there are handlers; its error is the caller's
 * @param operate for the methods that change something
 */
export function methodsOf(
  handlersOf: () => Promise<{ readonly who: string; readonly handlers: object }>,
  operate: Operate = (_name, _actor, work) => work(),
): Record<MethodName, ControlMethod> {
  const entries = (Object.keys(METHODS) as MethodName[]).map(
    (name): [MethodName, ControlMethod] => [
      name,
      async (given, progress, actor = SOMEBODY) => {
        const params = parseParams(name, given);
        const { who, handlers } = await handlersOf();
        const handler = (handlers as AnyHandlers)[name];
        if (!handler) throw notHere(name, who);
        if (UNLOGGED.has(name)) return handler(params, progress);
        return operate(name, actor, () => Promise.resolve(handler(params, progress)));
      },
    ],
  );
  return Object.fromEntries(entries) as Record<MethodName, ControlMethod>;
}

function notHere(name: MethodName, who: string): GannetError {
  return new GannetError(
    'GANNET_REFUSED',
    `${name} is for the daemon of the ${METHODS[name].roles.join(' or ')}: this one is ${who}`,
    `Run it on the host of the ${METHODS[name].roles.join(' or ')}.`,
    'refused',
  );
}
