#!/bin/bash
# Unpacks Debian's sshd into DIRECTORY, for the test of the tutorial, which runs it in a network
# namespace of its own. Not installed: an sshd that is installed starts to serve the machine.
#
#   fetch-sshd.sh DIRECTORY
set -euo pipefail

if [ $# -ne 1 ]; then
  echo "usage: $0 DIRECTORY" >&2
  exit 2
fi
out=$1
[ -x "$out/usr/sbin/sshd" ] && exit 0
mkdir -p "$(dirname "$out")"
work=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$work"' EXIT
echo "sshd: downloading"
mkdir "$work/packages"
# libwrap0 is all that it needs beyond what Debian's openssh-client has brought already.
(cd "$work/packages" && apt-get -q -o APT::Sandbox::User=root download openssh-server libwrap0 >&2)
for package in "$work"/packages/*.deb; do dpkg -x "$package" "$work/root"; done
chmod 755 "$work/root"
rm -rf "$out"
mv "$work/root" "$out"
