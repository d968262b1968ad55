#!/usr/bin/env bash
# Prints the share of statements that each package's own tests run, and fails where a package that users import is under 85 %.
set -euo pipefail
cd "$(dirname "$0")/.."

for module in $(go list -m -f '{{.Dir}}' | grep -v '/benchmarks$'); do
	(cd "$module" && go test -cover ./...)
done | awk '
	/coverage: [0-9.]+% of statements/ {
		match($0, /coverage: [0-9.]+%/)
		share = substr($0, RSTART + 10, RLENGTH - 11) + 0
		package = $1 == "ok" ? $2 : $1
		low = share < 85 && package !~ /\/(internal|examples|cmd|drill)(\/|$)/
		printf "%6.1f %%  %s%s\n", share, package, low ? "  under 85 %" : ""
		failed = failed || low
	}
	/^(FAIL|---)/ { print; failed = 1 }
	END { exit failed }'
