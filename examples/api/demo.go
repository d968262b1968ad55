package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"text/tabwriter"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/introspect"
	"github.com/postern-go/postern/zitadeltest"
)

// demonstrate starts a ZITADEL and the API in this process, and calls the API as three service users and as nobody.
func demonstrate(ctx context.Context, out io.Writer) error {
	zitadel, err := zitadeltest.New(zitadeltest.Config{})
	if err != nil {
		return err
	}
	defer zitadel.Close()
	project := zitadel.AddProject("orders", "reader", "admin")
	app := project.AddAPI("orders-api")
	s := settings{issuer: zitadel.Issuer(), auth: introspect.Basic(app.ClientID, app.ClientSecret)}

	verifier, err := newVerifier(s)
	if err != nil {
		return err
	}
	api := httptest.NewServer(routes(newGate(verifier, s)))
	defer api.Close()

	// Each has another kind of token.
	ours := postern.ScopeProjectAudience(project.ID)
	reader := zitadel.AddServiceUser("reader", zitadeltest.WithProjectRole(project, "reader"))
	admin := zitadel.AddServiceUser("admin", zitadeltest.WithProjectRole(project, "admin"), zitadeltest.JWTTokens())
	guest := caller{"guest, PAT", zitadel.AddServiceUser("guest").PAT()}
	readers := caller{"reader, access token", zitadel.IssueToken(reader, "openid", ours)}
	admins := caller{"admin, JWT", zitadel.IssueToken(admin, "openid", ours)}

	t := &table{ctx: ctx, api: api, w: tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)}
	t.row("CALLER", "REQUEST", "STATUS", "CHALLENGE")
	for _, c := range []caller{{"nobody", ""}, guest, readers, admins} {
		for _, request := range []string{"GET /", "GET /whoami", "GET /orders", "DELETE /orders/1"} {
			t.call(c, request)
		}
	}
	t.call(caller{"unknown token", "made-up"}, "GET /orders")
	t.call(caller{"malformed header", "two words"}, "GET /orders")
	zitadel.Misbehave(zitadeltest.IntrospectionEndpoint, -1, zitadeltest.Status(http.StatusServiceUnavailable))
	t.call(caller{"ZITADEL is down", "made-up-too"}, "GET /orders")
	return t.end()
}

type caller struct{ name, token string }

// table calls the API and prints what came back, a line a call.
type table struct {
	ctx context.Context
	api *httptest.Server
	w   *tabwriter.Writer
	err error
}

func (t *table) call(c caller, request string) {
	var method, path string
	fmt.Sscan(request, &method, &path)
	r, err := http.NewRequestWithContext(t.ctx, method, t.api.URL+path, nil)
	if err != nil {
		t.err = err
		return
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := t.api.Client().Do(r)
	if err != nil {
		t.err = err
		return
	}
	resp.Body.Close()
	said := resp.Header.Get("WWW-Authenticate")
	if after := resp.Header.Get("Retry-After"); after != "" {
		said = "Retry-After: " + after
	}
	t.row(c.name, request, resp.Status, said)
}

func (t *table) row(caller, request, status, said string) {
	if said == "" {
		said = "-"
	}
	fmt.Fprintf(t.w, "%s\t%s\t%s\t%s\n", caller, request, status, said)
}

func (t *table) end() error {
	if t.err != nil {
		return t.err
	}
	return t.w.Flush()
}
