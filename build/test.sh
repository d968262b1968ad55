#!/usr/bin/env bash
# Vets and tests every module of the workspace, with the race detector and in random order. The benchmarks are compiled only.
# The root is tested once more without the workspace, as its users have it. Where a part is missing, the tests that skip are named.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=$(build/parts.sh) || { echo "$missing"; exit 1; }
[ -z "$missing" ] || echo "$missing"
race=-race
if [ "$(go env CGO_ENABLED)" = 0 ]; then
	race=
	echo "Without a C compiler there is no race detector, and examples/hsm is skipped."
fi

all() { # tests of the module in this directory
	if [ -z "$missing" ]; then
		go test -shuffle=on $race ./...
		return
	fi
	# What go test prints without -v, and between it the names of the tests that skip. Of a package that fails it is everything.
	go test -shuffle=on $race -v ./... | awk '
		/^(ok|\?) / { print skipped $0; said = skipped = ""; next }
		/^FAIL\t/ { print said $0; said = skipped = ""; next }
		{ said = said $0 "\n" }
		/^ *--- SKIP/ { skipped = skipped $0 "\n" }
		END { printf "%s", said }'
}

for module in $(go list -m -f '{{.Dir}}'); do
	(
		cd "$module"
		echo "== ${PWD##*/}"
		case $module in
		*/hsm) [ -n "$race" ] || exit 0 ;;
		esac
		go vet ./...
		case $module in
		*/benchmarks) go test -run='^$' ./... ;;
		*) all ;;
		esac
	)
done
echo "== the root without the workspace"
export GOWORK=off
go vet ./...
all
