#!/usr/bin/env bash
# Vets and tests every module of the workspace, with the race detector and in random order. The benchmarks are compiled only.
# The root is tested once more without the workspace, as its users have it.
set -euo pipefail
cd "$(dirname "$0")/.."

for module in $(go list -m -f '{{.Dir}}'); do
	(
		cd "$module"
		echo "== ${PWD##*/}"
		go vet ./...
		case $module in
		*/benchmarks) go test -run='^$' ./... ;;
		*) go test -race -shuffle=on ./... ;;
		esac
	)
done
echo "== the root without the workspace"
GOWORK=off go vet ./...
GOWORK=off go test -race -shuffle=on ./...
