package middleware_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/introspect"
	"github.com/postern-go/postern/middleware"
)

// headers are the values of Authorization that a request can come with, and what becomes of it: the token that reaches Verify, or
// the status of the refusal.
var headers = []struct {
	rule   string
	values []string
	token  string
	status int
}{
	{"no header: 401 (RFC 6750 §3.1)", nil, "", 401},
	{"another scheme: 401 (RFC 6750 §3.1)", []string{"Basic YTpi"}, "", 401},
	{"another scheme without anything after it", []string{"Negotiate"}, "", 401},
	{"another scheme that starts like ours", []string{"Bearerish abc"}, "", 401},
	{"a scheme is any token (RFC 9110 §5.6.2)", []string{"X-Y!#$%&'*+.^_`|~ abc"}, "", 401},
	{"another scheme with parameters", []string{`Digest username="a", realm="b"`}, "", 401},
	{"Bearer and a token (RFC 6750 §2.1)", []string{"Bearer abc"}, "abc", 200},
	{"scheme in lower case (RFC 9110 §11.1)", []string{"bearer abc"}, "abc", 200},
	{"scheme in upper case (RFC 9110 §11.1)", []string{"BEARER abc"}, "abc", 200},
	{"every b64token character (RFC 6750 §2.1)", []string{"Bearer azAZ09-._~+/"}, "azAZ09-._~+/", 200},
	{"padding at the end (RFC 6750 §2.1)", []string{"Bearer abc=="}, "abc==", 200},
	{"padding only", []string{"Bearer =="}, "", 400},
	{"padding in the middle", []string{"Bearer ab=c"}, "", 400},
	{"empty value", []string{""}, "", 400},
	{"scheme only", []string{"Bearer"}, "", 400},
	{"scheme and space only", []string{"Bearer "}, "", 400},
	{"two spaces", []string{"Bearer  abc"}, "", 400},
	{"tab for the space", []string{"Bearer\tabc"}, "", 400},
	{"space before", []string{" Bearer abc"}, "", 400},
	{"space after", []string{"Bearer abc "}, "", 400},
	{"two tokens", []string{"Bearer abc def"}, "", 400},
	{"list in one value", []string{"Bearer abc, Bearer def"}, "", 400},
	{"quoted token", []string{`Bearer "abc"`}, "", 400},
	{"parameter", []string{"Bearer token:abc"}, "", 400},
	{"comma after the scheme", []string{"Bearer, abc"}, "", 400},
	{"characters beyond ASCII", []string{"Bearer äbc"}, "", 400},
	{"scheme that folds to ours beyond ASCII", []string{"Bea\u0280er abc"}, "", 400},
	{"NUL", []string{"Bearer a\x00b"}, "", 400},
	{"line break", []string{"Bearer abc\r\nX-Admin: 1"}, "", 400},
	{"two headers", []string{"Bearer abc", "Bearer def"}, "", 400},
	{"the same header twice", []string{"Bearer abc", "Bearer abc"}, "", 400},
	{"two headers of different schemes", []string{"Basic YTpi", "Bearer abc"}, "", 400},
	{"a header and an empty one", []string{"Bearer abc", ""}, "", 400},
	{"8 KiB in all", []string{"Bearer " + strings.Repeat("a", 8<<10-7)}, strings.Repeat("a", 8<<10-7), 200},
	{"one byte more than 8 KiB", []string{"Bearer " + strings.Repeat("a", 8<<10-6)}, "", 400},
	{"another scheme beyond 8 KiB", []string{"Basic " + strings.Repeat("a", 8<<10)}, "", 400},
}

func TestHeader(t *testing.T) {
	for _, h := range headers {
		t.Run(h.rule, func(t *testing.T) {
			asked, response := sendHeader(t, h.values)
			assert.Equal(t, h.status, response.Code)
			if h.token == "" {
				assert.Empty(t, asked)
			} else {
				assert.Equal(t, []string{h.token}, asked)
			}
		})
	}
}

// A verifier that remembers tokens looks at their form itself, and what it remembers it looked at when it came.
func TestHeaderBeforeAVerifierThatRemembers(t *testing.T) {
	for _, h := range headers {
		t.Run(h.rule, func(t *testing.T) {
			var asked []string
			gate := middleware.New(introspection(t, &asked), middleware.Config{})
			for range 2 {
				assert.Equal(t, h.status, send(gate.Require(), authorization(h.values...)).Code)
			}
			if h.token == "" {
				assert.Empty(t, asked)
			} else {
				assert.Equal(t, []string{h.token}, asked)
			}
		})
	}
}

func TestWhatIsNoTokenIsRefusedThoughTheVerifierRemembersIt(t *testing.T) {
	for _, token := range []string{"two words", "=", "tok:en"} {
		var asked []string
		v := introspection(t, &asked)
		gate := middleware.New(v, middleware.Config{})
		for range 2 {
			_, err := v.Verify(t.Context(), token) // which takes any text
			require.NoError(t, err)
			assert.Equal(t, 400, send(gate.Require(), authorization("Bearer "+token)).Code)
		}
		assert.Equal(t, []string{token}, asked)
	}
}

// around does something with the token before it asks the verifier that it embeds.
type around struct {
	*introspect.Verifier
	seen *[]string
	tags []string // so that it cannot be compared
}

func (a around) Verify(ctx context.Context, token string) (*postern.Identity, error) {
	*a.seen = append(*a.seen, token)
	if a.Verifier == nil {
		return postern.NewIdentity(nil)
	}
	return a.Verifier.Verify(ctx, token)
}

func TestWhatIsNoTokenReachesNoVerifierAroundOneThatRemembers(t *testing.T) {
	var asked, seen []string
	v := introspection(t, &asked)
	_, err := v.Verify(t.Context(), "two words")
	require.NoError(t, err)
	wrapped := around{v, &seen, []string{}}
	copied := *v
	for name, verifier := range map[string]postern.Verifier{
		"itself": v, "copy": &copied, "value": wrapped, "pointer": &wrapped, "interface": struct{ postern.Verifier }{wrapped},
		"nothing embedded": around{nil, &seen, nil},
	} {
		require := middleware.New(verifier, middleware.Config{}).Require()
		assert.Equal(t, 400, send(require, authorization("Bearer two words")).Code, name)
		assert.Equal(t, 200, send(require, authorization("Bearer word")).Code, name)
	}
	assert.Equal(t, []string{"word", "word", "word", "word"}, seen)
	assert.Equal(t, []string{"two words", "word"}, asked)
}

// introspection returns a verifier with a server that finds every token good, and that says what it was asked about.
func introspection(t testing.TB, asked *[]string) *introspect.Verifier {
	v, err := introspect.New(introspect.Config{
		Issuer: "https://id.example.com", IntrospectionURL: "https://id.example.com/introspect", Auth: introspect.Basic("api", "secret"),
		HTTPClient: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if err := r.ParseForm(); err != nil {
				return nil, err
			}
			*asked = append(*asked, r.PostForm.Get("token"))
			w := httptest.NewRecorder()
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"active":true}`)
			return w.Result(), nil
		})},
	})
	require.NoError(t, err)
	return v
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// What net/http makes of a header before the gate sees it must open no way around the parser.
func TestHeaderOverAConnection(t *testing.T) {
	for _, h := range []struct {
		rule, lines, token string
		status             int
	}{
		{"name in lower case (RFC 9110 §5.1)", "authorization: Bearer abc\r\n", "abc", 200},
		{"space around the value (RFC 9112 §5.1)", "Authorization: \t Bearer abc \t\r\n", "abc", 200},
		{"space before the colon (RFC 9112 §5.1)", "Authorization : Bearer abc\r\n", "", 400},
		{"folded for the space (RFC 9112 §5.2)", "Authorization: Bearer\r\n\tabc\r\n", "abc", 200},
		{"folded in the token (RFC 9112 §5.2)", "Authorization: Bearer abc\r\n def\r\n", "", 400},
		{"twice, in different case (RFC 9110 §5.3)", "Authorization: Bearer abc\r\nauthorization: Bearer abc\r\n", "", 400},
		{"empty value", "Authorization:\r\n", "", 400},
		{"NUL in the value (RFC 9110 §5.5)", "Authorization: Bearer a\x00b\r\n", "", 400},
		{"carriage return in the value (RFC 9110 §5.5)", "Authorization: Bearer a\rb\r\n", "", 400},
		{"for a proxy (RFC 9110 §11.7.2)", "Proxy-Authorization: Bearer abc\r\n", "", 401},
		{"in the query, which is not read (RFC 6750 §2.3)", "X-Nothing: here\r\n", "", 401},
	} {
		t.Run(h.rule, func(t *testing.T) {
			asked := make(chan string, 1)
			id := identity(t, nil)
			gate := middleware.New(verifier(func(_ context.Context, token string) (*postern.Identity, error) {
				asked <- token
				return id, nil
			}), middleware.Config{})
			server := httptest.NewServer(gate.Require()(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
			defer server.Close()
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			require.NoError(t, err)
			defer conn.Close()
			_, err = io.WriteString(conn, "GET /?access_token=abc HTTP/1.1\r\nHost: api.example.com\r\n"+h.lines+"\r\n")
			require.NoError(t, err)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			assert.Equal(t, h.status, resp.StatusCode)
			close(asked)
			assert.Equal(t, h.token, <-asked)
		})
	}
}

// bearerHeader is RFC 6750 §2.1 once more, in another notation than the parser's.
var bearerHeader = regexp.MustCompile(`\A[Bb][Ee][Aa][Rr][Ee][Rr] ([A-Za-z0-9\-._~+/]+=*)\z`)

// FuzzHeader proves that exactly what RFC 6750 §2.1 allows, up to 8 KiB and in exactly one header, reaches Verify, and that a
// verifier that remembers changes nothing about that.
func FuzzHeader(f *testing.F) {
	for _, h := range headers {
		first, second := "", ""
		switch len(h.values) {
		case 2:
			second = h.values[1]
			fallthrough
		case 1:
			first = h.values[0]
		}
		f.Add(uint8(len(h.values)), first, second)
	}
	var askedOf []string
	remembering := middleware.New(introspection(f, &askedOf), middleware.Config{}).Require()
	f.Fuzz(func(t *testing.T, n uint8, first, second string) {
		values := []string{first, second, first}[:n%4]
		asked, response := sendHeader(t, values)
		for range 2 {
			askedOf = nil
			assert.Equal(t, response.Code, send(remembering, authorization(values...)).Code)
			assert.Subset(t, asked, askedOf)
		}
		match := []string(nil)
		if len(values) == 1 && len(first) <= 8<<10 {
			match = bearerHeader.FindStringSubmatch(first)
		}
		if match != nil {
			assert.Equal(t, []string{match[1]}, asked)
			assert.Equal(t, 200, response.Code)
			return
		}
		assert.Empty(t, asked)
		assert.Contains(t, []int{400, 401}, response.Code)
		assert.NotEmpty(t, response.Header().Get("WWW-Authenticate"))
	})
}

// sendHeader sends a request through a gate that finds every token good, and returns the tokens that it was asked about.
func sendHeader(t testing.TB, values []string) (asked []string, response *httptest.ResponseRecorder) {
	id := identity(t, nil)
	gate := middleware.New(verifier(func(_ context.Context, token string) (*postern.Identity, error) {
		asked = append(asked, token)
		return id, nil
	}), middleware.Config{})
	r := httptest.NewRequest("GET", "/", nil)
	if values != nil {
		r.Header["Authorization"] = values
	}
	response = httptest.NewRecorder()
	gate.Require()(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(response, r)
	return asked, response
}
