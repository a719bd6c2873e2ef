import { execFileSync, type StdioOptions } from 'node:child_process';
import type { Fault } from './tree.js';

/** Subjects are held to the rule after this commit. */
const SINCE = 'a2f446726c115c1159e039e964e5f49ec5a1f98f';
const COLUMNS_MAX = 72;
const SUBJECT = /^[a-z][\w./-]*(?:, [a-z][\w./-]*)*: [a-z]/;

export interface Commit {
  readonly id: string;
  readonly subject: string;
}

/** `area: verb …`, at most 72 columns. */
export function commitSubjects(commits: readonly Commit[]): Fault[] {
  return commits.flatMap(({ id, subject }) => {
    const fault = (what: string): Fault[] => [{ file: `commit ${id}`, line: 1, what }];
    if (!SUBJECT.test(subject)) return fault(`"${subject}" is not \`area: verb …\``);
    const columns = Array.from(subject).length;
    if (columns > COLUMNS_MAX) return fault(`"${subject}" has ${columns} columns, at most 72`);
    return [];
  });
}

/** Empty where the history is not there: in an archive, or a shallow clone. */
export function commitsOf(root: string): Commit[] {
  const git = (...args: string[]): string | undefined => {
    try {
      const stdio: StdioOptions = ['ignore', 'pipe', 'ignore'];
      return execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio });
    } catch {
      return undefined;
    }
  };
  if (git('merge-base', '--is-ancestor', SINCE, 'HEAD') === undefined) return [];
  const log = git('log', '--no-merges', '--format=%h %s', `${SINCE}..HEAD`) ?? '';
  return log
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [id = ''] = line.split(' ', 1);
      return { id, subject: line.slice(id.length + 1) };
    });
}
