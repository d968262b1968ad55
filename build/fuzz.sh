#!/usr/bin/env bash
# Runs every fuzz target of every module for as long as the one argument says.
set -euo pipefail
cd "$(dirname "$0")/.."

for module in $(go list -m -f '{{.Dir}}'); do
	cd "$module"
	for package in $(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.Dir}}{{end}}' ./...); do
		for target in $(cat "$package"/*_test.go | sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p'); do
			echo "== ${package#"$module"/} $target"
			go test -run='^$' -fuzz="^$target\$" -fuzztime="$1" "$package"
		done
	done
done
