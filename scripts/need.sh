#!/usr/bin/env bash
# Installs what the tests need and this machine lacks, with apt and as root only. Anybody else is told the command.
# What is there already is left alone, whoever put it there.
. "$(dirname "$0")/lib.sh"

compiles() { have gcc && echo '#include <stdlib.h>' | gcc -x c -fsyntax-only - >/dev/null 2>&1; }

pg_installed() { have postgres || compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null; }

missing=()
compiles || missing+=(gcc libc6-dev)       # the race detector is C
have bwrap || missing+=(bubblewrap)        # the walls of local sandboxes
have curl || missing+=(curl)               # the https preflight, in a sandbox
have nslookup || missing+=(bind9-dnsutils) # the dns preflight, in a sandbox
have ps || missing+=(procps)
pg_installed || missing+=(postgresql)          # tests start servers of their own from it
have jq || missing+=(jq)                   # the tool policy allows it, and a local sandbox has what this machine has
have redis-server || missing+=(redis-server) # tests start their own, on free ports
have chromium || missing+=(chromium)       # the queues' pages, as an operator sees them
[ -e /etc/ssl/certs/ca-certificates.crt ] || [ -e /etc/pki/tls/certs/ca-bundle.crt ] || missing+=(ca-certificates)

for tool in go git node npm; do
	have "$tool" || die "$tool is not installed, and is too much yours to be installed by a test run"
done
[ ${#missing[@]} -gt 0 ] || exit 0

install="apt-get install -y --no-install-recommends ${missing[*]}"
have apt-get || die "missing: ${missing[*]} (names of Debian packages; there is no apt-get here)"
[ "$(id -u)" = 0 ] || die "missing: ${missing[*]}. As root: apt-get update && $install"

step "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >&2
# Debian starts a server when it installs one. Tests need none of this machine's: policy-rc.d (invoke-rc.d(8)) says no to
# that, for as long as we install and only where the machine has no policy of its own.
if [ ! -e /usr/sbin/policy-rc.d ]; then
	trap 'rm -f /usr/sbin/policy-rc.d' EXIT
	printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
	chmod +x /usr/sbin/policy-rc.d
fi
$install -qq >/dev/null </dev/null
