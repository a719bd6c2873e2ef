/** From a method's name and parameters, as they come over a socket, to its handler. */
import {
  type ControlMethod,
  GannetError,
  type MethodName,
  METHODS,
  parseParams,
} from '@gannet/contract';

/** Any handlers, called by name once the parameters have been checked. */
type AnyHandlers = Readonly<Partial<Record<MethodName, ControlMethod>>>;

/**
 * The methods of a daemon for its sockets: each checks its parameters, then asks for the handlers,
 * which change with the role.
 *
 * @param handlersOf waits until there are handlers; its error is the caller's
 */
export function methodsOf(
  handlersOf: () => Promise<{ readonly who: string; readonly handlers: object }>,
): Record<MethodName, ControlMethod> {
  const entries = (Object.keys(METHODS) as MethodName[]).map(
    (name): [MethodName, ControlMethod] => [
      name,
      async (given, progress) => {
        const params = parseParams(name, given);
        const { who, handlers } = await handlersOf();
        const handler = (handlers as AnyHandlers)[name];
        if (handler) return handler(params, progress);
        throw notHere(name, who, Object.keys(handlers));
      },
    ],
  );
  return Object.fromEntries(entries) as Record<MethodName, ControlMethod>;
}

function notHere(name: MethodName, who: string, known: readonly string[]): GannetError {
  return new GannetError(
    'GANNET_REFUSED',
    `${who} has no method ${name}`,
    `Run it on the host of the ${METHODS[name].roles.join(' or ')}. Here: ${known.join(', ')}.`,
    'refused',
  );
}
