# What the public image's entrypoint does with POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB, as far as we use it: the first
# start makes a cluster with them in the data volume. Postgres does not run as root.
set -euo pipefail

if [ "$(id -u)" = 0 ]; then
	chown postgres:postgres "$PGDATA"
	chmod 700 "$PGDATA"
	exec setpriv --reuid=postgres --regid=postgres --init-groups bash "$0"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
	initdb --username "$POSTGRES_USER" --pwfile <(printf '%s\n' "$POSTGRES_PASSWORD") --auth-local trust --auth-host scram-sha-256 >/dev/null
	echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
	pg_ctl -w start -o "-c listen_addresses='' -k /tmp" >/dev/null
	createdb -h /tmp -U "$POSTGRES_USER" --maintenance-db postgres "$POSTGRES_DB"
	pg_ctl -w -m fast stop >/dev/null
fi
exec postgres -c listen_addresses='*'
