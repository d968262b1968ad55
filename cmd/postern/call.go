package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-go/postern"
)

// maxCallBody bounds a request body, in bytes.
const maxCallBody = 16 << 20

func (a *app) callCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "call METHOD PATH",
		Short: "Call one of ZITADEL's APIs",
		Long: `Calls one of ZITADEL's APIs as the caller and prints the answer's body. The token goes to
ZITADEL_ISSUER and nowhere else. A status of 400 or above is exit code 1.`,
		Example: `  postern call GET /management/v1/orgs/me
  echo '{"queries":[]}' | postern call POST /management/v1/users/_search --data -`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			src, err := a.source()
			if err != nil {
				return err
			}
			method, path := strings.ToUpper(args[0]), args[1]
			if !strings.HasPrefix(path, "/") {
				return usage(fmt.Errorf("expected a path that begins with a slash, such as /management/v1/orgs/me, got %q", path))
			}
			body, err := a.body(cmd.Context(), data)
			if err != nil {
				return err
			}
			req, err := http.NewRequestWithContext(cmd.Context(), method, strings.TrimRight(src.Issuer(), "/")+path, body)
			if err != nil {
				return usage(err)
			}
			req.Header = a.header()
			if body != nil {
				req.Header.Set("Content-Type", "application/json")
			}
			resp, err := postern.NewClient(src, src.Issuer()).Do(req)
			if _, refused := errors.AsType[*postern.Error](err); err != nil && !refused && cmd.Context().Err() == nil {
				err = fmt.Errorf("%w: %w", postern.ErrUnavailable, err) // there was no answer, not even to the call for a token
			}
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if _, err = io.Copy(a.out, resp.Body); err != nil {
				return err
			}
			fmt.Fprintln(a.err)
			if resp.StatusCode < 400 {
				return nil
			}
			return fmt.Errorf("%s %s: the server answered %s%s", method, path, resp.Status, callHint(resp.StatusCode))
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "file with the JSON body; - is the standard input")
	return cmd
}

func (a *app) body(ctx context.Context, file string) (io.Reader, error) {
	in := a.in
	switch file {
	case "":
		return nil, nil
	case "-":
	default:
		f, err := os.Open(file)
		if err != nil {
			return nil, usage(fmt.Errorf("--data: %w", err))
		}
		defer f.Close()
		in = f
	}
	content, err := read(ctx, in, maxCallBody)
	if err != nil {
		return nil, usage(fmt.Errorf("--data: %w", err))
	}
	return bytes.NewReader(content), nil
}

// callHint says what ZITADEL means by a status, which its texts do not.
func callHint(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return ": the token is unknown or expired, or was asked for without the scope " + postern.ScopeZITADELAPI
	case http.StatusForbidden:
		return ": the user's role does not allow this call"
	case http.StatusNotFound:
		return ": there is no such thing, or the user has no role here at all: ZITADEL calls that \"membership not found\""
	case http.StatusTooManyRequests:
		return ": the instance is blocked, by its quota or by a proxy before it: wait"
	}
	return ""
}
