#!/bin/bash
# The first process of Debian: takes commands on the console, a line each, and says what happens.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C HOME=/root
cd /
. /run/bench/services.sh
ip link set lo up
# A card for clients outside, if there is one: gannet.address=ADDRESS (of a /24).
address=$(sed -n 's/.*gannet\.address=\([^ ]*\).*/\1/p' /proc/cmdline)
if [ -n "$address" ]; then
  ip address add "$address/24" dev eth0
  ip link set eth0 up
fi
stty -F /dev/ttyS0 -echo -icrnl
# $1: what has ended, $2: its status, $3: its log, whose end is shown if it failed.
ended() {
  if [ "$2" != 0 ]; then tail -n 5 "$3" | sed 's/^/GUEST LOG /'; fi
  echo "GUEST $1 $2"
}
echo 'GUEST READY'
while read -r verb service count seed; do
  case $verb in
    start | stop)
      "${verb}_$service" >/tmp/log 2>&1
      ended "${verb^^} $service" $? /tmp/log
      ;;
    load) # a part of it to warm up, then what counts
      "load_$service" $((count / 8 + 1)) "$((seed + 1))" >/tmp/log 2>&1
      echo "GUEST BEGIN $service"
      "load_$service" "$count" "$seed" >/tmp/log 2>&1
      ended "LOAD $service" $? /tmp/log
      ;;
    prove)
      echo "GUEST BEGIN $service"
      "prove_$service" "$count" "$seed" >/tmp/log 2>&1
      ended "PROVE $service" $? /tmp/log
      ;;
    check)
      "check_$service" >/tmp/log 2>&1
      ended "CHECK $service" $? /tmp/log
      ;;
    sync)
      sync
      ended SYNC $? /dev/null
      ;;
  esac
done
