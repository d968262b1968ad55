package postern_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/jwtprofile"
	"github.com/postern-go/postern/keyfile"
	"github.com/postern-go/postern/pat"
	"github.com/postern-go/postern/zitadeltest"
)

// What docs/outbound.md says about the answers of ZITADEL's APIs.
func TestOutboundGuide(t *testing.T) {
	server := zitadeltest.Start(t)
	owner := server.AddServiceUser("owner", zitadeltest.WithOrgRole("ORG_OWNER"))
	viewer := server.AddServiceUser("viewer", zitadeltest.WithOrgRole("ORG_OWNER_VIEWER"))
	project := server.AddProject("orders", "reader")
	granted := server.AddServiceUser("granted", zitadeltest.WithProjectRole(project, "reader"))
	byKey := func(user *zitadeltest.User, scopes ...string) postern.TokenSource {
		key, err := keyfile.Parse(user.KeyJSON())
		require.NoError(t, err)
		src, err := jwtprofile.New(jwtprofile.Config{Issuer: server.Issuer(), Key: key, Scopes: scopes})
		require.NoError(t, err)
		return src
	}
	byPAT := func(token string) postern.TokenSource {
		src, err := pat.New(token)
		require.NoError(t, err)
		return src
	}
	removed := owner.PAT()
	server.Revoke(removed)
	for _, row := range []struct {
		what   string
		src    postern.TokenSource
		status int
		says   string
	}{
		{"an owner", byKey(owner), 200, `"org"`},
		{"a viewer", byKey(viewer), 200, `"org"`},
		{"no audience", byKey(owner, "openid"), 401, "Errors.Token.Invalid"},
		{"a personal access token that was removed", byPAT(removed), 401, "Errors.Token.Invalid"},
		{"no role", byKey(server.AddServiceUser("bot")), 404, "membership not found (AUTHZ-cdgFk)"},
		{"a role in a project only", byKey(granted), 404, "membership not found (AUTHZ-cdgFk)"},
	} {
		client := postern.NewClient(row.src, server.Issuer())
		resp, err := client.Get(server.Issuer() + "/management/v1/orgs/me")
		require.NoError(t, err, row.what)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err, row.what)
		resp.Body.Close()
		assert.Equal(t, row.status, resp.StatusCode, row.what)
		assert.Contains(t, string(body), row.says, row.what)
		client.CloseIdleConnections()
	}
	resp, err := http.Get(server.Issuer() + "/management/v1/orgs/me")
	require.NoError(t, err)
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	assert.Contains(t, string(body), "auth header missing")
	http.DefaultClient.CloseIdleConnections()
}
