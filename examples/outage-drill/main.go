// Command outage-drill shows what an API's callers see while its ZITADEL fails in all the ways a server can: it sends load through
// the middleware and prints, second by second, how many requests got 200, 401 and 503.
//
//	go run ./examples/outage-drill
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/postern-go/postern/zitadeltest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, zitadeltest.Config{}, 500, 5*time.Second); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run does the drill with MaxStale and without, with so many good tokens. Each phase takes as long as said. The error says which promise was not kept.
func run(ctx context.Context, w io.Writer, server zitadeltest.Config, tokens int, phase time.Duration) error {
	var errs []error
	for _, maxStale := range []time.Duration{time.Minute, 0} {
		d, err := newDrill(server, tokens, maxStale)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "MaxStale %s, TTL %s, %d good tokens in use, and invented and revoked ones\n\n", maxStale, ttl, tokens)
		errs = append(errs, d.run(ctx, w, phase))
		d.close()
	}
	return errors.Join(errs...)
}
