package zitadeltest_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/zitadeltest"
)

func TestEachCredentialWorks(t *testing.T) {
	w := newWorld(t, zitadeltest.WithOrgRole("ORG_OWNER_VIEWER"))
	scope := "openid " + zitadelAPI
	for name, token := range map[string]string{
		"PAT":    w.bot.PAT(),
		"key":    jwtProfile(t, w.Server, readKey(t, w.bot.KeyJSON()).assertion(t, w.Server, nil), scope).text(t, "access_token"),
		"secret": clientCredentials(t, w.Server, w.bot.LoginName, w.bot.ClientSecret(), scope).text(t, "access_token"),
		"issued": w.IssueToken(w.bot, "openid", zitadelAPI),
		"admin":  w.AdminPAT(),
	} {
		a := ask(t, w.Server, "GET", "/management/v1/orgs/me", bearer(token))
		require.Equal(t, 200, a.status, "%s: %s", name, a.raw)
		assert.Equal(t, w.OrgID(), a.body["org"].(object)["id"], name)
	}
	assert.Equal(t, w.ProjectID(), admin(t, w.Server, "GET", "/management/v1/iam", nil).body["iamProjectId"])
}

func TestUsersOfAnotherOrganisation(t *testing.T) {
	w := newWorld(t)
	acme := w.AddOrg("Acme")
	bot := w.AddServiceUser("acme-bot", zitadeltest.InOrg(acme), zitadeltest.WithOrgRole("ORG_OWNER"), zitadeltest.WithProjectRole(w.project, "admin"))
	answer := introspected(t, w.Server, w.api, bot.PAT())
	assert.Equal(t, acme.ID, answer["urn:zitadel:iam:user:resourceowner:id"])
	assert.Equal(t, object{"admin": object{acme.ID: "acme.localhost"}}, answer["urn:zitadel:iam:org:project:roles"])
	a := ask(t, w.Server, "GET", "/management/v1/orgs/me", bearer(bot.PAT()))
	assert.Equal(t, acme.ID, a.body["org"].(object)["id"])
}

func TestCredentialsEndWhenTold(t *testing.T) {
	w := newWorld(t)
	soon := w.Now().Add(time.Minute)
	token, k := w.bot.PAT(soon), readKey(t, w.bot.KeyJSON(soon))
	assert.Equal(t, true, introspected(t, w.Server, w.api, token)["active"])
	assert.Equal(t, 200, jwtProfile(t, w.Server, k.assertion(t, w.Server, nil), "openid").status)
	w.AdvanceClock(time.Minute)
	assert.Equal(t, object{"active": false}, introspected(t, w.Server, w.api, token))
	assert.Equal(t, 400, jwtProfile(t, w.Server, k.assertion(t, w.Server, nil), "openid").status)
}

func TestRevokeEndsTokensOfEveryKind(t *testing.T) {
	w := newWorld(t)
	jwtBot := w.AddServiceUser("jwt-bot", zitadeltest.JWTTokens())
	for _, token := range []string{
		w.bot.PAT(), w.IssueToken(w.bot, "openid", audience(w.project.ID)), w.IssueToken(jwtBot, "openid", audience(w.project.ID)),
	} {
		assert.Equal(t, true, introspected(t, w.Server, w.api, token)["active"])
		w.Revoke(token)
		assert.Equal(t, object{"active": false}, introspected(t, w.Server, w.api, token))
	}
}

func TestServersShareNothingButKeyMaterial(t *testing.T) {
	a, b := newWorld(t), newWorld(t)
	assert.Equal(t, object{"active": false}, introspected(t, b.Server, b.api, a.bot.PAT()))
	ka, kb := readKey(t, a.bot.KeyJSON()), readKey(t, b.bot.KeyJSON())
	assert.Equal(t, ka.Key, kb.Key, "the first key of each is the same")
	assert.NotEqual(t, ka.Key, readKey(t, a.bot.KeyJSON()).Key, "the keys of one server differ")
	refusedOAuth(t, jwtProfile(t, b.Server, ka.assertion(t, b.Server, nil), "openid"), 400, "invalid_grant", "invalid assertion")
}

// failing is a test that records its failure and stops like a real one.
type failing struct {
	said    string
	cleanup []func()
}

func (f *failing) Helper()           {}
func (f *failing) Cleanup(fn func()) { f.cleanup = append(f.cleanup, fn) }
func (f *failing) Fatalf(format string, args ...any) {
	f.said = fmt.Sprintf(format, args...)
	panic(f)
}

func (f *failing) run(do func()) (said string) {
	defer func() {
		if r := recover(); r != nil && r != f {
			panic(r)
		}
		for _, fn := range f.cleanup {
			fn()
		}
		said = f.said
	}()
	do()
	return f.said
}

func TestMistakesInSettingUpEndTheTest(t *testing.T) {
	for name, c := range map[string]struct {
		mistake func(*zitadeltest.Server)
		said    string
	}{
		"a project twice":  {func(s *zitadeltest.Server) { s.AddProject("a"); s.AddProject("a") }, "Errors.Project.AlreadyExists"},
		"a role twice":     {func(s *zitadeltest.Server) { s.AddProject("a", "r", "r") }, "Errors.Project.Role.AlreadyExists"},
		"a user twice":     {func(s *zitadeltest.Server) { s.AddServiceUser("a"); s.AddServiceUser("A") }, "Errors.User.AlreadyExists"},
		"an org twice":     {func(s *zitadeltest.Server) { s.AddOrg("a"); s.AddOrg("a") }, "Errors.Org.AlreadyExists"},
		"an unknown role":  {func(s *zitadeltest.Server) { s.AddServiceUser("a", zitadeltest.WithOrgRole("BOSS")) }, `knows no role "BOSS"`},
		"an instance role": {func(s *zitadeltest.Server) { s.AddServiceUser("a", zitadeltest.WithOrgRole("IAM_OWNER")) }, `knows no role "IAM_OWNER"`},
		"a role of nothing": {func(s *zitadeltest.Server) {
			s.AddServiceUser("a", zitadeltest.WithProjectRole(s.AddProject("p"), "r"))
		}, "Errors.Project.Role.NotFound"},
		"an unknown token": {func(s *zitadeltest.Server) { s.Revoke("x") }, "token is not valid"},
		"a stranger's project": {func(s *zitadeltest.Server) {
			s.AddServiceUser("a", zitadeltest.WithProjectRole(zitadeltest.Start(t).AddProject("p", "r"), "r"))
		}, "a project of another server"},
		"a stranger":       {func(s *zitadeltest.Server) { s.IssueToken(zitadeltest.Start(t).AddServiceUser("a")) }, "a user of another server"},
		"a stranger's org": {func(s *zitadeltest.Server) { s.AddServiceUser("a", zitadeltest.InOrg(&zitadeltest.Org{ID: "1"})) }, "another server"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &failing{}
			assert.Contains(t, f.run(func() { c.mistake(zitadeltest.Start(f, zitadeltest.Config{InMemory: true})) }), c.said)
			s, err := zitadeltest.New(zitadeltest.Config{InMemory: true})
			require.NoError(t, err)
			defer s.Close()
			assert.Panics(t, func() { c.mistake(s) }, "without a test to end")
		})
	}
}

func TestABadConfigIsToldAtOnce(t *testing.T) {
	f := &failing{}
	assert.Contains(t, f.run(func() { zitadeltest.Start(f, zitadeltest.Config{Addr: "nowhere"}) }), `Config.Addr "nowhere"`)
	f = &failing{}
	assert.Contains(t, f.run(func() { zitadeltest.Start(f, zitadeltest.Config{}, zitadeltest.Config{}) }), "at most one Config")
	_, err := zitadeltest.New(zitadeltest.Config{TokenLifetime: -1})
	assert.ErrorContains(t, err, "TokenLifetime is negative")
}

func TestAnAddressMayBeGiven(t *testing.T) {
	s := zitadeltest.Start(t, zitadeltest.Config{Addr: "127.0.0.1:0"})
	assert.Regexp(t, `^http://127\.0\.0\.1:\d+$`, s.Issuer())
	client := &http.Client{Transport: s.Transport()}
	resp, err := client.Get(s.Issuer() + "/.well-known/openid-configuration")
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, 200, resp.StatusCode)
}

// TestTwoHundredServersAtOnce runs the way users' tests run: in parallel, each with a server of its own.
func TestTwoHundredServersAtOnce(t *testing.T) {
	for i := range 200 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			s := zitadeltest.Start(t, zitadeltest.Config{InMemory: i%2 == 0})
			p := s.AddProject("orders", "viewer")
			api := p.AddAPI("api")
			bot := s.AddServiceUser("bot", zitadeltest.WithOrgRole("ORG_OWNER"), zitadeltest.WithProjectRole(p, "viewer"))
			k := readKey(t, bot.KeyJSON())
			token := jwtProfile(t, s, k.assertion(t, s, nil), "openid "+zitadelAPI+" "+audience(p.ID)).text(t, "access_token")
			assert.Equal(t, 200, ask(t, s, "GET", "/management/v1/orgs/me", bearer(token)).status)
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() { assert.Equal(t, true, introspected(t, s, api, token)["active"]) })
			}
			all.Wait()
			s.Revoke(token)
			assert.Equal(t, object{"active": false}, introspected(t, s, api, token))
			assert.Equal(t, 5, s.Calls(zitadeltest.IntrospectionEndpoint))
		})
	}
}

func TestAnAPIPrintsNoSecret(t *testing.T) {
	api := zitadeltest.Start(t).AddProject("orders").AddAPI("api")
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, value := range []any{api, *api, struct{ API *zitadeltest.API }{api}} {
			assert.NotContains(t, fmt.Sprintf(format, value), api.ClientSecret, format)
		}
	}
}
