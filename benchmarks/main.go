// Command benchmarks measures this library beside its peers, and writes the tables of docs/benchmarks.md with their charts.
//
//	go run . -rounds 10           # what make bench runs
//	go run . -short               # does everything still run?
//	go run . -run Transport       # one table; the page keeps the others
package main

import "github.com/postern-go/postern/benchmarks/harness"

func main() {
	harness.Main(benches()...)
}

// benches are all tables, in the order of the page.
func benches() []harness.Bench {
	benches := append([]harness.Bench{transportBench(), expiredBench(), rolloverBench(), localBench()}, inboundBenches()...)
	return append(benches, coldBench(), stampedeBench(), floodBench(), memoryBench())
}
