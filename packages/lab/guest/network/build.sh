#!/bin/bash
# Adds to the lab's guest in DIRECTORY one with a network card and a TCP service
# (initrd-network.gz): an addition that follows the guest's own initrd.
#
#   build.sh DIRECTORY
#
# lab/build.sh comes first. Does nothing when it was built from these very sources and this very
# guest.
set -euo pipefail

MODULES=(failover net_failover virtio_net)
SOURCES=(build.sh init service.c) # guest.ts computes the same stamp

if [ $# -ne 1 ]; then
  echo "usage: $0 DIRECTORY" >&2
  exit 2
fi
source=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(cd "$1" && pwd)

exec 9>"$out/lock"
flock 9
stamp=$( (cat "$out/stamp" && cd "$source" && cat "${SOURCES[@]}") | sha256sum | cut -d' ' -f1)
if [ "$(cat "$out/stamp-network" 2>/dev/null)" = "$stamp" ]; then
  exit 0
fi

echo "guest: building the network's"
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir "$root/network-modules"
install -m 755 "$source/init" "$root/network-init"
gcc -std=gnu11 -O2 -Wall -Wextra -static -o "$root/network-service" "$source/service.c"
strip "$root/network-service"
for module in "${MODULES[@]}"; do
  file=$(find "$out/kernel" -type f -name "$module.ko*" | sort | head -n 1)
  case $file in
    *.ko) cp "$file" "$root/network-modules/$module.ko" ;;
    *.ko.xz) busybox unxz -c "$file" >"$root/network-modules/$module.ko" ;;
    *)
      echo "guest: the kernel has no module $module" >&2
      exit 1
      ;;
  esac
done
(cd "$root" && find . | LC_ALL=C sort | cpio --quiet -o -H newc | gzip -1) >"$root.gz"
cat "$out/initrd.gz" "$root.gz" >"$out/initrd-network.gz.new"
rm "$root.gz"
mv "$out/initrd-network.gz.new" "$out/initrd-network.gz"
echo "$stamp" >"$out/stamp-network"
echo "guest: built in $out"
