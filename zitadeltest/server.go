package zitadeltest

import (
	"crypto/rand"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/zitadel/oidc/v3/pkg/op"
)

// TB is what [Start] asks of a test. testing.TB satisfies it, so do *testing.T, *testing.B and *testing.F.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Config says how a [Server] runs. The zero value is a server on a free port of 127.0.0.1 that lives by the wall clock.
type Config struct {
	// Addr is the address to listen on, "host:port". Empty means "127.0.0.1:0"; port 0 picks a free one. The issuer is
	// "http://" and the address. Ignored when InMemory is set.
	Addr string

	// InMemory serves over connections in the memory of the process instead of a socket. Only [Server.Client] and
	// [Server.Transport] reach the server then. It works inside a testing/synctest bubble, where sockets do not, and
	// lives by the bubble's clock. The issuer is "http://localhost".
	InMemory bool

	// Now is the server's clock. Nil means time.Now. [Server.SkewClock] moves it further.
	Now func() time.Time

	// TokenLifetime is how long access tokens of the two grants live. Zero means ZITADEL's default of 12 hours.
	TokenLifetime time.Duration

	// Webhooks carries the events of Actions v2 to their targets. Nil means a plain transport over the network; a test
	// in a synctest bubble gives one that needs no sockets.
	Webhooks http.RoundTripper
}

// Server is a ZITADEL in the process. Make one with [Start] or [New]. All methods are safe for concurrent use.
type Server struct {
	issuer    string
	now       func() time.Time
	lifetime  time.Duration
	t         TB // nil when made by New
	http      *http.Server
	transport *http.Transport
	served    chan struct{} // closed when the accept loop has ended
	handlers  sync.WaitGroup

	opaque op.Crypto // of access tokens
	patJWE op.Crypto // of personal access tokens: same key, with a kid in the header

	faults faults
	hooks  hooks

	mu sync.Mutex // guards all below
	state
	closed bool
}

// Start runs a server for a test and stops it when the test ends. It takes no Config or one. A server that cannot start fails
// the test.
func Start(t TB, cfg ...Config) *Server {
	t.Helper()
	var c Config
	switch len(cfg) {
	case 0:
	case 1:
		c = cfg[0]
	default:
		t.Fatalf("zitadeltest: Start takes at most one Config, got %d", len(cfg))
	}
	s, err := New(c)
	if err != nil {
		t.Fatalf("%v", err)
	}
	s.t = t
	t.Cleanup(s.Close)
	return s
}

// New runs a server until its Close. Tests rather use [Start].
func New(cfg Config) (*Server, error) {
	var key [32]byte
	rand.Read(key[:]) // never fails: crypto/rand ends the program instead
	s := &Server{
		now:      cfg.Now,
		lifetime: cfg.TokenLifetime,
		served:   make(chan struct{}),
		opaque:   op.NewAES256GCMCrypto(key, ""),
		patJWE:   op.NewAES256GCMCrypto(key, "oidcKey"),
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.lifetime < 0 {
		return nil, fmt.Errorf("zitadeltest: Config.TokenLifetime is negative: %v", s.lifetime)
	}
	if s.lifetime == 0 {
		s.lifetime = 12 * time.Hour
	}

	s.transport = &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: 90 * time.Second}
	var listener net.Listener
	if cfg.InMemory {
		pipes := newPipeListener()
		listener, s.issuer = pipes, "http://localhost"
		s.transport.DialContext = pipes.dial
	} else {
		addr := cfg.Addr
		if addr == "" {
			addr = "127.0.0.1:0"
		}
		var err error
		if listener, err = net.Listen("tcp", addr); err != nil {
			return nil, fmt.Errorf("zitadeltest: Config.Addr %q: %w", addr, err)
		}
		s.issuer = "http://" + listener.Addr().String()
	}
	webhooks := cfg.Webhooks
	if webhooks == nil {
		webhooks = &http.Transport{IdleConnTimeout: 90 * time.Second}
	}
	s.hooks.init(webhooks, s.Now)
	s.faults.init()
	s.state.init(s)

	s.http = &http.Server{
		Handler:           s.routes(),
		ErrorLog:          log.New(io.Discard, "", 0),
		ReadHeaderTimeout: time.Minute,
	}
	go func() {
		defer close(s.served)
		_ = s.http.Serve(listener) // always ends with http.ErrServerClosed: Close is the only way out
	}()
	return s, nil
}

// Close stops the server, lets go of stalled calls, drops open connections and waits until nothing of it runs any more. A
// second Close does nothing.
func (s *Server) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	s.mu.Unlock()

	s.faults.Release()
	_ = s.http.Close()
	<-s.served
	s.handlers.Wait()
	s.hooks.close()
	s.transport.CloseIdleConnections()
}

// Issuer is the URL that clients configure, like "http://127.0.0.1:38231", without a slash at its end.
func (s *Server) Issuer() string { return s.issuer }

// Client returns a client that reaches the server, over memory when it is in memory. It adds no token and follows redirects as
// http.Client does.
func (s *Server) Client() *http.Client { return &http.Client{Transport: s.transport} }

// Transport returns the transport of [Server.Client], for clients of your own.
func (s *Server) Transport() http.RoundTripper { return s.transport }

// entered counts a call that runs, unless the server closes.
func (s *Server) entered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.handlers.Add(1)
	return true
}

// must ends the test, or panics where there is none: setting up a server wrongly is a mistake of the test's author.
func (s *Server) must(err error) {
	if err == nil {
		return
	}
	if s.t == nil {
		panic("zitadeltest: " + err.Error())
	}
	s.t.Helper()
	s.t.Fatalf("zitadeltest: %v", err)
}
