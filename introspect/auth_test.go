package introspect

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/keyfile"
	"github.com/postern-go/postern/zitadeltest"
)

func TestBasicIsFormEncodedRFC6749Section231(t *testing.T) {
	s := &stub{answer: func(r *http.Request) (int, string) {
		if id, secret, ok := r.BasicAuth(); !ok || id != "an+api%3A1" || secret != "s3%3Acret%2F%2B" {
			return 401, `{"error":"invalid_client"}`
		}
		if len(r.PostForm) != 1 || len(r.PostForm["token"]) != 1 {
			return 400, `{"error":"invalid_request"}`
		}
		return active(r)
	}}
	v := newVerifier(t, s, func(c *Config) { c.Auth = Basic("an api:1", "s3:cret/+") })
	require.NoError(t, verifyErr(v, "token"))
}

func applicationKey(t testing.TB) *keyfile.Key {
	t.Helper()
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return &keyfile.Key{Type: keyfile.Application, ID: "key", ClientID: "api", AppID: "app", Signer: signer}
}

// assertions remembers what was presented, and which jti were.
type assertions struct {
	mu    sync.Mutex
	texts []string
	seen  map[string]bool
}

// present returns whether the jti is new, and whether the assertion is what RFC 7523 §3 asks for.
func (a *assertions) present(r *http.Request) (fresh, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	text := r.PostForm.Get("client_assertion")
	parts := strings.Split(text, ".")
	if len(parts) != 3 || r.PostForm.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		return false, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return false, false
	}
	var claims struct {
		Iss, Sub, Jti string
		Aud           any
		Iat, Exp      int64
	}
	if json.Unmarshal(payload, &claims) != nil {
		return false, false
	}
	now := time.Now().Unix()
	if a.seen == nil {
		a.seen = map[string]bool{}
	}
	a.texts = append(a.texts, text)
	fresh = !a.seen[claims.Jti]
	a.seen[claims.Jti] = true
	return fresh, claims.Iss == "api" && claims.Sub == "api" && claims.Aud == issuer && claims.Jti != "" && claims.Iat <= now && claims.Exp > now
}

func (a *assertions) distinct() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	distinct := map[string]bool{}
	for _, text := range a.texts {
		distinct[text] = true
	}
	return len(distinct)
}

func TestPrivateKeyJWTUsesAnAssertionForFourFifthsOfItsLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var presented assertions
		s := &stub{answer: func(r *http.Request) (int, string) {
			if _, ok := presented.present(r); !ok {
				return 401, ""
			}
			return active(r)
		}}
		v := newVerifier(t, s, func(c *Config) { c.Auth = PrivateKeyJWT(applicationKey(t)) })
		const use = 216 * time.Second // four fifths of the 270 seconds that are left of 300: iat lies 30 seconds back
		for i := range use / (2 * time.Second) {
			require.NoError(t, verifyErr(v, fmt.Sprint("token ", i)))
			require.Equal(t, 1, presented.distinct())
			time.Sleep(2 * time.Second)
		}
		require.NoError(t, verifyErr(v, "another token"))
		require.Equal(t, 2, presented.distinct())
	})
}

// onceOnly is a server that takes each assertion once, as oidc-provider does.
func onceOnly(presented *assertions) func(*http.Request) (int, string) {
	return func(r *http.Request) (int, string) {
		if fresh, ok := presented.present(r); !ok || !fresh {
			return 401, `{"error":"invalid_client","error_description":"client assertion tokens must only be used once"}`
		}
		return active(r)
	}
}

func TestAServerThatTakesAnAssertionOnceGetsAFreshOneFromThenOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var presented assertions
		s := &stub{answer: onceOnly(&presented)}
		v := newVerifier(t, s, func(c *Config) { c.Auth = PrivateKeyJWT(applicationKey(t)) })
		for i := range 10 {
			require.NoError(t, verifyErr(v, fmt.Sprint("token ", i)))
		}
		require.Equal(t, 11, s.count(), "one call was refused, the second, and none after it")
		require.Equal(t, 10, presented.distinct())
		require.Zero(t, v.Stats().Failures)
	})
}

func TestAServerThatTakesAnAssertionOnceAndConcurrentFirstCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var presented assertions
		once := onceOnly(&presented)
		s := &stub{answer: func(r *http.Request) (int, string) { time.Sleep(time.Second); return once(r) }}
		v := newVerifier(t, s, func(c *Config) { c.Auth = PrivateKeyJWT(applicationKey(t)) })
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() { assert.NoError(t, verifyErr(v, fmt.Sprint("token ", i))) })
		}
		wg.Wait()
	})
}

// The callers that come with the new key's first assertion second are no worse off than those with the old one's.
func TestAServerThatTakesAnAssertionOnceAndAKeyThatIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var presented assertions
		once := onceOnly(&presented)
		old, replaced := applicationKey(t), applicationKey(t)
		replaced.ID = "new key"
		var source atomic.Pointer[keyfile.Key]
		source.Store(old)
		s := &stub{answer: func(r *http.Request) (int, string) {
			time.Sleep(time.Second)
			if header, _, _ := strings.Cut(r.PostForm.Get("client_assertion"), "."); !strings.Contains(decode(header), "new key") {
				source.Store(replaced)
				return 401, `{"error":"invalid_client"}`
			}
			return once(r)
		}}
		v := newVerifier(t, s, func(c *Config) {
			c.Auth = PrivateKeyJWT(keySource(func() (*keyfile.Key, error) { return source.Load(), nil }))
		})
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() { assert.NoError(t, verifyErr(v, fmt.Sprint("token ", i))) })
		}
		wg.Wait()
	})
}

func decode(part string) string {
	text, _ := base64.RawURLEncoding.DecodeString(part)
	return string(text)
}

func TestAWrongKeyIsNotTakenForAServerThatTakesAnAssertionOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var presented assertions
		s := &stub{answer: func(r *http.Request) (int, string) {
			presented.present(r)
			return 400, `{"error":"unauthorized_client"}`
		}}
		v := newVerifier(t, s, func(c *Config) { c.Auth = PrivateKeyJWT(applicationKey(t)) })
		require.ErrorIs(t, verifyErr(v, "token 1"), postern.ErrUnavailable)
		require.Equal(t, 1, s.count())
		time.Sleep(minPause)
		require.ErrorIs(t, verifyErr(v, "token 2"), postern.ErrUnavailable)
		require.Equal(t, 3, s.count(), "tried with a fresh one")
		s.say(func(r *http.Request) (int, string) { presented.present(r); return active(r) })
		time.Sleep(maxPause)
		before := presented.distinct()
		for i := range 10 {
			require.NoError(t, verifyErr(v, fmt.Sprint("token 3 ", i)))
		}
		require.LessOrEqual(t, presented.distinct(), before+1)
	})
}

func TestAKeyThatIsReplacedIsUsedAtOnce(t *testing.T) {
	old, replaced := applicationKey(t), applicationKey(t)
	replaced.ID = "new key"
	var source atomic.Pointer[keyfile.Key]
	source.Store(old)
	var refuseOld atomic.Bool
	s := &stub{answer: func(r *http.Request) (int, string) {
		header, _, _ := strings.Cut(r.PostForm.Get("client_assertion"), ".")
		if refuseOld.Load() && !strings.Contains(decode(header), "new key") {
			source.Store(replaced) // the file changes while we are being refused
			return 401, `{"error":"invalid_client"}`
		}
		return active(r)
	}}
	v := newVerifier(t, s, func(c *Config) {
		c.Auth = PrivateKeyJWT(keySource(func() (*keyfile.Key, error) { return source.Load(), nil }))
	})
	require.NoError(t, verifyErr(v, "token 1"))
	refuseOld.Store(true)
	require.NoError(t, verifyErr(v, "token 2"))
	require.Equal(t, 3, s.count())
}

// A refusal is remembered for up to a minute, but says nothing about the key that is put in the place of the refused one.
func TestAKeyThatIsReplacedEndsTheBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := *applicationKey(t)
		s := &stub{answer: status(400, `{"error":"unauthorized_client"}`)}
		v := newVerifier(t, s, func(c *Config) {
			c.Auth = PrivateKeyJWT(keySource(func() (*keyfile.Key, error) { k := key; return &k, nil }))
		})
		for i := range 100 { // until the pause is a minute
			require.ErrorIs(t, verifyErr(v, fmt.Sprint(i)), postern.ErrUnavailable)
			time.Sleep(3 * time.Second)
		}
		calls := s.count()
		for s.count() == calls {
			require.ErrorIs(t, verifyErr(v, "token"), postern.ErrUnavailable)
			time.Sleep(time.Second)
		}
		calls = s.count()
		key.ID = "another wrong key"
		require.ErrorIs(t, verifyErr(v, "token"), postern.ErrUnavailable)
		require.Equal(t, calls+1, s.count(), "tried at once")
		require.ErrorIs(t, verifyErr(v, "token"), postern.ErrUnavailable)
		require.Equal(t, calls+1, s.count(), "and remembered in its turn")
		key.ID = "the right key"
		s.say(active)
		require.NoError(t, verifyErr(v, "token"))
	})
}

// It may be a vault that takes its time.
func TestTheKeysSourceIsNotAskedWhileTheBreakerIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key, asked := applicationKey(t), 0
		v := newVerifier(t, &stub{answer: status(500, "")}, func(c *Config) {
			c.Auth = PrivateKeyJWT(keySource(func() (*keyfile.Key, error) { asked++; return key, nil }))
		})
		for i := range failuresToOpen {
			require.ErrorIs(t, verifyErr(v, fmt.Sprint(i)), postern.ErrUnavailable)
		}
		require.Equal(t, "open", v.Stats().Breaker)
		before := asked
		for i := range 100 {
			require.ErrorIs(t, verifyErr(v, fmt.Sprint("held back ", i)), postern.ErrUnavailable)
		}
		require.Equal(t, before, asked)
	})
}

type keySource func() (*keyfile.Key, error)

func (f keySource) Key(context.Context) (*keyfile.Key, error) { return f() }

func TestAKeyThatCannotBeReadIsUnavailableAndNotTheServersFault(t *testing.T) {
	s := &stub{answer: active}
	broken := errors.New("vault is sealed")
	var err error
	v := newVerifier(t, s, func(c *Config) {
		key := applicationKey(t)
		c.Auth = PrivateKeyJWT(keySource(func() (*keyfile.Key, error) { return key, err }))
	})
	err = broken
	for range 10 {
		got := verifyErr(v, "token")
		require.ErrorIs(t, got, postern.ErrUnavailable)
		require.ErrorIs(t, got, broken)
	}
	require.Zero(t, s.count())
	require.Equal(t, "closed", v.Stats().Breaker)
	err = nil
	require.NoError(t, verifyErr(v, "token"))
}

func TestASourceThatReturnsNoKeyIsUnavailable(t *testing.T) {
	source := keySource(func() (*keyfile.Key, error) { return nil, nil })
	v := newVerifier(t, &stub{answer: active}, func(c *Config) { c.Auth = PrivateKeyJWT(source) })
	require.ErrorIs(t, verifyErr(v, "token"), postern.ErrUnavailable)
	_, err := (&keyClient{key: source}).id(t.Context()) // which a second level's eviction asks for, in the caller's goroutine
	require.ErrorContains(t, err, "got nil from its Source")
}

func TestAServiceUsersKeyIsRefusedAtConstruction(t *testing.T) {
	key := applicationKey(t)
	key.Type, key.UserID = keyfile.ServiceAccount, "user"
	_, err := New(Config{Issuer: issuer, Auth: PrivateKeyJWT(key)})
	require.ErrorContains(t, err, "Auth: PrivateKeyJWT")
	require.ErrorContains(t, err, "application")
}

// zitadel is a ZITADEL in memory, with an API and a user's token.
func zitadel(t *testing.T) (s *zitadeltest.Server, api *zitadeltest.API, token string) {
	s = zitadeltest.Start(t, zitadeltest.Config{InMemory: true})
	project := s.AddProject("orders", "viewer", "admin")
	return s, project.AddAPI("orders-api"), s.AddServiceUser("bot", zitadeltest.WithProjectRole(project, "viewer")).PAT()
}

func parseKey(t *testing.T, data []byte) *keyfile.Key {
	key, err := keyfile.Parse(data)
	require.NoError(t, err)
	return key
}

func TestZITADELWithEitherAuth(t *testing.T) {
	for _, name := range []string{"Basic", "PrivateKeyJWT"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, api, token := zitadel(t)
				auth := Basic(api.ClientID, api.ClientSecret)
				if name == "PrivateKeyJWT" {
					auth = PrivateKeyJWT(parseKey(t, api.KeyJSON()))
				}
				v, err := New(Config{Issuer: s.Issuer(), Auth: auth, HTTPClient: s.Client()})
				require.NoError(t, err)
				id, err := v.Verify(t.Context(), token)
				require.NoError(t, err)
				require.True(t, id.HasRole("viewer"))
				require.False(t, id.HasRole("admin"))
				require.ErrorIs(t, verifyErr(v, "not-a-token"), postern.ErrInvalidToken)
				s.Revoke(token)
				v.EvictTokenID(id.TokenID())
				require.ErrorIs(t, verifyErr(v, token), postern.ErrInvalidToken)
			})
		})
	}
}

// ZITADEL refuses an assertion from two seconds in the future. The refusal's Date header tells how far off our clock is. A token
// whose nbf is in the future by our clock is refused all the same: what is measured is for assertions only.
func TestAClockThatIsOffIsCorrectedWithinOneVerify(t *testing.T) {
	for ahead, want := range map[time.Duration]error{-10 * time.Minute: nil, 10 * time.Minute: postern.ErrInvalidToken} {
		synctest.Test(t, func(t *testing.T) {
			s := zitadeltest.Start(t, zitadeltest.Config{InMemory: true})
			s.SkewClock(ahead)
			api, token := s.AddProject("orders").AddAPI("orders-api"), s.AddServiceUser("bot").PAT()
			v, err := New(Config{Issuer: s.Issuer(), Auth: PrivateKeyJWT(parseKey(t, api.KeyJSON())), HTTPClient: s.Client()})
			require.NoError(t, err)
			require.ErrorIs(t, verifyErr(v, token), want)
			require.Equal(t, 2, s.Calls(zitadeltest.IntrospectionEndpoint), "refused, and tried with the right time")
		})
	}
}

func TestAWrongSecretIsOurErrorAndNotTheTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, api, token := zitadel(t)
		v, err := New(Config{Issuer: s.Issuer(), Auth: Basic(api.ClientID, "wrong"), HTTPClient: s.Client()})
		require.NoError(t, err)
		err = verifyErr(v, token)
		require.ErrorIs(t, err, postern.ErrUnavailable)
		e, ok := errors.AsType[*postern.Error](err)
		require.True(t, ok)
		require.Equal(t, "unauthorized_client", e.Code)
		require.NotEmpty(t, e.Hint)
	})
}
