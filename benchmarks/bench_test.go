package main

import (
	"testing"

	"github.com/postern-go/postern/benchmarks/harness"
)

func BenchmarkTransport(b *testing.B) { harness.Go(b, transportBench()) }
func BenchmarkExpired(b *testing.B)   { harness.Go(b, expiredBench()) }
func BenchmarkRollover(b *testing.B)  { harness.Go(b, rolloverBench()) }
func BenchmarkLocalJWT(b *testing.B)  { harness.Go(b, localBench()) }

func BenchmarkInbound(b *testing.B) {
	for _, bench := range inboundBenches() {
		b.Run(bench.Name, func(b *testing.B) { harness.Go(b, bench) })
	}
}

func BenchmarkCold(b *testing.B)     { harness.Go(b, coldBench()) }
func BenchmarkStampede(b *testing.B) { harness.Go(b, stampedeBench()) }
func BenchmarkFlood(b *testing.B)    { harness.Go(b, floodBench()) }
func BenchmarkMemory(b *testing.B)   { harness.Go(b, memoryBench()) }
