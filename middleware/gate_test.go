package middleware_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/middleware"
)

const secret = "s3cr3t-t0ken"

type verifier func(ctx context.Context, token string) (*postern.Identity, error)

func (v verifier) Verify(ctx context.Context, token string) (*postern.Identity, error) {
	return v(ctx, token)
}

func identity(t testing.TB, claims map[string]any) *postern.Identity {
	t.Helper()
	if claims == nil {
		claims = map[string]any{}
	}
	id, err := postern.NewIdentity(claims)
	require.NoError(t, err)
	return id
}

// answering returns a verifier that gives every token the same answer.
func answering(id *postern.Identity, err error) verifier {
	return func(context.Context, string) (*postern.Identity, error) { return id, err }
}

// send sends one request through the protection to a handler that answers "in", and returns what came back.
func send(protect func(http.Handler) http.Handler, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "/orders", nil)
	r.Header.Set("Authorization", "Bearer "+secret)
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	protect(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "in") })).ServeHTTP(w, r)
	return w
}

func authorization(values ...string) func(*http.Request) {
	return func(r *http.Request) { r.Header["Authorization"] = values }
}

func without(r *http.Request) { r.Header.Del("Authorization") }

func method(m string) func(*http.Request) { return func(r *http.Request) { r.Method = m } }

// weird implements error in ways that no error should.
type weird struct{}

func (*weird) Error() string   { return secret }
func (*weird) Is(error) bool   { panic(secret) }
func (*weird) Unwrap() []error { return []error{nil, nil} }

func TestResponses(t *testing.T) {
	good := identity(t, map[string]any{"sub": "1", "scope": "openid"})
	for _, c := range []struct {
		rule       string
		verify     verifier
		checks     []middleware.Check
		change     func(*http.Request)
		status     int
		challenge  string
		retryAfter string
		body       string
	}{
		{
			rule: "good token and no checks: let through (RFC 6750 §2.1)", verify: answering(good, nil), status: 200, body: "in",
		},
		{
			rule:   "good token and passing checks: let through (RFC 6750 §2.1)",
			verify: answering(good, nil), checks: []middleware.Check{middleware.Scope("openid")}, status: 200, body: "in",
		},
		{
			rule:   "no token: 401 without an error code (RFC 6750 §3.1)",
			verify: answering(good, nil), change: without, status: 401,
			challenge: `Bearer realm="api"`,
			body:      `{"error":"unauthorized","error_description":"a bearer token is needed"}`,
		},
		{
			rule:   "other scheme: 401 without an error code (RFC 6750 §3.1)",
			verify: answering(good, nil), change: authorization("Basic YTpi"), status: 401,
			challenge: `Bearer realm="api"`,
			body:      `{"error":"unauthorized","error_description":"a bearer token is needed"}`,
		},
		{
			rule:   "malformed header: 400 invalid_request (RFC 6750 §3.1)",
			verify: answering(good, nil), change: authorization("Bearer a b"), status: 400,
			challenge: `Bearer realm="api", error="invalid_request", error_description="expected one header of the form Authorization: Bearer <token>"`,
			body:      `{"error":"invalid_request","error_description":"expected one header of the form Authorization: Bearer <token>"}`,
		},
		{
			rule:   "doubled header: 400 invalid_request (RFC 6750 §2)",
			verify: answering(good, nil), change: authorization("Bearer a", "Bearer a"), status: 400,
			challenge: `Bearer realm="api", error="invalid_request", error_description="expected one header of the form Authorization: Bearer <token>"`,
			body:      `{"error":"invalid_request","error_description":"expected one header of the form Authorization: Bearer <token>"}`,
		},
		{
			rule:   "ErrInvalidToken: 401 invalid_token (RFC 6750 §3.1)",
			verify: answering(nil, fmt.Errorf("it: %w", postern.ErrInvalidToken)), status: 401,
			challenge: `Bearer realm="api", error="invalid_token", error_description="the token is unknown, expired, revoked or meant for another API"`,
			body:      `{"error":"invalid_token","error_description":"the token is unknown, expired, revoked or meant for another API"}`,
		},
		{
			rule:   "failed check: 403 insufficient_scope (RFC 6750 §3.1)",
			verify: answering(good, nil), checks: []middleware.Check{middleware.Role("admin")}, status: 403,
			challenge: `Bearer realm="api", error="insufficient_scope", error_description="the token does not give access to this"`,
			body:      `{"error":"insufficient_scope","error_description":"the token does not give access to this"}`,
		},
		{
			rule:   "failed Scope: 403 names the scopes (RFC 6750 §3.1)",
			verify: answering(good, nil), checks: []middleware.Check{middleware.Scope("orders.read"), middleware.Scope("openid")}, status: 403,
			challenge: `Bearer realm="api", error="insufficient_scope", error_description="the token does not give access to this", scope="orders.read openid"`,
			body:      `{"error":"insufficient_scope","error_description":"the token does not give access to this"}`,
		},
		{
			rule:   "no token for what needs a scope: 401 names it (RFC 6750 §3)",
			verify: answering(good, nil), change: without, checks: []middleware.Check{middleware.Scope("orders.read")}, status: 401,
			challenge: `Bearer realm="api", scope="orders.read"`,
			body:      `{"error":"unauthorized","error_description":"a bearer token is needed"}`,
		},
		{
			rule:   "ErrUnavailable: 503, never 401 or 403 (RFC 9110 §15.6.4)",
			verify: answering(nil, fmt.Errorf("it: %w", postern.ErrUnavailable)), status: 503, retryAfter: "5", body: unavailable,
		},
		{
			rule:   "ErrUnavailable wins over ErrInvalidToken: an outage is never a 401 (RFC 9110 §15.6.4)",
			verify: answering(nil, errors.Join(postern.ErrInvalidToken, postern.ErrUnavailable)), status: 503, retryAfter: "5", body: unavailable,
		},
		{
			rule:       "Retry-After as the server asked (RFC 9110 §10.2.3)",
			verify:     answering(nil, errors.Join(postern.ErrUnavailable, &postern.Error{StatusCode: 429, RetryAfter: 90 * time.Second})),
			status:     503,
			retryAfter: "90", body: unavailable,
		},
		{
			rule:   "Retry-After is rounded up to whole seconds (RFC 9110 §10.2.3)",
			verify: answering(nil, errors.Join(postern.ErrUnavailable, &postern.Error{RetryAfter: time.Nanosecond})),
			status: 503, retryAfter: "1", body: unavailable,
		},
		{
			rule:   "Retry-After of an hour at most (RFC 9110 §10.2.3)",
			verify: answering(nil, errors.Join(postern.ErrUnavailable, &postern.Error{RetryAfter: 1<<63 - 1})),
			status: 503, retryAfter: "3600", body: unavailable,
		},
		{
			rule:   "negative RetryAfter is none (RFC 9110 §10.2.3)",
			verify: answering(nil, errors.Join(postern.ErrUnavailable, &postern.Error{RetryAfter: -1 << 63})),
			status: 503, retryAfter: "5", body: unavailable,
		},
		{
			rule:   "deadline ended: 503 (RFC 9110 §15.6.4)",
			verify: answering(nil, fmt.Errorf("it: %w", context.DeadlineExceeded)), status: 503, retryAfter: "5", body: unavailable,
		},
		{
			rule:   "deadline ended wins over ErrInvalidToken (RFC 9110 §15.6.4)",
			verify: answering(nil, errors.Join(postern.ErrInvalidToken, context.DeadlineExceeded)), status: 503, retryAfter: "5", body: unavailable,
		},
		{
			rule: "context cancelled: 503 (RFC 9110 §15.6.4)", verify: answering(nil, context.Canceled), status: 503, retryAfter: "5", body: unavailable,
		},
		{
			rule: "unknown error: 503 (RFC 9110 §15.6.4)", verify: answering(nil, errors.New("what is this "+secret)), status: 503, retryAfter: "5", body: unavailable,
		},
		{
			rule: "neither identity nor error: 503 (RFC 9110 §15.6.4)", verify: answering(nil, nil), status: 503, retryAfter: "5", body: unavailable,
		},
		{
			rule: "identity with an error: the error counts (RFC 6750 §3.1)", verify: answering(good, postern.ErrInvalidToken), status: 401,
			challenge: `Bearer realm="api", error="invalid_token", error_description="the token is unknown, expired, revoked or meant for another API"`,
			body:      `{"error":"invalid_token","error_description":"the token is unknown, expired, revoked or meant for another API"}`,
		},
		{
			rule: "identity with an unknown error: 503 (RFC 9110 §15.6.4)", verify: answering(good, errors.New("hm")), status: 503, retryAfter: "5", body: unavailable,
		},
		{
			rule: "typed nil error: 503 (RFC 9110 §15.6.4)", verify: answering(good, (*postern.Error)(nil)), status: 503, retryAfter: "5", body: unavailable,
		},
		{
			rule: "nil *postern.Error beside ErrUnavailable: 503 (RFC 9110 §15.6.4)", verify: answering(nil, errors.Join(postern.ErrUnavailable, (*postern.Error)(nil))),
			status: 503, retryAfter: "5", body: unavailable,
		},
		{
			rule: "error that panics when looked at: 503 (RFC 9110 §15.6.4)", verify: answering(good, &weird{}), status: 503, retryAfter: "5", body: unavailable,
		},
		{
			rule:   "verifier panics: 503 (RFC 9110 §15.6.4)",
			verify: func(context.Context, string) (*postern.Identity, error) { panic(secret) }, status: 503, retryAfter: "5", body: unavailable,
		},
		{
			rule:   "verifier panics with http.ErrAbortHandler: 503 (RFC 9110 §15.6.4)",
			verify: func(context.Context, string) (*postern.Identity, error) { panic(http.ErrAbortHandler) }, status: 503, retryAfter: "5", body: unavailable,
		},
	} {
		t.Run(c.rule, func(t *testing.T) {
			var log bytes.Buffer
			gate := middleware.New(c.verify, middleware.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if c.change == nil {
				c.change = func(*http.Request) {}
			}
			for _, m := range []string{"GET", "HEAD", "POST", "OPTIONS", "PROPFIND"} {
				w := send(gate.Require(c.checks...), c.change, method(m))
				require.Equal(t, c.status, w.Code, m)
				assert.Equal(t, c.challenge, w.Header().Get("WWW-Authenticate"), m)
				assert.Equal(t, c.retryAfter, w.Header().Get("Retry-After"), m)
				if c.status == 200 {
					assert.Empty(t, w.Header().Get("Cache-Control"), "the handler's to say")
					continue
				}
				assert.Equal(t, "no-store", w.Header().Get("Cache-Control"), m)
				assert.Equal(t, "application/json", w.Header().Get("Content-Type"), m)
				assert.Equal(t, fmt.Sprint(len(c.body)+1), w.Header().Get("Content-Length"), m)
				if m == "HEAD" {
					assert.Empty(t, w.Body.String(), "HEAD has no body (RFC 9110 §9.3.2)")
					continue
				}
				assert.Equal(t, c.body+"\n", w.Body.String(), m)
				assert.JSONEq(t, c.body, w.Body.String())
			}
			assert.NotContains(t, log.String(), secret, "no token in a log")
		})
	}
}

const unavailable = `{"error":"temporarily_unavailable","error_description":"the token could not be checked, try again later"}`

func TestLogger(t *testing.T) {
	for _, c := range []struct {
		rule   string
		verify verifier
		want   string // empty: nothing
	}{
		{"a verifier that panics is told of", func(context.Context, string) (*postern.Identity, error) { panic(secret) }, "the verifier panicked"},
		{"no identity and no error is told of", answering(nil, nil), "neither an identity nor an error"},
		{"an unknown error is told of by its type", answering(nil, &weirdless{}), "*middleware_test.weirdless"},
		{"a bad token is not", answering(nil, postern.ErrInvalidToken), ""},
		{"an outage is not: the verifier tells of it", answering(nil, postern.ErrUnavailable), ""},
		{"an ended deadline is not", answering(nil, context.DeadlineExceeded), ""},
		{"a cancelled context is not", answering(nil, context.Canceled), ""},
		{"an outage of which nothing is known is not", answering(nil, errors.Join(postern.ErrUnavailable, (*postern.Error)(nil))), ""},
	} {
		t.Run(c.rule, func(t *testing.T) {
			var log bytes.Buffer
			gate := middleware.New(c.verify, middleware.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			send(gate.Require())
			assert.NotContains(t, log.String(), secret)
			if c.want == "" {
				assert.Empty(t, log.String())
				return
			}
			assert.Contains(t, log.String(), "level=ERROR")
			assert.Contains(t, log.String(), c.want)
		})
	}
}

type weirdless struct{}

func (*weirdless) Error() string { return "answer for " + secret }

func TestVerifyGetsTheRequestsContext(t *testing.T) {
	type key struct{}
	var got any
	gate := middleware.New(verifier(func(ctx context.Context, _ string) (*postern.Identity, error) {
		got = ctx.Value(key{})
		return nil, ctx.Err()
	}), middleware.Config{})
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "v"))
	cancel()
	w := send(gate.Require(), func(r *http.Request) { *r = *r.WithContext(ctx) })
	assert.Equal(t, "v", got)
	assert.Equal(t, 503, w.Code)
}

func TestOptional(t *testing.T) {
	reader := identity(t, map[string]any{"sub": "1"})
	for _, c := range []struct {
		rule   string
		verify verifier
		checks []middleware.Check
		change func(*http.Request)
		status int
		body   string
	}{
		{"anonymous passes", nil, nil, without, 200, "anonymous"},
		{"anonymous passes whatever the checks ask", nil, []middleware.Check{middleware.Role("admin")}, without, 200, "anonymous"},
		{"another scheme passes as anonymous", nil, nil, authorization("Basic YTpi"), 200, "anonymous"},
		{"a good token passes with its identity", answering(reader, nil), nil, nil, 200, "1"},
		{"a bad token does not pass", answering(nil, postern.ErrInvalidToken), nil, nil, 401, ""},
		{"a failed check does not pass", answering(reader, nil), []middleware.Check{middleware.Role("admin")}, nil, 403, ""},
		{"an outage does not pass", answering(nil, postern.ErrUnavailable), nil, nil, 503, ""},
		{"a malformed header does not pass", nil, nil, authorization("Bearer a b"), 400, ""},
		{"a doubled header does not pass", nil, nil, authorization("Bearer a", "Bearer a"), 400, ""},
		{"an empty header does not pass", nil, nil, authorization(""), 400, ""},
	} {
		t.Run(c.rule, func(t *testing.T) {
			if c.verify == nil {
				c.verify = func(context.Context, string) (*postern.Identity, error) {
					t.Error("Verify was called")
					return nil, nil
				}
			}
			gate := middleware.New(c.verify, middleware.Config{})
			h := gate.Optional(c.checks...)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				id, ok := postern.FromContext(r.Context())
				if !ok {
					_, _ = io.WriteString(w, "anonymous")
					return
				}
				_, _ = io.WriteString(w, id.Subject())
			}))
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Authorization", "Bearer "+secret)
			if c.change != nil {
				c.change(r)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			assert.Equal(t, c.status, w.Code)
			if c.status == 200 {
				assert.Equal(t, c.body, w.Body.String())
			}
		})
	}
}

func TestChallengeValuesAreQuoted(t *testing.T) {
	gate := middleware.New(answering(nil, nil), middleware.Config{Realm: `a "quoted" \ realm`})
	w := send(gate.Require(), without)
	assert.Equal(t, `Bearer realm="a \"quoted\" \\ realm"`, w.Header().Get("WWW-Authenticate"))
}

func TestErrorPage(t *testing.T) {
	id := identity(t, nil)
	var got middleware.Refusal
	page := func(w http.ResponseWriter, r *http.Request, refused middleware.Refusal) {
		got = refused
		assert.NotContains(t, fmt.Sprintf("%v", r.Header), secret, "never the token")
		assert.Equal(t, "x", r.Header.Get("X-Other"))
		assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(200)
		_, _ = io.WriteString(w, "<h1>No</h1>")
	}
	other := func(r *http.Request) { r.Header.Set("X-Other", "x") }
	for _, c := range []struct {
		verify verifier
		change func(*http.Request)
		want   middleware.Refusal
	}{
		{answering(id, nil), without, middleware.Refusal{Status: 401, Reason: middleware.NoToken}},
		{answering(id, nil), authorization("Bearer"), middleware.Refusal{Status: 400, Reason: middleware.MalformedHeader}},
		{answering(nil, postern.ErrInvalidToken), other, middleware.Refusal{Status: 401, Reason: middleware.InvalidToken}},
		{answering(id, nil), other, middleware.Refusal{Status: 403, Reason: middleware.CheckFailed, Check: `role "admin"`}},
		{answering(nil, postern.ErrUnavailable), other, middleware.Refusal{Status: 503, Reason: middleware.Unavailable, RetryAfter: 5 * time.Second}},
	} {
		t.Run(string(c.want.Reason), func(t *testing.T) {
			gate := middleware.New(c.verify, middleware.Config{ErrorPage: page})
			w := send(gate.Require(middleware.Role("admin")), other, c.change)
			assert.Equal(t, c.want, got)
			assert.Equal(t, c.want.Status, w.Code, "the page cannot change the status")
			assert.Equal(t, "<h1>No</h1>", w.Body.String())
			assert.Equal(t, "text/html", w.Header().Get("Content-Type"))
		})
	}
	t.Run("a page that writes nothing", func(t *testing.T) {
		gate := middleware.New(answering(id, nil), middleware.Config{ErrorPage: func(http.ResponseWriter, *http.Request, middleware.Refusal) {}})
		assert.Equal(t, 401, send(gate.Require(), without).Code)
	})
	t.Run("a page that writes without a status", func(t *testing.T) {
		gate := middleware.New(answering(id, nil), middleware.Config{ErrorPage: func(w http.ResponseWriter, _ *http.Request, _ middleware.Refusal) {
			_, _ = io.WriteString(w, "no")
		}})
		assert.Equal(t, 401, send(gate.Require(), without).Code)
	})
	t.Run("the status is sent once", func(t *testing.T) {
		w := &counting{ResponseRecorder: httptest.NewRecorder()}
		gate := middleware.New(answering(nil, nil), middleware.Config{ErrorPage: func(w http.ResponseWriter, _ *http.Request, _ middleware.Refusal) {
			w.WriteHeader(200)
			w.WriteHeader(200)
			_, _ = io.WriteString(w, "no")
		}})
		gate.Require()(http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		assert.Equal(t, []int{401}, w.sent)
	})
	t.Run("the request outside keeps its header", func(t *testing.T) {
		gate := middleware.New(answering(nil, postern.ErrInvalidToken), middleware.Config{ErrorPage: page})
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+secret)
		r.Header.Set("X-Other", "x")
		gate.Require()(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
		assert.Equal(t, "Bearer "+secret, r.Header.Get("Authorization"))
	})
}

// counting records each status that is sent.
type counting struct {
	*httptest.ResponseRecorder
	sent []int
}

func (w *counting) WriteHeader(status int) {
	w.sent = append(w.sent, status)
	w.ResponseRecorder.WriteHeader(status)
}

func TestAllowPreflight(t *testing.T) {
	preflight := func(r *http.Request) {
		r.Method = "OPTIONS"
		r.Header.Del("Authorization")
		r.Header.Set("Origin", "https://app.example.com")
		r.Header.Set("Access-Control-Request-Method", "DELETE")
	}
	drop := func(name string) func(*http.Request) { return func(r *http.Request) { r.Header.Del(name) } }
	for _, c := range []struct {
		rule    string
		allowed bool
		change  func(*http.Request)
		status  int
	}{
		{"a preflight passes when allowed", true, func(*http.Request) {}, 200},
		{"a preflight needs a token by default", false, func(*http.Request) {}, 401},
		{"OPTIONS without Origin is no preflight", true, drop("Origin"), 401},
		{"OPTIONS without Access-Control-Request-Method is no preflight", true, drop("Access-Control-Request-Method"), 401},
		{"another method is no preflight", true, method("GET"), 401},
		{"the method's case counts", true, method("options"), 401},
		{"OPTIONS with a token is no preflight: the token is checked", true, authorization("Bearer bad"), 401},
	} {
		t.Run(c.rule, func(t *testing.T) {
			gate := middleware.New(answering(nil, postern.ErrInvalidToken), middleware.Config{AllowPreflight: c.allowed})
			assert.Equal(t, c.status, send(gate.Require(), preflight, c.change).Code)
			assert.Equal(t, c.status, send(gate.Optional(), preflight, authorization("Bearer bad"), c.change, func(r *http.Request) {
				if c.status == 200 {
					r.Header.Del("Authorization")
				}
			}).Code, "Optional")
		})
	}
}

func TestAuthorizationReachesTheHandlerUnlessHidden(t *testing.T) {
	for _, hide := range []bool{false, true} {
		t.Run(fmt.Sprint("hidden ", hide), func(t *testing.T) {
			gate := middleware.New(answering(identity(t, nil), nil), middleware.Config{HideAuthorization: hide})
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Authorization", "Bearer "+secret)
			r.Header.Set("X-Other", "x")
			gate.Require()(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, present := r.Header["Authorization"]
				assert.Equal(t, !hide, present)
				assert.Equal(t, "x", r.Header.Get("X-Other"))
			})).ServeHTTP(httptest.NewRecorder(), r)
			assert.Equal(t, "Bearer "+secret, r.Header.Get("Authorization"), "the request outside is not changed")
		})
	}
}

func TestNestedGatesBothDecide(t *testing.T) {
	id := identity(t, map[string]any{"sub": "1"})
	gate := middleware.New(answering(id, nil), middleware.Config{})
	pass := func(want int, inner middleware.Check) {
		t.Helper()
		w := send(func(h http.Handler) http.Handler { return gate.Require()(gate.Require(inner)(h)) })
		assert.Equal(t, want, w.Code)
	}
	pass(200, middleware.CheckFunc("subject", func(_ *http.Request, id *postern.Identity) bool { return id.Subject() == "1" }))
	pass(403, middleware.Role("admin"))
}

func TestWiringMistakesPanicAtConstruction(t *testing.T) {
	gate := middleware.New(answering(nil, nil), middleware.Config{})
	var typedNil *nilVerifier
	var nilFunc http.HandlerFunc
	for rule, f := range map[string]func(){
		"nil verifier":                   func() { middleware.New(nil, middleware.Config{}) },
		"typed nil verifier":             func() { middleware.New(typedNil, middleware.Config{}) },
		"nil func as verifier":           func() { middleware.New(verifier(nil), middleware.Config{}) },
		"realm with a line break":        func() { middleware.New(answering(nil, nil), middleware.Config{Realm: "a\r\nX-Evil: 1"}) },
		"realm beyond ASCII":             func() { middleware.New(answering(nil, nil), middleware.Config{Realm: "Zürich"}) },
		"nil handler":                    func() { gate.Require()(nil) },
		"nil func as handler":            func() { gate.Require()(nilFunc) },
		"nil handler behind Optional":    func() { gate.Optional()(nil) },
		"metadata without a description": func() { gate.Metadata() },
	} {
		t.Run(rule, func(t *testing.T) { assert.Panics(t, f) })
	}
	t.Run("every mistake at once", func(t *testing.T) {
		defer func() {
			err, _ := recover().(error)
			require.Error(t, err)
			for _, part := range []string{"verifier: ", "Config.Realm: ", "Config.Resource: ID: "} {
				assert.ErrorContains(t, err, part)
			}
		}()
		middleware.New(nil, middleware.Config{Realm: "\n", Resource: &middleware.Resource{}})
	})
}

type nilVerifier struct{}

func (*nilVerifier) Verify(context.Context, string) (*postern.Identity, error) { return nil, nil }

func TestChecksAreCopied(t *testing.T) {
	checks := []middleware.Check{middleware.Role("admin")}
	protect := middleware.New(answering(identity(t, nil), nil), middleware.Config{}).Require(checks...)
	checks[0] = middleware.CheckFunc("yes", func(*http.Request, *postern.Identity) bool { return true })
	assert.Equal(t, 403, send(protect).Code)
}

func TestAHitCostsTwoAllocations(t *testing.T) {
	id := identity(t, map[string]any{
		"sub": "1", "urn:zitadel:iam:user:resourceowner:id": "org1", "client_id": "ci", "aud": "p1", "scope": "openid orders.read",
		"urn:zitadel:iam:org:project:roles": map[string]any{"reader": map[string]string{"org1": "acme.example"}},
	})
	gate := middleware.New(answering(id, nil), middleware.Config{})
	var got *postern.Identity
	h := gate.Require(middleware.Role("reader"), middleware.AnyRole("admin", "reader"), middleware.RoleInOrg("reader", "org1"), middleware.Org("org1"),
		middleware.ClientID("ci"), middleware.Audience("p1"), middleware.Scope("orders.read"))(
		http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got, _ = postern.FromContext(r.Context()) }))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+secret)
	w := httptest.NewRecorder()
	n := testing.AllocsPerRun(1000, func() { h.ServeHTTP(w, r) })
	assert.Same(t, id, got)
	assert.Equal(t, 2.0, n, "one context value, one shallow copy of the request")
}

func TestConcurrentUse(t *testing.T) {
	gate := middleware.New(verifier(func(_ context.Context, token string) (*postern.Identity, error) {
		if token == "bad" {
			return nil, postern.ErrInvalidToken
		}
		return postern.NewIdentity(map[string]any{"sub": token})
	}), middleware.Config{HideAuthorization: true})
	h := gate.Require()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := postern.FromContext(r.Context())
		_, _ = io.WriteString(w, id.Subject())
	}))
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 50 {
				token := fmt.Sprintf("%d.%d", i, j)
				w := httptest.NewRecorder()
				r := httptest.NewRequest("GET", "/", strings.NewReader(""))
				r.Header.Set("Authorization", "Bearer "+token)
				h.ServeHTTP(w, r)
				assert.Equal(t, token, w.Body.String())
				r.Header.Set("Authorization", "Bearer bad")
				w = httptest.NewRecorder()
				h.ServeHTTP(w, r)
				assert.Equal(t, 401, w.Code)
			}
		})
	}
	wg.Wait()
}
