#!/bin/bash
# Builds the lab's guest (vmlinuz, initrd.gz) and the COLO shim into DIRECTORY.
#
#   build.sh DIRECTORY
#
# The kernel is Debian's cloud kernel, downloaded and unpacked, never installed. Does nothing when
# DIRECTORY was built from these very sources. Exit status 3: the kernel could not be downloaded
# (`apt-get update` may help).
set -euo pipefail

KERNEL_META=linux-image-cloud-amd64
MODULES=(virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk)
SOURCES=(build.sh colo-tcg-shim.c init oracle.c) # guest.ts computes the same stamp

if [ $# -ne 1 ]; then
  echo "usage: $0 DIRECTORY" >&2
  exit 2
fi
lab=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)

exec 9>"$out/lock"
flock 9
stamp=$(cd "$lab" && cat "${SOURCES[@]}" | sha256sum | cut -d' ' -f1)
if [ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ]; then
  exit 0
fi
rm -f "$out/stamp"

# The first match of a file name below the unpacked kernel; Debian has moved these directories
# between releases.
kernel_file() {
  find "$out/kernel" -type f -name "$1" | sort | head -n 1
}

fetch_kernel() {
  local package
  package=$(apt-cache depends "$KERNEL_META" 2>/dev/null |
    sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1)
  if [ -z "$package" ]; then
    echo "apt knows no kernel for $KERNEL_META" >&2
    return 3
  fi
  echo "guest: downloading $package"
  rm -rf "$out/download" "$out/kernel" "$out/kernel.partial"
  mkdir "$out/download"
  (cd "$out/download" && apt-get -q -o APT::Sandbox::User=root download "$package" >&2) || return 3
  dpkg -x "$out"/download/*.deb "$out/kernel.partial"
  rm -rf "$out/download"
  mv "$out/kernel.partial" "$out/kernel"
}

if [ ! -d "$out/kernel" ]; then
  status=0
  fetch_kernel || status=$?
  [ "$status" -eq 0 ] || exit "$status"
fi

echo "guest: building"
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root"/{bin,dev,modules,proc,sys}
cp "$(command -v busybox)" "$root/bin/busybox"
install -m 755 "$lab/init" "$root/init"
gcc -std=gnu11 -O2 -Wall -Wextra -static -pthread -o "$root/oracle" "$lab/oracle.c"
strip "$root/oracle"
for module in "${MODULES[@]}"; do
  file=$(kernel_file "$module.ko*")
  case $file in
    *.ko) cp "$file" "$root/modules/$module.ko" ;;
    *.ko.xz) busybox unxz -c "$file" >"$root/modules/$module.ko" ;;
    *)
      echo "guest: the kernel has no module $module" >&2
      exit 1
      ;;
  esac
  echo "$module" >>"$root/modules/order"
done
gcc -std=gnu11 -O2 -Wall -Wextra -shared -fPIC \
  -o "$out/colo-tcg-shim.so.new" "$lab/colo-tcg-shim.c" -ldl
(cd "$root" && find . | LC_ALL=C sort | cpio --quiet -o -H newc | gzip -1) >"$out/initrd.gz.new"
cp "$(kernel_file 'vmlinuz-*')" "$out/vmlinuz.new"
# A running QEMU may have the old files mapped: replace them, never write into them.
for file in colo-tcg-shim.so initrd.gz vmlinuz; do
  mv "$out/$file.new" "$out/$file"
done
echo "$stamp" >"$out/stamp"
echo "guest: built in $out"
