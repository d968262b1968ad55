package zitadelapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/internal/zitadelapi"
	"github.com/postern-go/postern/zitadeltest"
)

func client(t *testing.T, server *zitadeltest.Server, token string) *zitadelapi.Client {
	t.Helper()
	c, err := zitadelapi.New(zitadelapi.Config{
		Issuer: server.Issuer(), Source: fixed(token), HTTPClient: server.Client(),
		Header: http.Header{"x-extra": {"1"}},
	})
	require.NoError(t, err)
	return c
}

func fixed(token string) postern.TokenSource {
	return postern.FromOAuth2(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token}))
}

func TestBootstrapByManagementV1(t *testing.T) {
	server := zitadeltest.Start(t)
	admin := client(t, server, server.AdminPAT())
	ctx := t.Context()

	_, ok, err := admin.FindUser(ctx, "bot")
	require.NoError(t, err)
	assert.False(t, ok)
	id, err := admin.CreateServiceUser(ctx, "bot", "Bot", "for tests")
	require.NoError(t, err)
	_, err = admin.CreateServiceUser(ctx, "bot", "Bot", "for tests")
	assert.True(t, zitadelapi.AlreadyExists(err), "%v", err)
	found, ok, err := admin.FindUser(ctx, "bot")
	require.NoError(t, err)
	assert.True(t, ok)
	assert.Equal(t, id, found.ID)
	assert.Equal(t, "Bot", found.Name)

	require.NoError(t, admin.AddOrgMember(ctx, id, "ORG_OWNER"))
	assert.True(t, zitadelapi.AlreadyExists(admin.AddOrgMember(ctx, id, "ORG_OWNER")))
	org, err := admin.MyOrg(ctx)
	require.NoError(t, err)
	assert.Equal(t, server.OrgID(), org.ID)
	me, err := admin.Me(ctx)
	require.NoError(t, err)
	assert.NotEmpty(t, me.ID)
	secret, err := admin.NewSecret(ctx, id)
	require.NoError(t, err)
	assert.NotEmpty(t, secret)
	server.Misbehave("/v2/", 1, zitadeltest.Status(http.StatusNotImplemented))
	again, err := admin.NewSecret(ctx, id)
	require.NoError(t, err)
	assert.NotEqual(t, secret, again)
	server.Misbehave("/management/v1/users/_search", 1, zitadeltest.Answer(http.StatusOK, "application/json",
		`{"result":[{"id":"12","userName":"bot","human":{}}]}`))
	_, ok, err = admin.FindUser(ctx, "bot")
	require.ErrorContains(t, err, "a person: 12")
	assert.False(t, ok)
	for _, r := range server.Requests(zitadeltest.ManagementEndpoint) {
		assert.Equal(t, "1", r.Header.Get("X-Extra"))
	}
}

func TestRefusalsAreTold(t *testing.T) {
	server := zitadeltest.Start(t)
	noRole := client(t, server, server.AddServiceUser("bot").PAT())
	_, err := noRole.MyOrg(t.Context())
	assert.True(t, zitadelapi.Denied(err))
	assert.True(t, zitadelapi.NotFound(err))
	assert.True(t, zitadelapi.Refused(err))
	assert.False(t, zitadelapi.Unimplemented(err))
	require.ErrorContains(t, err, "ORG_USER_MANAGER or ORG_OWNER")
	require.ErrorContains(t, err, "membership not found")

	_, err = noRole.As(fixed("wrong")).Me(t.Context())
	require.ErrorIs(t, err, postern.ErrInvalidToken)
	var said *postern.Error
	require.ErrorAs(t, err, &said)
	assert.Equal(t, http.StatusUnauthorized, said.StatusCode)
}

func TestAnswersAreJudged(t *testing.T) {
	type is struct{ unavailable, refused, unimplemented bool }
	for name, test := range map[string]struct {
		fault zitadeltest.Fault
		want  is
		text  string
	}{
		"500":               {zitadeltest.Status(500), is{unavailable: true}, "500"},
		"501":               {zitadeltest.Status(501), is{unimplemented: true}, "501"},
		"429":               {zitadeltest.Status(429, "Retry-After", "7"), is{unavailable: true, refused: true}, "retry after 7s"},
		"408":               {zitadeltest.Status(408), is{}, "408"},
		"a redirect":        {zitadeltest.Status(302, "Location", "https://evil.example/"), is{unavailable: true}, "redirects are not followed"},
		"dropped":           {zitadeltest.Drop(), is{unavailable: true}, "GET /auth/v1/users/me"},
		"not JSON":          {zitadeltest.Garbage(), is{unavailable: true}, "expected a JSON object"},
		"nobody":            {zitadeltest.Answer(200, "application/json", "{}"), is{unavailable: true}, "a user with an id"},
		"too long":          {zitadeltest.Answer(200, "application/json", `{"x":"`+strings.Repeat("x", 2<<20)+`"}`), is{unavailable: true}, "expected at most"},
		"a gateway's 404":   {zitadeltest.Answer(404, "application/json", `{"code":5,"message":"Not Found"}`), is{refused: true, unimplemented: true}, "404"},
		"a method's 404":    {zitadeltest.Answer(404, "application/json", `{"code":5,"message":"User could not be found (QUERY-Dfbg2)","details":[{"id":"QUERY-Dfbg2"}]}`), is{refused: true}, "could not be found"},
		"a long message":    {zitadeltest.Answer(400, "application/json", `{"message":"`+strings.Repeat("\\u0007é", 500)+`"}`), is{refused: true}, "400"},
		"an unknown answer": {zitadeltest.Answer(418, "text/html", "<html>"), is{refused: true}, "418"},
	} {
		t.Run(name, func(t *testing.T) {
			server := zitadeltest.Start(t)
			c := client(t, server, "t0psecret")
			server.Misbehave(zitadeltest.AnyEndpoint, -1, test.fault)
			_, err := c.Me(t.Context())
			require.ErrorContains(t, err, test.text)
			assert.Equal(t, test.want, is{errors.Is(err, postern.ErrUnavailable), zitadelapi.Refused(err), zitadelapi.Unimplemented(err)}, "%v", err)
			assert.Less(t, len(err.Error()), 500)
			assert.Equal(t, 1, server.Calls(zitadeltest.AnyEndpoint), "one try")
			for _, r := range err.Error() {
				assert.True(t, ' ' <= r && r <= '~', "%q", r)
			}
		})
	}
}

func TestAnErrorShowsNoToken(t *testing.T) {
	server := zitadeltest.Start(t)
	server.Misbehave(zitadeltest.AnyEndpoint, -1, func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `{"code":7,"message":"no to %s","details":[{"id":%q}]}`, r.Header.Get("Authorization"), r.Header.Get("Authorization"))
	})
	_, err := client(t, server, "t0psecret").Me(t.Context())
	require.ErrorContains(t, err, "no to Bearer [hidden]")
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), "t0psecret")
}

func TestACallerThatGivesUpSaysNothingOfTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := zitadeltest.Start(t, zitadeltest.Config{InMemory: true})
		server.Misbehave(zitadeltest.AnyEndpoint, -1, zitadeltest.Stall())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := client(t, server, server.AdminPAT()).Me(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.NotErrorIs(t, err, postern.ErrUnavailable)
		assert.False(t, zitadelapi.Refused(err))
	})
}

func TestNewReportsEveryMistake(t *testing.T) {
	for _, issuer := range []string{"", "acme", "https://a@acme.example", "https://acme.example?x", "https://acme.example#x", "http://acme.example"} {
		_, err := zitadelapi.New(zitadelapi.Config{Issuer: issuer})
		require.ErrorContains(t, err, "Issuer")
		require.ErrorContains(t, err, "Source")
	}
	_, err := zitadelapi.New(zitadelapi.Config{Issuer: "https://acme.example/path/", Source: fixed("1")})
	require.NoError(t, err)
}

func TestTheServersTimeCountsWhereTheClocksDiffer(t *testing.T) {
	server := zitadeltest.Start(t)
	c := client(t, server, server.AdminPAT())
	for ahead, want := range map[time.Duration]time.Duration{
		0: 0, 4 * time.Minute: 0, -4 * time.Minute: 0, time.Hour: time.Hour, -48 * time.Hour: -48 * time.Hour,
	} {
		server.SkewClock(ahead)
		_, err := c.Me(t.Context())
		require.NoError(t, err)
		assert.InDelta(t, want.Seconds(), c.As(fixed("x")).Ahead().Seconds(), 30)
	}
	server.SkewClock(0)
	_, err := c.Me(t.Context())
	require.NoError(t, err)
	server.Misbehave(zitadeltest.AuthEndpoint, 1, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		w.Header().Set("Age", "3600")
		w.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
		next.ServeHTTP(w, r)
	})
	_, err = c.Me(t.Context())
	require.NoError(t, err)
	assert.Zero(t, c.Ahead(), "a cache's time is an old one")
}
