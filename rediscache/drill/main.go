// Command drill runs a fleet of eight processes against zitadeltest and a real redis-server, and prints how many introspection calls
// a second level saves, how fast a revocation reaches all of them, and what they answer while Redis fails:
//
//	go run ./drill
//
// It needs redis-server in PATH.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/postern-go/postern/rediscache/internal/drill"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "drill:", err)
		os.Exit(1)
	}
}

func run() error {
	if drill.IsReplica() {
		return drill.Replica()
	}
	var cfg drill.Config
	flag.IntVar(&cfg.Processes, "processes", 8, "replicas, each a process")
	flag.IntVar(&cfg.Tokens, "tokens", 500, "tokens that every replica checks")
	flag.IntVar(&cfg.Revocations, "revocations", 100, "tokens that are removed one by one")
	flag.DurationVar(&cfg.Phase, "phase", 5*time.Second, "length of each of the five phases of the timeline")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	result, err := drill.Run(ctx, cfg, os.Stdout)
	if err == nil && result.Wrong() > 0 {
		err = fmt.Errorf("%d answers were wrong", result.Wrong())
	}
	return err
}
