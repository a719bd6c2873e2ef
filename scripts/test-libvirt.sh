#!/bin/bash
# Runs the domain of docs/how-to/examples/web.xml under Debian's libvirtd, protects it as
# docs/how-to/libvirt.md says, and lets its secondary take over. Here it runs under TCG, boots the
# lab's guest, and has 128 MiB; all else is the page's. Needs root, and the network for libvirt's
# packages: they are unpacked in .cache and installed nowhere. Everything runs in namespaces that
# are gone with it, in which the host's own files are only read.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PACKAGES=(libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients libxml2-utils)
packages=.cache/libvirt

if [ ! -x "$packages/usr/sbin/libvirtd" ]; then
  work=$(mktemp -d .cache/libvirt.XXXXXX)
  trap 'rm -rf "$work"' EXIT
  mkdir -p "$work/packages/partial"
  # These, and what they depend on that is not there yet.
  apt-get -q -y --no-install-recommends --download-only -o APT::Sandbox::User=root \
    -o Dir::Cache::archives="$PWD/$work/packages" install "${PACKAGES[@]}" >&2
  for package in "$work"/packages/*.deb; do dpkg -x "$package" "$work/root"; done
  # /lib and the like are links to /usr where this is laid over.
  for folder in bin lib sbin; do
    [ -d "$work/root/$folder" ] || continue
    mkdir -p "$work/root/usr/$folder"
    cp -a "$work/root/$folder/." "$work/root/usr/$folder"
    rm -rf "${work:?}/root/$folder"
  done
  chmod 755 "$work/root"
  rm -rf "$packages"
  mv "$work/root" "$packages"
  rm -rf "$work"
fi
packages=$(realpath "$packages")
# A disk without a cache needs a file system that has direct I/O.
images=$(mktemp -d .cache/libvirt-images.XXXXXX)
trap 'rm -rf "$images"' EXIT
images=$(realpath "$images")

inside() {
  mount -t tmpfs tmpfs /mnt
  mkdir /mnt/upper /mnt/work /mnt/root
  # A layer must not be within another one.
  cp -a "$packages" /mnt/packages
  mount -t overlay overlay \
    -o "lowerdir=/mnt/packages:/,upperdir=/mnt/upper,workdir=/mnt/work" /mnt/root
  mount -t proc proc /mnt/root/proc
  mount -t tmpfs tmpfs /mnt/root/run
  mount --rbind /dev /mnt/root/dev
  mount --rbind /sys /mnt/root/sys
  mkdir -p /mnt/root/var/lib/libvirt/images
  mount --bind "$images" /mnt/root/var/lib/libvirt/images
  ip link set lo up
  ip link add br0 type bridge
  cat >/mnt/root/run/try.sh
  exec chroot /mnt/root bash -c "cd '$PWD' && exec bash /run/try.sh"
}
export packages images
export -f inside
unshare --mount --pid --net --ipc --uts --fork --kill-child bash -euc inside <<'TRY'
set -euo pipefail
export LC_ALL=C
step() { echo "libvirt: $*"; }
trap 'echo "libvirt: failed: $BASH_COMMAND" >&2; tail -n 20 /run/*.log >&2' ERR
gannet() { node "$PWD/packages/gannet/dist/bin.js" "$@"; }
has() { gannet status -c "$1" --json 2>/dev/null | grep -q "$2"; }
GUEST=$(realpath .cache/guest)
A=/run/a B=/run/b
mkdir "$A" "$B" /run/libvirt

step "$(libvirtd --version | head -n 1)"
# Debian's user for it, which libvirtd wants to be there.
grep -q '^libvirt-qemu:' /etc/passwd ||
  echo libvirt-qemu:x:64055:65534::/nonexistent:/usr/sbin/nologin >>/etc/passwd
grep -q '^libvirt-qemu:' /etc/group || echo libvirt-qemu:x:64055: >>/etc/group
cat >/run/libvirtd.conf <<END
auth_unix_rw = "none"
unix_sock_group = "root"
END
cat >/etc/libvirt/qemu.conf <<END
user = "root"
group = "root"
security_driver = "none"
stdio_handler = "file"
cgroup_controllers = []
namespaces = []
END
libvirtd -f /run/libvirtd.conf >/run/libvirtd.log 2>&1 &
until virsh -q version >/dev/null 2>&1; do kill -0 $!; sleep 0.2; done

step the domain is as the schema of libvirt wants it
virt-xml-validate docs/how-to/examples/web.xml
step it starts
install -d -m 0750 /run/gannet-qemu
truncate -s 64M /var/lib/libvirt/images/web.raw
cmdline="console=ttyS0 quiet no_timer_check"
cmdline="$cmdline gannet.oracles=vda:4k:0:65536,vda:unaligned:65536:65536"
boot="<kernel>$GUEST/vmlinuz</kernel><initrd>$GUEST/initrd.gz</initrd><cmdline>$cmdline</cmdline>"
sed -e "s|type='kvm'|type='qemu'|" -e "s|'MiB'>2048<|'MiB'>128<|" \
  -e "s|<vcpu>2<|<vcpu current='1'>2<|" \
  -e "s|<cpu mode='host-model'/>|<cpu mode='custom'><model>qemu64</model></cpu>|" \
  -e "s|<boot dev='hd'/>|$boot|" \
  -e "s|<serial type='pty'/>|<serial type='file'><source path='/run/a/console.log'/></serial>|" \
  -e "s|<qemu:commandline>|&<qemu:env name='LD_PRELOAD' value='$GUEST/colo-tcg-shim.so'/>|" \
  docs/how-to/examples/web.xml >/run/web.xml
virsh -q define /run/web.xml
virsh -q start web
until grep -q 'writes=[1-9]' $A/console.log 2>/dev/null; do sleep 0.2; done

step what the page says protects it
sed -n '/^```yaml$/,/^```$/{/^```/d;p}' docs/how-to/libvirt.md >$A/web.yaml
cat >>$A/web.yaml <<END
  nbd: unix:$B/web.nbd
  migrate: unix:$B/incoming.sock
  peer: unix:$B/web.peer
  checkpointPeriodMs: 1000
control: $A/control.sock
END
cat >$B/web.yaml <<END
vm: web
control: $B/control.sock
qmp: unix:$B/web.qmp
disks: [{ name: disk0, device: ua-vb0, base: /var/lib/libvirt/images/replica.raw, size: 64 MiB }]
secondary: { nbd: "unix:$B/web.nbd", peer: "unix:$B/web.peer", journal: $B/web.journal }
END
gannet secondary -c $B/web.yaml 2>/run/secondary.log &
gannet primary -c $A/web.yaml 2>/run/primary.log &
until has $A/web.yaml '"primaryVm":"ready"' &&
  has $B/web.yaml '"role":"secondary"'; do sleep 0.2; done
gannet check -c $A/web.yaml --print-secondary --backend charserial0=file,path=$B/console.log \
  --backend hostnet0=tap,ifname=twin0,script=no,downscript=no \
  >$B/twin.sh 2>/run/twin.log || [ $? -eq 3 ]
LD_PRELOAD=$GUEST/colo-tcg-shim.so sh $B/twin.sh 2>/run/qemu.log &
until has $B/web.yaml '"secondaryVm":"ready"'; do kill -0 $!; sleep 0.2; done
gannet check -c $A/web.yaml || [ $? -eq 3 ]
[ -z "$(gannet check -c $A/web.yaml --json | grep no-second-monitor)" ]
gannet protect -c $A/web.yaml
gannet checkpoint -c $A/web.yaml >/dev/null

step virsh suspend and resume do no harm
virsh -q suspend web
sleep 1
# The next checkpoint starts it again, if it comes before this.
virsh -q resume web || virsh -q domstate web | grep running
gannet checkpoint -c $A/web.yaml >/dev/null
has $B/web.yaml '"state":"protected"'

step the domain is destroyed, its secondary takes over
virsh -q destroy web
until gannet failover -c $B/web.yaml; do [ $? -eq 4 ]; sleep 0.5; done
lines=$(grep -c writes= $B/console.log)
until [ "$(grep -c writes= $B/console.log)" -gt $((lines + 3)) ]; do sleep 0.2; done
[ -z "$(grep -E 'bad=[1-9]|mismatch' $A/console.log $B/console.log)" ]
echo 'libvirt: all well'
TRY
