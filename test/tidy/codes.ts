import { lineAt, packageSource, type Fault, type Tree } from './tree.js';

/**
 * Errors of the daemons and of the command are declared by their contract, and carry one prefix.
 */
const PREFIXES: Readonly<Record<string, string>> = {
  'qemu-qmp-client': 'QMP_',
  nbd: 'NBD_',
  replicator: 'REPLICA_',
  checkpointer: 'CHECKPOINT_',
  vsmr: 'VSMR_',
  'qmp-driver': 'DRIVER_',
  contract: 'GANNET_',
  gannet: 'GANNET_',
  lab: 'GANNET_',
};
const UNIONS = /^(?:export )?type \w*ErrorCode\s*=([^;]*);/gm;
const CLASS_CODES =
  /^ +(?:(?:public|protected|override|static|readonly) )+code\s*[:=]\s*'[^;,)]*/gm;
const LITERAL = /'([A-Za-z][\w-]*)'/g;
/** Variables of the environment look the same. */
const LOOKS_LIKE_CODE =
  /['"`]((?:QMP|NBD|REPLICA|CHECKPOINT|VSMR|DRIVER|GANNET)_(?!\w*(?:DIR|CACHE)\W)[A-Z\d_]+)['"`]/g;

export interface Code {
  readonly code: string;
  readonly owner: string;
  readonly file: string;
  readonly line: number;
}

/** Codes by declaration: members of `type …ErrorCode`, and `readonly code` of classes. */
export function codesOf(tree: Tree): Code[] {
  return [...tree].flatMap(([file, text]) => {
    const owner = packageSource(file)?.name;
    if (owner === undefined) return [];
    const bare = withoutComments(text);
    return [...bare.matchAll(UNIONS), ...bare.matchAll(CLASS_CODES)].flatMap((declaration) =>
      [...declaration[0].matchAll(LITERAL)].map(({ 1: code = '', index }) => {
        return { code, owner, file, line: lineAt(bare, declaration.index + index) };
      }),
    );
  });
}

/** A code is declared by one package, and has its prefix. */
export function errorCodes(tree: Tree): Fault[] {
  const codes = codesOf(tree);
  return codes.flatMap(({ code, owner, file, line }) => {
    const fault = (what: string): Fault => ({ file, line, what: `error code ${code} ${what}` });
    const prefix = PREFIXES[owner];
    if (prefix === undefined) return [fault('has no prefix: add its package to PREFIXES')];
    const faults: Fault[] = [];
    if (!code.startsWith(prefix) || !/^[A-Z\d_]+$/.test(code)) {
      faults.push(fault(`must be ${prefix}… in capitals, as all codes of ${owner}`));
    }
    const others = codes.filter((one) => one.code === code && one.owner !== owner);
    if (others.length > 0) {
      const owners = [...new Set(others.map((one) => one.owner))].join(', ');
      faults.push(fault(`is declared by ${owners} too: a code tells one thing`));
    }
    return faults;
  });
}

/** What looks like a code is one that is declared. */
export function undeclaredCodes(tree: Tree): Fault[] {
  const declared = new Set(codesOf(tree).map(({ code }) => code));
  return [...tree].flatMap(([file, text]) => {
    if (packageSource(file) === undefined) return [];
    return [...withoutComments(text).matchAll(LOOKS_LIKE_CODE)]
      .filter(({ 1: code = '' }) => !declared.has(code))
      .map(({ 1: code = '', index }) => {
        const what = `${code} is not a declared error code: add it to a type …ErrorCode`;
        return { file, line: lineAt(text, index), what };
      });
  });
}

/** Comments become blanks, so that offsets stay. */
function withoutComments(text: string): string {
  return text.replace(/\/\*[^]*?\*\/|(?<=^|\s)\/\/[^\n]*/g, (comment) =>
    comment.replace(/[^\n]/g, ' '),
  );
}
