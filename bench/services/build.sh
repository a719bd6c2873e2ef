#!/bin/bash
# Builds the guest of B9 into DIRECTORY: six services of Debian 12 on a read-only disk (root.img),
# their data (data.img), and an initrd that puts one upon the other.
#
#   build.sh DIRECTORY GUEST
#
# GUEST is the folder of the lab's guest, which has the kernel. Needs root, debootstrap (which is
# installed if it is missing) and Debian's packages. Takes about five minutes. Does nothing if
# DIRECTORY was built from these very sources. src/services/images.ts computes the same stamp.
set -euo pipefail

SUITE=bookworm
MIRROR=http://deb.debian.org/debian
PACKAGES=(
  postgresql-15 postgresql-client-15 mariadb-server sysbench redis-server redis-tools
  rocksdb-tools tokyocabinet-bin sqlite3 busybox procps iproute2
)
# For tokyo.c alone: linked statically, so that the host's C library need not be the guest's.
LIBRARIES=(libtokyocabinet-dev zlib1g-dev libbz2-dev)
MODULES=(
  virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk
  failover net_failover virtio_net
)
SOURCES=(build.sh init main.sh prepare.sh services.sh tokyo.c)
ROOT_MIB=1400
DATA_MIB=768

if [ $# -ne 2 ]; then
  echo "usage: $0 DIRECTORY GUEST" >&2
  exit 2
fi
say() { echo "services: $*"; }
fail() { say "$*" >&2; exit 1; }
sources=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
guest=$(cd "$2" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)

exec 9>"$out/lock"
flock 9
stamp=$(cd "$sources" && cat "${SOURCES[@]}" | sha256sum | cut -d' ' -f1)
if [ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ]; then
  exit 0
fi
rm -f "$out/stamp"
[ "$(id -u)" = 0 ] || fail 'needs root, to build a root file system: run it with sudo'
[ -d "$guest/kernel" ] || fail "$guest has no kernel: run \`make setup\`"
if ! command -v debootstrap >/dev/null; then
  say 'installing debootstrap'
  apt-get -q -y install debootstrap >/dev/null || fail 'no debootstrap: run `apt-get update`'
fi

work=$(mktemp -d "$out/work.XXXXXX")
trap 'rm -rf "$work"' EXIT

# Runs a script in the root, in namespaces of its own: whatever it starts ends with it.
inside() {
  unshare --mount --pid --fork --kill-child --net bash -euc '
    mount --make-rprivate /
    mount -t proc proc "$0/proc"
    if [ -n "$2" ]; then mount --bind "$2" "$0/data"; fi
    exec chroot "$0" /usr/bin/env -i LC_ALL=C HOME=/root \
      PATH=/usr/sbin:/usr/bin:/sbin:/bin bash -euc "$1"' "$1" "$2" "${3:-}"
}

if [ ! -d "$out/root" ]; then
  say "installing Debian $SUITE and the services (two minutes)"
  debootstrap --variant=minbase "$SUITE" "$work/root" "$MIRROR" >"$out/debootstrap.log" ||
    fail "debootstrap failed: see $out/debootstrap.log"
  # Services are started by main.sh alone.
  printf '#!/bin/sh\nexit 101\n' >"$work/root/usr/sbin/policy-rc.d"
  chmod 755 "$work/root/usr/sbin/policy-rc.d"
  cp -L /etc/resolv.conf "$work/root/etc/resolv.conf"
  for file in /etc/apt/apt.conf.d/*proxy*; do
    if [ -e "$file" ]; then cp "$file" "$work/root/etc/apt/apt.conf.d/"; fi
  done
  mount --bind /proc "$work/root/proc"
  installed=0
  chroot "$work/root" /usr/bin/env DEBIAN_FRONTEND=noninteractive LC_ALL=C \
    PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -c "apt-get -q update && \
      apt-get -q -y --no-install-recommends install ${PACKAGES[*]} && mkdir /libraries && \
      cd /libraries && apt-get -q -o APT::Sandbox::User=root download ${LIBRARIES[*]} && \
      apt-get clean" >"$out/packages.log" 2>&1 || installed=$?
  umount "$work/root/proc"
  [ "$installed" = 0 ] || fail "the services could not be installed: see $out/packages.log"
  rm -rf "$work/root"/{var/lib/apt/lists,usr/share/doc,usr/share/man,usr/share/locale}/*
  mkdir -p "$work/root/data" "$work/root/bench" "$out/libraries"
  for package in "$work/root/libraries"/*.deb; do dpkg -x "$package" "$out/libraries"; done
  rm -rf "$work/root/libraries"
  mv "$work/root" "$out/root"
fi

libraries=$(dirname "$(find "$out/libraries" -name libtokyocabinet.a)")
headers=$(dirname "$(find "$out/libraries" -name tchdb.h)")
gcc -std=gnu11 -O2 -Wall -Wextra -static -pthread -I"$headers" -o "$out/root/bench/tokyo" \
  "$sources/tokyo.c" "$libraries"/lib{tokyocabinet,z,bz2}.a -lm

say 'filling the databases (two minutes)'
mkdir "$work/data"
cp "$sources/services.sh" "$sources/prepare.sh" "$out/root/bench/"
inside "$out/root" '. /bench/services.sh; . /bench/prepare.sh' "$work/data" \
  >"$out/prepare.log" 2>&1 ||
  fail "a database could not be filled: see $out/prepare.log"

say 'making the images'
truncate -s "${ROOT_MIB}M" "$out/root.img.new"
mke2fs -q -F -t ext4 -O ^has_journal -d "$out/root" "$out/root.img.new"
truncate -s "${DATA_MIB}M" "$out/data.img.new"
mke2fs -q -F -t ext4 -E lazy_itable_init=0,lazy_journal_init=0 -J size=32 -d "$work/data" \
  "$out/data.img.new"
mkdir -p "$work/initrd"/{bin,bench,dev,modules,proc,sys}
cp "$(command -v busybox)" "$work/initrd/bin/busybox"
install -m 755 "$sources/init" "$work/initrd/init"
# What the lab calls for a VM with a network card.
ln -s init "$work/initrd/network-init"
cp "$sources/main.sh" "$sources/services.sh" "$work/initrd/bench/"
for module in "${MODULES[@]}"; do
  file=$(find "$guest/kernel" -type f -name "$module.ko*" | sort | head -n 1)
  case $file in
    *.ko) cp "$file" "$work/initrd/modules/$module.ko" ;;
    *.ko.xz) busybox unxz -c "$file" >"$work/initrd/modules/$module.ko" ;;
    *) fail "the kernel has no module $module" ;;
  esac
  echo "$module" >>"$work/initrd/modules/order"
done
(cd "$work/initrd" && find . | LC_ALL=C sort | cpio --quiet -o -H newc | gzip -1) \
  >"$out/initrd.gz.new"
for file in root.img data.img initrd.gz; do mv "$out/$file.new" "$out/$file"; done
echo "$stamp" >"$out/stamp"
say "ready in $out"
