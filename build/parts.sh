#!/usr/bin/env bash
# Sees to the real parts that some tests need: as root on Debian it installs what is missing, elsewhere it says what to
# install. Tests whose part is missing skip; with CI=true a missing part is a failure.
set -euo pipefail

missing=()
need() { # command or file, Debian package
	command -v "$1" >/dev/null || [ -e "$1" ] || missing+=("$2")
}
need gcc gcc # the race detector and examples/hsm want cgo
need /usr/include/stdio.h libc6-dev
need redis-server redis-server
need /usr/lib/softhsm/libsofthsm2.so softhsm2
need node nodejs
need curl curl
need jq jq
need npm npm
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	export DEBIAN_FRONTEND=noninteractive
	if apt-get -o Acquire::Retries=3 update -qq >&2 && apt-get -o Acquire::Retries=3 install -y -qq --no-install-recommends "${missing[@]}" >/dev/null; then
		# Tests start servers of their own; the one that the package starts is not wanted.
		[[ " ${missing[*]} " != *" redis-server "* ]] || service redis-server stop >/dev/null 2>&1 || true
		exit 0
	fi
fi

echo "Missing: ${missing[*]}. On Debian: apt-get install ${missing[*]}."
if [ "${CI:-}" = true ]; then
	echo "With CI=true everything has to be there."
	exit 1
fi
echo "Tests that need them skip, and are named below."
