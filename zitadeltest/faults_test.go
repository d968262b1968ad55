package zitadeltest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/zitadeltest"
)

func TestTheNextCallsGoWrongAndThenNoMore(t *testing.T) {
	w := newWorld(t)
	w.Misbehave(zitadeltest.KeysEndpoint, 0, zitadeltest.Drop())
	w.Misbehave(zitadeltest.KeysEndpoint, 2, zitadeltest.Status(http.StatusServiceUnavailable, "Retry-After", "7"))
	for range 2 {
		a := ask(t, w.Server, "GET", "/oauth/v2/keys")
		assert.Equal(t, http.StatusServiceUnavailable, a.status)
		assert.Equal(t, "7", a.header.Get("Retry-After"))
		assert.Equal(t, "Service Unavailable\n", a.raw)
		assert.Equal(t, 200, ask(t, w.Server, "GET", "/.well-known/openid-configuration").status, "only the endpoint named")
	}
	assert.Equal(t, 200, ask(t, w.Server, "GET", "/oauth/v2/keys").status)
}

func TestFaultsApplyInTheOrderTheyWereSet(t *testing.T) {
	w := newWorld(t)
	w.Misbehave(zitadeltest.KeysEndpoint, 1, zitadeltest.Status(500))
	w.Misbehave(zitadeltest.AnyEndpoint, -1, zitadeltest.Status(502))
	assert.Equal(t, 500, ask(t, w.Server, "GET", "/oauth/v2/keys").status)
	assert.Equal(t, 502, ask(t, w.Server, "GET", "/oauth/v2/keys").status)
	assert.Equal(t, 502, ask(t, w.Server, "GET", "/management/v1/healthz").status, "a negative number means all")
	w.Behave()
	assert.Equal(t, 200, ask(t, w.Server, "GET", "/oauth/v2/keys").status)
}

func TestGarbageClaimsToBeJSON(t *testing.T) {
	w := newWorld(t)
	w.Misbehave(zitadeltest.KeysEndpoint, 1, zitadeltest.Garbage())
	resp, err := w.Client().Get(w.Issuer() + "/oauth/v2/keys")
	require.NoError(t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, 200, resp.StatusCode)
	assert.Equal(t, "application/json", resp.Header.Get("Content-Type"))
	assert.True(t, strings.HasPrefix(string(data), "\x00"))
}

func TestAnswerIsGivenAsItStands(t *testing.T) {
	w := newWorld(t)
	w.Misbehave(zitadeltest.TokenEndpoint, 1, zitadeltest.Answer(201, "text/html", "<p>hello"))
	a := ask(t, w.Server, "POST", "/oauth/v2/token")
	assert.Equal(t, 201, a.status)
	assert.Equal(t, "<p>hello", a.raw)
	assert.Equal(t, "text/html", a.header.Get("Content-Type"))
}

func TestAFaultOfOnesOwnMayCallTheServer(t *testing.T) {
	w := newWorld(t)
	w.Misbehave(zitadeltest.KeysEndpoint, 1, func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(rw, r)
		_, _ = io.WriteString(rw, "and more")
	})
	resp, err := w.Client().Get(w.Issuer() + "/oauth/v2/keys")
	require.NoError(t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(string(data), `{"keys":`) && strings.HasSuffix(string(data), "and more"))
}

func TestADroppedConnectionHasNoAnswer(t *testing.T) {
	for name, cfg := range map[string]zitadeltest.Config{"memory": {InMemory: true}, "socket": {}} {
		t.Run(name, func(t *testing.T) {
			s := zitadeltest.Start(t, cfg)
			s.Misbehave(zitadeltest.TokenEndpoint, 1, zitadeltest.Drop())
			resp, err := s.Client().Post(s.Issuer()+"/oauth/v2/token", "text/plain", strings.NewReader("x"))
			if err == nil {
				resp.Body.Close()
			}
			assert.ErrorIs(t, err, io.EOF)
			assert.Equal(t, 1, s.Calls(zitadeltest.TokenEndpoint))
		})
	}
}

func TestAStalledCallWaitsForRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := zitadeltest.Start(t, zitadeltest.Config{InMemory: true})
		s.Misbehave(zitadeltest.KeysEndpoint, 2, zitadeltest.Stall())
		answered := make(chan int, 2)
		for range 2 {
			go func() { answered <- ask(t, s, "GET", "/oauth/v2/keys").status }()
		}
		time.Sleep(time.Hour) // the bubble's
		assert.Empty(t, answered)
		assert.Equal(t, 2, s.Calls(zitadeltest.KeysEndpoint))
		s.Release()
		assert.Equal(t, []int{200, 200}, []int{<-answered, <-answered})
		assert.Equal(t, 200, ask(t, s, "GET", "/oauth/v2/keys").status)
	})
}

func TestAStalledCallEndsWithItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := zitadeltest.Start(t, zitadeltest.Config{InMemory: true})
		s.Misbehave(zitadeltest.KeysEndpoint, 1, zitadeltest.Stall())
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Issuer()+"/oauth/v2/keys", nil)
		require.NoError(t, err)
		_, err = s.Client().Do(req)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestCloseLetsGoOfStalledCalls(t *testing.T) {
	s, err := zitadeltest.New(zitadeltest.Config{})
	require.NoError(t, err)
	s.Misbehave(zitadeltest.AnyEndpoint, -1, zitadeltest.Stall())
	failed := make(chan error, 1)
	go func() {
		resp, err := s.Client().Get(s.Issuer() + "/oauth/v2/keys")
		if err == nil {
			resp.Body.Close()
		}
		failed <- err
	}()
	require.NoError(t, s.AwaitCalls(t.Context(), zitadeltest.KeysEndpoint, 1))
	s.Close()
	s.Close() // does nothing
	<-failed  // with or without an answer, but ended
	_, err = s.Client().Get(s.Issuer() + "/oauth/v2/keys")
	assert.Error(t, err)
}

func TestCloseWaitsForWhatStillRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := zitadeltest.New(zitadeltest.Config{InMemory: true})
		require.NoError(t, err)
		ended := false
		s.Misbehave(zitadeltest.KeysEndpoint, 1, func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
			<-r.Context().Done()
			time.Sleep(time.Minute) // in the bubble
			ended = true
		})
		go func() {
			_, err := s.Client().Get(s.Issuer() + "/oauth/v2/keys")
			assert.Error(t, err)
		}()
		require.NoError(t, s.AwaitCalls(t.Context(), zitadeltest.KeysEndpoint, 1))
		s.Close()
		assert.True(t, ended)
	})
}

func TestASlowAnswerComesAByteAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := zitadeltest.Start(t, zitadeltest.Config{InMemory: true})
		s.Misbehave(zitadeltest.ManagementEndpoint, 1, zitadeltest.Slowly(time.Second))
		start := time.Now()
		a := ask(t, s, "GET", "/management/v1/healthz")
		assert.Equal(t, "{}\n", a.raw)
		assert.Equal(t, "no-store", a.header.Get("Cache-Control"))
		assert.GreaterOrEqual(t, time.Since(start), 2*time.Second, "a pause after each of the three bytes")
	})
}

func TestCallsAreCountedAndKept(t *testing.T) {
	w := newWorld(t)
	w.Misbehave(zitadeltest.TokenEndpoint, 1, zitadeltest.Status(500))
	clientCredentials(t, w.Server, "bot", "x", "openid")
	clientCredentials(t, w.Server, "bot", "y", "openid")
	ask(t, w.Server, "GET", "/oauth/v2/keys?x=1")
	assert.Equal(t, 2, w.Calls(zitadeltest.TokenEndpoint), "those that went wrong included")
	assert.Equal(t, 3, w.Calls(zitadeltest.AnyEndpoint))
	assert.Zero(t, w.Calls(zitadeltest.IntrospectionEndpoint))
	seen := w.Requests(zitadeltest.TokenEndpoint)
	require.Len(t, seen, 2)
	assert.Equal(t, "POST", seen[0].Method)
	assert.Equal(t, "grant_type=client_credentials&scope=openid", seen[0].Body)
	assert.True(t, strings.HasPrefix(seen[0].Header.Get("Authorization"), "Basic "))
	assert.Equal(t, w.Now(), seen[0].At)
	assert.Equal(t, "/oauth/v2/keys?x=1", w.Requests(zitadeltest.KeysEndpoint)[0].Path)
}

func TestAwaitCallsEndsWithItsContext(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, w.AwaitCalls(ctx, zitadeltest.KeysEndpoint, 1), context.Canceled)
	ask(t, w.Server, "GET", "/oauth/v2/keys")
	assert.NoError(t, w.AwaitCalls(ctx, zitadeltest.KeysEndpoint, 1))
}

func TestABodyOverAMebibyteIsRefused(t *testing.T) {
	w := newWorld(t)
	a := ask(t, w.Server, "POST", "/oauth/v2/token", body("text/plain", strings.Repeat("x", 1<<20+1)))
	assert.Equal(t, http.StatusRequestEntityTooLarge, a.status)
}

func TestTheClockMovesWhatTheServerIssuesAcceptsAndTells(t *testing.T) {
	w := newWorld(t)
	k := readKey(t, w.bot.KeyJSON())
	assertion := k.assertion(t, w.Server, nil)
	before := w.Now()
	w.SkewClock(-time.Hour)
	assert.Equal(t, before.Add(-time.Hour), w.Now())
	a := jwtProfile(t, w.Server, assertion, "openid")
	assert.Equal(t, 400, a.status, "the caller's clock is an hour ahead")
	assert.Equal(t, w.Now().Format(http.TimeFormat), a.header.Get("Date"))
	w.SkewClock(0)
	a = jwtProfile(t, w.Server, assertion, "openid")
	assert.Equal(t, 200, a.status)
	_, claims := decodeJWT(t, a.text(t, "id_token"))
	assert.Equal(t, float64(before.Unix()), claims["iat"])
	w.AdvanceClock(time.Minute)
	w.AdvanceClock(time.Minute)
	assert.Equal(t, before.Add(2*time.Minute), w.Now())
}

func TestInABubbleTheServerLivesByItsClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := zitadeltest.Start(t, zitadeltest.Config{InMemory: true, TokenLifetime: time.Hour})
		p := s.AddProject("orders")
		api := p.AddAPI("api")
		token := s.IssueToken(s.AddServiceUser("bot"), "openid", audience(p.ID))
		assert.Equal(t, true, introspected(t, s, api, token)["active"])
		time.Sleep(time.Hour)
		assert.Equal(t, object{"active": false}, introspected(t, s, api, token))
	})
}

func TestRotatedKeysStayPublishedUntilRemoved(t *testing.T) {
	w := newWorld(t, zitadeltest.JWTTokens())
	kids := func() (out []string) {
		for _, key := range ask(t, w.Server, "GET", "/oauth/v2/keys").body["keys"].([]any) {
			out = append(out, key.(object)["kid"].(string))
		}
		return out
	}
	kid := func(token string) string {
		head, _ := decodeJWT(t, token)
		return head["kid"].(string)
	}
	old := w.IssueToken(w.bot, "openid", audience(w.project.ID))
	assert.Len(t, kids(), 2)
	w.RotateKeys()
	fresh := w.IssueToken(w.bot, "openid", audience(w.project.ID))
	assert.Len(t, kids(), 3)
	assert.NotEqual(t, kid(old), kid(fresh))
	assert.Subset(t, kids(), []string{kid(old), kid(fresh)})
	assert.Equal(t, true, introspected(t, w.Server, w.api, old)["active"])
	w.RemoveOldKeys()
	assert.Equal(t, []string{kid(fresh)}, kids())
	assert.Equal(t, object{"active": false}, introspected(t, w.Server, w.api, old))
	assert.Equal(t, true, introspected(t, w.Server, w.api, fresh)["active"])
}

func TestTheClientInMemoryReachesNothingElse(t *testing.T) {
	elsewhere := httptest.NewServer(http.NotFoundHandler())
	defer elsewhere.Close()
	s := zitadeltest.Start(t, zitadeltest.Config{InMemory: true})
	_, err := s.Client().Get(elsewhere.URL)
	assert.ErrorContains(t, err, "reaches http://localhost only")
	s.Close()
	_, err = s.Client().Get(s.Issuer())
	assert.Error(t, err)
	assert.False(t, errors.Is(err, context.Canceled))
}
