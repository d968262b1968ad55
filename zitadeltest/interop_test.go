package zitadeltest_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/zitadel/oidc/v3/pkg/client"
	"github.com/zitadel/oidc/v3/pkg/client/profile"
	"github.com/zitadel/oidc/v3/pkg/client/rs"
	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/postern-go/postern/zitadeltest"
)

// zitadel/oidc's own clients, as a program uses them against a real server.
func TestOIDCsOwnClients(t *testing.T) {
	s := zitadeltest.Start(t)
	project := s.AddProject("orders", "viewer")
	api := project.AddAPI("api")
	bot := s.AddServiceUser("bot", zitadeltest.WithOrgRole("ORG_OWNER"), zitadeltest.WithProjectRole(project, "viewer"))
	ctx := t.Context()

	config, err := client.Discover(ctx, s.Issuer(), s.Client())
	require.NoError(t, err)
	assert.Equal(t, s.Issuer()+"/oauth/v2/introspect", config.IntrospectionEndpoint)

	var keyFile struct{ KeyID, Key, UserID string }
	require.NoError(t, json.Unmarshal(bot.KeyJSON(), &keyFile))
	source, err := profile.NewJWTProfileTokenSource(ctx, s.Issuer(), keyFile.UserID, keyFile.KeyID, []byte(keyFile.Key),
		[]string{"openid", "profile", zitadelAPI, audience(project.ID)}, profile.WithHTTPClient(s.Client()))
	require.NoError(t, err)
	token, err := source.TokenCtx(ctx)
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, ask(t, s, "GET", "/management/v1/orgs/me", bearer(token.AccessToken)).status)

	byBasic, err := rs.NewResourceServerClientCredentials(ctx, s.Issuer(), api.ClientID, api.ClientSecret, rs.WithClient(s.Client()))
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "key.json")
	require.NoError(t, os.WriteFile(file, api.KeyJSON(), 0o600))
	byKey, err := rs.NewResourceServerFromKeyFile(ctx, s.Issuer(), file, rs.WithClient(s.Client()))
	require.NoError(t, err)
	for name, server := range map[string]rs.ResourceServer{"basic": byBasic, "key": byKey} {
		answer, err := rs.Introspect[*oidc.IntrospectionResponse](ctx, server, token.AccessToken)
		require.NoError(t, err, name)
		assert.True(t, answer.Active, name)
		assert.Equal(t, bot.ID, answer.Subject, name)
		assert.Equal(t, "bot", answer.Username, name)
		assert.Contains(t, answer.Claims["urn:zitadel:iam:org:project:roles"], "viewer", name)
		answer, err = rs.Introspect[*oidc.IntrospectionResponse](ctx, server, "no-such-token")
		require.NoError(t, err, name)
		assert.False(t, answer.Active, name)
	}

	wrong, err := rs.NewResourceServerClientCredentials(ctx, s.Issuer(), api.ClientID, "wrong", rs.WithClient(s.Client()))
	require.NoError(t, err)
	_, err = rs.Introspect[*oidc.IntrospectionResponse](ctx, wrong, token.AccessToken)
	assert.ErrorContains(t, err, "unauthorized_client")
}
