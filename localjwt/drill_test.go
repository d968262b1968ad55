package localjwt_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/introspect"
	"github.com/postern-go/postern/localjwt"
	"github.com/postern-go/postern/middleware"
	"github.com/postern-go/postern/zitadeltest"
)

// world is a ZITADEL in a bubble of time with an API, and two service users of one role: one gets JWTs, the other opaque tokens.
type world struct {
	s           *zitadeltest.Server
	project     *zitadeltest.Project
	jwtBot, bot *zitadeltest.User
	introspect  *introspect.Verifier
	v           *localjwt.Verifier
}

func drill(t *testing.T, run func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		s := zitadeltest.Start(t, zitadeltest.Config{InMemory: true})
		w := &world{s: s, project: s.AddProject("orders", "viewer")}
		w.jwtBot = s.AddServiceUser("jwt-bot", zitadeltest.JWTTokens(), zitadeltest.WithProjectRole(w.project, "viewer"))
		w.bot = s.AddServiceUser("bot", zitadeltest.WithProjectRole(w.project, "viewer"))
		api := w.project.AddAPI("orders-api")
		logger := slog.New(slog.DiscardHandler)
		var err error
		w.introspect, err = introspect.New(introspect.Config{
			Issuer: s.Issuer(), Auth: introspect.Basic(api.ClientID, api.ClientSecret), HTTPClient: s.Client(), Logger: logger,
		})
		require.NoError(t, err)
		w.v, err = localjwt.New(localjwt.Config{
			Issuer: s.Issuer(), Audience: []string{w.project.ID}, ProjectID: w.project.ID, HTTPClient: s.Client(), Logger: logger,
			Introspection: w.introspect, Recheck: time.Minute,
		})
		require.NoError(t, err)
		run(t, w)
		time.Sleep(time.Minute) // whatever is under way ends while there is a server
	})
}

func (w *world) token(u *zitadeltest.User) string {
	return w.s.IssueToken(u, "openid", postern.ScopeProjectAudience(w.project.ID), postern.ScopeProjectsRoles)
}

func (w *world) accepts(t *testing.T, v postern.Verifier, token string) {
	t.Helper()
	id, err := v.Verify(t.Context(), token)
	require.NoError(t, err)
	require.True(t, id.HasRole("viewer"))
}

// local is a verifier without introspection.
func (w *world) local(t *testing.T) *localjwt.Verifier {
	v, err := localjwt.New(localjwt.Config{
		Issuer: w.s.Issuer(), Audience: []string{w.project.ID}, ProjectID: w.project.ID, HTTPClient: w.s.Client(), Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	return v
}

// The issuer changes its signing key every four hours for two days and stops publishing the old ones when no token of theirs lives.
// Clients get a new token every twenty minutes and use it until it ends. Every request is answered, and at once unless it is the first
// with a new key.
func TestDrillKeyRotation(t *testing.T) {
	drill(t, func(t *testing.T, w *world) {
		v := w.local(t)
		var tokens []string // one each twenty minutes, 12 hours of them
		requests := 0
		for tick := range 2 * 24 * 3 {
			if tick%12 == 11 {
				w.s.RotateKeys()
			}
			fresh := w.token(w.jwtBot)
			if tokens = append(tokens, fresh); len(tokens) > 12*3 {
				tokens = tokens[1:]
			}
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() { w.accepts(t, v, fresh) })
			}
			wg.Wait()
			for _, token := range tokens {
				w.accepts(t, v, token)
			}
			requests += 10 + len(tokens)
			time.Sleep(20 * time.Minute)
		}
		assert.Greater(t, requests, 5_000)
		assert.LessOrEqual(t, w.s.Calls(zitadeltest.KeysEndpoint), 2*24*3+12, "a fetch each tick, as twenty minutes are more than max-age, and one each new key")

		before := w.token(w.jwtBot)
		w.accepts(t, v, before)
		w.s.RotateKeys()
		w.s.RemoveOldKeys()
		time.Sleep(5 * time.Minute)
		_, err := v.Verify(t.Context(), before)
		require.ErrorIs(t, err, postern.ErrInvalidToken, "a key that is gone ends its tokens")
		w.accepts(t, v, w.token(w.jwtBot))
	})
}

// The key set cannot be had for an hour at a time, in every way that the server knows, while clients go on with tokens old and new.
func TestDrillKeysOutage(t *testing.T) {
	for name, fault := range map[string]zitadeltest.Fault{
		"503": zitadeltest.Status(http.StatusServiceUnavailable), "429": zitadeltest.Status(http.StatusTooManyRequests, "Retry-After", "60"),
		"garbage": zitadeltest.Garbage(), "dropped": zitadeltest.Drop(), "stalled": zitadeltest.Stall(), "slow": zitadeltest.Slowly(time.Minute),
		"a login page": zitadeltest.Answer(http.StatusOK, "text/html", "<html>"), "no keys": zitadeltest.Answer(http.StatusOK, "application/json", `{"keys":[]}`),
	} {
		t.Run(name, func(t *testing.T) {
			drill(t, func(t *testing.T, w *world) {
				v := w.local(t)
				first := w.token(w.jwtBot)
				w.accepts(t, v, first)
				w.s.Misbehave(zitadeltest.KeysEndpoint, -1, fault)
				for range 60 {
					time.Sleep(time.Minute)
					start := time.Now()
					w.accepts(t, v, first)
					w.accepts(t, v, w.token(w.jwtBot))
					require.Zero(t, time.Since(start), "nobody waits")
				}
				w.s.RotateKeys()
				_, err := v.Verify(t.Context(), w.token(w.jwtBot))
				require.ErrorIs(t, err, postern.ErrUnavailable, "a new key cannot be had: an outage, not a bad token")
				w.s.Behave()
				time.Sleep(time.Minute)
				w.accepts(t, v, w.token(w.jwtBot))
				w.accepts(t, v, first)
			})
		})
	}
}

func TestDrillAllKindsOfTokensAndTheirRevocation(t *testing.T) {
	drill(t, func(t *testing.T, w *world) {
		tokens := map[string]string{"PAT": w.bot.PAT(), "opaque": w.token(w.bot), "JWT": w.token(w.jwtBot)}
		refusedAfter := func(token string) time.Duration {
			revoked := time.Now()
			for {
				if _, err := w.v.Verify(t.Context(), token); err != nil {
					require.ErrorIs(t, err, postern.ErrInvalidToken)
					return time.Since(revoked)
				}
				require.Less(t, time.Since(revoked), time.Hour)
				time.Sleep(time.Second)
			}
		}
		for kind, token := range tokens {
			w.accepts(t, w.v, token)
			for range 300 {
				time.Sleep(time.Second)
				w.accepts(t, w.v, token)
			}
			w.s.Revoke(token)
			assert.LessOrEqual(t, refusedAfter(token), time.Minute+time.Second, kind)
		}

		// With events it takes no time at all.
		id, pat := w.bot.PATWithID()
		jwt := w.token(w.jwtBot)
		w.accepts(t, w.v, pat)
		w.accepts(t, w.v, jwt)
		synctest.Wait()
		time.Sleep(time.Second)
		w.s.Revoke(pat)
		w.s.Revoke(jwt)
		w.v.EvictTokenID(id)
		w.v.EvictSubject(w.jwtBot.ID)
		assert.Zero(t, refusedAfter(pat))
		assert.Zero(t, refusedAfter(jwt))
	})
}

func TestDrillEvictingAtIntrospectionEvictsJWTs(t *testing.T) {
	drill(t, func(t *testing.T, w *world) {
		jwt := w.token(w.jwtBot)
		w.accepts(t, w.v, jwt)
		synctest.Wait()
		time.Sleep(time.Second)
		w.s.Revoke(jwt)
		w.introspect.EvictSubject(w.jwtBot.ID)
		_, err := w.v.Verify(t.Context(), jwt)
		require.ErrorIs(t, err, postern.ErrInvalidToken)
	})
}

// EvictAll makes each token cost one call, not one a request.
func TestDrillEvictAllCostsOneCallAToken(t *testing.T) {
	drill(t, func(t *testing.T, w *world) {
		tokens := make([]string, 20)
		for n := range tokens {
			tokens[n] = w.token(w.jwtBot)
			w.accepts(t, w.v, tokens[n])
			synctest.Wait()
		}
		calls := w.s.Calls(zitadeltest.IntrospectionEndpoint)
		require.Equal(t, len(tokens), calls, "each was asked about when it was first seen")
		time.Sleep(time.Second)
		w.v.EvictAll()
		time.Sleep(time.Second)
		for range 10 {
			for _, token := range tokens {
				w.accepts(t, w.v, token)
			}
		}
		assert.Equal(t, 2*calls, w.s.Calls(zitadeltest.IntrospectionEndpoint))
	})
}

// While introspection is down JWTs are served and opaque tokens are not, and a JWT that was evicted is neither.
func TestDrillIntrospectionOutage(t *testing.T) {
	drill(t, func(t *testing.T, w *world) {
		jwt, evicted := w.token(w.jwtBot), w.token(w.jwtBot)
		w.accepts(t, w.v, jwt)
		w.accepts(t, w.v, evicted)
		w.s.Misbehave(zitadeltest.IntrospectionEndpoint, -1, zitadeltest.Status(http.StatusBadGateway))
		w.v.EvictToken(evicted)
		for range 120 {
			time.Sleep(time.Minute)
			w.accepts(t, w.v, jwt)
		}
		for _, token := range []string{evicted, w.token(w.bot)} {
			_, err := w.v.Verify(t.Context(), token)
			require.ErrorIs(t, err, postern.ErrUnavailable)
		}
	})
}

func TestAHitThroughTheMiddlewareAllocatesTwice(t *testing.T) {
	s := zitadeltest.Start(t)
	project := s.AddProject("orders", "viewer")
	bot := s.AddServiceUser("bot", zitadeltest.JWTTokens(), zitadeltest.WithProjectRole(project, "viewer"))
	v, err := localjwt.New(localjwt.Config{Issuer: s.Issuer(), Audience: []string{project.ID}, ProjectID: project.ID, HTTPClient: s.Client()})
	require.NoError(t, err)
	served := 0
	handler := middleware.New(v, middleware.Config{}).Require(middleware.Role("viewer"))(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served++ }))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+s.IssueToken(bot, "openid", postern.ScopeProjectAudience(project.ID), postern.ScopeProjectsRoles))
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	require.Equal(t, 1, served, fmt.Sprint(w.Code, w.Header()))
	allocs := testing.AllocsPerRun(1000, func() { handler.ServeHTTP(w, r) })
	assert.LessOrEqual(t, allocs, 2.0)
	assert.Equal(t, 1002, served)
}
