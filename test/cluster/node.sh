#!/bin/bash
# node.sh LAB N: becomes node N of the cluster, in namespaces of its own (cluster.mjs starts it).
set -euo pipefail
lab=$1 n=$2 name=n$2
dir=$lab/$name
root=$dir/root
mount --make-rprivate /
mkdir -p "$dir"/{upper,work,root}
lower=$lab/root/upper:/
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$dir/upper,workdir=$dir/work" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/dev"
mkdir -p "$root/dev/shm" "$root/shared"
mount -t tmpfs tmpfs "$root/dev/shm"
for device in null zero random urandom full tty; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
ln -sf /proc/self/fd "$root/dev/fd"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mkdir -p "$root/run/lock" "$root/run/crm" "$root/run/gannet" "$root/run/resource-agents"
mount --bind "$lab/shared" "$root/shared"
# What the nodes run of this checkout.
for folder in "$SOURCE" "$GUEST"; do
  mkdir -p "$root$folder"
  mount --bind "$folder" "$root$folder"
done
hostname "$name"
printf '%s\n' '127.0.0.1 localhost' '10.77.0.1 n1' '10.77.0.2 n2' '10.77.0.3 n3' \
  >"$root/etc/hosts"
printf '%s\n' "$name" >"$root/etc/hostname"
cp "$lab/shared/corosync.conf" "$root/etc/corosync/corosync.conf"
ip link set lo up
until ip link show eth0 >/dev/null 2>&1; do sleep 0.05; done
ip address add "10.77.0.$n/24" dev eth0
ip link set eth0 up
exec chroot "$root" /bin/bash /shared/init.sh
