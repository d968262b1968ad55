# The commands that CONTRIBUTING.md explains. Tools are pinned here; libraries in each go.mod.
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
# How long each fuzz target runs, and how many rounds each benchmark: both can be set on the command line.
FUZZTIME = 5s
ROUNDS = 10

.PHONY: test lint fuzz cover bench

test:
	build/test.sh

lint:
	build/lint.sh $(STATICCHECK)

fuzz:
	build/fuzz.sh $(FUZZTIME)

cover:
	build/cover.sh

bench:
	cd benchmarks && go run . -rounds $(ROUNDS)
