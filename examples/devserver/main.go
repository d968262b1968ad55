// Command devserver serves a ZITADEL for development and for tests in other languages: the server of package zitadeltest, on a
// socket, until interrupted.
//
//	go run ./examples/devserver -addr 127.0.0.1:8080 -admin-pat-file admin.pat
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/postern-go/postern/zitadeltest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "devserver:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("devserver", flag.ContinueOnError)
	flags.SetOutput(stderr)
	addr := flags.String("addr", "127.0.0.1:8080", "address to listen on; port 0 picks a free one")
	patFile := flags.String("admin-pat-file", "admin.pat", "file to write the administrator's personal access token to, mode 0600")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("no arguments are taken besides the flags, got %q", flags.Args())
	}

	file, err := filepath.Abs(*patFile) // the curl lines work in any directory
	if err != nil {
		return fmt.Errorf("-admin-pat-file: %w", err)
	}
	server, err := zitadeltest.New(zitadeltest.Config{Addr: *addr})
	if err != nil {
		return err
	}
	defer server.Close()
	if err := writeSecret(file, server.AdminPAT()); err != nil {
		return fmt.Errorf("-admin-pat-file: %w", err)
	}
	greet(stdout, server, file)
	<-ctx.Done()
	return nil
}

// writeSecret puts a secret into a file that nobody else may read, and that is never seen half written.
func writeSecret(path, secret string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".devserver-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // after the renaming there is nothing to remove
	_, err = f.WriteString(secret + "\n")
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// greet tells how to begin: an issuer, and calls that work as they stand. What they need has names that nobody else will want.
func greet(w io.Writer, s *zitadeltest.Server, patFile string) {
	project := s.AddProject("devserver-orders", "viewer", "admin")
	api := project.AddAPI("devserver-api")
	bot := s.AddServiceUser("devserver-bot", zitadeltest.WithOrgRole("ORG_OWNER"), zitadeltest.WithProjectRole(project, "viewer"))

	admin := `-H "Authorization: Bearer $(cat ` + quote(patFile) + `)"`
	fmt.Fprintf(w, `Issuer: %[1]s
Administrator's token: %[2]s

# What the server is
curl -s %[1]s/.well-known/openid-configuration

# The organisation
curl -s %[3]s %[1]s/management/v1/orgs/me

# A service user of your own
curl -s %[3]s -H 'Content-Type: application/json' -d '{"userName":"my-bot","name":"My bot"}' %[1]s/management/v1/users/machine

# An access token of a service user that is there already, by client credentials
curl -s -u %[4]s -d grant_type=client_credentials -d 'scope=openid urn:zitadel:iam:org:project:id:zitadel:aud' %[1]s/oauth/v2/token

# Its personal access token, introspected by an API that is there already
curl -s -u %[5]s -d token=%[6]s %[1]s/oauth/v2/introspect

Interrupt to stop; everything is forgotten then.
`, s.Issuer(), patFile, admin,
		quote(bot.LoginName+":"+bot.ClientSecret()), quote(api.ClientID+":"+api.ClientSecret), bot.PAT())
}

// quote makes one word of a text, for a shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
