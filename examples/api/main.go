// Command api is a small orders API behind postern's middleware. Without settings it starts a ZITADEL of its own, calls itself as
// three service users, and prints who may do what; with ZITADEL_ISSUER it serves for real. See README.md.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Getenv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "api:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, getenv func(string) string, out io.Writer) error {
	if !slices.ContainsFunc(variables, func(name string) bool { return getenv(name) != "" }) {
		return demonstrate(ctx, out)
	}
	s, err := readSettings(getenv) // half of the settings is a mistake, and no demonstration
	if err != nil {
		return err
	}
	return serve(ctx, s, out)
}
