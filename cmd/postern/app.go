package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/credentials"
	"github.com/postern-go/postern/internal/zitadelapi"
)

// The exit codes; the comment of main.go says when.
const (
	exitDone        = 0
	exitRefused     = 1
	exitUsage       = 2
	exitUnavailable = 3
	exitInterrupted = 130
)

// run is main with its surroundings as parameters.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	a := &app{in: in, out: out, err: errOut, flags: make(map[string]*string)}
	root := a.command()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if !a.started { // a command or flag that there is not
		err = usage(err)
	}
	code := exitCode(ctx, err)
	if err != nil && !errors.Is(err, errReported) {
		fmt.Fprintf(errOut, "postern: %s\n", strings.TrimPrefix(err.Error(), "postern: "))
	}
	return code
}

// errReported is what a command returns that has said itself what is wrong.
var errReported = errors.New("reported")

// usageError is a mistake in the command line or the configuration, found before anything was sent.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usage(err error) error {
	if err == nil {
		return nil
	}
	return usageError{err}
}

func exitCode(ctx context.Context, err error) int {
	_, wrong := errors.AsType[usageError](err)
	switch {
	case err == nil:
		return exitDone
	case ctx.Err() != nil:
		return exitInterrupted
	case wrong:
		return exitUsage
	case errors.Is(err, postern.ErrUnavailable):
		return exitUnavailable
	}
	return exitRefused
}

// app is what the commands share.
type app struct {
	in       io.Reader
	out, err io.Writer
	json     bool
	started  bool // a command runs
	org      string
	flags    map[string]*string // by environment variable
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "postern",
		Short: "Work with ZITADEL as a service user",
		Long: `postern tells who a credential is, calls ZITADEL's APIs with it, makes and renews
service users and their credentials, and finds what is wrong with a configuration.

It proves itself by what the environment says, or the flags of the same names:
ZITADEL_ISSUER and one of ZITADEL_PAT, ZITADEL_PAT_FILE, ZITADEL_KEY_FILE,
ZITADEL_KEY_JSON, or ZITADEL_CLIENT_ID with ZITADEL_CLIENT_SECRET or
ZITADEL_CLIENT_SECRET_FILE. When a credential is given by flags, those of the
environment do not count.

Exit codes:
  0    done
  1    the server refused, or what was checked has a fault
  2    the command line or the configuration is wrong, and nothing was sent
  3    the server could not be asked
  130  interrupted`,
		Example: `  export ZITADEL_ISSUER=https://my-instance.zitadel.cloud
  postern whoami --key-file key.json`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
		PersistentPreRunE: func(*cobra.Command, []string) error {
			a.started = true
			return a.setEnvironment()
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	flags := root.PersistentFlags()
	for name, usage := range map[string]string{
		"issuer":             "URL of the server",
		"pat-file":           "file with a personal access token",
		"key-file":           "key file (key.json) of a service user",
		"client-id":          "login name of a service user with a client secret",
		"client-secret-file": "file with that secret",
	} {
		variable := "ZITADEL_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		a.flags[variable] = flags.String(name, "", usage+" ("+variable+")")
	}
	flags.StringVar(&a.org, "org", "", "id of the organisation to act in (x-zitadel-orgid); default: the caller's own")
	flags.BoolVar(&a.json, "json", false, "print JSON")
	root.AddCommand(a.tokenCommand(), a.whoamiCommand(), a.callCommand(), a.bootstrapCommand(),
		a.credentialCommand(patCommands), a.credentialCommand(keyCommands), a.introspectCommand(), a.doctorCommand(), a.revocationCommand())
	return root
}

// setEnvironment makes the flags speak for the environment, so that there is one rule for both: that of package credentials.
func (a *app) setEnvironment() error {
	given := false
	for variable, value := range a.flags {
		given = given || *value != "" && variable != "ZITADEL_ISSUER"
	}
	if given {
		for _, variable := range []string{"ZITADEL_PAT", "ZITADEL_PAT_FILE", "ZITADEL_KEY_FILE", "ZITADEL_KEY_JSON",
			"ZITADEL_CLIENT_ID", "ZITADEL_CLIENT_SECRET", "ZITADEL_CLIENT_SECRET_FILE"} {
			if err := os.Unsetenv(variable); err != nil {
				return err
			}
		}
	}
	for variable, value := range a.flags {
		if *value != "" {
			if err := os.Setenv(variable, *value); err != nil {
				return err
			}
		}
	}
	return nil
}

// source returns the credential of the caller.
func (a *app) source(scopes ...string) (*credentials.Source, error) {
	src, err := credentials.FromEnv(scopes...)
	return src, usage(err)
}

func (a *app) header() http.Header {
	h := make(http.Header)
	if a.org != "" {
		h.Set("x-zitadel-orgid", a.org)
	}
	return h
}

// api returns a client of ZITADEL's APIs that calls as the caller.
func (a *app) api() (*zitadelapi.Client, *credentials.Source, error) {
	src, err := a.source()
	if err != nil {
		return nil, nil, err
	}
	api, err := zitadelapi.New(zitadelapi.Config{Issuer: src.Issuer(), Source: src, Header: a.header()})
	return api, src, usage(err)
}
