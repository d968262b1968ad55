package rediscache

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/introspect"
	"github.com/postern-go/postern/middleware"
	"github.com/postern-go/postern/rediscache/internal/redisserver"
)

// Whole replicas: a Verifier with its first level, a RevocationHandler, and a Cache on a real Redis.

const signingKey = "60qg1DolicZwlHOWbNwgumZjX6NfVxtCUWSK"

// identityServer knows one token, of one user. An answer can be held back once it is known.
type identityServer struct {
	*httptest.Server
	calls   atomic.Int64
	mu      sync.Mutex
	revoked bool
	reached chan<- struct{} // told when the next call has its answer
	release <-chan struct{} // lets it go
}

func newIdentityServer(t *testing.T) *identityServer {
	s := &identityServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.calls.Add(1)
		s.mu.Lock()
		answer := `{"active":true,"sub":"user-1","jti":"pat-1"}`
		if s.revoked || r.FormValue("token") != testKey.Token {
			answer = `{"active":false}`
		}
		reached, release := s.reached, s.release
		s.reached, s.release = nil, nil
		s.mu.Unlock()
		if reached != nil {
			close(reached)
			<-release
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *identityServer) revoke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked = true
}

// hold makes the next call wait, with its answer made, from reached on until release is called.
func (s *identityServer) hold() (reached <-chan struct{}, release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, l := make(chan struct{}), make(chan struct{})
	s.reached, s.release = r, l
	return r, func() { close(l) }
}

type wholeReplica struct {
	*replica
	verifier *introspect.Verifier
	events   http.Handler
}

func newWholeReplica(t *testing.T, server *identityServer, cfg Config) *wholeReplica {
	t.Helper()
	r := newReplica(t, cfg)
	quiet := slog.New(slog.DiscardHandler)
	v, err := introspect.New(introspect.Config{
		Issuer: server.URL, IntrospectionURL: server.URL + "/introspect", Auth: introspect.Basic("orders-api", "secret"),
		TTL: time.Hour, NegativeTTL: -1, Shared: r.Cache, Logger: quiet, HTTPClient: server.Client(),
	})
	require.NoError(t, err)
	events, err := introspect.NewRevocationHandler(v, introspect.RevocationConfig{SigningKeys: []string{signingKey}, Logger: quiet})
	require.NoError(t, err)
	return &wholeReplica{r, v, events}
}

func (r *wholeReplica) accepts(t *testing.T, token string) bool {
	t.Helper()
	_, err := r.verifier.Verify(t.Context(), token)
	if err != nil && !errors.Is(err, postern.ErrInvalidToken) {
		t.Error(err)
	}
	return err == nil
}

// deliver hands the replica an event as ZITADEL signs it.
func (r *wholeReplica) deliver(t *testing.T, body string) {
	t.Helper()
	at := fmt.Sprint(time.Now().Unix())
	mac := hmac.New(sha256.New, []byte(signingKey))
	mac.Write([]byte(at + "." + body))
	req := httptest.NewRequest(http.MethodPost, "/events", strings.NewReader(body))
	req.Header.Set("ZITADEL-Signature", "t="+at+",v1="+hex.EncodeToString(mac.Sum(nil)))
	w := httptest.NewRecorder()
	r.events.ServeHTTP(w, req)
	require.Equal(t, http.StatusOK, w.Code)
}

const patRemoved = `{"event_type":"user.pat.removed","aggregateID":"user-1","event_payload":{"tokenId":"pat-1"}}`

func TestAnEventAtOneReplicaEndsTheTokenInAll(t *testing.T) {
	for name, event := range map[string]string{
		"token": patRemoved, "user": `{"event_type":"user.locked","aggregateID":"user-1"}`, "everything": `{"event_type":"org.removed"}`,
	} {
		t.Run(name, func(t *testing.T) {
			redis, server := redisserver.ForTest(t), newIdentityServer(t)
			var fleet []*wholeReplica
			for range 3 {
				fleet = append(fleet, newWholeReplica(t, server, testConfig(redis)))
			}
			for _, r := range fleet {
				assert.True(t, r.accepts(t, testKey.Token))
			}
			server.revoke()
			for _, r := range fleet {
				assert.True(t, r.accepts(t, testKey.Token), "remembered for an hour")
			}
			fleet[0].deliver(t, event)
			assert.False(t, fleet[0].accepts(t, testKey.Token), "at once where the event came")
			for _, r := range fleet[1:] {
				until(t, func() bool { return !r.accepts(t, testKey.Token) })
			}
		})
	}
}

func TestAnAnswerInFlightWhenTheEventCameIsRememberedNowhere(t *testing.T) {
	redis, server := redisserver.ForTest(t), newIdentityServer(t)
	slow, told := newWholeReplica(t, server, testConfig(redis)), newWholeReplica(t, server, testConfig(redis))
	reached, release := server.hold()
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		slow.accepts(t, testKey.Token) // before the revocation: either answer is right
	}()
	<-reached // the server has said that it is active
	server.revoke()
	e := introspect.Eviction{Issuer: server.URL, TokenID: "pat-1"}
	told.deliver(t, patRemoved)
	until(t, told.settled)
	until(t, slow.heard(e))
	release()
	<-asked
	for _, r := range []*wholeReplica{slow, told, newWholeReplica(t, server, testConfig(redis))} {
		assert.False(t, r.accepts(t, testKey.Token))
	}
}

func TestAnEventIsTakenWhileRedisIsStalled(t *testing.T) {
	redis, server := redisserver.ForTest(t), newIdentityServer(t)
	a, b := newWholeReplica(t, server, testConfig(redis)), newWholeReplica(t, server, testConfig(redis))
	for _, r := range []*wholeReplica{a, b} {
		assert.True(t, r.accepts(t, testKey.Token))
	}
	server.revoke()
	require.NoError(t, redis.Stall())
	a.deliver(t, patRemoved)
	assert.Equal(t, 1, a.Stats().Waiting, "Redis has not taken it, and nobody waited for that")
	assert.False(t, a.accepts(t, testKey.Token))
	assert.False(t, a.accepts(t, "invented"), "the server is asked without Redis")
	require.NoError(t, redis.Resume())
	until(t, func() bool { return !b.accepts(t, testKey.Token) })
}

func TestAHitNeedsNoRedisAndCostsTwoAllocations(t *testing.T) {
	redis, server := redisserver.ForTest(t), newIdentityServer(t)
	r := newWholeReplica(t, server, testConfig(redis))
	assert.True(t, r.accepts(t, testKey.Token))
	r.Close()
	redis.Kill()
	before := r.Stats()
	handler := middleware.New(r.verifier, middleware.Config{}).Require()(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	req, w := httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder()
	req.Header.Set("Authorization", "Bearer "+testKey.Token)
	assert.Equal(t, 2.0, testing.AllocsPerRun(1000, func() { handler.ServeHTTP(w, req) }))
	assert.Equal(t, http.StatusOK, w.Code)
	assert.Equal(t, before, r.Stats(), "nothing was looked up, or tried")
}

func TestCloseEndsWhileRedisIsStalled(t *testing.T) {
	server := redisserver.ForTest(t)
	r := newReplica(t, testConfig(server))
	until(t, func() bool { return info(t, server, "clients", "blocked_clients:%d") == 1 }) // it waits for evictions
	require.NoError(t, server.Stall())
	r.Publish(introspect.Eviction{All: true})
	for range 2 * breakerFailures {
		_, _, _ = r.Load(t.Context(), testKey)
	}
	r.Close() // and the check for goroutines that are left over, at the end of all tests
	_, _, err := r.Load(t.Context(), testKey)
	assert.Error(t, err)
}
