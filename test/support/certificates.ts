import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const DOCUMENT = path.resolve(import.meta.dirname, '../../..', 'docs', 'security.md');
const CHAPTER = '## Certificates, step by step';

/**
 * Makes certificates and a pre-shared key in `dir`, with the commands that docs/security.md shows:
 * `host-a`, `host-b` (also valid for 127.0.0.1) and `psk`.
 */
export async function makeCertificates(dir: string): Promise<void> {
  const text = await readFile(DOCUMENT, 'utf8');
  const chapter = text.slice(text.indexOf(CHAPTER)).split('\n## ')[0] ?? '';
  const blocks = [...chapter.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block);
  const script = blocks.join('\n').replace('host-b 192.0.2.2', 'host-b 127.0.0.1');
  await run('sh', ['-e', '-c', script], { cwd: dir });
}
