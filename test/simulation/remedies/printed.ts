// Commands as they stand in a remedy: which, and on which host. Read as a person reads them who
// knows nothing but the text.

/** A command that a remedy tells somebody to run. */
export interface PrintedCommand {
  /** Without `gannet`. */
  readonly argv: readonly string[];
  /** Where: a role's host, the host of that name, or where it is printed. */
  readonly place: string;
}

const WORDS = '[a-z][a-z-]*(?: (?:--?[a-z][a-z-]*|\\w+(?=[`.,;]|$| --)))*';
const COMMAND = new RegExp(`\`gannet (${WORDS})\`|(?:run|then): gannet (${WORDS})`, 'g');
/** An option to be added to the command that was refused, or that was named before. */
const OPTION = /(?:add|with|use|say|in) (--[a-z-]+)/i;
/** A daemon that is started by hand, with an option. */
const DAEMON = /\bdaemon with (--[a-z-]+)/;
const AGAIN = /\brun (?:the|this) command again\b/i;
const PLACE = /\bon (?:the )?(primary|secondary)(?: host)?\b|\bon (?:host )?(alpha|beta)\b/i;

/**
 * @param tried the command whose error printed the remedy
 * @returns in the order of the text
 */
export function commandsIn(remedy: string, tried?: readonly string[]): PrintedCommand[] {
  const found: PrintedCommand[] = [];
  let last = tried;
  /** The host that was named last: `there`. */
  let named: string | undefined;
  for (const clause of remedy.split(/(?<=[.;]) |(?<=(?<!run|then):) |, or (?=with|add)/)) {
    const [, role, host] = PLACE.exec(clause) ?? [];
    named = role ?? host ?? named;
    const isThere = /\bthere\b|\bon its host\b|\bon the host that has taken over\b/.test(clause);
    const place = role ?? host ?? (isThere ? (named ?? 'there') : 'here');
    const commands = [...clause.matchAll(COMMAND)].map(([, quoted, bare]) => quoted ?? bare ?? '');
    for (const words of commands) {
      last = words.split(' ');
      found.push({ argv: last, place });
    }
    if (AGAIN.test(clause) && !/ --/.test(clause) && tried) found.push({ argv: tried, place });
    const [, overwrite] = DAEMON.exec(clause) ?? [];
    if (overwrite !== undefined) found.push({ argv: ['secondary', overwrite], place: 'secondary' });
    const [, option] = OPTION.exec(clause.replace(COMMAND, '').replace(DAEMON, '')) ?? [];
    if (option !== undefined && last) found.push({ argv: [...last, option], place });
  }
  return found;
}
