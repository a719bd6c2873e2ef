// Builds gannet_VERSION_all.deb: the command with everything it needs from npm but Node.js itself.
//
//   node scripts/build-deb.mjs FOLDER
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';

const root = path.resolve(import.meta.dirname, '..');
const MAINTAINER = 'Gannet developers <gannet-vm@users.noreply.github.com>';
const [folder] = process.argv.slice(2);
if (folder === undefined) {
  console.error('usage: node scripts/build-deb.mjs FOLDER');
  process.exit(2);
}
const work = fs.mkdtempSync(path.join(tmpdir(), 'gannet-deb-'));
process.once('exit', () => fs.rmSync(work, { recursive: true, force: true }));
const stage = path.join(work, 'stage');
const module = path.join(stage, 'usr/lib/gannet/node_modules/gannet');
/** @param {string} file */
const read = (file) => fs.readFileSync(path.join(root, file), 'utf8');
/** @param {string} script */
const sh = (script) => execFileSync('sh', ['-ec', script], { cwd: stage, encoding: 'utf8' });

/**
 * @param {string} file
 * @param {string | Buffer} content
 */
function put(file, content, mode = 0o644) {
  const at = path.join(stage, file);
  fs.mkdirSync(path.dirname(at), { recursive: true });
  fs.writeFileSync(at, content);
  fs.chmodSync(at, mode);
}

/** As npm would install it, from what was packed and what the lockfile pins. */
async function installModules() {
  const packed = path.join(work, 'packed');
  execFileSync(process.execPath, [path.join(root, 'scripts/pack.mjs'), packed]);
  const server = [path.join(root, 'scripts/local-registry.mjs'), packed];
  const registry = spawn(process.execPath, server, { stdio: ['pipe', 'pipe', 'inherit'] });
  const [url] = await once(createInterface(registry.stdout), 'line');
  const prefix = path.join(stage, 'usr/lib/gannet');
  fs.mkdirSync(prefix, { recursive: true });
  const where = ['--prefix', prefix, '--registry', url, '--cache', path.join(work, 'cache')];
  const quiet = ['--userconfig', '/dev/null', '--no-audit', '--no-fund', '--no-save'];
  execFileSync('npm', ['install', ...where, ...quiet, 'gannet'], { stdio: 'ignore' });
  registry.stdin.end();
}

/** What is for those who compile or debug stays out, and what is in its Debian place already. */
function strip() {
  sh(`cd usr/lib/gannet
    find . -name '*.map' -o -name '*.ts' -o -name '*.cts' -o -name '*.mts' | xargs rm -f
    find . \\( -iname '*.md' -not -iname 'licen*' -o -name '.*' \\) -type f | xargs rm -f
    rm -rf node_modules/.bin
    find node_modules -depth -type d -name test -exec rm -rf {} +
    cd node_modules/gannet; rm -rf man monitoring ocf systemd; cd ../..
    find . -type d -empty -delete
    chmod -R u=rwX,go=rX .
    find . -type f | xargs chmod a-x
    grep -rlm1 '^#!' --include='*.js' --include='*.mjs' . | while read -r file; do
      case $(head -c 2 "$file") in '#!') chmod a+x "$file" ;; esac
    done`);
}

/** What `git` has of a folder. @param {string} folder */
const filesOf = (folder) =>
  execFileSync('git', ['ls-files', folder], { cwd: root, encoding: 'utf8' }).trim().split('\n');

/** The pages, the examples, and a configuration to begin with. */
function putDocs() {
  const doc = 'usr/share/doc/gannet';
  for (const file of ['README.md', 'CHANGELOG.md', 'SECURITY.md', ...filesOf('docs')]) {
    put(`${doc}/${file}`, fs.readFileSync(path.join(root, file)));
  }
  for (const file of filesOf('examples')) {
    if (/\.(ts|md)$/.test(file)) put(`${doc}/${file}`, read(file));
  }
  const [, yaml = ''] = /^```yaml\n([^]*?)^```$/m.exec(read('README.md')) ?? [];
  if (!yaml.includes('vm: web')) throw new Error('the README has no configuration any more');
  put(`${doc}/examples/web.yaml`, yaml);
}

/** In Debian's format (DEP-5): ours, then a paragraph for each module. */
function copyright() {
  const modules = path.join(stage, 'usr/lib/gannet/node_modules');
  const others = "-not -path './gannet/*' -not -path './@gannet/*'";
  const found = sh(`cd usr/lib/gannet/node_modules; find . -name package.json ${others}`);
  const paragraphs = [];
  /** @type {Map<string, string>} */
  const texts = new Map();
  for (const file of found.trim().split('\n').sort()) {
    const manifest = JSON.parse(fs.readFileSync(path.join(modules, file), 'utf8'));
    const folder = path.dirname(file).replace(/^\.\//, '');
    // Some modules have others inside that only say of what type their files are.
    if (manifest.name === undefined || manifest.name === 'qemu-qmp-client') continue;
    const at = path.join(modules, folder);
    const licence = fs.readdirSync(at).find((name) => /^licen[cs]e/i.test(name));
    const text = licence === undefined ? '' : fs.readFileSync(path.join(at, licence), 'utf8');
    const holder = /^.*copyright.*\d{4}.*$/im.exec(text)?.[0].trim();
    const { name, author } = manifest;
    const by = typeof author === 'object' ? author.name : (author ?? `the authors of ${name}`);
    const short = String(manifest.license ?? 'unknown').replace(/^MIT$/, 'Expat');
    if (text !== '' && !texts.has(short)) texts.set(short, text.trim());
    paragraphs.push(
      `Files: usr/lib/gannet/node_modules/${folder}/*\n` +
        `Copyright: ${holder?.replace(/^copyright\s*(\(c\))?\s*/i, '') ?? by}\nLicense: ${short}`,
    );
  }
  /** @param {string} text */
  const indented = (text) => text.replace(/^/gm, ' ').replace(/^\s*$/gm, ' .');
  const licences = [...texts].map(([short, text]) => `License: ${short}\n${indented(text)}`);
  const apache = 'License: Apache-2.0\n See /usr/share/common-licenses/Apache-2.0.';
  return `${[
    'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n' +
      'Upstream-Name: gannet\nSource: https://github.com/gannet-vm/gannet',
    'Files: *\nCopyright: 2026 Gannet developers\nLicense: Apache-2.0',
    ...paragraphs,
    ...licences.filter((paragraph) => !paragraph.startsWith('License: Apache-2.0\n')),
    apache,
  ].join('\n\n')}\n`;
}

/** @param {string} version */
function putOwnFiles(version) {
  const bin = path.join(root, 'packages/gannet/dist/bin.js');
  /** @param {string} shell */
  const completion = (shell) => execFileSync(process.execPath, [bin, 'completion', shell]);
  put('usr/share/bash-completion/completions/gannet', completion('bash'));
  put('usr/share/zsh/vendor-completions/_gannet', completion('zsh'));
  put('usr/share/fish/vendor_completions.d/gannet.fish', completion('fish'));
  put('usr/share/man/man1/gannet.1', read('packages/gannet/man/gannet.1'));
  for (const unit of ['gannet-primary@.service', 'gannet-secondary@.service']) {
    put(`usr/lib/systemd/system/${unit}`, read(`packages/gannet/systemd/${unit}`));
    put(`usr/lib/systemd/system/${unit}.d/group.conf`, read('packaging/group.conf'));
  }
  const hostUnit = 'gannet-host.service';
  put(`usr/lib/systemd/system/${hostUnit}`, read(`packages/gannet/systemd/${hostUnit}`));
  put('usr/lib/ocf/resource.d/gannet/vm', read('packages/gannet/ocf/vm'), 0o755);
  put('usr/share/man/man7/ocf_gannet_vm.7', read('packages/gannet/ocf/ocf_gannet_vm.7'));
  put('usr/lib/sysusers.d/gannet.conf', read('packaging/gannet.sysusers'));
  put('etc/needrestart/conf.d/gannet.conf', read('packaging/needrestart.conf'));
  put('DEBIAN/conffiles', '/etc/needrestart/conf.d/gannet.conf\n');
  put('usr/share/lintian/overrides/gannet', read('packaging/debian/lintian-overrides'));
  for (const file of ['alerts.yml', 'dashboard.json']) {
    put(`usr/share/doc/gannet/monitoring/${file}`, read(`monitoring/${file}`));
  }
  put('usr/share/doc/gannet/copyright', copyright());
  putDocs();
  const date = execFileSync('git', ['log', '-1', '--format=%cD'], { cwd: root, encoding: 'utf8' });
  const by = ` -- ${MAINTAINER}  ${date}`;
  put(
    'usr/share/doc/gannet/changelog.gz',
    `gannet (${version}) unstable; urgency=low\n\n  * Built.\n\n${by}`,
  );
  fs.mkdirSync(path.join(stage, 'etc/gannet'), { recursive: true });
  fs.mkdirSync(path.join(stage, 'usr/bin'));
  fs.symlinkSync(
    '../lib/gannet/node_modules/gannet/dist/gannet.js',
    path.join(stage, 'usr/bin/gannet'),
  );
  sh(`cd usr/share; gzip -9n man/man1/gannet.1 man/man7/ocf_gannet_vm.7
    mv doc/gannet/changelog.gz doc/gannet/changelog; gzip -9n doc/gannet/changelog`);
}

await installModules();
const { version } = JSON.parse(fs.readFileSync(path.join(module, 'package.json'), 'utf8'));
strip();
putOwnFiles(version);
const size = sh('du -sk --apparent-size .').split('\t', 1).join('');
const sums = sh('find etc usr -type f | LC_ALL=C sort | xargs -d "\\n" md5sum');
put('DEBIAN/md5sums', sums);
const control = read('packaging/debian/control');
put(
  'DEBIAN/control',
  control.replace('@MAINTAINER@', MAINTAINER).replace('@VERSION@', version).replace('@SIZE@', size),
);
for (const script of ['postinst', 'prerm', 'postrm']) {
  put(`DEBIAN/${script}`, read(`packaging/debian/${script}`), 0o755);
}
fs.mkdirSync(folder, { recursive: true });
const file = path.join(folder, `gannet_${version}_all.deb`);
execFileSync('dpkg-deb', ['--root-owner-group', '--build', stage, file], { stdio: 'ignore' });
console.log(file);
process.exit(0);
