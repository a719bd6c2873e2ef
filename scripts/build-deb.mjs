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
    cd node_modules/gannet; rm -rf man monitoring systemd; cd ../..
    find . -type d -empty -delete
    chmod -R u=rwX,go=rX .
    find . -type f | xargs chmod a-x
    chmod a+x node_modules/gannet/dist/gannet.js`);
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
  put('usr/lib/sysusers.d/gannet.conf', read('packaging/gannet.sysusers'));
  put('etc/needrestart/conf.d/gannet.conf', read('packaging/needrestart.conf'));
  put('DEBIAN/conffiles', '/etc/needrestart/conf.d/gannet.conf\n');
  for (const file of ['alerts.yml', 'dashboard.json']) {
    put(`usr/share/doc/gannet/monitoring/${file}`, read(`monitoring/${file}`));
  }
  const free = 'License: Apache-2.0\n See /usr/share/common-licenses/Apache-2.0.\n';
  put(
    'usr/share/doc/gannet/copyright',
    `Gannet. The licences of modules are beside them.\n\n${free}`,
  );
  const date = execFileSync('git', ['log', '-1', '--format=%cD'], { cwd: root, encoding: 'utf8' });
  const by = ` -- Gannet developers <gannet@localhost>  ${date}`;
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
  sh(`cd usr/share; gzip -9n man/man1/gannet.1
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
put('DEBIAN/control', control.replace('@VERSION@', version).replace('@SIZE@', size));
for (const script of ['postinst', 'prerm', 'postrm']) {
  put(`DEBIAN/${script}`, read(`packaging/debian/${script}`), 0o755);
}
fs.mkdirSync(folder, { recursive: true });
const file = path.join(folder, `gannet_${version}_all.deb`);
execFileSync('dpkg-deb', ['--root-owner-group', '--build', stage, file], { stdio: 'ignore' });
console.log(file);
process.exit(0);
