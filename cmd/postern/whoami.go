package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-go/postern/internal/zitadelapi"
)

func (a *app) whoamiCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "whoami",
		Short:   "Tell who the credential is",
		Long:    "Asks the server who the credential is, which needs no role, and shows its kind and expiry.",
		Example: "  postern whoami --pat-file /run/secrets/zitadel-pat",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			api, src, err := a.api()
			if err != nil {
				return err
			}
			token, err := src.TokenCtx(ctx)
			if err != nil {
				return err
			}
			me, err := api.Me(ctx)
			if err != nil {
				return err
			}
			org, err := api.MyOrg(ctx)
			if err != nil && !zitadelapi.Denied(err) {
				return err
			}
			expires := token.Expiry
			if expires.IsZero() {
				expires = patExpiry(ctx, src)
			}
			if a.json {
				return a.printJSON(map[string]any{
					"issuer": src.Issuer(), "method": src.Method(), "user_id": me.ID, "user_name": me.UserName, "login_name": me.LoginName,
					"name": me.Name, "org_id": me.OrgID, "org_name": org.Name, "token_expires": rfc3339(expires), "may_read_org": err == nil,
				})
			}
			orgName := org.Name
			if err != nil {
				orgName = "(no role that lets it read its organisation)"
			}
			return a.printTable(
				[]string{"server", src.Issuer()},
				[]string{"method", src.Method()},
				[]string{"user", me.UserName + " (" + me.ID + ")"},
				[]string{"login name", me.LoginName},
				[]string{"organisation", strings.TrimSpace(orgName + " (" + me.OrgID + ")")},
				[]string{"token", tokenKind(token.AccessToken) + ", expires " + withLeft(expires, time.Now())},
			)
		},
	}
}

// tokenKind tells by its parts what a token looks like: only three make a JWT.
func tokenKind(token string) string {
	if strings.Count(token, ".") == 2 {
		return "JWT"
	}
	return "opaque"
}
