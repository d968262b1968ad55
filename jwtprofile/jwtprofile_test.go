package jwtprofile_test

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/zitadel/oidc/v3/pkg/client/profile"
	"go.uber.org/goleak"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/jwtprofile"
	"github.com/postern-go/postern/keyfile"
	"github.com/postern-go/postern/zitadeltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

// bot is a service user in a server that lives by the bubble's clock.
type bot struct {
	*zitadeltest.Server
	user *zitadeltest.User
	key  *keyfile.Key
}

func newBot(t *testing.T, cfg zitadeltest.Config, opts ...zitadeltest.UserOption) bot {
	t.Helper()
	cfg.InMemory = true
	s := zitadeltest.Start(t, cfg)
	user := s.AddServiceUser("bot", opts...)
	key, err := keyfile.Parse(user.KeyJSON())
	require.NoError(t, err)
	return bot{s, user, key}
}

func (b bot) config() jwtprofile.Config {
	return jwtprofile.Config{Issuer: b.Issuer(), Key: b.key, HTTPClient: b.Client(), Logger: quiet}
}

func (b bot) source(t *testing.T, change ...func(*jwtprofile.Config)) *jwtprofile.Source {
	t.Helper()
	cfg := b.config()
	for _, c := range change {
		c(&cfg)
	}
	src, err := jwtprofile.New(cfg)
	require.NoError(t, err)
	return src
}

// assertions are the claims of those that the server got, oldest first, with alg and kid of their headers.
func (b bot) assertions(t *testing.T) (all []jwt.MapClaims) {
	t.Helper()
	for _, r := range b.Requests(zitadeltest.TokenEndpoint) {
		form, err := url.ParseQuery(r.Body)
		require.NoError(t, err)
		claims := jwt.MapClaims{}
		token, _, err := jwt.NewParser().ParseUnverified(form.Get("assertion"), claims)
		require.NoError(t, err)
		claims["alg"], claims["kid"], claims["scope"] = token.Header["alg"], token.Header["kid"], form.Get("scope")
		all = append(all, claims)
	}
	return all
}

func TestATokenCallsTheManagementAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBot(t, zitadeltest.Config{}, zitadeltest.WithOrgRole("ORG_OWNER"))
		src := b.source(t)
		client := &http.Client{Transport: &postern.Transport{Source: src, Origins: []string{b.Issuer()}, Base: b.Transport()}}
		for range 5 {
			resp, err := client.Get(b.Issuer() + "/management/v1/orgs/me")
			require.NoError(t, err)
			resp.Body.Close()
			assert.Equal(t, http.StatusOK, resp.StatusCode)
		}
		sent := b.assertions(t)
		require.Len(t, sent, 1, "the token is kept")
		assert.Equal(t, "openid "+postern.ScopeZITADELAPI, sent[0]["scope"])
		assert.Equal(t, b.user.ID, sent[0]["iss"])
		assert.Equal(t, b.Issuer(), sent[0]["aud"])
		assert.Equal(t, "RS256", sent[0]["alg"])
		assert.Equal(t, b.key.ID, sent[0]["kid"])

		token, err := src.Token()
		require.NoError(t, err)
		src.Invalidate(token.AccessToken)
		again, err := src.Token()
		require.NoError(t, err)
		assert.NotEqual(t, token.AccessToken, again.AccessToken, "a dropped token is replaced")
	})
}

func TestScopesAlgorithmAndLifetimeAreTheCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBot(t, zitadeltest.Config{})
		_, err := b.source(t, func(c *jwtprofile.Config) {
			c.Scopes, c.Algorithm, c.AssertionLifetime = []string{"openid", "profile"}, "PS256", time.Hour
		}).Token()
		require.NoError(t, err)
		sent := b.assertions(t)[0]
		assert.Equal(t, "openid profile", sent["scope"])
		assert.Equal(t, "PS256", sent["alg"])
		assert.EqualValues(t, 3600, sent["exp"].(float64)-sent["iat"].(float64))
	})
}

func TestADeviceMaySign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBot(t, zitadeltest.Config{})
		src := b.source(t, func(c *jwtprofile.Config) {
			c.Key = &keyfile.Key{Type: keyfile.ServiceAccount, ID: b.key.ID, UserID: b.key.UserID, Signer: opaque{b.key.Signer}}
		})
		_, err := src.Token()
		assert.NoError(t, err)
	})
}

// opaque hides what kind of Signer it is.
type opaque struct{ crypto.Signer }

// Libraries of zitadel/oidc's take such sources, too.
var _ profile.TokenSource = (*jwtprofile.Source)(nil)

func TestHeadersGoWithEveryRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBot(t, zitadeltest.Config{})
		_, err := b.source(t, func(c *jwtprofile.Config) {
			c.Header = http.Header{"X-Zitadel-Instance-Host": {"localhost"}}
		}).Token()
		require.NoError(t, err)
		requests := b.Requests(zitadeltest.AnyEndpoint)
		require.Len(t, requests, 2, "discovery and token")
		for _, r := range requests {
			assert.Equal(t, "localhost", r.Header.Get("X-Zitadel-Instance-Host"))
		}
	})
}

func TestATokenURLOfTheCallersNeedsNoDiscovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBot(t, zitadeltest.Config{})
		_, err := b.source(t, func(c *jwtprofile.Config) { c.TokenURL = b.Issuer() + "/oauth/v2/token" }).Token()
		require.NoError(t, err)
		assert.Equal(t, 1, b.Calls(zitadeltest.AnyEndpoint))
	})
}

func TestNewReportsEveryMistake(t *testing.T) {
	_, err := jwtprofile.New(jwtprofile.Config{
		Issuer: "my-instance", TokenURL: "token", Scopes: []string{"a b"}, AssertionLifetime: -1, Algorithm: "HS256",
		Header: http.Header{"Authorization": {"Bearer hunter2"}},
	})
	for _, want := range []string{"jwtprofile: ", "Issuer: ", "TokenURL: ", "Header: ", "Key: ", "AssertionLifetime: ", "Algorithm: ", "got nil", "Scopes[0]: "} {
		assert.ErrorContains(t, err, want)
	}
	assert.NotContains(t, err.Error(), "hunter2")
}

func TestNewDoesNoIO(t *testing.T) {
	b := newBot(t, zitadeltest.Config{})
	asked := false
	b.source(t, func(c *jwtprofile.Config) {
		c.Key = source(func(context.Context) (*keyfile.Key, error) { asked = true; return b.key, nil })
	})
	assert.Zero(t, b.Calls(zitadeltest.AnyEndpoint))
	assert.False(t, asked)
}

type source func(context.Context) (*keyfile.Key, error)

func (s source) Key(ctx context.Context) (*keyfile.Key, error) { return s(ctx) }

func TestAWrongClockIsCorrectedAtTheSecondRequest(t *testing.T) {
	for name, row := range map[string]struct {
		ahead    time.Duration // of the server
		requests int
	}{
		"right":       {0, 1},
		"3 s fast":    {-3 * time.Second, 1},
		"29 s fast":   {-29 * time.Second, 1},
		"40 s fast":   {-40 * time.Second, 2},
		"4 min slow":  {4 * time.Minute, 1},
		"10 min fast": {-10 * time.Minute, 2},
		"10 min slow": {10 * time.Minute, 2},
		"23 h fast":   {-23 * time.Hour, 2},
		"23 h slow":   {23 * time.Hour, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBot(t, zitadeltest.Config{})
				b.SkewClock(row.ahead)
				src := b.source(t)
				start := time.Now()
				token, err := src.Token()
				require.NoError(t, err)
				assert.Equal(t, row.requests, b.Calls(zitadeltest.TokenEndpoint))
				assert.LessOrEqual(t, token.Expiry.Sub(start), 12*time.Hour, "a token lives no longer for it")
				assert.GreaterOrEqual(t, token.Expiry.Sub(start), 12*time.Hour-2*time.Second)

				src.Invalidate(token.AccessToken)
				_, err = src.Token()
				require.NoError(t, err)
				assert.Equal(t, row.requests+1, b.Calls(zitadeltest.TokenEndpoint), "from then on the first request succeeds")
				issued := b.assertions(t)[row.requests]["iat"].(float64)
				if row.requests > 1 {
					assert.InDelta(t, b.Now().Add(-30*time.Second).Unix(), issued, 2, "dated by the server's clock")
				}
			})
		})
	}
}

func TestAClockThatIsSetWhileTheProgramRunsIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBot(t, zitadeltest.Config{})
		src := b.source(t)
		for _, ahead := range []time.Duration{10 * time.Minute, 0, -10 * time.Minute, time.Hour} {
			b.SkewClock(ahead)
			token, err := src.Token()
			require.NoError(t, err, ahead)
			src.Invalidate(token.AccessToken)
		}
		assert.LessOrEqual(t, b.Calls(zitadeltest.TokenEndpoint), 8)
	})
}

func TestAClockMoreThanADayOffIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBot(t, zitadeltest.Config{})
		b.SkewClock(72 * time.Hour)
		_, err := b.source(t).Token()
		refusal := refusalOf(t, err)
		assert.Equal(t, 24*time.Hour, refusal.Skew)
		assert.Contains(t, refusal.Hint, "the most that is corrected (set it by NTP")
		assert.Equal(t, 2, b.Calls(zitadeltest.TokenEndpoint), "and it is not tried for ever")
	})
}

func TestACachedDateIsNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBot(t, zitadeltest.Config{})
		b.Misbehave(zitadeltest.TokenEndpoint, -1, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
			w.Header().Set("Age", "3600")
			w.WriteHeader(http.StatusBadRequest)
			w.Write([]byte(`{"error":"invalid_grant"}`))
		})
		_, err := b.source(t).Token()
		refusal := refusalOf(t, err)
		assert.Zero(t, refusal.Skew)
		assert.Contains(t, refusal.Hint, "gave no way to check")
		assert.Equal(t, 1, b.Calls(zitadeltest.TokenEndpoint))
	})
}

func TestADifferenceOver30SecondsIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBot(t, zitadeltest.Config{})
		b.SkewClock(10 * time.Minute)
		var log bytes.Buffer
		src := b.source(t, func(c *jwtprofile.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		for range 3 {
			token, err := src.Token()
			require.NoError(t, err)
			src.Invalidate(token.AccessToken)
		}
		assert.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
		assert.Contains(t, log.String(), "server_ahead=10m")
	})
}

func refusalOf(t *testing.T, err error) *postern.Error {
	t.Helper()
	var refusal *postern.Error
	require.ErrorAs(t, err, &refusal)
	return refusal
}

func TestARefusedAssertionSaysWhatIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, row := range map[string]struct {
			change func(*bot, *jwtprofile.Config)
			hint   []string
			code   string
		}{
			"a key that was removed": {func(b *bot, c *jwtprofile.Config) { c.Key = withID(b.key, "4007") },
				[]string{`key "4007" of user "` + "USER" + `"`, "signed by RS256", "aud http://localhost", "agrees with the server's", "removed in ZITADEL, or belongs to another instance", "expires on 9999-12-31"}, "invalid_grant"},
			"a key that is about to expire": {func(b *bot, c *jwtprofile.Config) { c.Key = withID(b.key, "4007", time.Now().Add(3*time.Hour)) },
				[]string{"which expires in 3h0m0s"}, "invalid_grant"},
			"a key whose expiry is not known": {func(b *bot, c *jwtprofile.Config) { c.Key = withID(b.key, "4007", time.Time{}) },
				[]string{"it may have expired"}, "invalid_grant"},
			"another algorithm": {func(b *bot, c *jwtprofile.Config) { c.Key, c.Algorithm = withID(b.key, "4007"), "PS256" },
				[]string{"signed by PS256"}, "invalid_grant"},
			"another user": {func(b *bot, c *jwtprofile.Config) { k := *b.key; k.UserID = "4008"; c.Key = &k },
				[]string{`of user "4008"`}, "invalid_grant"},
			"a clock that is ahead": {func(b *bot, c *jwtprofile.Config) { b.SkewClock(10 * time.Minute); c.Key = withID(b.key, "4007") },
				[]string{"dated by the server's clock, which is 10m", "ahead of this machine's"}, "invalid_grant"},
			"a clock that is behind": {func(b *bot, c *jwtprofile.Config) { b.SkewClock(-10 * time.Minute); c.Key = withID(b.key, "4007") },
				[]string{"behind this machine's"}, "invalid_grant"},
		} {
			b := newBot(t, zitadeltest.Config{})
			cfg := b.config()
			row.change(&b, &cfg)
			src, err := jwtprofile.New(cfg)
			require.NoError(t, err, name)
			_, err = src.Token()
			refusal := refusalOf(t, err)
			assert.Equal(t, row.code, refusal.Code, name)
			for _, want := range row.hint {
				assert.Contains(t, refusal.Hint, strings.ReplaceAll(want, "USER", b.user.ID), name)
			}
			assert.Contains(t, err.Error(), refusal.Hint, name)
			assert.NotErrorIs(t, err, postern.ErrUnavailable, name)
			assert.NotContains(t, err.Error(), "eyJ", name)
		}
	})
}

func withID(key *keyfile.Key, id string, expiry ...time.Time) *keyfile.Key {
	k := *key
	k.ID = id
	for _, e := range expiry {
		k.Expiry = e
	}
	return &k
}

func TestAUserWhoIsLockedIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBot(t, zitadeltest.Config{})
		b.Misbehave(zitadeltest.TokenEndpoint, -1, zitadeltest.Answer(400, "application/json", `{"error":"invalid_request","error_description":"Errors.User.NotActive"}`))
		_, err := b.source(t).Token()
		refusal := refusalOf(t, err)
		assert.Equal(t, "invalid_request", refusal.Code)
		assert.Contains(t, refusal.Hint, "reactivate or unlock it")
		assert.Equal(t, 1, b.Calls(zitadeltest.TokenEndpoint), "and is not retried")
	})
}

func TestAnExpiredKeyIsRefusedBeforeItIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBot(t, zitadeltest.Config{})
		key := withID(b.key, b.key.ID, time.Now().Add(time.Hour))
		src := b.source(t, func(c *jwtprofile.Config) { c.Key = key })
		token, err := src.Token()
		require.NoError(t, err)
		src.Invalidate(token.AccessToken)
		time.Sleep(2 * time.Hour)
		_, err = src.Token()
		assert.ErrorContains(t, err, "expired on "+key.Expiry.UTC().Format(time.RFC3339))
		assert.Equal(t, 1, b.Calls(zitadeltest.TokenEndpoint))
	})
}

func TestARefusalIsRememberedUntilTheKeyChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBot(t, zitadeltest.Config{})
		var mu sync.Mutex
		key := withID(b.key, "4007")
		src := b.source(t, func(c *jwtprofile.Config) {
			c.Key = source(func(context.Context) (*keyfile.Key, error) { mu.Lock(); defer mu.Unlock(); return key, nil })
		})
		for range 100 {
			_, err := src.Token()
			require.Error(t, err)
		}
		assert.Equal(t, 1, b.Calls(zitadeltest.TokenEndpoint))
		mu.Lock()
		key = b.key
		mu.Unlock()
		_, err := src.Token()
		assert.NoError(t, err, "at once")
	})
}

func TestAServerThatIsDownIsRetriedAndTold(t *testing.T) {
	for name, row := range map[string]struct {
		fault zitadeltest.Fault
		calls int
		want  string
	}{
		"500":              {zitadeltest.Status(500), 4, "500"},
		"503":              {zitadeltest.Status(503), 4, "503"},
		"429":              {zitadeltest.Answer(429, "text/plain", "slow down"), 4, "ask less often"},
		"a blocked server": {zitadeltest.Answer(429, "text/plain", "Your ZITADEL instance is blocked."), 1, "blocked the instance"},
		"a page":           {zitadeltest.Answer(200, "text/html", "<html>hunter2"), 1, "got text/html"},
		"garbage":          {zitadeltest.Garbage(), 1, "expected JSON in UTF-8"},
		"no token":         {zitadeltest.Answer(200, "application/json", `{"token_type":"Bearer","expires_in":1}`), 1, "access_token"},
		"a bad lifetime":   {zitadeltest.Answer(200, "application/json", `{"access_token":"hunter2","token_type":"Bearer","expires_in":"1"}`), 1, "expires_in"},
		"a redirect":       {zitadeltest.Status(307, "Location", "https://login.example/"), 1, "got a redirect to https://login.example"},
		"it hangs up":      {zitadeltest.Drop(), 4, "unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBot(t, zitadeltest.Config{})
				b.Misbehave(zitadeltest.TokenEndpoint, -1, row.fault)
				_, err := b.source(t).Token()
				assert.ErrorIs(t, err, postern.ErrUnavailable)
				assert.ErrorContains(t, err, row.want)
				assert.NotContains(t, err.Error(), "hunter2")
				assert.Equal(t, row.calls, b.Calls(zitadeltest.TokenEndpoint))
			})
		})
	}
}

func TestACallerLeavesAtItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBot(t, zitadeltest.Config{})
		b.Misbehave(zitadeltest.TokenEndpoint, 1, zitadeltest.Stall())
		src := b.source(t)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := src.TokenCtx(ctx)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 50*time.Millisecond, time.Since(start))
		b.Release()
		_, err = src.Token()
		assert.NoError(t, err)
		assert.Equal(t, 1, b.Calls(zitadeltest.TokenEndpoint), "the call that was begun serves the next caller")
	})
}

func TestASourceFormatsWithoutItsKey(t *testing.T) {
	b := newBot(t, zitadeltest.Config{})
	src := b.source(t)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		assert.Equal(t, "jwtprofile.Source", fmt.Sprintf(verb, src))
	}
	encoded, err := json.Marshal([]any{src})
	require.NoError(t, err)
	assert.Equal(t, "[{}]", string(encoded))
}

func TestARefusalByAVaultIsLeftAlone(t *testing.T) {
	theirs := &postern.Error{StatusCode: 400, Code: "invalid_grant", Hint: "theirs"}
	b := newBot(t, zitadeltest.Config{})
	src := b.source(t, func(c *jwtprofile.Config) {
		c.Key = source(func(context.Context) (*keyfile.Key, error) { return nil, theirs })
	})
	_, err := src.Token()
	assert.Same(t, theirs, refusalOf(t, err))
	assert.Equal(t, postern.Error{StatusCode: 400, Code: "invalid_grant", Hint: "theirs"}, *theirs)
}

func TestAKeyThatIsNotToBeHadIsAnError(t *testing.T) {
	sealed := errors.New("the vault is sealed")
	b := newBot(t, zitadeltest.Config{})
	src := b.source(t, func(c *jwtprofile.Config) {
		c.Key = source(func(context.Context) (*keyfile.Key, error) { return nil, sealed })
	})
	_, err := src.Token()
	assert.ErrorIs(t, err, sealed)
	assert.Zero(t, b.Calls(zitadeltest.TokenEndpoint))
}
