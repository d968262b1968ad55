package oauth_test

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/internal/oauth"
)

// post sends one form to a transport, with a secret in each place where one may be.
func post(t testing.TB, ctx context.Context, transport http.RoundTripper) (*oauth.Response, error) {
	t.Helper()
	form := url.Values{"assertion": {secretInForm}, "scope": {"openid"}}
	return newIssuer(t, transport).PostForm(ctx, issuerURL+"/oauth/v2/token", form, oauth.Basic("bot", secretInHeader), secretGiven)
}

const (
	secretInForm   = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodW50ZXIyIn0.c2lnbmF0dXJl"
	secretInHeader = "pä%ss+wo:rd 12345678"
	secretGiven    = "the-secret-that-was-given"
)

func TestAnAnswerOfTheServerIsAnError(t *testing.T) {
	for name, row := range map[string]struct {
		resp        *http.Response
		want        postern.Error // its Hint is a part of the error's
		unavailable bool
	}{
		"the grant is refused": {jsonAnswer(400, `{"error":"invalid_grant","error_description":"invalid assertion"}`),
			postern.Error{StatusCode: 400, Code: "invalid_grant", Description: "invalid assertion"}, false},
		"the secret is wrong": {jsonAnswer(400, `{"error":"invalid_request","error_description":"Errors.User.Machine.Secret.Invalid"}`),
			postern.Error{StatusCode: 400, Code: "invalid_request", Description: "Errors.User.Machine.Secret.Invalid", Hint: "the client secret is wrong"}, false},
		"the user is not active": {jsonAnswer(400, `{"error":"invalid_request","error_description":"Errors.User.NotActive"}`),
			postern.Error{StatusCode: 400, Code: "invalid_request", Description: "Errors.User.NotActive", Hint: "deactivated or locked"}, false},
		"the client is not known": {jsonAnswer(400, `{"error":"invalid_client","error_description":"client not found"}`),
			postern.Error{StatusCode: 400, Code: "invalid_client", Description: "client not found", Hint: "its user name (login name), not its id"}, false},
		"no scope was asked for": {jsonAnswer(400, `{"error":"invalid_request","error_description":"The scope of your request is missing. Please ensure some scopes are requested."}`),
			postern.Error{StatusCode: 400, Code: "invalid_request", Description: "The scope of your request is missing. Please ensure some scopes are requested.", Hint: "ask for at least one scope"}, false},
		"the grant is not offered": {jsonAnswer(400, `{"error":"unsupported_grant_type","error_description":"made_up not supported"}`),
			postern.Error{StatusCode: 400, Code: "unsupported_grant_type", Description: "made_up not supported", Hint: "is the issuer that of a ZITADEL?"}, false},
		"the client is refused, as the server does": {jsonAnswer(400, `{"error":"unauthorized_client"}`),
			postern.Error{StatusCode: 400, Code: "unauthorized_client", Hint: "does not accept these client credentials"}, false},
		"the client is refused, as the guides say": {jsonAnswer(401, `{"error":"invalid_client"}`, "WWW-Authenticate", "Basic"),
			postern.Error{StatusCode: 401, Code: "invalid_client", Hint: "does not accept these client credentials"}, false},
		"a scope is refused": {jsonAnswer(400, `{"error":"invalid_scope"}`),
			postern.Error{StatusCode: 400, Code: "invalid_scope", Hint: "check Scopes"}, false},
		"the instance is blocked": {answer(429, "text/plain; charset=utf-8", "Your ZITADEL instance is blocked.\n"),
			postern.Error{StatusCode: 429, Hint: "blocked the instance, until its quota is reset"}, true},
		"the instance is blocked, on an API": {jsonAnswer(429, `{"code":8,"message":"instance is blocked"}`),
			postern.Error{StatusCode: 429, Hint: "blocked the instance"}, true},
		"a proxy limits, in seconds": {answer(429, "text/plain", "slow down", "Retry-After", "7"),
			postern.Error{StatusCode: 429, RetryAfter: 7 * time.Second, Hint: "ask less often"}, true},
		"a proxy limits, by a date of its own clock": {answer(503, "", "", "Retry-After", "Sun, 22 Nov 2020 10:00:30 GMT", "Date", "Sun, 22 Nov 2020 10:00:00 GMT"),
			postern.Error{StatusCode: 503, RetryAfter: 30 * time.Second}, true},
		"a date that has passed": {answer(503, "", "", "Retry-After", "Sun, 22 Nov 2020 09:00:00 GMT", "Date", "Sun, 22 Nov 2020 10:00:00 GMT"),
			postern.Error{StatusCode: 503}, true},
		"a wait of years":                         {answer(503, "", "", "Retry-After", "4000000000"), postern.Error{StatusCode: 503, RetryAfter: 24 * time.Hour}, true},
		"a wait beyond numbers":                   {answer(503, "", "", "Retry-After", "99999999999999999999"), postern.Error{StatusCode: 503, RetryAfter: 24 * time.Hour}, true},
		"a negative wait":                         {answer(503, "", "", "Retry-After", "-5"), postern.Error{StatusCode: 503}, true},
		"an OAuth error with 500":                 {jsonAnswer(500, `{"error":"server_error","error_description":"x"}`), postern.Error{StatusCode: 500, Code: "server_error", Description: "x", Hint: "its log says why"}, true},
		"an OAuth error with 429":                 {jsonAnswer(429, `{"error":"slow_down"}`), postern.Error{StatusCode: 429, Code: "slow_down", Hint: "ask less often"}, true},
		"a page":                                  {answer(403, "text/html", "<html>hunter2"), postern.Error{StatusCode: 403, Hint: "does a proxy in front let the request through?"}, true},
		"no OAuth endpoint":                       {answer(404, "text/plain", "404 page not found"), postern.Error{StatusCode: 404, Hint: "check the issuer's URL"}, true},
		"a REST error, of which nothing is shown": {jsonAnswer(403, `{"code":7,"message":"No matching permissions found (AUTH-5mWD2)","details":[]}`), postern.Error{StatusCode: 403, Hint: "OAuth endpoint"}, true},
		"a code that is no word":                  {jsonAnswer(400, `{"error":"in valid\u001b[31m"}`), postern.Error{StatusCode: 400, Hint: "OAuth endpoint"}, true},
		"a code that is too long":                 {jsonAnswer(400, `{"error":"`+strings.Repeat("x", 65)+`"}`), postern.Error{StatusCode: 400, Hint: "OAuth endpoint"}, true},
		"a code that is a number":                 {jsonAnswer(400, `{"error":7}`), postern.Error{StatusCode: 400, Hint: "OAuth endpoint"}, true},
		"two codes":                               {jsonAnswer(400, `{"error":"a","error":"b"}`), postern.Error{StatusCode: 400, Hint: "OAuth endpoint"}, true},
		"half an answer":                          {jsonAnswer(400, `{"error":"invalid_grant"`), postern.Error{StatusCode: 400, Hint: "OAuth endpoint"}, true},
		"an answer that is too long":              {jsonAnswer(400, `{"error":"invalid_grant","x":"`+strings.Repeat("x", 1<<20)+`"}`), postern.Error{StatusCode: 400, Hint: "OAuth endpoint"}, true},
		"a description of control characters": {jsonAnswer(400, `{"error":"e","error_description":"a\u0000b\u001b[31mc\r\nd\u202ee\u00fc"}`),
			postern.Error{StatusCode: 400, Code: "e", Description: "ab[31mc  de"}, false},
		"a long description": {jsonAnswer(400, `{"error":"e","error_description":"`+strings.Repeat("x", 300)+`"}`),
			postern.Error{StatusCode: 400, Code: "e", Description: strings.Repeat("x", 197) + "..."}, false},
		"a description with the assertion": {jsonAnswer(400, `{"error":"e","error_description":"bad assertion `+secretInForm+` sent"}`),
			postern.Error{StatusCode: 400, Code: "e", Description: "bad assertion [redacted] sent"}, false},
		"a description with part of the assertion": {jsonAnswer(400, `{"error":"e","error_description":"it began with `+secretInForm[:18]+`..."}`),
			postern.Error{StatusCode: 400, Code: "e", Description: "it began with [redacted]..."}, false},
		"a description with the password": {jsonAnswer(400, `{"error":"e","error_description":"`+secretInHeader+` is wrong"}`),
			postern.Error{StatusCode: 400, Code: "e", Description: "[redacted] is wrong"}, false},
		"a description with the password, encoded": {jsonAnswer(400, `{"error":"e","error_description":"`+url.QueryEscape(secretInHeader)+` is wrong"}`),
			postern.Error{StatusCode: 400, Code: "e", Description: "[redacted] is wrong"}, false},
		"a description with the header": {jsonAnswer(400, `{"error":"e","error_description":"Basic `+basicHeader+`"}`),
			postern.Error{StatusCode: 400, Code: "e", Description: "Basic [redacted]"}, false},
		"a description with a secret that was given": {jsonAnswer(400, `{"error":"e","error_description":"<`+secretGiven+`>"}`),
			postern.Error{StatusCode: 400, Code: "e", Description: "<[redacted]>"}, false},
		"a secret beyond what is shown": {jsonAnswer(400, `{"error":"e","error_description":"`+strings.Repeat("x", 190)+secretGiven+`"}`),
			postern.Error{StatusCode: 400, Code: "e", Description: strings.Repeat("x", 190) + "[redacted]"}, false},
		"a code that is a secret": {jsonAnswer(400, `{"error":"`+secretGiven+`"}`), postern.Error{StatusCode: 400, Hint: "OAuth endpoint"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			resp, err := post(t, t.Context(), stub(func(*http.Request) (*http.Response, error) { return row.resp, nil }))
			var got *postern.Error
			require.ErrorAs(t, err, &got)
			assert.Contains(t, got.Hint, row.want.Hint)
			row.want.Hint = got.Hint
			assert.Equal(t, row.want, *got)
			assert.Equal(t, row.unavailable, errors.Is(err, postern.ErrUnavailable))
			assert.ErrorContains(t, err, "POST https://issuer.example/oauth/v2/token: ")
			for _, secret := range []string{"hunter2", secretInForm[:15], secretInHeader[:12], secretGiven[:12], basicHeader[:12]} {
				assert.NotContains(t, err.Error(), secret)
			}
			require.NotNil(t, resp, "the answer's header tells the time")
			assert.Empty(t, resp.Body)
			assert.Equal(t, row.want.StatusCode, resp.StatusCode)
		})
	}
}

var basicHeader = base64.StdEncoding.EncodeToString([]byte("bot:" + url.QueryEscape(secretInHeader)))

func TestAnAnswerThatIsUnusableIsAnError(t *testing.T) {
	for name, row := range map[string]struct {
		resp *http.Response
		want string
	}{
		"HTML":                  {answer(200, "text/html", "<html>hunter2"), "expected an answer of application/json, got text/html: is the issuer's URL that of ZITADEL"},
		"text that claims JSON": {answer(200, "text/json", "{}"), "got text/json"},
		"no content type":       {answer(200, "", "{}"), "got none that can be read"},
		"a bad content type":    {answer(200, "hunter2;;;", "{}"), "got none that can be read"},
		"a long content type":   {answer(200, "text/"+strings.Repeat("x", 100), "{}"), "got none that can be read"},
		"too long":              {jsonAnswer(200, strings.Repeat("x", 1<<20+1)), "at most 1048576 bytes"},
		"no content":            {answer(204, "", ""), "got none that can be read"},
		"a redirect, 301":       {answer(301, "", "", "Location", "https://evil.example/?"+secretGiven), "got a redirect to https://evil.example, which"},
		"a redirect, 307":       {answer(307, "", "", "Location", "https://"+secretGiven+".evil.example/"), "got a redirect to https://[redacted].evil.example, which"},
		"a redirect, 308":       {answer(308, "", "", "Location", "/elsewhere"), "got a redirect to https://issuer.example, which"},
		"not modified":          {answer(304, "", ""), "server answered 304"},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			resp, err := post(t, t.Context(), stub(func(r *http.Request) (*http.Response, error) {
				calls++
				row.resp.Request = r
				return row.resp, nil
			}))
			require.ErrorContains(t, err, row.want)
			assert.ErrorIs(t, err, postern.ErrUnavailable)
			assert.NotContains(t, err.Error(), "hunter2")
			assert.NotContains(t, err.Error(), secretGiven[:12])
			assert.NotNil(t, resp)
			assert.Equal(t, 1, calls, "redirects are not followed")
		})
	}
}

func TestAnAnswerOfAnyJSONTypeIsTaken(t *testing.T) {
	for _, media := range []string{"application/json", "Application/JSON; charset=utf-8", "application/jwk-set+json"} {
		resp, err := post(t, t.Context(), stub(func(*http.Request) (*http.Response, error) { return answer(200, media, `{"a":1}`), nil }))
		require.NoError(t, err)
		assert.Equal(t, `{"a":1}`, string(resp.Body))
	}
}

func TestAnEndlessBodyIsReadToItsLimitAndClosed(t *testing.T) {
	for _, status := range []int{200, 302, 400, 500} {
		body := &endless{}
		resp := jsonAnswer(status, "")
		resp.Body = body
		_, err := post(t, t.Context(), stub(func(r *http.Request) (*http.Response, error) { resp.Request = r; return resp, nil }))
		assert.ErrorIs(t, err, postern.ErrUnavailable)
		assert.LessOrEqual(t, body.read, 3<<20, "a buffer's worth beyond the limit")
		assert.True(t, body.closed)
	}
}

type endless struct {
	read   int
	closed bool
}

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e.read += len(p)
	return len(p), nil
}
func (e *endless) Close() error { e.closed = true; return nil }

func TestABodyThatBreaksOffIsNoAnswer(t *testing.T) {
	resp := jsonAnswer(200, "")
	resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"acc`), breaking{}))
	_, err := post(t, t.Context(), stub(func(*http.Request) (*http.Response, error) { return resp, nil }))
	assert.ErrorIs(t, err, postern.ErrUnavailable)
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

type breaking struct{}

func (breaking) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestAConnectionThatFailsIsAnErrorWithoutSecrets(t *testing.T) {
	refused := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	_, err := post(t, t.Context(), stub(func(*http.Request) (*http.Response, error) { return nil, refused }))
	assert.ErrorIs(t, err, postern.ErrUnavailable)
	assert.ErrorIs(t, err, refused)
	assert.EqualError(t, err, "POST https://issuer.example/oauth/v2/token: identity server unavailable: "+
		"expected an answer, got none (dial: connection refused): check the address, and the network, proxies and certificates on the way")

	_, err = post(t, t.Context(), stub(func(*http.Request) (*http.Response, error) {
		return nil, errors.New("malformed HTTP response \"" + secretInForm + "\x1b[31m\"")
	}))
	assert.EqualError(t, err, `POST https://issuer.example/oauth/v2/token: identity server unavailable: `+
		`expected an answer, got none (malformed HTTP response "[redacted][31m"): check the address, and the network, proxies and certificates on the way`)
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		assert.NotContains(t, inner.Error(), secretInForm[:12])
	}
}

func TestACallEndsWithItsContext(t *testing.T) {
	hang := stub(func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() })
	slow := stub(func(r *http.Request) (*http.Response, error) {
		resp := jsonAnswer(200, "")
		resp.Body = io.NopCloser(drip{r.Context()})
		return resp, nil
	})
	for name, transport := range map[string]http.RoundTripper{"before the head": hang, "while the body comes": slow} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				defer cancel()
				start := time.Now()
				_, err := post(t, ctx, transport)
				assert.ErrorIs(t, err, context.DeadlineExceeded)
				assert.NotErrorIs(t, err, postern.ErrUnavailable)
				assert.Equal(t, 50*time.Millisecond, time.Since(start))

				ctx, stop := context.WithCancelCause(t.Context())
				stop(errors.New("a cause of the caller's"))
				_, err = post(t, ctx, transport)
				assert.ErrorIs(t, err, context.Canceled)

				start = time.Now()
				_, err = post(t, t.Context(), transport)
				assert.ErrorIs(t, err, postern.ErrUnavailable)
				assert.NotErrorIs(t, err, context.DeadlineExceeded, "the client's own limit is not the caller's")
				assert.Equal(t, 15*time.Second, time.Since(start))
			})
		})
	}
}

// drip gives a byte a second for ever.
type drip struct{ ctx context.Context }

func (d drip) Read(p []byte) (int, error) {
	select {
	case <-time.After(time.Second):
		p[0] = ' '
		return 1, nil
	case <-d.ctx.Done():
		return 0, d.ctx.Err()
	}
}

func TestBasicEncodesIDAndSecretBeforeBase64(t *testing.T) {
	for _, row := range [][2]string{
		{"bot", "secret"}, {"a:b", "c:d"}, {"100%", "%41"}, {"a+b", "c d"}, {"jürgen@zitadel.example", "geheim-ß-✓"}, {"a&b=c", "d&e=f/?#"}, {"", ""},
	} {
		var header string
		_, err := newIssuer(t, stub(func(r *http.Request) (*http.Response, error) {
			header = r.Header.Get("Authorization")
			return jsonAnswer(200, "{}"), nil
		})).PostForm(t.Context(), issuerURL, nil, oauth.Basic(row[0], row[1]))
		require.NoError(t, err)
		decoded, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(header, "Basic "))
		require.NoError(t, err)
		id, secret, _ := strings.Cut(string(decoded), ":")
		id, err = url.QueryUnescape(id)
		require.NoError(t, err)
		secret, err = url.QueryUnescape(secret)
		require.NoError(t, err)
		assert.Equal(t, row, [2]string{id, secret})
	}
}

func TestQueriesOfAnEndpointAreNotShown(t *testing.T) {
	_, err := newIssuer(t, stub(func(*http.Request) (*http.Response, error) { return nil, io.EOF })).
		PostForm(t.Context(), issuerURL+"/token?key=hunter2", nil, nil)
	assert.ErrorContains(t, err, "POST https://issuer.example/token: ")
	assert.NotContains(t, err.Error(), "hunter2")
}

func TestAURLThatIsNoneIsAnError(t *testing.T) {
	issuer := newIssuer(t, stub(nil))
	_, err := issuer.PostForm(t.Context(), "https://a b\x7f", nil, nil)
	assert.ErrorContains(t, err, "expected a URL")
	_, err = issuer.GetJSON(t.Context(), "https://a b\x7f", 1)
	assert.ErrorContains(t, err, "expected a URL")
}

func TestGetJSONHasTheCallersLimit(t *testing.T) {
	issuer := newIssuer(t, stub(func(*http.Request) (*http.Response, error) { return jsonAnswer(200, "12345"), nil }))
	resp, err := issuer.GetJSON(t.Context(), issuerURL, 5)
	require.NoError(t, err)
	assert.Equal(t, "12345", string(resp.Body))
	_, err = issuer.GetJSON(t.Context(), issuerURL, 4)
	assert.ErrorContains(t, err, "at most 4 bytes")
}

func TestTimesEncloseTheServersWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		resp, err := post(t, t.Context(), stub(func(*http.Request) (*http.Response, error) {
			time.Sleep(3 * time.Second)
			return jsonAnswer(200, "{}"), nil
		}))
		require.NoError(t, err)
		assert.Equal(t, start, resp.Sent)
		assert.Equal(t, start.Add(3*time.Second), resp.Received)
	})
}

func TestACertificateAuthorityIsTheClients(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, "{}")
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	issuer, err := oauth.New(oauth.Config{Issuer: server.URL})
	require.NoError(t, err)
	_, err = issuer.GetJSON(t.Context(), server.URL, 10)
	assert.ErrorIs(t, err, postern.ErrUnavailable)
	var unknown x509.UnknownAuthorityError
	assert.ErrorAs(t, err, &unknown, "what is wrong with a certificate can be found out")

	issuer, err = oauth.New(oauth.Config{Issuer: server.URL, HTTPClient: server.Client()})
	require.NoError(t, err)
	_, err = issuer.GetJSON(t.Context(), server.URL, 10)
	assert.NoError(t, err)
}

// The real transport, for what a stub cannot show.
func TestOverANetwork(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, "/elsewhere?"+secretGiven, http.StatusTemporaryRedirect)
		case "/hang-up":
			conn, _, _ := w.(http.Hijacker).Hijack()
			conn.Close()
		case "/nonsense":
			conn, _, _ := w.(http.Hijacker).Hijack()
			body, _ := io.ReadAll(r.Body)
			conn.Write([]byte("HTTP/9.9 " + string(body) + "\r\n\r\n"))
			conn.Close()
		case "/endless":
			w.Header().Set("Content-Type", "application/json")
			for {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		default:
			t.Error("a redirect was followed")
		}
	}))
	defer server.Close()
	defer http.DefaultClient.CloseIdleConnections()
	issuer, err := oauth.New(oauth.Config{Issuer: server.URL, HTTPClient: server.Client()})
	require.NoError(t, err)
	for path, want := range map[string]string{
		"/redirect": "got a redirect to " + server.URL, "/hang-up": "EOF", "/nonsense": "malformed HTTP", "/endless": "at most 1048576 bytes",
	} {
		_, err := issuer.PostForm(t.Context(), server.URL+path, url.Values{"token": {secretGiven}}, nil)
		assert.ErrorContains(t, err, want)
		assert.ErrorIs(t, err, postern.ErrUnavailable)
		assert.NotContains(t, err.Error(), secretGiven[:12])
	}
}
