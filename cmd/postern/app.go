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
	a := &app{in: in, out: out, err: errOut, variables: make(map[string]string)}
	root := a.command()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && !a.started { // a command or flag that there is not
		if cmd.Name() == "help" { // whose own help tells of no command
			cmd = root
		}
		err = usage(fmt.Errorf("%w: see %s --help", err, cmd.CommandPath()))
	}
	code := exitCode(ctx, err)
	if err != nil && !errors.Is(err, errReported) {
		fmt.Fprintf(errOut, "postern: %s\n", strings.TrimPrefix(words(err), "postern: "))
	}
	return code
}

// errReported is what a command returns that has said itself what is wrong.
var errReported = errors.New("reported")

// usageError is a mistake in the command line or the configuration, found before anything was changed.
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
	case errors.Is(err, postern.ErrUnavailable) && !refused(err):
		return exitUnavailable
	}
	return exitRefused
}

// refused reports whether the server said no to what it was asked. For a verifier that still means that nobody can tell what a
// token is worth.
func refused(err error) bool {
	said, ok := errors.AsType[*postern.Error](err)
	return ok && said.StatusCode >= 400 && said.StatusCode < 500 && said.StatusCode != http.StatusTooManyRequests
}

// words are an error's, without the verdict that the server is unavailable where it was asked and said no.
func words(err error) string {
	if !refused(err) {
		return err.Error()
	}
	return strings.Replace(err.Error(), postern.ErrUnavailable.Error()+": ", "", 1)
}

// app is what the commands share.
type app struct {
	in        io.Reader
	out, err  io.Writer
	json      bool
	started   bool // a command runs
	org       string
	variables map[string]string // of the environment, by the flag that speaks for it
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
  1    the server refused, what was checked has a fault, or something failed here
  2    the command line or the configuration is wrong, or nobody said yes, and
       nothing was changed
  3    the server could not be asked
  130  interrupted`,
		Example: `  export ZITADEL_ISSUER=https://my-instance.zitadel.cloud
  postern whoami --key-file key.json`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			a.started = true
			return usage(a.setEnvironment(cmd))
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
		a.variables[name] = variable
		flags.String(name, "", usage+" ("+variable+")")
	}
	flags.StringVar(&a.org, "org", "", "id of the organisation to act in (x-zitadel-orgid); default: the caller's own")
	flags.BoolVar(&a.json, "json", false, "print JSON")
	root.AddCommand(a.tokenCommand(), a.whoamiCommand(), a.callCommand(), a.bootstrapCommand(),
		a.credentialCommand(patCommands), a.credentialCommand(keyCommands), a.introspectCommand(), a.doctorCommand(), a.revocationCommand())
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	completeDefaults(root)
	for _, group := range root.Commands() {
		if !group.Runnable() { // cobra would show the help for a command that there is not, and call that done
			group.Args = cobra.NoArgs
			group.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
	return root
}

// completeDefaults gives the commands that cobra adds what every command has: an example, and an error where there is nothing to show.
func completeDefaults(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Example = "  postern help pat rotate"
			cmd.Args = func(_ *cobra.Command, args []string) error {
				found, rest, err := root.Find(args)
				if err != nil {
					return err
				}
				return cobra.NoArgs(found, rest)
			}
		case "completion":
			cmd.Example = "  source <(postern completion bash)"
			for _, shell := range cmd.Commands() {
				shell.Example = "  postern completion " + shell.Name() + " > postern." + shell.Name()
			}
		}
	}
}

// setEnvironment makes the flags speak for the environment, so that there is one rule for both: that of package credentials. A flag
// that is given and empty, as by a shell variable that is not set, is a mistake: the environment may name somebody else.
func (a *app) setEnvironment(cmd *cobra.Command) error {
	flags := cmd.Flags()
	given := false
	var errs []error
	for name, variable := range a.variables {
		value := flags.Lookup(name).Value.String()
		given = given || value != "" && variable != "ZITADEL_ISSUER"
		if value == "" && flags.Changed(name) {
			errs = append(errs, fmt.Errorf("--%s: expected a value, got an empty one", name))
		}
	}
	if strings.ContainsFunc(a.org, func(c rune) bool { return c <= ' ' || c > '~' }) {
		errs = append(errs, fmt.Errorf("--org: expected the id of an organisation, got %q", a.org))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if given {
		for _, variable := range []string{"ZITADEL_PAT", "ZITADEL_PAT_FILE", "ZITADEL_KEY_FILE", "ZITADEL_KEY_JSON",
			"ZITADEL_CLIENT_ID", "ZITADEL_CLIENT_SECRET", "ZITADEL_CLIENT_SECRET_FILE"} {
			if err := os.Unsetenv(variable); err != nil {
				return err
			}
		}
	}
	for name, variable := range a.variables {
		if value := flags.Lookup(name).Value.String(); value != "" {
			if err := os.Setenv(variable, value); err != nil {
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
