package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	jwtmiddleware "github.com/auth0/go-jwt-middleware/v2"
	"github.com/auth0/go-jwt-middleware/v2/validator"
	"github.com/golang-jwt/jwt/v5"
	"github.com/zitadel/oidc/v3/pkg/client/rs"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	tokencache "k8s.io/apiserver/pkg/authentication/token/cache"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/benchmarks/harness"
	"github.com/postern-go/postern/introspect"
	"github.com/postern-go/postern/middleware"
)

// guard is a library at work in front of an API.
type guard struct {
	name string
	open func(*introspection) (gate, error)
}

// gate checks tokens: as middleware, and one by one. A gate that asks nobody has tokens of its own.
type gate struct {
	middleware func(http.Handler) http.Handler
	check      func(ctx context.Context, token string) error
	token      func(i int) string
}

var (
	guardPostern = guard{"postern", openIntrospect}
	guardK8s     = guard{"k8s.io/apiserver token cache over rs", openK8s}
	guardMap     = guard{"zitadel/oidc rs and a plain map", openMap}
	guardRS      = guard{"zitadel/oidc rs", openRS}
	guardLocal   = guard{"auth0/go-jwt-middleware, RS256 verified locally", openLocal}
)

const (
	sha256Floor  = "floor with one SHA-256"
	hotTokens    = 10_000
	aboutInbound = "One request with a good token through each library's middleware; the answer about it is in the cache, where there is one. The\n" +
		"floor is the least that a middleware must do that keeps no token: one SHA-256 of it, one context value, one copy of the request. The\n" +
		"k8s and rs contenders are called by the smallest middleware that could be written for them; the map is a map[string] under a\n" +
		"sync.RWMutex, keyed by the token, without bound and without an end. Tokens have 288 characters, answers 1 KB."
)

func inboundBenches() []harness.Bench {
	one := func() []int { return []int{0} }
	claims := []harness.Claim{{Contender: "postern", Key: harness.Ratio, Most: 1.15}, {Contender: "postern", Key: harness.Allocations, Most: 2}}
	parallel := claims[:1] // goroutines of the measurement allocate, too
	return []harness.Bench{
		{Name: "BenchmarkInbound", About: aboutInbound + " Always the same token.", Chart: harness.Ratio, Claims: claims, Contenders: inbound(one, 1)},
		{Name: "BenchmarkInboundZipf", About: "As BenchmarkInbound, with 10,000 tokens in use, some much more than others (Zipf, s = 1.1).", Chart: harness.Ratio, Claims: claims, Contenders: inbound(zipf, 1)},
		{Name: "BenchmarkInboundParallel", About: "As BenchmarkInbound, on all CPUs at once.", Chart: harness.Ratio, Claims: parallel, Contenders: inbound(one, runtime.GOMAXPROCS(0))},
		{Name: "BenchmarkInboundZipfParallel", About: "As BenchmarkInboundZipf, on all CPUs at once.", Chart: harness.Ratio, Claims: parallel, Contenders: inbound(zipf, runtime.GOMAXPROCS(0))},
	}
}

// zipf is an order in which tokens come.
func zipf() []int {
	z := mathrand.NewZipf(mathrand.New(mathrand.NewPCG(1, 2)), 1.1, 1, hotTokens-1)
	order := make([]int, 1<<15)
	for i := range order {
		order[i] = int(z.Uint64())
	}
	return order
}

func inbound(order func() []int, parallel int) []harness.Contender {
	contenders := []harness.Contender{
		{Name: sha256Floor, Floor: true, New: func() (harness.Case, error) { return floorCase(order(), parallel, true), nil }},
		{Name: sha256Floor + " again", New: func() (harness.Case, error) { return floorCase(order(), parallel, true), nil }},
		{Name: "floor without a hash", New: func() (harness.Case, error) { return floorCase(order(), parallel, false), nil }},
		{Name: "floor without a hash again", New: func() (harness.Case, error) { return floorCase(order(), parallel, false), nil }},
	}
	for _, g := range []guard{guardPostern, guardMap, guardK8s, guardLocal, guardRS} {
		contenders = append(contenders, harness.Contender{Name: g.name, New: func() (harness.Case, error) {
			opened, err := g.open(&introspection{})
			if err != nil {
				return harness.Case{}, err
			}
			order := order()
			if g.name == guardRS.name || g.name == guardLocal.name {
				order = []int{0} // it makes no difference to them
			}
			op := pass(opened.middleware, opened.token, order, parallel)
			return harness.Case{Op: op}, op(len(order)) // so that everything is in the cache
		}})
	}
	return contenders
}

// pass sends n requests through a middleware, with tokens in order.
func pass(middleware func(http.Handler) http.Handler, token func(int) string, order []int, parallel int) func(n int) error {
	handler := middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	requests := map[int]*http.Request{}
	for _, i := range order {
		if requests[i] == nil {
			r, err := http.NewRequest(http.MethodGet, api+"/orders", nil)
			if err != nil {
				return func(int) error { return err }
			}
			r.Header.Set("Authorization", "Bearer "+token(i))
			requests[i] = r
		}
	}
	inOrder := make([]*http.Request, len(order))
	for i, n := range order {
		inOrder[i] = requests[n]
	}
	var turn atomic.Int64
	one := func(n int, w *writer) error {
		at := int(turn.Add(int64(n))) % len(inOrder)
		for range n {
			if at++; at >= len(inOrder) {
				at = 0
			}
			handler.ServeHTTP(w, inOrder[at])
		}
		if w.refused {
			return errors.New("a good token was refused")
		}
		return nil
	}
	writers := make([]writer, parallel)
	if parallel == 1 {
		return func(n int) error { return one(n, &writers[0]) }
	}
	return func(n int) error {
		var wg sync.WaitGroup
		errs := make([]error, parallel)
		for i := range parallel {
			wg.Go(func() { errs[i] = one(n/parallel+1, &writers[i]) })
		}
		wg.Wait()
		return errors.Join(errs...)
	}
}

// writer notices a refusal.
type writer struct {
	header  http.Header
	refused bool
}

func (w *writer) Header() http.Header {
	if w.header == nil {
		w.header = http.Header{}
	}
	return w.header
}
func (w *writer) Write(p []byte) (int, error) { return len(p), nil }
func (w *writer) WriteHeader(code int)        { w.refused = code != http.StatusOK }

type principalKey struct{}

func floorCase(order []int, parallel int, hash bool) harness.Case {
	principal := new(struct{ sum [sha256.Size]byte })
	return harness.Case{Op: pass(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			token, _ := strings.CutPrefix(r.Header["Authorization"][0], "Bearer ")
			if hash {
				var buffer [512]byte
				sum := sha256.Sum256(buffer[:copy(buffer[:], token)])
				if sum == principal.sum {
					w.WriteHeader(http.StatusUnauthorized) // so that the sum is needed
				}
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), principalKey{}, principal)))
		})
	}, opaque, order, parallel)}
}

// opaque returns a token of the length and letters of ZITADEL's.
func opaque(i int) string {
	text := base64.RawURLEncoding.EncodeToString(seed)
	return fmt.Sprintf("eyJh%s.%07d", text[:276], i)
}

var seed = func() []byte {
	b := make([]byte, 240)
	_, _ = rand.Read(b)
	return b
}()

// introspection is a server in memory. It calls every token active that does not begin with "bad".
type introspection struct {
	takes time.Duration

	calls, good, inFlight, most atomic.Int64
}

var answer = func() string {
	roles := `{"viewer":{"400708712316079142":"zreal.localhost"}}`
	text := `{"active":true,"aud":["400709186071104550","400709185869712422"],"client_id":"bot","exp":` +
		fmt.Sprint(time.Now().Add(12*time.Hour).Unix()) + `,"iat":1795337287,"iss":"` + api + `","jti":"400709186406583334","name":"CI bot",` +
		`"preferred_username":"ci-bot-1795337286","scope":"openid profile urn:zitadel:iam:user:metadata urn:zitadel:iam:user:resourceowner",` +
		`"sub":"400709186305920038","token_type":"Bearer","updated_at":1795337287,` +
		`"urn:zitadel:iam:org:project:400709185869712422:roles":` + roles + `,"urn:zitadel:iam:org:project:roles":` + roles + `,` +
		`"urn:zitadel:iam:user:resourceowner:id":"400708712316079142","urn:zitadel:iam:user:resourceowner:name":"ZREAL",` +
		`"urn:zitadel:iam:user:resourceowner:primary_domain":"zreal.localhost","username":"ci-bot-1795337286"`
	return text + `,"about":"` + strings.Repeat("x", 1022-len(text)) + `"}`
}()

func (s *introspection) serve(token string) (body string) {
	s.calls.Add(1)
	now := s.inFlight.Add(1)
	defer s.inFlight.Add(-1)
	for most := s.most.Load(); now > most && !s.most.CompareAndSwap(most, now); most = s.most.Load() {
	}
	if s.takes > 0 {
		time.Sleep(s.takes)
	}
	if strings.HasPrefix(token, "bad") {
		return `{"active":false}`
	}
	s.good.Add(1)
	return answer
}

func (s *introspection) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	_ = r.Body.Close()
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(s.serve(r.PostForm.Get("token")))), Request: r,
	}, nil
}

func (s *introspection) client() *http.Client { return &http.Client{Transport: s} }

func openIntrospect(s *introspection) (gate, error) {
	return openIntrospectAt(api, s.client(), introspect.Config{})
}

func openIntrospectAt(issuer string, client *http.Client, cfg introspect.Config) (gate, error) {
	cfg.Issuer, cfg.IntrospectionURL, cfg.HTTPClient = issuer, issuer+"/oauth/v2/introspect", client
	cfg.Auth, cfg.Logger = introspect.Basic("id", "secret"), slog.New(slog.DiscardHandler)
	v, err := introspect.New(cfg)
	if err != nil {
		return gate{}, err
	}
	return gate{
		middleware: middleware.New(v, middleware.Config{}).Require(),
		check:      func(ctx context.Context, token string) error { _, err := v.Verify(ctx, token); return err },
		token:      opaque,
	}, nil
}

// asker asks with rs.
func asker(issuer string, client *http.Client) (func(ctx context.Context, token string) (*oidc.IntrospectionResponse, error), error) {
	options := []rs.Option{rs.WithStaticEndpoints(issuer+"/oauth/v2/token", issuer+"/oauth/v2/introspect")}
	if client != nil {
		options = append(options, rs.WithClient(client))
	}
	server, err := rs.NewResourceServerClientCredentials(context.Background(), issuer, "id", "secret", options...)
	return func(ctx context.Context, token string) (*oidc.IntrospectionResponse, error) {
		resp, err := rs.Introspect[*oidc.IntrospectionResponse](ctx, server, token)
		if err == nil && !resp.Active {
			err = postern.ErrInvalidToken
		}
		return resp, err
	}, err
}

// small is the smallest middleware over something that checks a token and returns a principal.
func small[T any](check func(ctx context.Context, token string) (T, error)) gate {
	return gate{
		middleware: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
				if !ok {
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				principal, err := check(r.Context(), token)
				if err != nil {
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), principalKey{}, principal)))
			})
		},
		check: func(ctx context.Context, token string) error { _, err := check(ctx, token); return err },
		token: opaque,
	}
}

func openRS(s *introspection) (gate, error) {
	ask, err := asker(api, s.client())
	return small(ask), err
}

func openMap(s *introspection) (gate, error) {
	ask, err := asker(api, s.client())
	var mu sync.RWMutex
	answers := map[string]*oidc.IntrospectionResponse{}
	return small(func(ctx context.Context, token string) (*oidc.IntrospectionResponse, error) {
		mu.RLock()
		resp := answers[token]
		mu.RUnlock()
		if resp != nil && resp.Expiration.AsTime().After(time.Now()) {
			return resp, nil
		}
		resp, err := ask(ctx, token)
		if err == nil {
			mu.Lock()
			answers[token] = resp
			mu.Unlock()
		}
		return resp, err
	}), err
}

func openK8s(s *introspection) (gate, error) {
	ask, err := asker(api, s.client())
	cached := tokencache.New(authenticator.TokenFunc(func(ctx context.Context, token string) (*authenticator.Response, bool, error) {
		resp, err := ask(ctx, token)
		if errors.Is(err, postern.ErrInvalidToken) {
			return nil, false, nil
		}
		if err != nil {
			return nil, false, err
		}
		return &authenticator.Response{User: &user.DefaultInfo{Name: resp.Username, UID: resp.Subject}}, true, nil
	}), false, time.Minute, 5*time.Second)
	return small(func(ctx context.Context, token string) (*authenticator.Response, error) {
		resp, ok, err := cached.AuthenticateToken(ctx, token)
		if err == nil && !ok {
			err = postern.ErrInvalidToken
		}
		return resp, err
	}), err
}

func openLocal(*introspection) (gate, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return gate{}, err
	}
	v, err := validator.New(func(context.Context) (any, error) { return key.Public(), nil }, validator.RS256, api+"/", []string{"400709185869712422"})
	if err != nil {
		return gate{}, err
	}
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"iss": api + "/", "sub": "400709186305920038", "aud": []string{"400709185869712422"}, "exp": time.Now().Add(12 * time.Hour).Unix(),
		"urn:zitadel:iam:org:project:400709185869712422:roles": map[string]any{"viewer": map[string]string{"400708712316079142": "zreal.localhost"}},
	})
	signed, err := token.SignedString(key)
	return gate{
		middleware: jwtmiddleware.New(v.ValidateToken).CheckJWT,
		token:      func(int) string { return signed },
	}, err
}
