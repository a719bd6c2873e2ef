#!/bin/bash
# Sets up everything that building, testing and demonstrating Gannet needs, on Debian with Node.js
# 20 or later and npm.
#
# Installs what is missing and nothing else; run again, it finds nothing to do within a second or
# two, with no network. Needs root, or sudo where something has to be installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CI=true # pnpm must ask nothing
export DEBIAN_FRONTEND=noninteractive

say() { echo "setup: $*"; }
fail() {
  echo "setup: $*" >&2
  exit 1
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo DEBIAN_FRONTEND=noninteractive "$@"
  else
    fail "needs root, or sudo, to run: $*"
  fi
}

updated=false
apt_update() {
  if [ "$updated" = false ]; then
    say "updating apt's package lists"
    # One source out of reach, perhaps of something else on this machine, is no reason to give up.
    as_root apt-get -q update || say "apt-get update failed, at least in part"
    updated=true
  fi
}

# COMMAND-OR-FILE PACKAGE. Where only the package can be asked for, the first column is "-".
needed_packages() {
  cat <<'LIST'
qemu-system-x86_64 qemu-system-x86
/usr/share/seabios/bios-256k.bin seabios
/usr/lib/ipxe/qemu/efi-virtio.rom ipxe-qemu
qemu-img qemu-utils
qemu-io qemu-utils
qemu-storage-daemon qemu-system-common
qemu-storage-daemon qemu-utils
- busybox-static
cpio cpio
gzip gzip
gcc gcc
spin spin
strip binutils
make make
/usr/lib/x86_64-linux-gnu/libc.a libc6-dev
/usr/include/linux/fs.h linux-libc-dev
nbdkit nbdkit
nbdcopy libnbd-bin
fio fio
setpriv util-linux
flock util-linux
systemd-notify systemd
systemd-analyze systemd
unshare util-linux
ip iproute2
nft nftables
ssh openssh-client
openssl openssl
chromium chromium
promtool prometheus
LIST
}

is_installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

is_present() {
  case $1 in
    -) is_installed "$2" ;;
    /*) [ -e "$1" ] ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

# Programs are wanted for tests, Prometheus among them, and none of their services: see
# invoke-rc.d(8).
without_services() {
  local policy=/usr/sbin/policy-rc.d status=0 made=false had_prometheus=false
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
    made=true
  fi
  if is_installed prometheus; then had_prometheus=true; fi
  "$@" || status=$?
  if [ "$made" = true ]; then as_root rm -f "$policy"; fi
  if [ "$had_prometheus" = false ] && is_installed prometheus && [ -d /run/systemd/system ]; then
    as_root systemctl disable --quiet prometheus.service || true
  fi
  return "$status"
}

install_packages() {
  local missing=() probe package
  while read -r probe package; do
    is_present "$probe" "$package" && continue
    # qemu-storage-daemon has moved between packages: one that is installed already has not got it.
    is_installed "$package" && continue
    missing+=("$package")
  done < <(needed_packages)
  if [ ${#missing[@]} -eq 0 ]; then
    say "Debian packages: all there"
    return
  fi
  mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
  apt_update
  say "installing ${missing[*]}"
  without_services as_root apt-get -q -y --no-install-recommends install "${missing[@]}" </dev/null
  while read -r probe package; do
    is_present "$probe" "$package" || fail "$package is installed, but $probe is missing"
  done < <(needed_packages)
}

install_node_modules() {
  local wanted stamp=node_modules/.gannet-setup
  wanted=$(cat pnpm-lock.yaml pnpm-workspace.yaml package.json ./*/package.json \
    packages/*/package.json test/support/package.json | sha256sum)
  if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    say "npm packages: all there"
    return
  fi
  local pnpm
  pnpm=$(node -p 'require("./package.json").packageManager.split("+")[0]')
  say "installing npm packages with $pnpm"
  # This is the version that package.json asks for: pnpm need not fetch itself, nor note itself in
  # the lockfile.
  npx --yes "$pnpm" --pm-on-fail=ignore install --frozen-lockfile </dev/null
  echo "$wanted" >"$stamp"
}

build_guest() {
  local directory=${GANNET_LAB_CACHE:-.cache/guest} status=0
  packages/lab/guest/build.sh "$directory" || status=$?
  if [ "$status" -eq 3 ] && [ "$updated" = false ]; then
    apt_update
    status=0
    packages/lab/guest/build.sh "$directory" || status=$?
  fi
  [ "$status" -eq 0 ] || fail "the lab's guest could not be built"
  packages/lab/guest/network/build.sh "$directory" ||
    fail "the guest with a network could not be built"
  say "guest: ready in $directory"
}

fetch_sshd() {
  scripts/fetch-sshd.sh .cache/sshd && return
  apt_update
  scripts/fetch-sshd.sh .cache/sshd || fail "sshd could not be downloaded"
}

# The newest QEMU, beside the system's: a pair of VMs is tested with it, too.
fetch_newest_qemu() {
  local directory
  directory=$(dirname "${GANNET_LAB_CACHE:-.cache/guest}")/qemu-11.1
  scripts/fetch-qemu.sh trixie-backports "$directory" ||
    fail "QEMU 11.1 could not be downloaded"
}

command -v dpkg-query >/dev/null || fail "needs Debian"
[ "$(dpkg --print-architecture)" = amd64 ] || fail "needs Debian for amd64"
command -v node >/dev/null || fail "needs Node.js 20 or later"
command -v npx >/dev/null || fail "needs npm"
node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' ||
  fail "needs Node.js 20 or later, found $(node --version)"

install_packages
build_guest
fetch_sshd
fetch_newest_qemu
install_node_modules
say "compiling"
npm run --silent build
