#!/bin/bash
# Installs the Debian package in a clean Debian (trixie, which has Node.js 20), runs it there and
# takes it away again. Needs root and the network for the clean Debian, which is kept in .cache;
# each run has a throw-away layer above it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
deb=$(realpath "$1")
base=${GANNET_DEB_ROOT:-.cache/deb-root}

if [ ! -e "$base/etc/debian_version" ]; then
  command -v debootstrap >/dev/null || { echo "needs debootstrap" >&2; exit 1; }
  rm -rf "$base.part"
  debootstrap --variant=minbase --include=nodejs,systemd,man-db,zsh,fish,qemu-utils \
    trixie "$base.part" >/dev/null
  mv "$base.part" "$base"
fi
base=$(realpath "$base")

# Inside: mounts and processes of its own, that are gone with it.
inside() {
  mount -t tmpfs tmpfs /mnt
  mkdir /mnt/upper /mnt/work /mnt/root
  mount -t overlay overlay -o "lowerdir=$base,upperdir=/mnt/upper,workdir=/mnt/work" /mnt/root
  mount -t proc proc /mnt/root/proc
  mount --bind /dev /mnt/root/dev
  cp "$deb" /mnt/root/root/gannet.deb
  cat >/mnt/root/root/try.sh
  exec chroot /mnt/root bash /root/try.sh
}
export base deb
export -f inside
exec unshare --mount --pid --net --fork --kill-child bash -euc inside <<'TRY'
set -euo pipefail
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
unset NODE_EXTRA_CA_CERTS
step() { echo "deb: $*"; }
trap 'echo "deb: failed: $BASH_COMMAND" >&2' ERR
step installs, with nothing but what its dependencies name
dpkg --install /root/gannet.deb >/dev/null
installed=$(dpkg-query --show --showformat '${Installed-Size}' gannet)
step "$(($(stat -c %s /root/gannet.deb) / 1024)) KiB, installed $installed KiB"
version=$(dpkg-query --show --showformat '${Version}' gannet)

step "gannet --version says $version"
[ "$(gannet --version)" = "$version" ]
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
gannet status web --json | grep '"state":"seeding"' >/dev/null
kill $daemon
wait $daemon

step purge leaves what may be the only copy of a disk
dpkg --purge gannet >/dev/null 2>&1
[ -z "$(command -v gannet)" ]
[ ! -e /usr/lib/gannet ] && [ -e /var/lib/gannet/web.raw ] && [ -e /etc/gannet/web.yaml ]
echo 'deb: all well'
TRY
