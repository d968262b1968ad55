#!/usr/bin/env bash
# gofmt and staticcheck over every module. The one argument is staticcheck with its version.
set -euo pipefail
cd "$(dirname "$0")/.."

unformatted=$(git ls-files '*.go' | xargs gofmt -l)
if [ -n "$unformatted" ]; then
	printf 'gofmt would change:\n%s\n' "$unformatted"
	exit 1
fi
for module in $(go list -m -f '{{.Dir}}'); do
	(cd "$module" && go run "$1" ./...)
done
