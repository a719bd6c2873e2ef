#!/bin/bash
# root.sh DIR: what the nodes of the cluster have beyond this machine's own files: Pacemaker and
# corosync from Debian, as the upper layer of an overlay in DIR/upper. Nothing is installed here.
set -euo pipefail
dir=$1
mkdir -p "$dir"/{upper,work,root}
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/upper,workdir=$dir/work" "$dir/root"
mount -t proc proc "$dir/root/proc"
mount --bind /dev "$dir/root/dev"
mount -t tmpfs tmpfs "$dir/root/run"
# Nothing starts in there by itself.
printf '#!/bin/sh\nexit 101\n' >"$dir/root/usr/sbin/policy-rc.d"
chmod +x "$dir/root/usr/sbin/policy-rc.d"
export DEBIAN_FRONTEND=noninteractive
chroot "$dir/root" apt-get update -q
chroot "$dir/root" apt-get install -qy --no-install-recommends corosync pacemaker \
  pacemaker-cli-utils resource-agents socat iproute2 procps util-linux
touch "$dir/complete"
