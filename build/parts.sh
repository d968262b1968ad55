#!/usr/bin/env bash
# Sees to the real parts that some tests need: as root on Debian it installs what is missing, elsewhere it says what to
# install. Tests whose part is missing skip and name it; with CI=true a missing part is a failure.
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
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
	# Tests start servers of their own; the one that the package starts is not wanted.
	[[ " ${missing[*]} " != *" redis-server "* ]] || service redis-server stop >/dev/null 2>&1 || true
	exit 0
fi

echo "Missing: ${missing[*]}. On Debian: apt-get install ${missing[*]}. Tests that need them skip and name them."
[ "${CI:-}" != true ]
