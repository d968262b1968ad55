package main

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/credentials"
	"github.com/postern-go/postern/internal/bearer"
	"github.com/postern-go/postern/introspect"
)

// maxToken bounds what is read as a token.
const maxToken = bearer.MaxLength

func (a *app) introspectCommand() *cobra.Command {
	var audience []string
	cmd := &cobra.Command{
		Use:   "introspect",
		Short: "Show what an API sees of a token",
		Long: `Reads a token from the standard input and asks the server about it as an API would, with
ZITADEL_API_KEY_FILE, or ZITADEL_API_CLIENT_ID and its secret. Shows whose the token is, its
roles, audience and time left; or why the API would refuse it, as far as the server tells.`,
		Example: "  postern token | postern introspect",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := credentials.APIFromEnv()
			if err != nil {
				return usage(err)
			}
			cfg.Audience, cfg.Header, cfg.Logger = audience, a.header(), slog.New(slog.DiscardHandler)
			verifier, err := introspect.New(cfg)
			if err != nil {
				return usage(err)
			}
			text, err := read(cmd.Context(), a.in, maxToken)
			if err != nil {
				return fmt.Errorf("the token on the standard input: %w", err)
			}
			token := strings.TrimSpace(string(text))
			if token == "" {
				return usage(errors.New("expected a token on the standard input, got nothing"))
			}
			if err := bearer.Check(token); err != nil { // package middleware asks nobody about it, either
				return a.printRefusal(err)
			}
			id, err := verifier.Verify(cmd.Context(), token)
			switch {
			case errors.Is(err, postern.ErrInvalidToken):
				return a.printRefusal(err)
			case err != nil:
				return err
			}
			return a.printIdentity(id)
		},
	}
	cmd.Flags().StringArrayVar(&audience, "audience", nil, "client or project id, one of which the token must be meant for; may be repeated")
	return cmd
}

func (a *app) printRefusal(err error) error {
	reason := strings.TrimPrefix(err.Error(), "introspect: ")
	if a.json {
		if err := a.printJSON(map[string]any{"active": false, "reason": reason}); err != nil {
			return err
		}
		return errReported
	}
	fmt.Fprintf(a.out, "%s: %s\n", a.coloured(red, "refused"), reason)
	if !strings.Contains(reason, "not active") {
		return errReported // the reason says it all
	}
	fmt.Fprint(a.out, `ZITADEL gives one answer for all of these:
  - the token has expired, or was revoked, or its user is locked, deactivated or removed
  - it is of another instance, or is an id_token
  - it was asked for without the audience of this API's project: the scope is
    urn:zitadel:iam:org:project:id:{project id}:aud
`)
	return errReported
}

func (a *app) printIdentity(id *postern.Identity) error {
	var claims map[string]any
	if err := id.Claims(&claims); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(claims)
	}
	rows := [][]string{
		{"active", a.coloured(green, "yes")},
		{"user", strings.TrimSpace(id.Username() + " (" + id.Subject() + ")")},
		{"organisation", strings.TrimSpace(id.OrgDomain() + " " + id.OrgID())},
		{"client", id.ClientID()},
		{"token id", id.TokenID()},
		{"audience", strings.Join(slices.Collect(id.Audience()), " ")},
		{"expires", withLeft(id.Expiry(), time.Now())},
	}
	rows = append(rows, roleRows(claims)...)
	return a.printTable(rows...)
}

// roleRows lists the roles in the API's own project, and who granted them.
func roleRows(claims map[string]any) [][]string {
	roles, _ := claims["urn:zitadel:iam:org:project:roles"].(map[string]any)
	if len(roles) == 0 {
		return [][]string{{"roles", "none in this API's project"}}
	}
	var names []string
	for name := range roles {
		names = append(names, name)
	}
	slices.Sort(names)
	var rows [][]string
	for _, name := range names {
		orgs, _ := roles[name].(map[string]any)
		var granted []string
		for id, domain := range orgs {
			granted = append(granted, fmt.Sprintf("%v (%s)", domain, id))
		}
		slices.Sort(granted)
		rows = append(rows, []string{"role", name + ", granted by " + strings.Join(granted, ", ")})
	}
	return rows
}
