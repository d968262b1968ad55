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

// demonstrate starts a ZITADEL and the API in this process, and calls the API as nobody and as three service users, each with another
// kind of token. Then it revokes the tokens, and lets ZITADEL fail.
func demonstrate(ctx context.Context, out io.Writer) error {
	zitadel, err := zitadeltest.New(zitadeltest.Config{})
	if err != nil {
		return err
	}
	defer zitadel.Close()
	project := zitadel.AddProject("orders", "reader", "admin")
	app := project.AddAPI("orders-api")
	mux, verifier, err := newAPI(settings{
		issuer: zitadel.Issuer(), auth: introspect.Basic(app.ClientID, app.ClientSecret), project: project.ID,
	})
	if err != nil {
		return err
	}
	api := httptest.NewServer(mux)
	defer api.Close()
	told, err := subscribe(ctx, zitadel, verifier, mux, api.URL)
	if err != nil {
		return err
	}

	guest := zitadel.AddServiceUser("guest")
	reader := zitadel.AddServiceUser("reader", zitadeltest.WithProjectRole(project, "reader"))
	admin := zitadel.AddServiceUser("admin", zitadeltest.WithProjectRole(project, "admin"), zitadeltest.JWTTokens())
	scopes := []string{"openid", postern.ScopeProjectAudience(project.ID), postern.ScopeProjectsRoles}
	callers := []caller{
		{"nobody", ""},
		{"guest, PAT", guest.PAT()},
		{"reader, opaque token", zitadel.IssueToken(reader, scopes...)},
		{"admin, JWT", zitadel.IssueToken(admin, scopes...)},
	}

	t := &table{ctx: ctx, api: api, w: tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)}
	t.row("CALLER", "REQUEST", "STATUS", "CHALLENGE")
	for _, c := range callers {
		for _, request := range []string{"GET /", "GET /whoami", "GET /orders", "DELETE /orders/1"} {
			t.call(c, request)
		}
	}
	t.call(caller{"somebody, made-up token", "made-up"}, "GET /orders")
	t.call(caller{"somebody, malformed header", "two words"}, "GET /orders")
	for _, c := range callers[1:] {
		zitadel.Revoke(c.token)
		if err := told.wait(ctx); err != nil {
			return err
		}
		c.name += ", revoked"
		t.call(c, "GET /whoami")
	}
	zitadel.Misbehave(zitadeltest.IntrospectionEndpoint, -1, zitadeltest.Status(http.StatusServiceUnavailable))
	t.call(caller{"somebody, ZITADEL is down", "made-up-too"}, "GET /orders")
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
