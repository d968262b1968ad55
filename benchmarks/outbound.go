package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"time"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/httptransport"
	"github.com/zitadel/oidc/v3/pkg/client/profile"
	"golang.org/x/oauth2"
	oauth2cc "golang.org/x/oauth2/clientcredentials"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/benchmarks/harness"
	"github.com/postern-go/postern/clientcredentials"
)

const (
	api = "https://api.example.com"
	// slow is what a token request takes where callers could wait for it.
	slow     = 200 * time.Millisecond
	deadline = 50 * time.Millisecond
	callers  = 100
)

// client is one library at work against an endpoint.
type client struct {
	token     func(context.Context) error
	transport func(base http.RoundTripper) (http.RoundTripper, error)
}

// library is a contender: how it is set up as its documentation says, with no option set.
type library struct {
	name string
	// early is how long before its end, in seconds, it renews a token of an hour.
	early int
	open  func(*endpoint) (client, error)
}

var libraries = []library{
	{"postern", 0, openPostern},
	{"x/oauth2", 10, openOAuth2},
	{"zitadel/oidc profile", 0, openOIDC},
	{"cloud.google.com/go/auth", 225, openGoogle},
}

func transportBench() harness.Bench {
	bench := harness.Bench{
		Name: "BenchmarkTransport",
		About: "One request through each library's RoundTripper, with a token in hand and a base that answers at once from memory. The floor does\n" +
			"the least that a RoundTripper must do: a shallow copy of the request and of its header map, name by name, and one more header. Postern\n" +
			"copies the map as a whole, and so has some time back for its checks. zitadel/oidc has a source without a cache and no transport of\n" +
			"its own; it stands here in the transport of x/oauth2, as it is mostly used.",
		Columns: []harness.Column{{Key: "fetches", Title: "token requests in 100 requests"}},
		Chart:   harness.Ratio,
		Claims:  []harness.Claim{{Contender: "postern", Key: harness.Ratio, Most: 1.15}, {Contender: "postern", Key: harness.Allocations, Most: 3}},
		Contenders: []harness.Contender{
			{Name: "floor", Floor: true, New: newFloor},
			{Name: "floor again", New: newFloor},
		},
	}
	for _, l := range libraries {
		bench.Contenders = append(bench.Contenders, harness.Contender{Name: l.name, New: func() (harness.Case, error) {
			e := newEndpoint()
			c, err := l.open(e)
			if err != nil {
				return harness.Case{}, err
			}
			transport, err := c.transport(memory())
			if err != nil {
				return harness.Case{}, err
			}
			op, end := requests(transport)
			return harness.Case{Op: op, Close: func() { end(); e.close() }, Scenario: func() (map[string]float64, error) {
				before := e.requests.Load()
				err := op(100)
				return map[string]float64{"fetches": float64(e.requests.Load() - before)}, err
			}}, nil
		}})
	}
	return bench
}

func expiredBench() harness.Bench {
	bench := harness.Bench{
		Name: "BenchmarkExpired",
		About: "The token in hand has run out, and its endpoint takes 200 ms. 100 callers come at once, and one more that has a deadline of 50 ms.\n" +
			"All must wait; the questions are how many requests are made, and when the one with the deadline is let go: 1 is at its deadline.",
		Columns: []harness.Column{
			{Key: "fetches", Title: "token requests"},
			{Key: "longest", Title: "longest wait, × the endpoint's time"},
			{Key: "late", Title: "return of the caller with a deadline, × its deadline"},
		},
		Chart:  "late",
		Claims: []harness.Claim{{Contender: "postern", Key: "fetches", Most: 1}, {Contender: "postern", Key: "late", Most: 1.5}},
	}
	for _, l := range libraries {
		bench.Contenders = append(bench.Contenders, scenario(l, 1, 1100*time.Millisecond))
	}
	return bench
}

func rolloverBench() harness.Bench {
	bench := harness.Bench{
		Name: "BenchmarkRollover",
		About: "The token in hand is good for a little longer, and has just come so near its end that the library renews it; the endpoint takes\n" +
			"200 ms. 100 callers come at once. Each library has a window of its own: the token's life is chosen so that it opens after a\n" +
			"second. A caller counts as one that waited when it was given a token after more than half of the endpoint's time.",
		Columns: []harness.Column{
			{Key: "fetches", Title: "token requests"},
			{Key: "waited", Title: "callers that waited, of 100"},
		},
		Chart:  "waited",
		Claims: []harness.Claim{{Contender: "postern", Key: "fetches", Most: 1}, {Contender: "postern", Key: "waited", Most: 0}},
	}
	for _, l := range libraries {
		// Of a token that lives 2 s postern spends the second half, less up to a tenth of it, in its window.
		life, wait := 2, 1300*time.Millisecond
		if l.early > 0 {
			life, wait = l.early+1, 1100*time.Millisecond
		}
		bench.Contenders = append(bench.Contenders, scenario(l, life, wait))
	}
	return bench
}

// scenario lets a library fetch a token that lives for life seconds, waits, and has all callers come. Which counts are of
// interest is said by the bench: the others are taken out.
func scenario(l library, life int, wait time.Duration) harness.Contender {
	expired := time.Duration(life)*time.Second < wait
	return harness.Contender{Name: l.name, New: func() (harness.Case, error) {
		e := newEndpoint()
		return harness.Case{Close: e.close, Scenario: func() (map[string]float64, error) {
			c, err := l.open(e)
			if err != nil {
				return nil, err
			}
			e.answer(life, 0)
			if err := c.token(context.Background()); err != nil {
				return nil, err
			}
			time.Sleep(wait)
			e.answer(3600, slow)
			counts, err := rush(c, e, expired)
			if expired {
				delete(counts, "waited")
			} else {
				maps.DeleteFunc(counts, func(key string, _ float64) bool { return key == "longest" || key == "late" })
			}
			return counts, err
		}}, nil
	}}
}

// rush has all callers come at once, and with hurried one that has a deadline.
func rush(c client, e *endpoint, hurried bool) (map[string]float64, error) {
	var (
		group   sync.WaitGroup
		begin   = make(chan struct{})
		errs    = make([]error, callers)
		waits   = make([]time.Duration, callers)
		late    time.Duration
		before  = e.requests.Load()
		waited  float64
		longest time.Duration
	)
	for i := range callers {
		group.Go(func() {
			<-begin
			start := time.Now()
			errs[i] = c.token(context.Background())
			waits[i] = time.Since(start)
		})
	}
	if hurried {
		group.Go(func() {
			<-begin
			time.Sleep(slow / 20) // not the first: it is to wait for another's request
			start := time.Now()
			ctx, cancel := context.WithTimeout(context.Background(), deadline)
			defer cancel()
			c.token(ctx) // it may fail: what counts is when it returns
			late = time.Since(start)
		})
	}
	close(begin)
	group.Wait()
	time.Sleep(slow + slow/2) // a renewal in the background lands
	for _, w := range waits {
		longest = max(longest, w)
		if w > slow/2 {
			waited++
		}
	}
	return map[string]float64{
		"fetches": float64(e.requests.Load() - before),
		"waited":  waited,
		"longest": float64(longest) / float64(slow),
		"late":    float64(late) / float64(deadline),
	}, errors.Join(errs...)
}

// endpoint is a token endpoint that counts.
type endpoint struct {
	issuer   string
	url      string
	close    func()
	requests atomic.Int64
	life     atomic.Int64
	takes    atomic.Int64
}

func newEndpoint() *endpoint {
	e := &endpoint{}
	e.answer(43199, 0)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := e.requests.Add(1)
		time.Sleep(time.Duration(e.takes.Load()))
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"Bearer","expires_in":%d}`, n, e.life.Load())
	}))
	e.issuer, e.url, e.close = server.URL, server.URL+"/oauth/v2/token", server.Close
	return e
}

func (e *endpoint) answer(life int, takes time.Duration) {
	e.life.Store(int64(life))
	e.takes.Store(int64(takes))
}

func openPostern(e *endpoint) (client, error) {
	src, err := clientcredentials.New(clientcredentials.Config{
		Issuer: e.issuer, TokenURL: e.url, ClientID: "id", ClientSecret: "secret",
	})
	if err != nil {
		return client{}, err
	}
	return client{
		token: func(ctx context.Context) error { _, err := src.TokenCtx(ctx); return err },
		transport: func(base http.RoundTripper) (http.RoundTripper, error) {
			return &postern.Transport{Source: src, Origins: []string{api}, Base: base}, nil
		},
	}, nil
}

func config(e *endpoint) *oauth2cc.Config {
	return &oauth2cc.Config{ClientID: "id", ClientSecret: "secret", TokenURL: e.url, AuthStyle: oauth2.AuthStyleInHeader}
}

func openOAuth2(e *endpoint) (client, error) {
	return overOAuth2(config(e).TokenSource(context.Background())), nil
}

// overOAuth2 is a source in the transport of x/oauth2. Its Token takes no context.
func overOAuth2(src oauth2.TokenSource) client {
	return client{
		token: func(context.Context) error { _, err := src.Token(); return err },
		transport: func(base http.RoundTripper) (http.RoundTripper, error) {
			return &oauth2.Transport{Source: src, Base: base}, nil
		},
	}
}

func openOIDC(e *endpoint) (client, error) {
	src, err := profile.NewJWTProfileTokenSource(context.Background(), e.url, "id", "key", key(), []string{"openid"},
		profile.WithStaticTokenEndpoint(e.url, e.url))
	if err != nil {
		return client{}, err
	}
	c := overOAuth2(src)
	c.token = func(ctx context.Context) error { _, err := src.TokenCtx(ctx); return err }
	return c, nil
}

func openGoogle(e *endpoint) (client, error) {
	provider, err := auth.New2LOTokenProvider(&auth.Options2LO{Email: "id", PrivateKey: key(), PrivateKeyID: "key", TokenURL: e.url})
	if err != nil {
		return client{}, err
	}
	creds := auth.NewCredentials(&auth.CredentialsOptions{TokenProvider: auth.NewCachedTokenProvider(provider, nil)})
	return client{
		token: func(ctx context.Context) error { _, err := creds.Token(ctx); return err },
		transport: func(base http.RoundTripper) (http.RoundTripper, error) {
			c := &http.Client{Transport: base}
			err := httptransport.AddAuthorizationMiddleware(c, creds)
			return c.Transport, err
		},
	}, nil
}

// key is one RSA key for all.
var key = sync.OnceValue(func() []byte {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)})
})

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// memory answers at once, without an allocation.
func memory() http.RoundTripper {
	answer := &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}
	return roundTripper(func(*http.Request) (*http.Response, error) { return answer, nil })
}

// requests sends n requests, as http.Client would hand them down. It takes turns with 16 that are alike: where in memory a single one happens to
// lie would be worth a third of the floor.
func requests(transport http.RoundTripper) (op func(n int) error, end func()) {
	ctx, end := context.WithCancel(context.Background()) // as in a server's handler
	alike := make([]*http.Request, 16)
	for i := range alike {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, api+"/management/v1/orgs/me", nil)
		if err != nil {
			return func(int) error { return err }, end
		}
		req.Header.Set("Accept", "application/json")
		req.Header.Set("X-Zitadel-Orgid", "312909075211944042")
		alike[i] = req
	}
	return func(n int) error {
		for i := range n {
			if _, err := transport.RoundTrip(alike[i%len(alike)]); err != nil {
				return err
			}
		}
		return nil
	}, end
}

func newFloor() (harness.Case, error) {
	base, header := memory(), []string{"Bearer token"}
	op, end := requests(roundTripper(func(req *http.Request) (*http.Response, error) {
		out := *req
		out.Header = make(http.Header, len(req.Header)+1)
		for k, v := range req.Header {
			out.Header[k] = v
		}
		out.Header["Authorization"] = header
		return base.RoundTrip(&out)
	}))
	return harness.Case{Op: op, Close: end}, nil
}
