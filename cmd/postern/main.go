// Command postern is for operators of services that talk to ZITADEL: it tells who a credential is, calls APIs with it, makes
// and renews service users and their credentials, and finds out what is wrong with a configuration.
//
//	postern whoami
//	postern call GET /management/v1/orgs/me
//	postern bootstrap --user ci-bot --role ORG_OWNER --pat-to /run/secrets/zitadel-pat
//	postern pat rotate /run/secrets/zitadel-pat
//	postern doctor
//
// It proves itself as package credentials says: ZITADEL_ISSUER and one of ZITADEL_PAT, ZITADEL_PAT_FILE, ZITADEL_KEY_FILE,
// ZITADEL_KEY_JSON, or ZITADEL_CLIENT_ID with its secret, or the flags of the same names. Secrets are read from files,
// from the environment or from the standard input, never from the command line, and shown only when that is what was asked for.
//
// Exit codes: 0 done; 1 the server refused, what was checked has a fault, or something failed here; 2 the command line or the
// configuration is wrong, or nobody said yes, and nothing was changed; 3 the server could not be asked; 130 interrupted.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)   // a second interrupt ends the program at once
	signal.Ignore(syscall.SIGPIPE) // output that nobody reads must not end work that is half done
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
