# A host of PostgreSQL with Patroni beside it, as Debian packages them; it runs no etcd.
# suite: bookworm
# packages: patroni,postgresql-15,python3-etcd
# Patroni makes the database and starts it, nobody else.
systemctl disable --quiet postgresql.service
pg_dropcluster 15 main
