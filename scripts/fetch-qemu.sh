#!/bin/bash
# Puts the QEMU of another Debian release, with its libraries, into DIRECTORY. Nothing is installed
# on the system.
#
#   scripts/fetch-qemu.sh [--modules] RELEASE DIRECTORY
#
# RELEASE is trixie, trixie-backports or bookworm-backports. With --modules it has SPICE, OpenGL and
# their devices too, for another 250 MB. DIRECTORY/bin then holds
# qemu-system-x86_64, qemu-img, qemu-io, qemu-nbd and qemu-storage-daemon: small scripts that run
# the unpacked programs through their own loader, so that they get their own C library, modules and
# firmware. With DIRECTORY/bin in front of PATH everything uses them.
#
# Run again, it does nothing; remove DIRECTORY to have the release's present packages. Needs no
# root. Some 180 MB a release. GANNET_DEBIAN_MIRROR and GANNET_DEBIAN_SECURITY_MIRROR replace
# Debian's own servers.
set -euo pipefail

PROGRAMS=(qemu-system-x86_64 qemu-img qemu-io qemu-nbd qemu-storage-daemon)
# What the programs are in, what they are started with, and what they load: dependencies come by
# themselves.
PACKAGES=(qemu-system-x86 qemu-system-common qemu-utils seabios ipxe-qemu libc6)
MULTIARCH=x86_64-linux-gnu

MODULES=(qemu-system-modules-spice qemu-system-modules-opengl)

usage() {
  echo "usage: $0 [--modules] trixie|trixie-backports|bookworm-backports DIRECTORY" >&2
  exit 2
}

say() { echo "$release: $*"; }

[ "${1-}" = --modules ] && { PACKAGES+=("${MODULES[@]}"); shift; }
[ $# -eq 2 ] || usage
release=$1
case $release in
  trixie) suites=(trixie trixie-updates) security=trixie-security ;;
  trixie-backports) suites=(trixie trixie-updates trixie-backports) security=trixie-security ;;
  bookworm-backports) suites=(bookworm bookworm-backports) security=bookworm-security ;;
  *) usage ;;
esac
mkdir -p "$2"
directory=$(cd "$2" && pwd -P)

exec 9>"$directory/lock"
flock 9
# The scripts in bin hold the directory's name, so a copy elsewhere has to be made again.
stamp="$release $directory ${PACKAGES[*]} $(sha256sum <"${BASH_SOURCE[0]}" | cut -d' ' -f1)"
if [ "$(cat "$directory/stamp" 2>/dev/null)" = "$stamp" ]; then
  say "$("$directory/bin/qemu-img" --version | head -n 1), there already in $directory"
  exit 0
fi
rm -rf "$directory"/{stamp,bin,root,apt}

# An apt of our own: its own sources, lists and downloads, and no package counts as installed, so
# that all that is needed is fetched. Signatures are checked as always.
apt=$directory/apt
mkdir -p "$apt"/{lists,archives}/partial
: >"$apt/status"
mirror=${GANNET_DEBIAN_MIRROR:-http://deb.debian.org/debian}
security_mirror=${GANNET_DEBIAN_SECURITY_MIRROR:-http://deb.debian.org/debian-security}
{
  signed='[arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]'
  for suite in "${suites[@]}"; do echo "deb $signed $mirror $suite main"; done
  echo "deb $signed $security_mirror $security main"
} >"$apt/sources.list"
apt_get() {
  apt-get -q -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=- \
    -o Dir::State="$apt" \
    -o Dir::State::lists="$apt/lists" -o Dir::State::status="$apt/status" -o Dir::Cache="$apt" \
    -o Dir::Cache::archives="$apt/archives" -o APT::Sandbox::User="$(id -un)" "$@" </dev/null
}

say "fetching package lists from $mirror"
apt_get -q update >"$apt/log" 2>&1 || { cat "$apt/log" >&2; exit 1; }
say "downloading ${PACKAGES[*]} and what they depend on"
apt_get -y --no-install-recommends -t "$release" --download-only install "${PACKAGES[@]}" \
  >"$apt/log" 2>&1 ||
  { cat "$apt/log" >&2; exit 1; }
say "unpacking $(find "$apt/archives" -name '*.deb' | wc -l) packages"
for package in "$apt"/archives/*.deb; do
  dpkg-deb -x "$package" "$directory/root"
done
rm -rf "$apt"

# Where the loader and the libraries are, before Debian's merge of /lib into /usr/lib and after it.
libraries=() loader=
for place in "$directory/root/usr/lib/$MULTIARCH" "$directory/root/lib/$MULTIARCH"; do
  [ -d "$place" ] || continue
  libraries+=("$place")
  [ -e "$place/ld-linux-x86-64.so.2" ] && loader=$place/ld-linux-x86-64.so.2
done
[ -n "$loader" ] || { echo "$release: the packages hold no loader" >&2; exit 1; }
path=$(IFS=:; echo "${libraries[*]}")

# A process is known by the file that it executes, which here is the loader: one for each program,
# with its name.
mkdir "$directory/bin" "$directory/root/loaders"
for program in "${PROGRAMS[@]}"; do
  leading=
  if [[ $program = qemu-system-* ]]; then
    for data in qemu seabios; do leading+=" -L '$directory/root/usr/share/$data'"; done
    leading+=" -L '$directory/root/usr/lib/ipxe/qemu'"
  fi
  ln -L "$loader" "$directory/root/loaders/$program"
  cat >"$directory/bin/$program" <<SCRIPT
#!/bin/sh
# Made by scripts/fetch-qemu.sh.
export QEMU_MODULE_DIR='$directory/root/usr/lib/$MULTIARCH/qemu'
exec '$directory/root/loaders/$program' --library-path '$path' \\
  '$directory/root/usr/bin/$program'$leading "\$@"
SCRIPT
  chmod +x "$directory/bin/$program"
  # Shows that it finds all its libraries.
  "$directory/bin/$program" --version >/dev/null
done
echo "$stamp" >"$directory/stamp"
say "$("$directory/bin/qemu-img" --version | head -n 1), in $directory"
