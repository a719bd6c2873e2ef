# Pid 1 of a node.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin HOME=/root LC_ALL=C
mkdir -p /run/crm /var/log/cluster /var/lib/pacemaker
chown hacluster:haclient /run/crm
corosync -f >/var/log/corosync.out 2>&1 &
for _ in $(seq 100); do
  corosync-cfgtool -s >/dev/null 2>&1 && break
  sleep 0.1
done
pacemakerd -f >/var/log/pacemakerd.out 2>&1 &
while true; do wait -n || sleep 1; done
