#!/usr/bin/env node
/** Types for every command and event of a QEMU, from its own schema. See --help. */
import { spawn } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { format, resolveConfig } from 'prettier';
import { typesOf } from './schema-to-types.mjs';

const HELP = `Usage: generate-types.mjs [options]

Asks a QEMU for its schema, writes src/generated/qemu-RELEASE.ts and exports it from the package.

  --qemu BINARY     the QEMU to ask (qemu-system-x86_64)
  --schema FILE     no QEMU: a file with what query-qmp-schema returned
  --release X.Y     with --schema: the release that it is of
  --check           write nothing; fail if the file would change
  --stdout          write to stdout
`;

const FOLDER = join(import.meta.dirname, '../src/generated');
const DEADLINE_MS = 60_000;

const { values: options } = parseArgs({
  options: {
    qemu: { type: 'string', default: 'qemu-system-x86_64' },
    schema: { type: 'string' },
    release: { type: 'string' },
    check: { type: 'boolean', default: false },
    stdout: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (options.help) {
  process.stdout.write(HELP);
} else {
  await generate();
}

async function generate() {
  const { schema, release } = await source();
  const { text, commands, events } = typesOf(schema, release);
  const path = join(FOLDER, `qemu-${release}.ts`);
  const style = await resolveConfig(path);
  const formatted = await format(text, { ...style, parser: 'typescript' });
  if (options.stdout) {
    process.stdout.write(formatted);
    return;
  }
  if (options.check) {
    if ((await readFile(path, 'utf8')) !== formatted) {
      throw new Error(`${path} is not what this QEMU ${release} gives: run generate-types.mjs`);
    }
  } else {
    await mkdir(FOLDER, { recursive: true });
    await writeFile(path, formatted);
    await exportRelease(release);
  }
  console.log(`QEMU ${release}: ${commands} commands, ${events} events`);
}

/** Adds the release to the package's exports, behind the ones before it. */
async function exportRelease(release) {
  const path = join(import.meta.dirname, '../package.json');
  const manifest = JSON.parse(await readFile(path, 'utf8'));
  const { './testing': testing, ...others } = manifest.exports;
  const file = `./dist/generated/qemu-${release}`;
  const entry = { types: `${file}.d.ts`, default: `${file}.js` };
  manifest.exports = { ...others, [`./qemu-${release}`]: entry, './testing': testing };
  await writeFile(path, `${JSON.stringify(manifest, null, 2)}\n`);
}

async function source() {
  if (options.schema === undefined) return ask(options.qemu);
  if (options.release === undefined) throw new Error('--schema wants --release X.Y with it');
  return { schema: JSON.parse(await readFile(options.schema, 'utf8')), release: options.release };
}

/** Schema and release of a QEMU, asked over stdio. */
async function ask(binary) {
  const machine = ['-machine', 'none', '-nodefaults', '-display', 'none'];
  const qemu = spawn(binary, [...machine, '-qmp', 'stdio'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    timeout: DEADLINE_MS,
  });
  qemu.stdin.on('error', () => undefined);
  const failed = new Promise((_, reject) => qemu.on('error', reject));
  const commands = ['qmp_capabilities', 'query-qmp-schema', 'quit'];
  qemu.stdin.write(commands.map((execute) => JSON.stringify({ execute, id: execute })).join('\n'));
  const answered = (async () => {
    let release;
    for await (const line of createInterface({ input: qemu.stdout })) {
      const message = JSON.parse(line);
      const version = message.QMP?.version.qemu;
      if (version !== undefined) release = `${version.major}.${version.minor}`;
      if (message.id === 'query-qmp-schema') return { schema: message.return, release };
    }
    throw new Error(`${binary} ended without giving its schema`);
  })();
  try {
    return await Promise.race([answered, failed]);
  } finally {
    qemu.kill('SIGKILL'); // on SIGTERM it would say so
  }
}
