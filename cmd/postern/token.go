package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) tokenCommand() *cobra.Command {
	var asHeader bool
	var scopes []string
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Print an access token",
		Long: `Prints an access token on the standard output, which is what the command is for: keep
it out of logs. A personal access token is printed as it is.`,
		Example: `  curl -H @<(postern token -H) "$ZITADEL_ISSUER/management/v1/orgs/me"
  postern token --scope openid --scope urn:zitadel:iam:org:project:id:123:aud`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			src, err := a.source(scopes...)
			if err != nil {
				return err
			}
			token, err := src.TokenCtx(cmd.Context())
			switch {
			case err != nil:
				return err
			case a.json:
				return a.printJSON(map[string]any{"access_token": token.AccessToken, "token_type": "Bearer", "expires": rfc3339(token.Expiry)})
			case asHeader:
				_, err = fmt.Fprintln(a.out, "Authorization: Bearer "+token.AccessToken)
			default:
				_, err = fmt.Fprintln(a.out, token.AccessToken)
			}
			return err
		},
	}
	cmd.Flags().BoolVarP(&asHeader, "header", "H", false, "print a header file for curl -H @FILE")
	cmd.Flags().StringArrayVar(&scopes, "scope", nil, "scope to ask for, instead of those that reach ZITADEL's APIs; may be repeated")
	return cmd
}
