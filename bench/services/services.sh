# Each service: start, load COUNT SEED (a fixed amount of work), stop. All that they write is on
# /data; each write is on the disk when the client has its answer. prove COUNT SEED is a load whose
# client notes in $LEDGER, in the guest's memory, what it was told to be done; check lets the
# service look at its data, and compares them with that.
LEDGER=/tmp/ledger
PG=/usr/lib/postgresql/15/bin
as() {
  local user=$1
  shift
  setpriv --reuid="$user" --regid="$user" --clear-groups "$@"
}
# Until a command succeeds, or two minutes have passed.
until_so() {
  for _ in $(seq 600); do
    if "$@" >/dev/null 2>&1; then return 0; fi
    sleep 0.2
  done
  return 1
}

# Compares what a service has, line by line, with what its client was told.
same_as_ledger() { diff "$LEDGER.$1" -; }

start_postgresql() {
  # Otherwise the first transactions read the table from a slow disk.
  cat /data/pgsql/base/*/* >/dev/null
  mkdir -p /run/postgresql
  chown postgres /run/postgresql
  as postgres $PG/pg_ctl -w -t 120 -D /data/pgsql -l /run/postgresql/log start
}
load_postgresql() {
  as postgres $PG/pgbench -h /run/postgresql -n -c 8 -M prepared --random-seed="$2" \
    -t $((($1 + 7) / 8)) bench
}
of_postgresql() { as postgres psql -h /run/postgresql -X -A -t bench -c "$1"; }
prove_postgresql() {
  local before
  before=$(of_postgresql 'SELECT count(*) FROM pgbench_history')
  load_postgresql "$1" "$2" || return
  echo $((before + ($1 + 7) / 8 * 8)) >$LEDGER.postgresql
}
stop_postgresql() { as postgres $PG/pg_ctl -w -m fast -D /data/pgsql stop; }
# Each transaction adds one amount to an account, a teller and a branch, and to the history.
check_postgresql() {
  of_postgresql 'SELECT (SELECT sum(abalance) FROM pgbench_accounts) = sum(delta)
    AND (SELECT sum(tbalance) FROM pgbench_tellers) = sum(delta)
    AND (SELECT sum(bbalance) FROM pgbench_branches) = sum(delta) FROM pgbench_history' |
    tee /dev/stderr | grep -qx t || return
  of_postgresql 'SELECT count(*) FROM pgbench_history' | same_as_ledger postgresql || return
  as postgres $PG/pg_amcheck -h /run/postgresql --install-missing --heapallindexed bench
}

start_mariadb() {
  mkdir -p /run/mysqld
  chown mysql /run/mysqld
  as mysql /usr/sbin/mariadbd --defaults-file=/data/my.cnf >/run/mysqld/log 2>&1 &
  until_so mysqladmin --socket=/run/mysqld/sock -u root ping
}
sysbench_of() {
  sysbench --db-driver=mysql --mysql-socket=/run/mysqld/sock --mysql-user=root \
    --mysql-db=bench --tables=1 --table-size=20000 "$@"
}
load_mariadb() {
  sysbench_of --threads=8 --events="$1" --time=0 --rand-seed="$2" oltp_write_only run
}
of_mariadb() { mysql --socket=/run/mysqld/sock -u root -N -B --unbuffered bench; }
# Beside sysbench's transactions those of a client that notes each.
prove_mariadb() {
  local at other
  of_mariadb <<<'CREATE OR REPLACE TABLE ledger(id INT PRIMARY KEY)' || return
  load_mariadb "$1" "$2" &
  other=$!
  for ((at = 0; at < $1 / 8; at++)); do
    echo "INSERT INTO ledger VALUES($at); SELECT $at;"
  done | of_mariadb >$LEDGER.mariadb || return
  wait $other
}
stop_mariadb() { mysqladmin --socket=/run/mysqld/sock -u root shutdown; }
check_mariadb() {
  of_mariadb <<<'SELECT id FROM ledger ORDER BY id' | same_as_ledger mariadb || return
  mysqlcheck --socket=/run/mysqld/sock -u root --extended bench
}

start_redis() {
  mkdir -p /run/redis
  chown redis /run/redis
  local outside=()
  if [ -e /sys/class/net/eth0 ]; then
    outside=(--port 6379 --bind 0.0.0.0 --protected-mode no)
  fi
  as redis /usr/bin/redis-server /data/redis.conf "${outside[@]}" >/run/redis/log 2>&1 &
  until_so eval 'redis-cli -s /run/redis/sock ping | grep -q PONG'
}
# Chooses its keys by itself: it takes no seed.
load_redis() { redis-benchmark -s /run/redis/sock -t set -c 8 -d 512 -r 20000 -n "$1" --csv; }
of_redis() { redis-cli -s /run/redis/sock "$@"; }
# Beside what it sets it counts: a command that is lost, or done twice, shows.
prove_redis() {
  of_redis del counter:__rand_int__
  load_redis "$1" "$2" &
  local other=$!
  redis-benchmark -s /run/redis/sock -t incr -c 8 -n "$1" --csv || return
  wait $other || return
  echo "$1" >$LEDGER.redis
}
stop_redis() { redis-cli -s /run/redis/sock shutdown nosave; }
# Started again, it has what its file has.
check_redis() {
  stop_redis
  redis-check-aof /data/redis/appendonlydir/*.manifest && start_redis || return
  of_redis get counter:__rand_int__ | same_as_ledger redis
}

start_rocksdb() { true; }
load_rocksdb() {
  db_bench --db=/data/rocksdb --benchmarks=overwrite --use_existing_db=1 --sync=1 --num=20000 \
    --writes="$1" --threads=1 --value_size=512 --compression_type=none --seed="$2"
}
# It notes nothing: what is checked is that the data are whole.
prove_rocksdb() { load_rocksdb "$@"; }
stop_rocksdb() { true; }
check_rocksdb() {
  ldb --db=/data/rocksdb checkconsistency && ldb --db=/data/rocksdb scan >/dev/null
}

start_tokyo() { true; }
load_tokyo() { /bench/tokyo load /data/tokyo/db.tch "$1" "$2"; }
# What it writes follows from its seed.
prove_tokyo() { load_tokyo "$1" "$2" && echo "$1 $2" >$LEDGER.tokyo; }
stop_tokyo() { true; }
check_tokyo() {
  # shellcheck disable=SC2046
  /bench/tokyo check /data/tokyo/db.tch $(cat $LEDGER.tokyo)
}

start_sqlite() { true; }
load_sqlite() {
  local at
  RANDOM=$2
  {
    echo 'PRAGMA synchronous=FULL;'
    for ((at = 0; at < $1; at++)); do
      echo "INSERT INTO t(k, v) VALUES($((RANDOM * 3)), '$RANDOM$RANDOM' || hex(zeroblob(40)));"
    done
  } >/tmp/sql
  sqlite3 -bail /data/sqlite/db </tmp/sql
}
prove_sqlite() {
  local at
  {
    echo 'PRAGMA synchronous=FULL;'
    echo 'CREATE TABLE ledger(id INTEGER PRIMARY KEY, v TEXT);'
    for ((at = 0; at < $1; at++)); do
      echo "INSERT INTO ledger VALUES($at, hex(zeroblob(40))); SELECT $at;"
    done
  } >/tmp/sql
  sqlite3 -bail /data/sqlite/db </tmp/sql >$LEDGER.sqlite
}
stop_sqlite() { true; }
check_sqlite() {
  sqlite3 -bail /data/sqlite/db 'PRAGMA integrity_check' |
    tee /dev/stderr | grep -qx ok || return
  sqlite3 -bail /data/sqlite/db 'SELECT id FROM ledger ORDER BY id' | same_as_ledger sqlite
}
