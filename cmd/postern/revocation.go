package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/introspect"
	"github.com/postern-go/postern/pat"
	"github.com/postern-go/postern/rotate"
)

func (a *app) revocationCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revocation",
		Short: "Make revocations reach an API at once",
		Long: `ZITADEL can tell an API of each event that ends tokens (Actions v2), so that a revoked token is
refused before its cached answer runs out. See introspect.NewRevocationHandler.`,
		Example: "  postern revocation setup --endpoint https://api.example.com/zitadel/events",
		Args:    cobra.NoArgs,
	}
	cmd.AddCommand(a.revocationSetupCommand(), a.revocationCheckCommand())
	return cmd
}

func (a *app) revocationSetupCommand() *cobra.Command {
	var endpoint, keyTo, name string
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "Register an API's webhook for the events that end tokens",
		Long: `Registers an Actions v2 target for every event that ends tokens, and stores its signing key in a
new file that only its owner may read. The caller is an administrator of the instance
(IAM_OWNER). It can be run again: what is there is left as it is.`,
		Example: "  postern revocation setup --endpoint https://api.example.com/zitadel/events --key-to /run/secrets/signing-key",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if endpoint == "" || keyTo == "" {
				return usage(errors.New("expected --endpoint, the URL of the API's handler, and --key-to, a file for the signing key"))
			}
			if u, err := url.Parse(endpoint); err != nil || u.Host == "" {
				return usage(errors.New("--endpoint: expected a URL of the API's handler, such as https://api.example.com/zitadel/events"))
			}
			src, err := a.source()
			if err != nil {
				return err
			}
			if _, err := os.Lstat(keyTo); err != nil { // to be known before there is a key
				if err := mayStore(keyTo); err != nil {
					return err
				}
			}
			a.progress("registering the webhook and its events")
			target, err := introspect.SetupRevocation(cmd.Context(), introspect.RevocationSetup{
				Issuer: src.Issuer(), Source: src, Endpoint: endpoint, Name: name, Header: a.header(),
			})
			if err != nil {
				return err
			}
			where, err := storeSigningKey(keyTo, target)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{
					"target_id": target.ID, "created": target.Created, "events": target.Events, "unknown_events": append([]string{}, target.Unknown...), "key": where,
				})
			}
			fmt.Fprintf(a.out, "ZITADEL tells %s of %d events that end tokens (target %s)\n", endpoint, len(target.Events), target.ID)
			if len(target.Unknown) > 0 {
				fmt.Fprintf(a.out, "this server does not know, and so does not tell: %s\n", strings.Join(target.Unknown, ", "))
			}
			fmt.Fprintf(a.out, "the signing key %s\n", where)
			return nil
		},
	}
	cmd.Flags().StringVar(&endpoint, "endpoint", "", "URL under which ZITADEL reaches the API's handler")
	cmd.Flags().StringVar(&keyTo, "key-to", "signing-key", "file for the signing key")
	cmd.Flags().StringVar(&name, "name", "postern-revocation", "name of the target, one for each API")
	return cmd
}

// storeSigningKey puts the key into the file and says where it is.
func storeSigningKey(file string, target *introspect.RevocationTarget) (where string, err error) {
	key := target.SigningKey()
	switch existing, err := os.ReadFile(file); {
	case err == nil && strings.TrimSpace(string(existing)) == "":
		return "", fmt.Errorf("%s is there and holds no signing key: name another file, or remove this one", file)
	case err == nil && key != "" && strings.TrimSpace(string(existing)) != key:
		return "", fmt.Errorf("%s holds another signing key than the target %s has: name another file, or remove this one if nobody needs it", file, target.ID)
	case err == nil:
		return "is in " + file + ", as before", nil
	case !errors.Is(err, os.ErrNotExist):
		return "", err
	case key == "":
		return "", fmt.Errorf("the signing key was given out when the target %s was made, and the server does not tell it again: "+
			"name the file that holds it, or remove the target and run this again", target.ID)
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	if _, err = f.WriteString(key + "\n"); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(file)) // half a key would be taken for another
	}
	return "is in " + file, nil
}

// checkEvery is how often the API is asked whether it still takes the token.
const checkEvery = 20 * time.Millisecond

func (a *app) revocationCheckCommand() *cobra.Command {
	var api string
	within := days(2 * time.Minute)
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Remove a throwaway token and time its refusal",
		Long: `Makes a personal access token of the caller's that lives for ten minutes, calls the API with it,
removes it, and times how long the API goes on taking it. The URL is one that any active token
may GET. The caller needs no role.`,
		Example: "  postern revocation check --api https://api.example.com/orders",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			u, err := url.Parse(api)
			if err != nil || u.Host == "" {
				return usage(errors.New("--api: expected a URL of the API, such as https://api.example.com/orders"))
			}
			client, err := a.credentials()
			if err != nil {
				return err
			}
			took, err := a.timeRefusal(cmd.Context(), client, u, time.Duration(within))
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{"seconds_until_refusal": took.Seconds()})
			}
			_, err = fmt.Fprintf(a.out, "the API refused the token %s after its removal\n", took.Round(time.Millisecond))
			return err
		},
	}
	cmd.Flags().StringVar(&api, "api", "", "URL of the API to GET")
	cmd.Flags().Var(&within, "within", "how long to wait for the refusal")
	return cmd
}

func (a *app) timeRefusal(ctx context.Context, client *rotate.Client, api *url.URL, within time.Duration) (time.Duration, error) {
	a.progress("making a throwaway token")
	made, token, err := client.AddPAT(ctx, "", time.Now().Add(10*time.Minute))
	if err != nil {
		return 0, err
	}
	removed := false
	remove := func(ctx context.Context) error {
		removed = true
		return client.Remove(ctx, rotate.PAT, "", made.ID)
	}
	defer func() {
		if !removed {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectTimeout)
			defer cancel()
			if err := remove(ctx); err != nil {
				a.progress("token " + made.ID + " could not be removed; it ends in ten minutes")
			}
		}
	}()
	src, err := pat.New(token)
	if err != nil {
		return 0, err
	}
	caller := postern.NewClient(src, api.Scheme+"://"+api.Host)
	caller.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

	a.progress("calling the API with it")
	switch status, _, err := get(ctx, caller, api); {
	case err != nil:
		return 0, err
	case status >= 300:
		return 0, fmt.Errorf("expected %s to take a token that is active, got status %d: name a URL that any active token may GET", api.Redacted(), status)
	}
	a.progress("removing it")
	if err := remove(ctx); err != nil {
		return 0, err
	}
	began := time.Now()
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for time.Since(began) < within {
		status, answered, err := get(ctx, caller, api)
		switch {
		case err != nil:
			return 0, err
		case status == http.StatusUnauthorized:
			return answered.Sub(began), nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return 0, fmt.Errorf("the API still took the token %s after its removal: look whether ZITADEL reaches its webhook, and with which signing key", within)
}

func get(ctx context.Context, client *http.Client, u *url.URL) (status int, at time.Time, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return 0, time.Time{}, err
	}
	resp, err := client.Do(req)
	at = time.Now()
	if err != nil {
		return 0, at, err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	return resp.StatusCode, at, nil
}
