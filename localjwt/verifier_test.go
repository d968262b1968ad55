package localjwt

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/introspect"
)

// wire is what a ZITADEL v4 really sent.
var wire = func() (recorded struct {
	AccessToken  string          `json:"access_token"`
	IDToken      string          `json:"id_token"`
	JWKS         json.RawMessage `json:"jwks"`
	CacheControl string          `json:"jwks_cache_control"`
}) {
	if err := json.Unmarshal(must(os.ReadFile("testdata/wire-jwt.json")), &recorded); err != nil {
		panic(err)
	}
	return recorded
}()

// TestRealTokens verifies an access token and the id_token beside it as ZITADEL issued them, at the time it did.
func TestRealTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Unix(1795337293, 0)))
		server := roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == "/.well-known/openid-configuration" {
				return answerJSON(r, "no-store", object{"issuer": "http://localhost:18080", "jwks_uri": "http://localhost:18080/oauth/v2/keys"})
			}
			return answerText(r, 200, wire.CacheControl, string(wire.JWKS)), nil
		})
		v, err := New(Config{
			Issuer: "http://localhost:18080", Audience: []string{testProject}, ProjectID: testProject,
			HTTPClient: &http.Client{Transport: server},
		})
		require.NoError(t, err)

		id, err := v.Verify(t.Context(), wire.AccessToken)
		require.NoError(t, err)
		assert.Equal(t, "400709194509978662", id.Subject())
		assert.Equal(t, "jwt-bot-1795337286", id.ClientID())
		assert.Equal(t, "http://localhost:18080", id.Issuer())
		assert.Equal(t, "V2_400709196389026854-at_400709196389092390", id.TokenID())
		assert.Equal(t, "400708712316079142", id.OrgID())
		assert.True(t, id.HasAudience(testProject))
		assert.True(t, id.HasRole("admin"))
		assert.True(t, id.HasRoleInOrg("admin", "400708712316079142"))
		assert.True(t, id.HasProjectRole(testProject, "admin"))
		assert.False(t, id.HasRole("owner"))
		assert.False(t, id.HasRoleInOrg("admin", "400708712316079143"))
		assert.Equal(t, time.Unix(1795380493, 0), id.Expiry())

		_, err = v.Verify(t.Context(), wire.IDToken)
		require.ErrorIs(t, err, postern.ErrInvalidToken)
		require.ErrorContains(t, err, "got an id_token: send the access_token")

		time.Sleep(12*time.Hour + 30*time.Second - 1)
		accepts(t, v, wire.AccessToken)
		time.Sleep(time.Nanosecond)
		refusesToken(t, v, wire.AccessToken)
	})
}

func TestEachAlgorithmOfTheListIsTaken(t *testing.T) {
	v := newIssuer().verifier(t)
	for alg, key := range map[string]any{
		"RS256": rsaKey, "RS384": rsaKey, "RS512": rsaKey, "PS256": rsaKey, "ES256": p256Key, "ES384": p384Key, "EdDSA": ed25519Key,
	} {
		t.Run(alg, func(t *testing.T) {
			accepts(t, v, signWith(object{"alg": alg, "kid": strings.ToLower(alg), "typ": "JWT"}, good(), key))
		})
		if key == any(rsaKey) {
			t.Run(alg+" with a key that names no algorithm", func(t *testing.T) {
				accepts(t, v, signWith(object{"alg": alg, "kid": "rsa", "typ": "JWT"}, good(), key))
			})
		}
	}
	assert.Len(t, methods, 7)
}

func TestWhatMayDiffer(t *testing.T) {
	i := newIssuer()
	v := i.verifier(t)
	header := func(changes object) string {
		return signWith(with(object{"alg": "RS256", "kid": "rs256", "typ": "JWT"}, changes), good(), rsaKey)
	}
	now := time.Now().Unix()
	longest := signText(`{"alg":"RS256","kid":"rs256","typ":"JWT" }`, string(must(json.Marshal(with(good(), object{"x": strings.Repeat("x", 11_667)})))), rsaKey)
	require.Equal(t, maxToken, len(longest))
	id := strings.Repeat("k", maxKeyID)
	publishKeys(i, jwk("rs256", "RS256", rsaKey.Public()), jwk(id, "RS256", rsaKey.Public()))
	for rule, token := range map[string]string{
		"16 KiB":                          longest,
		"a kid of 256 bytes":              header(object{"kid": id}),
		"typ at+jwt":                      header(object{"typ": "at+jwt"}),
		"typ application/at+jwt":          header(object{"typ": "application/at+jwt"}),
		"typ in another case":             header(object{"typ": "AT+JWT"}),
		"thumbprints":                     header(object{"x5t": "abc", "x5t#S256": "abc"}),
		"headers nobody knows":            header(object{"x": object{"alg": "none"}}),
		"one audience as a text":          sign(object{"aud": testProject}),
		"our audience among others":       sign(object{"aud": []string{"1", "2", testProject}}),
		"no nbf":                          sign(object{"nbf": nil}),
		"exp with a fraction":             sign(object{"exp": float64(now) + 1000.5}),
		"exp as a float":                  signText(`{"alg":"RS256","kid":"rs256","typ":"JWT"}`, strings.Replace(string(must(json.Marshal(with(good(), object{"exp": 1})))), `"exp":1,`, `"exp":9.9e9,`, 1), rsaKey),
		"the end of the year 9999":        sign(object{"exp": 253402300799}),
		"azp beside a jti":                sign(object{"azp": "bot"}),
		"claims nobody knows":             sign(object{"x": object{"iss": "https://evil.example.com"}}),
		"claims by a namespace of theirs": sign(object{"my:zitadel:iam:claim": 1}),
		"no roles":                        sign(object{rolesClaim: nil}),
	} {
		t.Run(rule, func(t *testing.T) { accepts(t, v, token) })
	}
}

// A user's token, got through an application of another project, has the roles of that project by the name by which an
// introspecting API gets those of its own.
func TestRolesInTheClientsProjectAreNobodysHere(t *testing.T) {
	token := sign(object{
		"urn:zitadel:iam:org:project:roles":        object{"owner": object{"1": "x"}},
		"urn:zitadel:iam:org:project:4711:roles":   object{"owner": object{"1": "x"}},
		rolesClaim:                                 object{"viewer": object{"1": "x"}},
		"a \"name\" to quote\n, and <one> more":    []any{"a,b", object{"c": "}"}},
		"urn:zitadel:iam:user:resourceowner:id":    "1",
		"urn:zitadel:iam:user:resourceowner:other": nil,
	})
	id := must(newIssuer().verifier(t).Verify(t.Context(), token))
	assert.True(t, id.HasRole("viewer"))
	assert.True(t, id.HasRoleInOrg("viewer", "1"))
	assert.False(t, id.HasRole("owner"))
	assert.False(t, id.HasRoleInOrg("owner", "1"))
	assert.True(t, id.HasProjectRole("4711", "owner"))
	assert.Equal(t, "1", id.OrgID())
	var claims object
	require.NoError(t, id.Claims(&claims))
	assert.NotContains(t, claims, "urn:zitadel:iam:org:project:roles")
	assert.Equal(t, []any{"a,b", object{"c": "}"}}, claims["a \"name\" to quote\n, and <one> more"])
	assert.Len(t, claims, len(good())+3)

	id = must(newIssuer().verifier(t, func(cfg *Config) { cfg.ProjectID = "" }).Verify(t.Context(), token))
	assert.False(t, id.HasRole("owner"), "without a ProjectID nobody has a role")
	assert.False(t, id.HasRole("viewer"))
	assert.True(t, id.HasProjectRole(testProject, "viewer"))
}

func TestLeeway(t *testing.T) {
	for _, row := range []struct {
		leeway, want time.Duration
	}{{0, 30 * time.Second}, {-1, 0}, {time.Minute, time.Minute}, {2 * time.Minute, 2 * time.Minute}} {
		t.Run(row.leeway.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newIssuer().verifier(t, func(cfg *Config) { cfg.Leeway = row.leeway })
				now, leeway := time.Now().Unix(), int64(row.want.Seconds())
				accepts(t, v, sign(object{"exp": now - leeway + 1}))
				refusesToken(t, v, sign(object{"exp": now - leeway}))
				accepts(t, v, sign(object{"nbf": now + leeway}))
				refusesToken(t, v, sign(object{"nbf": now + leeway + 1}))
				accepts(t, v, sign(object{"iat": now + leeway}))
				refusesToken(t, v, sign(object{"iat": now + leeway + 1}))
			})
		})
	}
}

func TestEveryMistakeInAConfigIsReported(t *testing.T) {
	_, err := New(Config{Issuer: "http://id.example.com", Audience: []string{""}, Leeway: 121 * time.Second, MaxEntries: -1, Recheck: time.Millisecond, JWKSURL: "keys"})
	for _, field := range []string{"Issuer", "Audience", "Leeway", "MaxEntries", "Recheck: expected 0 or at least 1s", "Recheck: expected Introspection", "JWKSURL"} {
		assert.ErrorContains(t, err, field)
	}
	_, err = New(Config{Issuer: testIssuer})
	require.ErrorContains(t, err, "Audience", "a verifier for nobody would take tokens meant for anybody")
	_, err = New(Config{Issuer: testIssuer, Audience: []string{"a"}, MaxEntries: math.MaxInt, Introspection: (*introspect.Verifier)(nil)})
	require.ErrorContains(t, err, "MaxEntries")
	require.ErrorContains(t, err, "Introspection")
	_, err = New(Config{Issuer: testIssuer, Audience: []string{"a"}})
	require.NoError(t, err)
}

func TestOneOfSeveralAudiencesIsEnough(t *testing.T) {
	v := newIssuer().verifier(t, func(cfg *Config) { cfg.Audience = []string{"999", testProject} })
	accepts(t, v, sign(nil))
	accepts(t, v, sign(object{"aud": "999"}))
	refusesToken(t, v, sign(object{"aud": "998"}))
}

func TestAConfigIsCopied(t *testing.T) {
	audience := []string{testProject}
	v := newIssuer().verifier(t, func(cfg *Config) { cfg.Audience = audience })
	audience[0] = "999"
	accepts(t, v, sign(nil))
}

func TestAVerifiedTokenIsRememberedUntilItEnds(t *testing.T) {
	drill(t, func(t *testing.T, i *issuer, v *Verifier) {
		token := signedBy("one")
		first := must(v.Verify(t.Context(), token))
		second := must(v.Verify(t.Context(), token))
		assert.Same(t, first, second)
		assert.Equal(t, 1, v.tokens.Counts().Entries)
		time.Sleep(12*time.Hour + 29*time.Second)
		assert.Same(t, first, must(v.Verify(t.Context(), token)))
		time.Sleep(time.Second)
		refusesToken(t, v, token)
	})
}

func TestAsManyTokensAreRememberedAsConfigSays(t *testing.T) {
	v := newIssuer().verifier(t, func(cfg *Config) { cfg.MaxEntries = 1000 })
	for n := range 50 {
		accepts(t, v, signWith(object{"alg": "EdDSA", "kid": "eddsa", "typ": "JWT"}, with(good(), object{"jti": fmt.Sprint(n)}), ed25519Key))
	}
	assert.Equal(t, 50, v.tokens.Counts().Entries)
	v = newIssuer().verifier(t, func(cfg *Config) { cfg.MaxEntries = 16 })
	for n := range 50 {
		accepts(t, v, signWith(object{"alg": "EdDSA", "kid": "eddsa", "typ": "JWT"}, with(good(), object{"jti": fmt.Sprint(n)}), ed25519Key))
	}
	assert.LessOrEqual(t, v.tokens.Counts().Entries, 16)
}

func TestKeysAreAskedForAsConfigSays(t *testing.T) {
	i := newIssuer()
	i.url = "http://id.example.com"
	var asked int
	server := roundTripper(func(r *http.Request) (*http.Response, error) {
		assert.Equal(t, []string{"acme.example.com"}, r.Header["X-Zitadel-Instance-Host"])
		asked++
		return i.RoundTrip(r)
	})
	v := i.verifier(t, func(cfg *Config) {
		cfg.AllowHTTP, cfg.HTTPClient = true, &http.Client{Transport: server}
		cfg.Header = http.Header{"x-zitadel-instance-host": {"acme.example.com"}}
	})
	accepts(t, v, sign(object{"iss": i.url}))
	assert.Equal(t, 2, asked, "discovery, and the keys")
}

func TestATokenThatLivesLongIsVerifiedAnewEachDay(t *testing.T) {
	drill(t, func(t *testing.T, i *issuer, v *Verifier) {
		token := signWith(rs256("one"), with(good(), object{"exp": 253402300799}), rsaKey)
		first := must(v.Verify(t.Context(), token))
		time.Sleep(24 * time.Hour)
		assert.NotSame(t, first, must(v.Verify(t.Context(), token)))
	})
}

func TestAHitAllocatesNothing(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"alone":     func(*Config) {},
		"rechecked": func(cfg *Config) { cfg.Introspection, cfg.Recheck = &introspector{answer: active}, time.Hour },
		"evicting":  func(cfg *Config) { cfg.Introspection = &introspector{answer: active} },
	} {
		t.Run(name, func(t *testing.T) {
			v, token := newIssuer().verifier(t, change), sign(nil)
			if name == "evicting" {
				v.EvictToken(token)
			}
			v.EvictSubject("somebody else")
			ctx := t.Context()
			for range 2 {
				accepts(t, v, token)
			}
			assert.Zero(t, testing.AllocsPerRun(1000, func() {
				if _, err := v.Verify(ctx, token); err != nil {
					t.Error(err)
				}
			}))
		})
	}
}

func TestManyGoroutinesVerifyAtOnce(t *testing.T) {
	i := newIssuer()
	v := i.verifier(t, func(cfg *Config) { cfg.MaxEntries = 16 }) // so that they push each other out
	tokens := make([]string, 40)
	for n := range tokens {
		tokens[n] = sign(object{"jti": fmt.Sprint(n), "sub": fmt.Sprint("user", n)})
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for n := range 200 {
				k := (n*7 + g*13) % len(tokens)
				id, err := v.Verify(t.Context(), tokens[k])
				if assert.NoError(t, err) {
					assert.Equal(t, fmt.Sprint("user", k), id.Subject())
				}
				if n%50 == 0 {
					v.EvictSubject("nobody")
				}
			}
		})
	}
	wg.Wait()
	assert.Equal(t, 1, i.asked())
}

func TestNothingOfATokenIsPrinted(t *testing.T) {
	v := newIssuer().verifier(t, func(cfg *Config) { cfg.Header = http.Header{"X-Secret": {"s3cret"}} })
	token := sign(nil)
	accepts(t, v, token)
	s, err := NewIssuers(IssuersConfig{Verifiers: []*Verifier{v}})
	require.NoError(t, err)
	for _, text := range []string{
		fmt.Sprintf("%v %+v %#v %s", v, v, v, v), fmt.Sprintf("%+v", struct{ V *Verifier }{v}), string(must(json.Marshal(object{"v": v}))),
		fmt.Sprintf("%v %+v %#v %s", s, s, s, s), string(must(json.Marshal(object{"s": s}))),
	} {
		assert.NotContains(t, text, "s3cret")
		assert.NotContains(t, text, token[len(token)-40:])
		assert.NotContains(t, text, "admin")
	}
	assert.Equal(t, "localjwt.Verifier("+testIssuer+")", fmt.Sprint(v))
}

func TestWhatGolangJWTRefusesIsRefusedThoughNobodyCanExplainIt(t *testing.T) {
	p := newPolicy(testIssuer, []string{testProject}, 0)
	c := must(readClaims(string(must(json.Marshal(good())))))
	require.NoError(t, p.check(c))
	p.validator = jwt.NewValidator(jwt.WithSubject("somebody else"))
	require.NoError(t, p.explain(c))
	require.ErrorIs(t, p.check(c), jwt.ErrTokenInvalidSubject)
}

func TestErrorsSayWhatToDo(t *testing.T) {
	v := newIssuer().verifier(t)
	for says, token := range map[string]string{
		"postern.ScopeProjectAudience": sign(object{"aud": "999"}),
		"compare the clocks":           sign(object{"iat": time.Now().Add(time.Hour).Unix()}),
		"send the access_token":        sign(object{"at_hash": "x"}),
		"Config.Introspection":         "opaque",
		"s ago":                        sign(object{"exp": time.Now().Add(-time.Hour).Unix()}),
	} {
		_, err := v.Verify(t.Context(), token)
		assert.ErrorContains(t, err, says)
	}
	_, err := v.Verify(t.Context(), sign(object{"iss": "evil\n" + strings.Repeat("x", 500)}))
	require.ErrorContains(t, err, `evil\n`)
	assert.Less(t, len(err.Error()), 300, "foreign text is cut")
	assert.True(t, errors.Is(err, postern.ErrInvalidToken))
}
