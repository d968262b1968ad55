// Command kubernetes renews the credential in a Kubernetes Secret, when that is due. It is meant for a CronJob; README.md says how.
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/postern-go/postern/rotate"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	store, err := inCluster(os.Getenv, "/var/run/secrets/kubernetes.io/serviceaccount", os.Getenv("SECRET_NAME"), os.Getenv("SECRET_KEY"))
	if err == nil {
		err = run(ctx, os.Getenv, store, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "kubernetes:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, getenv func(string) string, store rotate.Store, out io.Writer) error {
	r, err := rotate.New(rotate.Config{
		Issuer: getenv("ZITADEL_ISSUER"), Kind: rotate.Kind(cmp.Or(getenv("KIND"), string(rotate.PAT))), Store: store,
	})
	if err != nil {
		return err
	}
	report, err := r.Run(ctx)
	if err != nil {
		return err
	}
	switch {
	case report.Renewed:
		fmt.Fprintf(out, "renewed: %s, until %s\n", report.Current.ID, report.Current.Expires.Format(time.DateOnly))
	case len(report.Removed) > 0:
		fmt.Fprintf(out, "removed: %v\n", report.Removed)
	default:
		fmt.Fprintf(out, "nothing is due before %s\n", report.Next.UTC().Format(time.DateOnly))
	}
	return nil
}
