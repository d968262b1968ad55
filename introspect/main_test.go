package introspect

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const issuer = "https://issuer.example"

// stub is an introspection server without sockets: answer says what it says, in the goroutine of the call.
type stub struct {
	answer func(r *http.Request) (status int, body string)

	mu                sync.Mutex
	calls             int
	inFlight, maximum int
	tokens            map[string]int
}

func (s *stub) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body.Close()
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.PostForm = nil
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.calls++
	if s.tokens == nil {
		s.tokens = map[string]int{}
	}
	s.tokens[r.PostForm.Get("token")]++
	s.inFlight++
	s.maximum = max(s.maximum, s.inFlight)
	say := s.answer
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.inFlight--
		s.mu.Unlock()
	}()
	status, text := say(r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if status == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	header := http.Header{"Content-Type": {"application/json"}, "Cache-Control": {"no-store"}, "Date": {time.Now().UTC().Format(http.TimeFormat)}}
	if status == http.StatusTooManyRequests {
		header.Set("Retry-After", "7")
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
}

// say changes what is answered from now on.
func (s *stub) say(answer func(*http.Request) (int, string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// most is how many calls were in flight at once.
func (s *stub) most() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.maximum
}

func (s *stub) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func (s *stub) asked(token string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tokens[token]
}

// active says that every token is good until told otherwise, for a user and under an id named after it.
func active(r *http.Request) (int, string) {
	token := r.PostForm.Get("token")
	return 200, answer(map[string]any{"sub": "user of " + token, "jti": "id of " + token})
}

func inactive(*http.Request) (int, string) { return 200, `{"active":false}` }

func status(code int, body string) func(*http.Request) (int, string) {
	return func(*http.Request) (int, string) { return code, body }
}

// stalled answers when the call is given up.
func stalled(r *http.Request) (int, string) {
	<-r.Context().Done()
	return 0, ""
}

func answer(claims map[string]any) string {
	all := map[string]any{"active": true}
	for name, value := range claims {
		all[name] = value
	}
	text, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// verifier asks the stub. Changes to the Config are made by configure.
func newVerifier(t testing.TB, s *stub, configure ...func(*Config)) *Verifier {
	t.Helper()
	cfg := Config{
		Issuer: issuer, Auth: Basic("api", "s3cret"), IntrospectionURL: issuer + "/introspect",
		HTTPClient: &http.Client{Transport: s}, Logger: slog.New(slog.DiscardHandler),
	}
	for _, c := range configure {
		c(&cfg)
	}
	v, err := New(cfg)
	require.NoError(t, err)
	return v
}

func verifyErr(v *Verifier, token string) error {
	_, err := v.Verify(context.Background(), token)
	return err
}

// logs collects what is logged.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logs) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }
