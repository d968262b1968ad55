package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/introspect"
	"github.com/postern-go/postern/localjwt"
	"github.com/postern-go/postern/middleware"
	"github.com/postern-go/postern/zitadeltest"
)

// What the doc comments say about ZITADEL's tokens, asked of a server that behaves as ZITADEL does: which check lets whom in.
func TestChecksWithZITADELsTokens(t *testing.T) {
	zitadel := zitadeltest.Start(t)
	project := zitadel.AddProject("orders", "reader", "admin")
	app := project.AddAPI("orders-api")
	other := zitadel.AddOrg("other")
	verifier, err := introspect.New(introspect.Config{Issuer: zitadel.Issuer(), Auth: introspect.Basic(app.ClientID, app.ClientSecret)})
	require.NoError(t, err)
	gate := middleware.New(verifier, middleware.Config{})

	reader := zitadel.AddServiceUser("reader", zitadeltest.WithProjectRole(project, "reader"))
	elsewhere := zitadel.AddServiceUser("elsewhere", zitadeltest.InOrg(other), zitadeltest.WithProjectRole(project, "reader"))
	stranger := zitadel.AddServiceUser("stranger", zitadeltest.InOrg(other))
	ours := postern.ScopeProjectAudience(project.ID)
	tokens := map[string]string{
		"reader's PAT":                                 reader.PAT(),
		"reader's access token":                        zitadel.IssueToken(reader, "openid", ours),
		"reader's access token with resource owner":    zitadel.IssueToken(reader, "openid", ours, postern.ScopeResourceOwner),
		"reader's access token for somebody else":      zitadel.IssueToken(reader, "openid"),
		"PAT of a reader of another organisation":      elsewhere.PAT(),
		"PAT of another organisation without any role": stranger.PAT(),
	}
	for name, want := range map[string]map[string]int{
		"reader's PAT": {
			"none": 200, "role": 200, "admin": 403, "role in org": 200, "org": 200, "audience": 200, "client": 403,
		},
		"reader's access token": {
			"none": 200, "role": 200, "admin": 403, "role in org": 200, "org": 403, "audience": 200, "client": 200,
		},
		"reader's access token with resource owner": {
			"none": 200, "role": 200, "admin": 403, "role in org": 200, "org": 200, "audience": 200, "client": 200,
		},
		"reader's access token for somebody else": {
			"none": 401, "role": 401, "admin": 401, "role in org": 401, "org": 401, "audience": 401, "client": 401,
		},
		"PAT of a reader of another organisation": {
			"none": 200, "role": 200, "admin": 403, "role in org": 403, "org": 403, "audience": 200, "client": 403,
		},
		"PAT of another organisation without any role": {
			"none": 200, "role": 403, "admin": 403, "role in org": 403, "org": 403, "audience": 200, "client": 403,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := map[string]int{}
			for check, checks := range map[string][]middleware.Check{
				"none":        nil,
				"role":        {middleware.Role("reader")},
				"admin":       {middleware.Role("admin")},
				"role in org": {middleware.RoleInOrg("reader", zitadel.OrgID())},
				"org":         {middleware.Org(zitadel.OrgID())},
				"audience":    {middleware.Audience(project.ID)},
				"client":      {middleware.ClientID(reader.LoginName)},
			} {
				got[check] = send(gate.Require(checks...), authorization("Bearer "+tokens[name])).Code
			}
			assert.Equal(t, want, got)
		})
	}
}

func TestAHitThroughAVerifierCostsTwoAllocationsInAll(t *testing.T) {
	zitadel := zitadeltest.Start(t)
	project := zitadel.AddProject("orders", "reader")
	app := project.AddAPI("orders-api")
	user := zitadel.AddServiceUser("reader", zitadeltest.WithProjectRole(project, "reader"), zitadeltest.JWTTokens())
	asking, err := introspect.New(introspect.Config{Issuer: zitadel.Issuer(), Auth: introspect.Basic(app.ClientID, app.ClientSecret)})
	require.NoError(t, err)
	reading, err := localjwt.New(localjwt.Config{Issuer: zitadel.Issuer(), Audience: []string{project.ID}, ProjectID: project.ID})
	require.NoError(t, err)
	for name, c := range map[string]struct {
		verifier postern.Verifier
		token    string
	}{
		"introspect": {asking, user.PAT()},
		"localjwt":   {reading, zitadel.IssueToken(user, "openid", postern.ScopeProjectAudience(project.ID), postern.ScopeProjectsRoles)},
	} {
		t.Run(name, func(t *testing.T) {
			h := middleware.New(c.verifier, middleware.Config{}).Require(middleware.RoleInOrg("reader", zitadel.OrgID()))(
				http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Authorization", "Bearer "+c.token)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			require.Equal(t, 200, w.Code)
			assert.Equal(t, 2.0, testing.AllocsPerRun(1000, func() { h.ServeHTTP(w, r) }))
		})
	}
}
