#!/usr/bin/env bash
# Runs every fuzz target of every module for as long as the one argument says.
set -euo pipefail
cd "$(dirname "$0")/.."

output=$(mktemp)
trap 'rm -f "$output"' EXIT

fuzz() { # target, time, package
	go test -run='^$' -fuzz="^$1\$" -fuzztime="$2" "$3" 2>&1 | tee "$output"
}

# Go 1.26 now and then takes the end of the time for a failure (golang/go#75804). That is worth another try; a finding is not.
ended() { grep -qx ' *context deadline exceeded' "$output" && ! grep -q 'Failing input written\|panic:' "$output"; }

for module in $(go list -m -f '{{.Dir}}'); do
	cd "$module"
	for package in $(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.Dir}}{{end}}' ./...); do
		for target in $(cat "$package"/*_test.go | sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p'); do
			echo "== ${package#"$module"/} $target"
			fuzz "$target" "$1" "$package" || { ended && fuzz "$target" "$1" "$package"; } || exit 1
		done
	done
done
