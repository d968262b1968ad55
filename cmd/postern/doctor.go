package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/credentials"
	"github.com/postern-go/postern/internal/oauth"
	"github.com/postern-go/postern/internal/skew"
	"github.com/postern-go/postern/internal/zitadelapi"
)

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Find out what is wrong with a configuration",
		Long: `Checks, step by step, what a service with this environment needs: that the server is found
and trusted, who it says it is, the clocks, the credential, the token, its audience, the user's
role; and, where ZITADEL_API_KEY_FILE or ZITADEL_API_CLIENT_ID is set, that an API with that may
introspect tokens. The first fault ends it, with its likely cause and what to do. It changes
nothing at the server.`,
		Example: "  postern doctor --key-file key.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.examine(cmd.Context(), &patient{header: a.header()})
		},
	}
}

// patient is what the steps find out for the next.
type patient struct {
	header   http.Header // of each call of an API
	server   *oauth.Issuer
	client   *http.Client
	answer   *http.Response // to the discovery request, its body closed
	sent     time.Time
	received time.Time
	source   *credentials.Source
	token    string
	api      *zitadelapi.Client
	me       zitadelapi.User
}

// finding is what one step comes to. Doubt is a warning; Fix is empty when all is well.
type finding struct {
	Step  string `json:"step"`
	State string `json:"state"` // "ok", "warning", "fault" or "skipped"
	Found string `json:"found,omitempty"`
	Fix   string `json:"fix,omitempty"`
}

const (
	stateOK      = "ok"
	stateWarning = "warning"
	stateFault   = "fault"
	stateSkipped = "skipped"
)

// step is one thing to check. It returns what it found, and what to do: a nil error with something to do is a warning.
type step struct {
	name  string
	check func(ctx context.Context, p *patient) (found, fix string, err error)
}

var steps = []step{
	{"issuer", checkIssuer},
	{"name", checkName},
	{"connection", checkConnection},
	{"discovery", checkDiscovery},
	{"clock", checkClock},
	{"credential", checkCredential},
	{"token", checkToken},
	{"audience", checkAudience},
	{"role", checkRole},
	{"introspection", checkIntrospection},
}

// examine runs the steps until one finds a fault, and says it all in one sentence.
func (a *app) examine(ctx context.Context, p *patient) error {
	// What the steps have to say they say themselves.
	slog.SetDefault(slog.New(slog.DiscardHandler))
	findings := make([]finding, 0, len(steps))
	failed := false
	for _, s := range steps {
		f := finding{Step: s.name, State: stateSkipped}
		if !failed {
			if a.json {
				a.progress("checking " + s.name)
			}
			var err error
			f.State = stateOK
			f.Found, f.Fix, err = s.check(ctx, p)
			if ctx.Err() != nil {
				return context.Cause(ctx) // what it found says nothing about the configuration
			}
			if err != nil {
				failed, f.State, f.Found = true, stateFault, flat(err)
			} else if f.Fix != "" {
				f.State = stateWarning
			}
		}
		findings = append(findings, f)
		if !a.json {
			a.printFinding(f)
		}
	}
	verdict := verdict(findings)
	if a.json {
		if err := a.printJSON(map[string]any{"steps": findings, "verdict": verdict}); err != nil {
			return err
		}
	} else if _, err := fmt.Fprintf(a.out, "\n%s\n", verdict); err != nil {
		return err
	}
	if failed {
		return errReported
	}
	return nil
}

func (a *app) printFinding(f finding) {
	if f.State == stateSkipped {
		f.Found = "not looked at"
	}
	mark := map[string]string{
		stateOK: a.coloured(green, "✓"), stateWarning: a.coloured(yellow, "!"), stateFault: a.coloured(red, "✗"), stateSkipped: "–",
	}[f.State]
	fmt.Fprintf(a.out, "%s %-13s  %s\n", mark, f.Step, plain(f.Found))
	if f.Fix != "" {
		fmt.Fprintf(a.out, "  %-13s  → %s\n", "", f.Fix)
	}
}

func verdict(findings []finding) string {
	warnings := 0
	for _, f := range findings {
		switch f.State {
		case stateFault:
			return fmt.Sprintf("A service with this configuration does not work: see %s.", f.Step)
		case stateWarning:
			warnings++
		}
	}
	switch warnings {
	case 0:
		return "A service with this configuration works."
	case 1:
		return "A service with this configuration works, and one thing wants attention."
	}
	return fmt.Sprintf("A service with this configuration works, and %d things want attention.", warnings)
}

// flat writes an error in one line.
func flat(err error) string { return strings.Join(strings.Fields(words(err)), " ") }

func checkIssuer(_ context.Context, p *patient) (string, string, error) {
	issuer := os.Getenv("ZITADEL_ISSUER")
	server, err := oauth.New(oauth.Config{Issuer: issuer})
	if err != nil {
		return "", "set ZITADEL_ISSUER, or --issuer, to the server's URL as a browser shows it, such as https://my-instance.zitadel.cloud", err
	}
	p.server = server
	return issuer, "", nil
}

func checkClock(_ context.Context, p *patient) (string, string, error) {
	clock := skew.New(slog.New(slog.DiscardHandler))
	clock.Observe(p.answer.Header, p.sent, p.received)
	offset, measured := clock.Offset()
	offset = offset.Round(time.Second)
	switch {
	case !measured:
		return "the server's answers tell no time that could be trusted", "", nil
	case offset.Abs() <= time.Second:
		return "agrees with the server's to a second", "", nil
	}
	direction := "behind"
	if offset < 0 {
		direction = "ahead of"
	}
	return fmt.Sprintf("this machine is %s %s the server", offset.Abs(), direction),
		"set this machine's clock by NTP: ZITADEL refuses what is dated 2 seconds into its future; this library corrects that, others do not", nil
}

func checkDiscovery(ctx context.Context, p *patient) (string, string, error) {
	if _, err := p.server.URL(ctx, oauth.Token); err != nil {
		return "", "make ZITADEL_ISSUER the URL of ZITADEL, the server's own name for itself to the letter; behind a proxy, let the proxy pass the host name on", err
	}
	return "the server calls itself the same, and has a token endpoint", "", nil
}

func checkCredential(ctx context.Context, p *patient) (string, string, error) {
	source, err := credentials.FromEnv()
	if err != nil {
		return "", "correct what it says, in the environment or the file", err
	}
	p.source = source
	expires, kind := describeCredential(ctx, source)
	found := source.Method() + kind
	if expires.IsZero() {
		return found, "", nil
	}
	found += ", expires " + withLeft(expires, time.Now())
	if time.Until(expires) <= 0 {
		return "", "it cannot renew itself any more: let an administrator make another, such as by postern bootstrap into a new file",
			errors.New(source.Method() + kind + " expired on " + date(expires))
	}
	if time.Until(expires) < soon {
		return found, "renew it: " + renewal(source.Method()), nil
	}
	return found, "", nil
}

func checkToken(ctx context.Context, p *patient) (string, string, error) {
	token, err := p.source.TokenCtx(ctx)
	if err != nil {
		fix := "see the server's log for the time of this call"
		if e, ok := errors.AsType[*postern.Error](err); ok && e.Hint != "" {
			fix = e.Hint
			said := *e
			said.Hint = ""
			err = fmt.Errorf("%w", &said)
		} else if errors.Is(err, postern.ErrUnavailable) {
			fix = "the server has trouble: try again later, and look at its health"
		}
		return "", fix, err
	}
	p.token = token.AccessToken
	found := tokenKind(p.token)
	if !token.Expiry.IsZero() {
		found += ", expires " + withLeft(token.Expiry, time.Now())
	}
	return found, "", nil
}

func checkAudience(ctx context.Context, p *patient) (string, string, error) {
	api, err := zitadelapi.New(zitadelapi.Config{Issuer: p.source.Issuer(), Source: p.source, Header: p.header})
	if err != nil {
		return "", "", err
	}
	p.api = api
	if p.me, err = api.Me(ctx); err != nil {
		fix := "ask for the scope " + postern.ScopeZITADELAPI + " with the token; and look whether the user is active, and the token not removed"
		if strings.HasPrefix(p.source.Method(), "ZITADEL_PAT") {
			fix = "the personal access token has expired or was removed, perhaps because its user was locked or deactivated, which deletes them for good: create a new one"
		}
		return "", fix, err
	}
	found := fmt.Sprintf("ZITADEL's APIs take the token of %s (%s)", p.me.UserName, p.me.ID)
	if !strings.HasPrefix(p.source.Method(), "ZITADEL_PAT") {
		found += ", by the scope " + postern.ScopeZITADELAPI
	}
	return found, "", nil
}

func checkRole(ctx context.Context, p *patient) (string, string, error) {
	org, err := p.api.MyOrg(ctx)
	if zitadelapi.Denied(err) {
		return "none that lets the user read its organisation; for its own credentials it needs none",
			"make it a manager of the organisation if it is to call the management API: ZITADEL answers 404 \"membership not found\" until then", nil
	}
	if err != nil {
		return "", "look at the server's health", err
	}
	return fmt.Sprintf("may read its organisation, %s (%s)", org.Name, org.ID), "", nil
}

// sayTLS tells how the connection is protected.
func sayTLS(state *tls.ConnectionState) string {
	if state == nil {
		return "plain http, to this machine"
	}
	found := tls.VersionName(state.Version)
	if len(state.PeerCertificates) > 0 {
		found += ", certificate until " + date(state.PeerCertificates[0].NotAfter)
	}
	return found
}

var apiVariables = []string{"ZITADEL_API_KEY_FILE", "ZITADEL_API_CLIENT_ID", "ZITADEL_API_CLIENT_SECRET", "ZITADEL_API_CLIENT_SECRET_FILE"}

func apiConfigured() bool {
	return slices.ContainsFunc(apiVariables, func(name string) bool { return os.Getenv(name) != "" })
}
