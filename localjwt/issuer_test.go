package localjwt

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/postern-go/postern"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testIssuer  = "https://id.example.com"
	testProject = "400709185869712422"
	rolesClaim  = "urn:zitadel:iam:org:project:" + testProject + ":roles"
)

// The keys of the tests: making RSA keys is slow.
var (
	rsaKey     = must(rsa.GenerateKey(rand.Reader, 2048))
	otherRSA   = must(rsa.GenerateKey(rand.Reader, 2048))
	p256Key    = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	p384Key    = must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	p521Key    = must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))
	ed25519Key = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// issuer is an identity server without a network: discovery and a key set.
type issuer struct {
	url string

	mu           sync.Mutex
	keys         []any // of the key set, in the order given
	cacheControl string
	fault        func(*http.Request) (*http.Response, error) // answers in place of the key set
	takes        time.Duration                               // to answer with the key set
	calls        int                                         // for the key set
	others       []string                                    // whatever else was asked for but discovery
}

// newIssuer publishes a key of each kind under the name of its algorithm.
func newIssuer() *issuer {
	i := &issuer{url: testIssuer, cacheControl: "max-age=300, must-revalidate"}
	i.publish(
		jwk("rs256", "RS256", rsaKey.Public()), jwk("rs384", "RS384", rsaKey.Public()), jwk("rs512", "RS512", rsaKey.Public()),
		jwk("ps256", "PS256", rsaKey.Public()), jwk("es256", "ES256", p256Key.Public()), jwk("es384", "ES384", p384Key.Public()),
		jwk("eddsa", "EdDSA", ed25519Key.Public()), jwk("rsa", "", rsaKey.Public()),
	)
	return i
}

func jwk(kid, alg string, public crypto.PublicKey) jose.JSONWebKey {
	return jose.JSONWebKey{KeyID: kid, Algorithm: alg, Use: "sig", Key: public}
}

func (i *issuer) publish(keys ...any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = keys
}

func publishKeys(i *issuer, keys ...jose.JSONWebKey) {
	var all []any
	for _, k := range keys {
		all = append(all, k)
	}
	i.publish(all...)
}

func (i *issuer) misbehave(fault func(*http.Request) (*http.Response, error)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.fault = fault
}

// take has the issuer take that long to answer with the key set.
func (i *issuer) take(d time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.takes = d
}

func (i *issuer) asked() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.calls
}

func (i *issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch r.URL.String() {
	case i.url + "/.well-known/openid-configuration":
		return answerJSON(r, "no-store", map[string]string{"issuer": i.url, "jwks_uri": i.url + "/oauth/v2/keys"})
	case i.url + "/oauth/v2/keys":
		i.calls++
		if fault := i.fault; fault != nil {
			i.mu.Unlock()
			defer i.mu.Lock()
			return fault(r)
		}
		if takes := i.takes; takes > 0 {
			i.mu.Unlock()
			time.Sleep(takes)
			i.mu.Lock()
		}
		return answerJSON(r, i.cacheControl, map[string]any{"keys": i.keys})
	}
	i.others = append(i.others, r.URL.String())
	return nil, errors.New("no such place")
}

func answerJSON(r *http.Request, cacheControl string, body any) (*http.Response, error) {
	return answerText(r, http.StatusOK, cacheControl, string(must(json.Marshal(body)))), nil
}

func answerText(r *http.Request, status int, cacheControl, body string) *http.Response {
	header := http.Header{"Content-Type": {"application/json"}}
	if cacheControl != "" {
		header.Set("Cache-Control", cacheControl)
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: r}
}

// verifier is one for the tokens of i.
func (i *issuer) verifier(t testing.TB, change ...func(*Config)) *Verifier {
	cfg := Config{
		Issuer: i.url, Audience: []string{testProject}, ProjectID: testProject,
		HTTPClient: &http.Client{Transport: i}, Logger: slog.New(slog.DiscardHandler),
	}
	for _, change := range change {
		change(&cfg)
	}
	v, err := New(cfg)
	require.NoError(t, err)
	return v
}

type object = map[string]any

// good are the claims of an access token as ZITADEL issues it now.
func good() object {
	now := time.Now().Unix()
	return object{
		"iss": testIssuer, "sub": "400709194509978662", "aud": []string{testProject}, "client_id": "bot",
		"exp": now + 43200, "iat": now, "nbf": now, "jti": "V2_400709196389026854-at_400709196389092390",
		rolesClaim: object{"admin": object{"400708712316079142": "acme.localhost"}},
	}
}

func with(claims object, changes object) object {
	claims = maps.Clone(claims)
	for name, value := range changes {
		if value == nil {
			delete(claims, name)
		} else {
			claims[name] = value
		}
	}
	return claims
}

// sign makes a token as ZITADEL does, with changes to its claims.
func sign(changes object) string {
	return signWith(object{"alg": "RS256", "kid": "rs256", "typ": "JWT"}, with(good(), changes), rsaKey)
}

func signWith(header, claims object, key crypto.PrivateKey) string {
	return signText(string(must(json.Marshal(header))), string(must(json.Marshal(claims))), key)
}

// signText signs a header and a payload of any text by the algorithm that fits the key, or for RSA by what the header says.
func signText(header, payload string, key any) string {
	signed := encode(header) + "." + encode(payload)
	var method jwt.SigningMethod
	switch key := key.(type) {
	case *rsa.PrivateKey:
		method = jwt.SigningMethodRS256
		for _, m := range []jwt.SigningMethod{jwt.SigningMethodRS384, jwt.SigningMethodRS512, jwt.SigningMethodPS256} {
			if strings.Contains(header, `"`+m.Alg()+`"`) {
				method = m
			}
		}
	case *ecdsa.PrivateKey:
		method = map[string]jwt.SigningMethod{"P-256": jwt.SigningMethodES256, "P-384": jwt.SigningMethodES384, "P-521": jwt.SigningMethodES512}[key.Params().Name]
	case ed25519.PrivateKey:
		method = jwt.SigningMethodEdDSA
	case []byte:
		method = jwt.SigningMethodHS256
	default:
		panic(fmt.Sprintf("no method for %T", key))
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(must(method.Sign(signed, key)))
}

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// introspector is a postern.Verifier that counts and answers as told.
type introspector struct {
	mu      sync.Mutex
	answer  func(ctx context.Context, token string) (*postern.Identity, error)
	asked   []string
	evicted []string
	during  func() // runs at the end of each eviction
}

func (i *introspector) Verify(ctx context.Context, token string) (*postern.Identity, error) {
	i.mu.Lock()
	i.asked = append(i.asked, token)
	answer := i.answer
	i.mu.Unlock()
	return answer(ctx, token)
}

func (i *introspector) will(answer func(ctx context.Context, token string) (*postern.Identity, error)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer = answer
}

func (i *introspector) calls() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.asked)
}

func (i *introspector) note(what string) {
	i.mu.Lock()
	i.evicted = append(i.evicted, what)
	during := i.during
	i.mu.Unlock()
	if during != nil {
		during()
	}
}

func (i *introspector) EvictToken(token string) { i.note("token " + token) }
func (i *introspector) EvictTokenID(id string)  { i.note("id " + id) }
func (i *introspector) EvictSubject(sub string) { i.note("subject " + sub) }
func (i *introspector) EvictAll()               { i.note("all") }

// active answers that the token is good, with the username and roles that only introspection tells.
func active(context.Context, string) (*postern.Identity, error) {
	return postern.NewIdentity(object{"sub": "400709194509978662", "username": "bot@acme", "scope": "openid"})
}

func inactive(context.Context, string) (*postern.Identity, error) {
	return nil, fmt.Errorf("stub: %w", postern.ErrInvalidToken)
}

func down(context.Context, string) (*postern.Identity, error) {
	return nil, fmt.Errorf("stub: %w", postern.ErrUnavailable)
}
