package postern_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/postern-go/postern"
)

const secret = "dEnN-secret.token_~+/=="

// fixed always gives the same token.
func fixed(token string) *stub {
	return &stub{answer: func(context.Context, int64) (*oauth2.Token, error) { return &oauth2.Token{AccessToken: token}, nil }}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// body counts how often it is closed.
type body struct {
	io.Reader
	closed atomic.Int64
}

func (b *body) Close() error { b.closed.Add(1); return nil }

func response(req *http.Request, status int) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody, Request: req}
}

// Each row is one attack on, or one honest use of, the rule where a token may go. The request goes to the first hop, and each hop
// answers with a redirect to the next. In want a hop stands as T (came with the token) or - (came without), and ! for an
// error instead of a hop.
func TestTransportOrigins(t *testing.T) {
	api := []string{"https://api.example.com"}
	for _, row := range []struct {
		attack  string
		origins []string
		hops    []string
		want    string
		err     string
		request func(*http.Request)
		http    bool
	}{
		// One request.
		{attack: "none: the origin itself", origins: api, hops: []string{"https://api.example.com/v1?x=y"}, want: "T"},
		{attack: "none: another path", origins: api, hops: []string{"https://api.example.com/../admin"}, want: "T"},
		{attack: "none: upper case", origins: api, hops: []string{"https://API.Example.COM/"}, want: "T"},
		{attack: "none: upper case in the origin", origins: []string{"https://API.Example.COM"}, hops: []string{"https://api.example.com/"}, want: "T"},
		{attack: "none: default port written out", origins: api, hops: []string{"https://api.example.com:443/"}, want: "T"},
		{attack: "none: default port in the origin", origins: []string{"https://api.example.com:443"}, hops: []string{"https://api.example.com/"}, want: "T"},
		{attack: "none: IPv6 in long form", origins: []string{"https://[::1]:8443"}, hops: []string{"https://[0:0:0:0:0:0:0:1]:8443/"}, want: "T"},
		{attack: "none: international name", origins: []string{"https://bücher.example"}, hops: []string{"https://xn--bcher-kva.example/"}, want: "T"},
		{attack: "none: international name in capitals", origins: []string{"https://xn--bcher-kva.example"}, hops: []string{"https://BÜCHER.example/"}, want: "T"},
		{attack: "none: second of two origins", origins: []string{"https://a.example", "https://b.example"}, hops: []string{"https://b.example/"}, want: "T"},
		{attack: "another host", origins: api, hops: []string{"https://evil.example/"}, want: "!", err: "not among Origins"},
		{attack: "parent domain", origins: api, hops: []string{"https://example.com/"}, want: "!", err: "not among Origins"},
		{attack: "subdomain", origins: api, hops: []string{"https://x.api.example.com/"}, want: "!", err: "not among Origins"},
		{attack: "name as a prefix of another", origins: api, hops: []string{"https://api.example.com.evil.example/"}, want: "!", err: "not among Origins"},
		{attack: "name as a suffix of another", origins: api, hops: []string{"https://evilapi.example.com/"}, want: "!", err: "not among Origins"},
		{attack: "name as user info of another", origins: api, hops: []string{"https://api.example.com@evil.example/"}, want: "!", err: "not among Origins"},
		{attack: "name in another's path", origins: api, hops: []string{"https://evil.example/https://api.example.com"}, want: "!", err: "not among Origins"},
		{attack: "name in another's fragment", origins: api, hops: []string{"https://evil.example#@api.example.com/"}, want: "!", err: "not among Origins"},
		{attack: "root dot", origins: api, hops: []string{"https://api.example.com./"}, want: "!", err: "not among Origins"},
		{attack: "downgrade to http", origins: api, hops: []string{"http://api.example.com/"}, want: "!", err: "not among Origins"},
		{attack: "http on the https port", origins: api, hops: []string{"http://api.example.com:443/"}, want: "!", err: "not among Origins"},
		{attack: "another service on the host", origins: api, hops: []string{"https://api.example.com:8443/"}, want: "!", err: "not among Origins"},
		{attack: "another scheme", origins: api, hops: []string{"ftp://api.example.com/"}, want: "!", err: "not among Origins"},
		{attack: "look-alike letter", origins: api, hops: []string{"https://аpi.example.com/"}, want: "!", err: "not among Origins"},
		{attack: "none: Kelvin sign, which is dialled as k", origins: []string{"https://kiosk.example"}, hops: []string{"https://\u212aiosk.example/"}, want: "T"},
		{attack: "dotless i, which upper-cases to I", origins: []string{"https://kiosk.example"}, hops: []string{"https://kıosk.example/"}, want: "!", err: "not among Origins"},
		{attack: "IPv4 in IPv6", origins: []string{"https://192.0.2.1"}, hops: []string{"https://[::ffff:192.0.2.1]/"}, want: "!", err: "not among Origins"},
		{attack: "decimal address", origins: []string{"http://127.0.0.1"}, hops: []string{"http://2130706433/"}, want: "!", err: "not among Origins"},
		{attack: "octal address", origins: []string{"http://127.0.0.1"}, hops: []string{"http://0177.0.0.1/"}, want: "!", err: "not among Origins"},
		{attack: "loopback under another name", origins: []string{"http://localhost:80"}, hops: []string{"http://127.0.0.1/"}, want: "!", err: "not among Origins"},
		{attack: "no host", origins: api, hops: []string{"https:///x"}, want: "!", err: "not among Origins"},
		{attack: "brackets around a name", origins: api, hops: []string{"https://api.example.com/"}, want: "!", err: "not among Origins",
			request: func(r *http.Request) { r.URL.Host = "[api.example.com]" }},
		{attack: "control character in a hand-made host", origins: []string{"https://*.example.com"}, hops: []string{"https://api.example.com/"}, want: "!", err: "not among Origins",
			request: func(r *http.Request) { r.URL.Host = "evil.example\x00.example.com" }},
		{attack: "Host header of another tenant behind the same front", origins: api, hops: []string{"https://api.example.com/"}, want: "!", err: "with Host",
			request: func(r *http.Request) { r.Host = "evil.example" }},
		{attack: "none: Host header that is named too", origins: []string{"https://10.0.0.1", "https://api.example.com"}, hops: []string{"https://10.0.0.1/"}, want: "T",
			request: func(r *http.Request) { r.Host = "api.example.com" }},
		{attack: "opaque URL, which a proxy follows", origins: api, hops: []string{"https://api.example.com/"}, want: "!", err: "opaque",
			request: func(r *http.Request) { r.URL.Opaque = "//evil.example/" }},
		// Wildcards.
		{attack: "none: one label", origins: []string{"https://*.example.com"}, hops: []string{"https://a.example.com/"}, want: "T"},
		{attack: "no label", origins: []string{"https://*.example.com"}, hops: []string{"https://example.com/"}, want: "!", err: "not among Origins"},
		{attack: "two labels", origins: []string{"https://*.example.com"}, hops: []string{"https://a.b.example.com/"}, want: "!", err: "not among Origins"},
		{attack: "empty label", origins: []string{"https://*.example.com"}, hops: []string{"https://.example.com/"}, want: "!", err: "not among Origins"},
		{attack: "a dot that is none until it is mapped", origins: []string{"https://*.example.com"}, hops: []string{"https://a\u3002b.example.com/"}, want: "!", err: "not among Origins"},
		{attack: "domain as a suffix", origins: []string{"https://*.example.com"}, hops: []string{"https://evilexample.com/"}, want: "!", err: "not among Origins"},
		// Plain http.
		{attack: "none: loopback", origins: []string{"http://localhost:8080"}, hops: []string{"http://localhost:8080/"}, want: "T"},
		{attack: "none: AllowHTTP", origins: []string{"http://api.internal"}, hops: []string{"http://api.internal/"}, want: "T", http: true},
		{attack: "listening on the way", origins: []string{"http://api.example.com"}, hops: []string{"http://api.example.com/"}, want: "!", err: "AllowHTTP"},
		{attack: "localhost as a prefix", origins: []string{"http://localhost.evil.example"}, hops: []string{"http://localhost.evil.example/"}, want: "!", err: "AllowHTTP"},
		// Credentials of others.
		{attack: "a caller's Authorization", origins: api, hops: []string{"https://api.example.com/"}, want: "!", err: "carries an Authorization header already",
			request: func(r *http.Request) { r.Header.Set("Authorization", "Basic eDp5") }},
		{attack: "the same in lower case", origins: api, hops: []string{"https://api.example.com/"}, want: "!", err: "carries an Authorization header already",
			request: func(r *http.Request) { r.Header["authorization"] = []string{"Basic eDp5"} }},
		{attack: "user info in the URL", origins: api, hops: []string{"https://u:p@api.example.com/"}, want: "!", err: "carries an Authorization header already"},
		{attack: "none: Authorization without a value", origins: api, hops: []string{"https://api.example.com/"}, want: "T",
			request: func(r *http.Request) { r.Header["authorization"] = nil }},
		// Redirects.
		{attack: "none: redirect within the origin", origins: api, hops: []string{"https://api.example.com/a", "/b", "https://API.example.com:443/c"}, want: "TTT"},
		{attack: "none: redirect to another origin that is named", origins: []string{"https://a.example", "https://b.example"}, hops: []string{"https://a.example/", "https://b.example/"}, want: "TT"},
		{attack: "redirect to another host", origins: api, hops: []string{"https://api.example.com/", "https://evil.example/"}, want: "T-"},
		{attack: "redirect to a subdomain, whereto net/http copies headers", origins: api, hops: []string{"https://api.example.com/", "https://evil.api.example.com/"}, want: "T-"},
		{attack: "redirect to the parent domain", origins: api, hops: []string{"https://api.example.com/", "https://example.com/"}, want: "T-"},
		{attack: "redirect to http", origins: api, hops: []string{"https://api.example.com/", "http://api.example.com/"}, want: "T-"},
		{attack: "redirect to another port", origins: api, hops: []string{"https://api.example.com/", "https://api.example.com:8443/"}, want: "T-"},
		{attack: "redirect without a scheme", origins: api, hops: []string{"https://api.example.com/", "//evil.example/"}, want: "T-"},
		{attack: "redirect to user info", origins: api, hops: []string{"https://api.example.com/", "https://api.example.com@evil.example/"}, want: "T-"},
		{attack: "redirect that brings its own credentials", origins: api, hops: []string{"https://api.example.com/", "https://u:p@api.example.com/"}, want: "T!", err: "carries an Authorization header already"},
		{attack: "redirect to the cloud's metadata service", origins: api, hops: []string{"https://api.example.com/", "http://169.254.169.254/latest"}, want: "T-"},
		{attack: "redirect out and back", origins: api, hops: []string{"https://api.example.com/", "https://evil.example/", "https://api.example.com/delete"}, want: "T--"},
		{attack: "redirect out, back, and further within", origins: api, hops: []string{"https://api.example.com/", "https://evil.example/", "https://api.example.com/a", "https://api.example.com/b"}, want: "T---"},
		{attack: "redirect through http and back", origins: api, hops: []string{"https://api.example.com/", "http://api.example.com/", "https://api.example.com/"}, want: "T--"},
		{attack: "redirect out by a wildcard's edge", origins: []string{"https://*.example.com"}, hops: []string{"https://a.example.com/", "https://b.example.com/", "https://c.b.example.com/", "https://a.example.com/"}, want: "TT--"},
		{attack: "redirect to a name that is opaque until it is mapped", origins: api, hops: []string{"https://api.example.com/", "https://evil\u3002example/"}, want: "T-"},
	} {
		t.Run(row.attack, func(t *testing.T) {
			var seen strings.Builder
			network := roundTripper(func(req *http.Request) (*http.Response, error) {
				switch values := req.Header["Authorization"]; {
				case len(values) == 1 && values[0] == "Bearer "+secret:
					seen.WriteByte('T')
				case strings.Contains(fmt.Sprint(req.Header), secret):
					seen.WriteByte('?')
				default:
					seen.WriteByte('-')
				}
				resp := response(req, http.StatusOK)
				if seen.Len() < len(row.hops) {
					resp.StatusCode = http.StatusFound
					resp.Header.Set("Location", row.hops[seen.Len()])
				}
				return resp, nil
			})
			client := &http.Client{Transport: &postern.Transport{Source: fixed(secret), Origins: row.origins, Base: network, AllowHTTP: row.http}}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, row.hops[0], nil)
			require.NoError(t, err)
			if row.request != nil {
				row.request(req)
			}
			before := req.Header.Clone()
			resp, err := client.Do(req)
			want, fails := strings.CutSuffix(row.want, "!")
			assert.Equal(t, want, seen.String())
			assert.Equal(t, before, req.Header, "the caller's request is as it was")
			if fails {
				require.ErrorContains(t, err, row.err)
				assert.NotContains(t, err.Error(), secret)
				return
			}
			require.NoError(t, err)
			resp.Body.Close()
			for r := resp; r != nil; r = r.Request.Response {
				assert.NotContains(t, fmt.Sprint(r.Request.Header), secret, "what a caller may log")
			}
		})
	}
}

// The same over real connections, with a body that a 307 sends again.
func TestTransportRedirectOverTheNetwork(t *testing.T) {
	var got []string
	note := func(r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		got = append(got, fmt.Sprint(r.URL.Path, " ", r.Header.Get("Authorization"), " ", string(text)))
	}
	var api *httptest.Server
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		note(r)
		http.Redirect(w, r, api.URL+"/back", http.StatusTemporaryRedirect)
	}))
	defer evil.Close()
	api = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		note(r)
		if r.URL.Path == "/start" {
			http.Redirect(w, r, evil.URL+"/evil", http.StatusTemporaryRedirect)
		}
	}))
	defer api.Close()
	client := postern.NewClient(fixed(secret), api.URL)
	defer client.CloseIdleConnections()
	resp, err := client.Post(api.URL+"/start", "text/plain", strings.NewReader("hello"))
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, []string{"/start Bearer " + secret + " hello", "/evil  hello", "/back  hello"}, got)
}

// A chain of redirects with a missing link, or without an end, is not trusted.
func TestTransportBrokenRedirectChains(t *testing.T) {
	loop := &http.Request{URL: &url.URL{Scheme: "https", Host: "api.example.com"}}
	loop.Response = &http.Response{Request: loop}
	for name, cause := range map[string]*http.Response{
		"no request": {},
		"no URL":     {Request: &http.Request{}},
		"a loop":     {Request: loop},
	} {
		var header http.Header
		transport := &postern.Transport{Source: fixed(secret), Origins: []string{"https://api.example.com"}, Base: roundTripper(func(r *http.Request) (*http.Response, error) {
			header = r.Header
			return response(r, 200), nil
		})}
		req, err := http.NewRequest(http.MethodGet, "https://api.example.com/", nil)
		require.NoError(t, err)
		req.Response = cause
		_, err = transport.RoundTrip(req)
		require.NoError(t, err, name)
		assert.Empty(t, header, name)
	}
}

func TestTransportSaysAllThatIsWrongWithIt(t *testing.T) {
	send := func(transport *postern.Transport) error {
		req, err := http.NewRequest(http.MethodPost, "https://api.example.com", nil)
		require.NoError(t, err)
		b := &body{Reader: strings.NewReader("x")}
		req.Body = b
		_, err = transport.RoundTrip(req)
		assert.EqualValues(t, 1, b.closed.Load())
		return err
	}
	err := send(&postern.Transport{})
	for _, part := range []string{"Source is nil", "Origins is empty"} {
		assert.ErrorContains(t, err, part, "zero value")
	}
	err = send(&postern.Transport{Source: (*stub)(nil), Origins: []string{"api.example.com", "https://api.example.com/v1", "http://x.example"}, Base: (*http.Transport)(nil)})
	for _, part := range []string{"Source is nil", `"api.example.com": expected https://`, `write "https://api.example.com"`, "AllowHTTP", "Base is a nil *http.Transport"} {
		assert.ErrorContains(t, err, part)
	}
	new(postern.Transport).CloseIdleConnections()
}

func TestTransportRequestWithoutURL(t *testing.T) {
	_, err := (&postern.Transport{Source: fixed("a"), Origins: []string{"https://a.example"}}).RoundTrip(&http.Request{})
	assert.ErrorContains(t, err, "without a URL")
}

// Where no http.Client is in between to make a header of it.
func TestTransportRefusesUserInfoByItself(t *testing.T) {
	b := &body{Reader: strings.NewReader("x")}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://u:hunter2@api.example.com/x", b)
	require.NoError(t, err)
	_, err = (&postern.Transport{Source: fixed(secret), Origins: []string{"https://api.example.com"}, Base: roundTripper(func(*http.Request) (*http.Response, error) {
		t.Error("sent")
		return nil, errors.ErrUnsupported
	})}).RoundTrip(req)
	require.ErrorContains(t, err, "user info in its URL")
	assert.NotContains(t, err.Error(), "hunter2")
	assert.EqualValues(t, 1, b.closed.Load())
}

// What a source may not get onto the wire.
func TestTransportChecksTokens(t *testing.T) {
	for token, want := range map[string]string{
		"":                 "got nothing",
		"==":               "got only =",
		"abc\r\nX-Evil: 1": "byte 4 of 14",
		"abc def":          "byte 4 of 7",
		"abc\n":            "byte 4 of 4",
		"a=b":              "byte 2 of 3",
		"tökén":            "byte 2 of 7",
		`"abc"`:            "byte 1 of 5",
	} {
		b := &body{Reader: strings.NewReader("x")}
		_, err := send(t, fixed(token), b, nil)
		assert.ErrorContains(t, err, want, "%q", token)
		if len(token) > 2 {
			assert.NotContains(t, err.Error(), token)
		}
		assert.EqualValues(t, 1, b.closed.Load())
	}
	for _, src := range []*stub{
		{answer: func(context.Context, int64) (*oauth2.Token, error) { return nil, nil }},
		{answer: func(context.Context, int64) (*oauth2.Token, error) {
			return &oauth2.Token{AccessToken: "a", TokenType: "DPoP"}, nil
		}},
		{answer: func(context.Context, int64) (*oauth2.Token, error) { return nil, errors.ErrUnsupported }},
	} {
		b := &body{Reader: strings.NewReader("x")}
		_, err := send(t, src, b, nil)
		assert.Error(t, err)
		assert.EqualValues(t, 1, b.closed.Load())
	}
}

// send sends one request with that body over a Transport whose Base is base, or answers 200.
func send(t *testing.T, src postern.TokenSource, b io.ReadCloser, base roundTripper) (*http.Response, error) {
	t.Helper()
	if base == nil {
		base = func(req *http.Request) (*http.Response, error) { return consume(req, 200), nil }
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.example.com/x", nil)
	require.NoError(t, err)
	req.Body = b
	return (&postern.Transport{Source: src, Origins: []string{"https://api.example.com"}, Base: base}).RoundTrip(req)
}

// consume does with a request what a RoundTripper must.
func consume(req *http.Request, status int) *http.Response {
	if req.Body != nil {
		io.Copy(io.Discard, req.Body)
		req.Body.Close()
	}
	return response(req, status)
}

// ZITADEL refuses "bearer": the scheme is capitalised whatever token_type said.
func TestTransportScheme(t *testing.T) {
	for _, kind := range []string{"", "bearer", "BEARER", "Bearer"} {
		src := &stub{answer: func(context.Context, int64) (*oauth2.Token, error) {
			return &oauth2.Token{AccessToken: "abc", TokenType: kind}, nil
		}}
		var got string
		_, err := send(t, src, nil, func(req *http.Request) (*http.Response, error) {
			got = req.Header.Get("Authorization")
			return response(req, 200), nil
		})
		require.NoError(t, err)
		assert.Equal(t, "Bearer abc", got)
	}
}

func TestTransportAllocations(t *testing.T) {
	answer := response(nil, 200)
	transport := &postern.Transport{
		Source:  postern.Reuse(fixed(secret), postern.ReuseConfig{}),
		Origins: []string{"https://other.example", "https://api.example.com"},
		Base:    roundTripper(func(*http.Request) (*http.Response, error) { return answer, nil }),
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example.com/x", nil)
	require.NoError(t, err)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("X-Zitadel-Orgid", "1")
	_, err = transport.RoundTrip(req)
	require.NoError(t, err)
	assert.LessOrEqual(t, testing.AllocsPerRun(1000, func() { transport.RoundTrip(req) }), 3.0)
}

func TestTransportLeavesTheRequestAlone(t *testing.T) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example.com/x", nil)
	require.NoError(t, err)
	req.Header.Set("Accept", "text/plain")
	before := req.Clone(t.Context())
	transport := &postern.Transport{Source: fixed(secret), Origins: []string{"https://api.example.com"}, Base: roundTripper(func(out *http.Request) (*http.Response, error) {
		out.Header.Set("X-Base", "changed")
		return response(out, 200), nil
	})}
	resp, err := transport.RoundTrip(req)
	require.NoError(t, err)
	assert.Equal(t, before, req)
	assert.Same(t, req, resp.Request)
}

func TestTransportSendsNothingForAContextThatHasEnded(t *testing.T) {
	for name, src := range map[string]*stub{
		"before":                        fixed(secret),
		"while the source is asked":     {answer: func(context.Context, int64) (*oauth2.Token, error) { return &oauth2.Token{AccessToken: "a"}, nil }},
		"while the source waits for it": {answer: func(ctx context.Context, _ int64) (*oauth2.Token, error) { <-ctx.Done(); return nil, ctx.Err() }},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		answer := src.answer
		src.answer = func(c context.Context, n int64) (*oauth2.Token, error) { cancel(); return answer(c, n) }
		if name == "before" {
			cancel()
		}
		b := &body{Reader: strings.NewReader("x")}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://api.example.com/x", b)
		require.NoError(t, err)
		transport := &postern.Transport{Source: src, Origins: []string{"https://api.example.com"}, Base: roundTripper(func(*http.Request) (*http.Response, error) {
			assert.Fail(t, "sent", name)
			return nil, errors.ErrUnsupported
		})}
		_, err = transport.RoundTrip(req)
		assert.ErrorIs(t, err, context.Canceled, name)
		assert.EqualValues(t, 1, b.closed.Load(), name)
		cancel()
	}
}

// Nor a second time, when the context ends while the 401 is read, which its server may draw out.
func TestTransportSendsNothingAgainForAContextThatHasEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var sent int
	var bodies []*body
	transport := &postern.Transport{Source: postern.Reuse(living(time.Hour, 0), postern.ReuseConfig{}), Origins: []string{"https://api.example.com"},
		Base: roundTripper(func(r *http.Request) (*http.Response, error) {
			sent++
			resp := consume(r, 401)
			b := &body{Reader: readerFunc(func([]byte) (int, error) { cancel(); return 0, ctx.Err() })}
			resp.Body, bodies = b, append(bodies, b)
			return resp, nil
		})}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://api.example.com/x", nil)
	require.NoError(t, err)
	req.GetBody = func() (io.ReadCloser, error) {
		b := &body{Reader: strings.NewReader("x")}
		bodies = append(bodies, b)
		return b, nil
	}
	req.Body, _ = req.GetBody()
	_, err = transport.RoundTrip(req)
	assert.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, 1, sent)
	assert.Len(t, bodies, 3)
	for _, b := range bodies {
		assert.EqualValues(t, 1, b.closed.Load())
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestTransportBase(t *testing.T) {
	_, err := send(t, fixed(secret), nil, func(*http.Request) (*http.Response, error) { return nil, errors.ErrUnsupported })
	assert.ErrorIs(t, err, errors.ErrUnsupported)
	_, err = send(t, fixed(secret), nil, func(*http.Request) (*http.Response, error) { return nil, nil })
	assert.ErrorContains(t, err, "neither a response nor an error")
	base := &closer{}
	transport := &postern.Transport{Source: fixed(secret), Origins: []string{"https://a.example"}, Base: base}
	(&http.Client{Transport: transport}).CloseIdleConnections()
	assert.True(t, base.closed)
}

type closer struct {
	http.RoundTripper
	closed bool
}

func (c *closer) CloseIdleConnections() { c.closed = true }

// On a 401. Each row says what comes first and what the source can give; want lists the tokens that were sent.
func TestTransportUnauthorized(t *testing.T) {
	reuse := func(tokens ...string) postern.TokenSource {
		return postern.Reuse(&stub{answer: func(_ context.Context, n int64) (*oauth2.Token, error) {
			if tokens[n-1] == "" {
				return nil, postern.ErrUnavailable
			}
			return &oauth2.Token{AccessToken: tokens[n-1]}, nil
		}}, postern.ReuseConfig{})
	}
	for _, row := range []struct {
		rule   string
		src    postern.TokenSource
		body   func(*http.Request)
		good   string // the token that the server takes
		want   string
		status int
	}{
		{"a fresh token is tried once", reuse("old", "new"), nil, "new", "old new", 200},
		{"once only", reuse("old", "new", "newer"), nil, "newer", "old new", 401},
		{"a token that is the same is not", reuse("old", "old"), nil, "new", "old", 401},
		{"a source that gives none leaves the 401", reuse("old", ""), nil, "new", "old", 401},
		{"a source without Invalidate that has another", &stub{answer: func(_ context.Context, n int64) (*oauth2.Token, error) {
			return &oauth2.Token{AccessToken: fmt.Sprint("t", n)}, nil
		}}, nil, "t2", "t1 t2", 200},
		{"a source without Invalidate that has not, as a PAT", fixed("pat"), nil, "new", "pat", 401},
		{"a fresh token with characters that no token has", reuse("old", "n w"), nil, "new", "old", 0},
		{"a body that can be had again", reuse("old", "new"), func(r *http.Request) {
			r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("hello")), nil }
		}, "new", "old:hello new:hello", 200},
		{"a body that cannot", reuse("old", "new"), func(r *http.Request) { r.GetBody = nil }, "new", "old:hello", 401},
		{"a body that fails to be had again", reuse("old", "new"), func(r *http.Request) {
			r.GetBody = func() (io.ReadCloser, error) { return nil, errors.ErrUnsupported }
		}, "new", "old:hello", 401},
		{"http.NoBody", reuse("old", "new"), func(r *http.Request) { r.Body, r.GetBody = http.NoBody, nil }, "new", "old new", 200},
	} {
		t.Run(row.rule, func(t *testing.T) {
			var sent []string
			var answers []*body
			transport := &postern.Transport{Source: row.src, Origins: []string{"https://api.example.com"}, Base: roundTripper(func(r *http.Request) (*http.Response, error) {
				token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
				status := http.StatusUnauthorized
				if token == row.good {
					status = http.StatusOK
				}
				if r.Body != nil {
					if text, _ := io.ReadAll(r.Body); len(text) > 0 {
						token += ":" + string(text)
					}
					r.Body.Close()
				}
				sent = append(sent, token)
				resp := response(r, status)
				b := &body{Reader: strings.NewReader("answer")}
				resp.Body = b
				answers = append(answers, b)
				return resp, nil
			})}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.example.com/x", nil)
			require.NoError(t, err)
			var first *body
			if row.body != nil {
				first = &body{Reader: strings.NewReader("hello")}
				req.Body = first
				row.body(req)
				if req.Body == http.NoBody {
					first = nil
				}
			}
			resp, err := transport.RoundTrip(req)
			assert.Equal(t, row.want, strings.Join(sent, " "))
			if row.status == 0 {
				assert.Error(t, err)
			} else {
				require.NoError(t, err)
				assert.Equal(t, row.status, resp.StatusCode)
				text, _ := io.ReadAll(resp.Body)
				assert.Equal(t, "answer", string(text), "the answer that the caller gets is whole")
				assert.Same(t, req, resp.Request)
				resp.Body.Close()
			}
			for i, b := range answers {
				assert.EqualValues(t, 1, b.closed.Load(), "answer %d", i+1)
			}
			if first != nil {
				assert.EqualValues(t, 1, first.closed.Load(), "request body")
			}
		})
	}
}

// An API that refuses every token, for instance because a scope is missing, does not make every request fetch one.
func TestTransportStopsFetchingForAnAPIThatRefusesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := living(time.Hour, 0)
		var sent int
		client := &http.Client{Transport: &postern.Transport{
			Source: postern.Reuse(src, postern.ReuseConfig{}), Origins: []string{"https://api.example.com"},
			Base: roundTripper(func(r *http.Request) (*http.Response, error) { sent++; return response(r, 401), nil }),
		}}
		for range 600 {
			resp, err := client.Get("https://api.example.com")
			require.NoError(t, err)
			assert.Equal(t, 401, resp.StatusCode)
			time.Sleep(time.Second)
		}
		assert.LessOrEqual(t, src.calls.Load(), int64(11))
		assert.LessOrEqual(t, sent, 611)
	})
}

// As http.Client does, the Transport takes answers without a Body, which only a RoundTripper in a test gives.
func TestTransportOverABaseWithoutBodies(t *testing.T) {
	client := &http.Client{Transport: &postern.Transport{
		Source: postern.Reuse(living(time.Hour, 0), postern.ReuseConfig{}), Origins: []string{"https://api.example.com"},
		Base: roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("Authorization") == "Bearer token-1" {
				return &http.Response{StatusCode: 401}, nil
			}
			return &http.Response{StatusCode: 200}, nil
		}),
	}}
	resp, err := client.Get("https://api.example.com")
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, 200, resp.StatusCode)
}

// 100 callers that are refused together make for one call of the source, not a hundred.
func TestTransportRefusedTogether(t *testing.T) {
	src := living(time.Hour, 0)
	var refused sync.WaitGroup
	refused.Add(100)
	transport := &postern.Transport{
		Source: postern.Reuse(src, postern.ReuseConfig{}), Origins: []string{"https://api.example.com"},
		Base: roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("Authorization") == "Bearer token-1" {
				refused.Done()
				refused.Wait()
				return response(r, 401), nil
			}
			return response(r, 200), nil
		}),
	}
	var callers sync.WaitGroup
	for range 100 {
		callers.Go(func() {
			req := httptest.NewRequest(http.MethodGet, "https://api.example.com", nil)
			if resp, err := transport.RoundTrip(req); assert.NoError(t, err) {
				assert.Equal(t, 200, resp.StatusCode)
			}
		})
	}
	callers.Wait()
	assert.EqualValues(t, 2, src.calls.Load())
}

// The 401's connection is used again for the second try.
func TestTransportKeepsTheConnection(t *testing.T) {
	var connections atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer token-2" {
			w.WriteHeader(401)
		}
		w.Write(bytes.Repeat([]byte("x"), 1000))
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	client := postern.NewClient(postern.Reuse(living(time.Hour, 0), postern.ReuseConfig{}), server.URL)
	defer client.CloseIdleConnections()
	resp, err := client.Get(server.URL)
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, 200, resp.StatusCode)
	assert.EqualValues(t, 1, connections.Load())
}
