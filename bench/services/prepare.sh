# Makes and fills each service's data, once, in the root (not in a guest).
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mkdir -p /dev/shm
mount -t tmpfs tmpfs /dev/shm
ip link set lo up
mkdir /data/{pgsql,mysql,redis,rocksdb,tokyo,sqlite}
chown postgres: /data/pgsql
chown mysql: /data/mysql
chown redis: /data/redis
chmod 700 /data/pgsql

as postgres $PG/initdb -D /data/pgsql --auth=trust --no-locale -E UTF8
cat >>/data/pgsql/postgresql.conf <<'C'
listen_addresses = ''
unix_socket_directories = '/run/postgresql'
shared_buffers = 64MB
jit = off
autovacuum = off
checkpoint_timeout = 1d
max_wal_size = 1GB
min_wal_size = 128MB
max_connections = 20
C
start_postgresql
as postgres createdb -h /run/postgresql bench
as postgres $PG/pgbench -h /run/postgresql -q -i -s 4 bench
load_postgresql 4000 1
stop_postgresql

cat >/data/my.cnf <<'C'
[mariadbd]
datadir=/data/mysql
socket=/run/mysqld/sock
pid-file=/run/mysqld/pid
skip-networking
skip-grant-tables
innodb_buffer_pool_size=64M
innodb_log_file_size=48M
innodb_flush_log_at_trx_commit=1
innodb_fast_shutdown=1
innodb_data_file_path=ibdata1:12M:autoextend
performance_schema=OFF
tmpdir=/tmp
C
as mysql mysql_install_db --datadir=/data/mysql --skip-test-db \
  --auth-root-authentication-method=normal
start_mariadb
mysql --socket=/run/mysqld/sock -u root -e 'create database bench'
sysbench_of oltp_write_only prepare
load_mariadb 2000 1
stop_mariadb

cat >/data/redis.conf <<'C'
port 0
unixsocket /run/redis/sock
dir /data/redis
save ""
appendonly yes
appendfsync always
auto-aof-rewrite-percentage 0
daemonize no
C
start_redis
load_redis 2000 1
stop_redis

db_bench --db=/data/rocksdb --benchmarks=fillseq --num=20000 --value_size=512 \
  --compression_type=none
/bench/tokyo create /data/tokyo/db.tch 20000
sqlite3 /data/sqlite/db \
  'CREATE TABLE t(id INTEGER PRIMARY KEY, k INT, v TEXT); CREATE INDEX tk ON t(k);'
load_sqlite 2000 1
# Servers that were asked to end have to be gone before the data is copied.
sleep 1
