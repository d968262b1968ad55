// Command quickstart calls ZITADEL's management API with each way to authenticate as a service user. Without settings it does so
// against a ZITADEL of its own, in this process; README.md says how to point it at yours.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/postern-go/postern"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Getenv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", strings.ReplaceAll(err.Error(), "\n", "; "))
		os.Exit(1)
	}
}

// callLimit is how long one call may take, its token included.
const callLimit = 30 * time.Second

func run(ctx context.Context, getenv func(string) string, out io.Writer) error {
	set, err := settingsFrom(getenv)
	if err != nil {
		return err
	}
	if set.issuer == "" {
		local, stop, err := ownServer()
		if err != nil {
			return fmt.Errorf("starting a ZITADEL in this process: %w", err)
		}
		defer stop()
		set = local
		fmt.Fprintf(out, "No ZITADEL_ISSUER is set, so this is a ZITADEL in this process, at %s.\n\n", set.issuer)
	}
	methods, err := set.methods()
	if err != nil {
		return err
	}

	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "METHOD\tORGANISATION\tID\tTOKEN\tEXPIRES IN\tMS")
	for i, m := range methods {
		row, err := ask(ctx, set.issuer, m.source)
		if err != nil {
			if i > 0 {
				table.Flush()
			}
			return fmt.Errorf("%s: %w", m.name, err)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\n", m.name, row.Org.Name, row.Org.ID, row.token, row.expires, row.took.Milliseconds())
	}
	if err := table.Flush(); err != nil {
		return err
	}
	return showRefusal(ctx, set, out)
}

// answer is what GET /management/v1/orgs/me tells, and what there is to say about the call.
type answer struct {
	Org struct{ ID, Name string }

	token, expires string
	took           time.Duration
}

// ask makes the call as a program would, with a client that puts the source's token on it.
func ask(ctx context.Context, issuer string, src postern.TokenSource) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	client := postern.NewClient(src, issuer)
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(issuer, "/")+"/management/v1/orgs/me", nil)
	if err != nil {
		return answer{}, err
	}
	start := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	var a answer
	if resp.StatusCode != http.StatusOK {
		return a, explain(resp)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&a); err != nil || a.Org.ID == "" {
		return a, errors.New("expected the organisation as JSON, got another answer: is the issuer a ZITADEL?")
	}
	a.took = time.Since(start)
	token, err := src.TokenCtx(ctx) // the one that was just sent
	if err != nil {
		return a, err
	}
	a.token, a.expires = "opaque", "unknown"
	if strings.Count(token.AccessToken, ".") == 2 {
		a.token = "JWT"
	}
	if !token.Expiry.IsZero() {
		a.expires = time.Until(token.Expiry).Round(time.Second).String()
	}
	return a, nil
}

// explain says what a refusal of ZITADEL's APIs is about.
func explain(resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		return errors.New("the management API answered 401: the token has expired, was removed, or lacks the API's audience (postern.ScopeZITADELAPI)")
	case http.StatusForbidden, http.StatusNotFound:
		return fmt.Errorf("the management API answered %d: the token is good, but the service user has no role that allows the call: make it a manager of the organisation",
			resp.StatusCode)
	}
	return fmt.Errorf("the management API answered %s", resp.Status)
}
