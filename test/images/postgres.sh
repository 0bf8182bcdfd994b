# What the public image's entrypoint does with POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB and POSTGRES_HOST_AUTH_METHOD, as far as
# we use it: the first start makes a cluster with them in the data volume. Postgres does not run as root, and gets the options of the
# container's command.
set -euo pipefail

if [ "$(id -u)" = 0 ]; then
	chown postgres:postgres "$PGDATA"
	chmod 700 "$PGDATA"
	exec setpriv --reuid=postgres --regid=postgres --init-groups bash "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
	auth=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
	[ "$auth" = trust ] || : "${POSTGRES_PASSWORD:?}"
	initdb --username "$POSTGRES_USER" --pwfile <(printf '%s\n' "${POSTGRES_PASSWORD:-none}") --auth-local trust --auth-host "$auth" >/dev/null
	echo "host all all all $auth" >>"$PGDATA/pg_hba.conf"
	pg_ctl -w start -o "-c listen_addresses='' -k /tmp" >/dev/null
	createdb -h /tmp -U "$POSTGRES_USER" --maintenance-db postgres "$POSTGRES_DB"
	pg_ctl -w -m fast stop >/dev/null
fi
[ "${1-}" != postgres ] || shift
exec postgres -c listen_addresses='*' "$@"
