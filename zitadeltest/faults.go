package zitadeltest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Endpoint is a part of the server, told by how its path begins. Any prefix will do, like "/management/v1/orgs/me".
type Endpoint string

// The endpoints that clients of service users meet.
const (
	AnyEndpoint           Endpoint = "/"
	DiscoveryEndpoint     Endpoint = "/.well-known/openid-configuration"
	KeysEndpoint          Endpoint = "/oauth/v2/keys"
	TokenEndpoint         Endpoint = "/oauth/v2/token"
	IntrospectionEndpoint Endpoint = "/oauth/v2/introspect"
	RevocationEndpoint    Endpoint = "/oauth/v2/revoke"
	UserinfoEndpoint      Endpoint = "/oidc/v1/userinfo"
	ManagementEndpoint    Endpoint = "/management/v1/"
	AuthEndpoint          Endpoint = "/auth/v1/"
	UserV2Endpoint        Endpoint = "/v2/users"
)

func (e Endpoint) matches(path string) bool { return strings.HasPrefix(path, string(e)) }

// Fault is a way to misbehave: it answers instead of the server, or around it by calling next. Besides those of this package a
// test may bring its own.
type Fault func(w http.ResponseWriter, r *http.Request, next http.Handler)

// Status answers with a status and a plain text, as a proxy in front of the server does. Headers come in pairs of name and value.
func Status(code int, headers ...string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		http.Error(w, http.StatusText(code), code)
	}
}

// Answer answers with exactly this.
func Answer(code int, contentType, body string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// Garbage answers 200 with a body that claims to be JSON and is not.
func Garbage() Fault { return Answer(http.StatusOK, "application/json", "\x00\xff{\"gar\": bage") }

// Drop closes the connection without an answer.
func Drop() Fault {
	return func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }
}

// Stall keeps the call waiting until [Server.Release], then answers properly. It ends early when the caller gives up or the
// server closes.
func Stall() Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		select {
		case <-r.Context().Value(releaseKey{}).(chan struct{}):
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
}

// Slowly answers properly, a byte at a time with a pause after each.
func Slowly(pause time.Duration) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		ticker := time.NewTicker(max(pause, 1))
		defer ticker.Stop()
		for _, b := range answer.Body.Bytes() {
			if _, err := w.Write([]byte{b}); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
			select {
			case <-ticker.C:
			case <-r.Context().Done():
				return
			}
		}
	}
}

// Misbehave makes the next n calls of an endpoint go wrong; a negative n means all of them until [Server.Behave]. Where several
// are set for a call, the first set applies.
func (s *Server) Misbehave(e Endpoint, n int, f Fault) {
	if n == 0 {
		return
	}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.planned = append(s.faults.planned, &plannedFault{e, n, f})
}

// Behave forgets what Misbehave, IntrospectInactive and Block have set and lets go of stalled calls.
func (s *Server) Behave() {
	s.faults.mu.Lock()
	s.faults.planned = nil
	s.faults.mu.Unlock()
	s.faults.inactive.Store(false)
	s.faults.blocked.Store(false)
	s.faults.Release()
}

// Release lets go of the calls that [Stall] holds.
func (s *Server) Release() { s.faults.Release() }

// IntrospectInactive makes introspection call every token inactive, with a 200, as ZITADEL does when its database fails.
func (s *Server) IntrospectInactive(on bool) { s.faults.inactive.Store(on) }

// Block makes the server answer 429 everywhere, as ZITADEL does for an instance that has used up its quota: plain text on the OAuth
// endpoints, ResourceExhausted on the APIs, no Retry-After.
func (s *Server) Block(on bool) { s.faults.blocked.Store(on) }

// Request is a call that the server has seen.
type Request struct {
	Method string
	Path   string // with the query
	Header http.Header
	Body   string    // the first MiB
	At     time.Time // by the server's clock
}

// Calls counts the calls of an endpoint so far, those that went wrong included.
func (s *Server) Calls(e Endpoint) int {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	return s.faults.count(e)
}

// AwaitCalls waits until an endpoint has been called at least n times, and so has begun to serve the n-th call.
func (s *Server) AwaitCalls(ctx context.Context, e Endpoint, n int) error {
	for {
		s.faults.mu.Lock()
		have, more := s.faults.count(e), s.faults.more
		s.faults.mu.Unlock()
		if have >= n {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Requests returns the calls of an endpoint, oldest first. The server keeps the last 4096 of all.
func (s *Server) Requests(e Endpoint) []Request {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	var seen []Request
	for _, r := range s.faults.seen {
		if e.matches(r.Path) {
			seen = append(seen, r)
		}
	}
	return seen
}

const (
	keptRequests = 4096
	bodyLimit    = 1 << 20
)

type faults struct {
	mu       sync.Mutex
	planned  []*plannedFault
	released chan struct{}
	calls    map[string]int // by path
	more     chan struct{}  // closed and replaced at every call
	seen     []Request

	inactive, blocked atomic.Bool
}

type plannedFault struct {
	endpoint Endpoint
	left     int
	fault    Fault
}

type releaseKey struct{}

func (f *faults) init() {
	f.released, f.more = make(chan struct{}), make(chan struct{})
	f.calls = map[string]int{}
}

func (f *faults) Release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.released)
	f.released = make(chan struct{})
}

func (f *faults) count(e Endpoint) int {
	n := 0
	for path, calls := range f.calls {
		if e.matches(path) {
			n += calls
		}
	}
	return n
}

// take counts a call and finds out whether it is to go wrong.
func (f *faults) take(path string, r Request) (Fault, chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[path]++
	if f.seen = append(f.seen, r); len(f.seen) > keptRequests {
		f.seen = f.seen[len(f.seen)-keptRequests:]
	}
	close(f.more)
	f.more = make(chan struct{})
	for i, p := range f.planned {
		if !p.endpoint.matches(path) {
			continue
		}
		if p.left > 0 {
			p.left--
		}
		if p.left == 0 {
			f.planned = append(f.planned[:i:i], f.planned[i+1:]...)
		}
		return p.fault, f.released
	}
	return nil, f.released
}

// observe puts faults and counters before a handler, and the server's own time on every answer.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.entered() {
			panic(http.ErrAbortHandler)
		}
		defer s.handlers.Done()

		body, err := io.ReadAll(io.LimitReader(r.Body, bodyLimit+1))
		if err != nil {
			panic(http.ErrAbortHandler) // the caller went away
		}
		if len(body) > bodyLimit {
			http.Error(w, "http: request body too large", http.StatusRequestEntityTooLarge)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))

		s.mu.Lock()
		now := s.clock()
		s.mu.Unlock()
		w.Header().Set("Date", now.Format(http.TimeFormat))
		fault, released := s.faults.take(r.URL.Path, Request{
			Method: r.Method, Path: r.URL.RequestURI(), Header: r.Header.Clone(), Body: string(body), At: now,
		})
		if fault == nil {
			next.ServeHTTP(w, r)
			return
		}
		fault(w, r.WithContext(context.WithValue(r.Context(), releaseKey{}, released)), next)
	})
}
