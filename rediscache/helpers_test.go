package rediscache

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/postern-go/postern/introspect"
	"github.com/postern-go/postern/rediscache/internal/redisserver"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if _, err := exec.LookPath("redis-server"); err != nil && os.Getenv("CI") != "true" {
		_ = flag.Set("test.skip", "^ExampleNew$") // an example cannot skip itself
	}
	code := m.Run()
	if code == 0 {
		if err := leaked(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// leaked has more patience than goleak.VerifyTestMain: a client of a Redis that fails looks for its servers once more after up to
// a second, and nothing can call that off.
func leaked() (err error) {
	for range 20 {
		if err = goleak.Find(); err == nil {
			return nil
		}
	}
	return err
}

var (
	testSecret  = bytes.Repeat([]byte("fleet secret one"), 2)
	otherSecret = bytes.Repeat([]byte("fleet secret two"), 2)
	testKey     = introspect.SharedKey{Issuer: "https://issuer.example", ClientID: "orders-api", Token: "token-of-the-ci-bot"}
)

// replica is a Cache with what its first level was told.
type replica struct {
	*Cache
	mu   sync.Mutex
	told []introspect.Eviction
}

func (r *replica) evictions() []introspect.Eviction {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]introspect.Eviction{}, r.told...)
}

func (r *replica) heard(e introspect.Eviction) func() bool {
	return func() bool {
		for _, told := range r.evictions() {
			if told == e {
				return true
			}
		}
		return false
	}
}

func testConfig(server *redisserver.Server) Config {
	return Config{
		Redis:   rueidis.ClientOption{InitAddress: []string{server.Addr()}},
		Secrets: [][]byte{testSecret},
		Logger:  slog.New(slog.DiscardHandler),
	}
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

// refused reports whether Redis refuses to store an answer, in these words.
func (r *replica) refused(words string) func() bool {
	return func() bool {
		err := r.Store(context.Background(), testKey, testAnswer("pat-1", "user-1"))
		return errors.As(err, new(refusedError)) && strings.Contains(err.Error(), words)
	}
}

// settled reports whether what it published is in the journal, as it read itself.
func (r *replica) settled() bool {
	r.journal.mu.Lock()
	defer r.journal.mu.Unlock()
	return len(r.journal.pending) == 0
}

// startReplica returns a replica that may not be connected yet.
func startReplica(t testing.TB, cfg Config) *replica {
	t.Helper()
	c, err := New(cfg)
	require.NoError(t, err)
	r := &replica{Cache: c}
	c.Watch(func(e introspect.Eviction) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.told = append(r.told, e)
	})
	t.Cleanup(c.Close)
	c.begin()
	return r
}

// newIdle returns a Cache that is connected to a server of its own and does nothing in the background, and what an attacker has.
func newIdle(t *testing.T) (c *Cache, client rueidis.Client, attacker func(words ...string) rueidis.RedisResult) {
	t.Helper()
	server := redisserver.ForTest(t)
	c, err := New(testConfig(server))
	require.NoError(t, err)
	c.start.Do(func() {})
	c.client, err = rueidis.NewClient(*c.option)
	require.NoError(t, err)
	t.Cleanup(c.client.Close)
	return c, c.client, redis(t, server)
}

// newReplica returns a replica that has read the journal.
func newReplica(t testing.TB, cfg Config) *replica {
	t.Helper()
	r := startReplica(t, cfg)
	until(t, func() bool { return r.Stats().Ready })
	return r
}

// until waits for what happens in another process or goroutine, however long it takes.
func until(t testing.TB, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("the test ended first")
		}
	}
}

// claims of a user's token.
func testAnswer(tokenID, subject string) introspect.SharedAnswer {
	return introspect.SharedAnswer{
		Claims:  fmt.Appendf(nil, `{"active":true,"sub":%q,"jti":%q,"username":"ci-bot"}`, subject, tokenID),
		TokenID: tokenID, Subject: subject, Asked: time.Now(), Expires: time.Now().Add(time.Hour),
	}
}

// put stores until it was stored: a machine under load may take longer than the budget.
func (r *replica) put(t testing.TB, key introspect.SharedKey, a introspect.SharedAnswer) {
	t.Helper()
	until(t, func() bool { return r.Store(t.Context(), key, a) == nil })
}

// get loads until the store could be asked.
func (r *replica) get(t testing.TB, key introspect.SharedKey) (introspect.SharedAnswer, bool) {
	t.Helper()
	var a introspect.SharedAnswer
	var ok bool
	until(t, func() bool {
		var err error
		a, ok, err = r.Load(t.Context(), key)
		return err == nil
	})
	return a, ok
}

func (r *replica) has(t testing.TB, key introspect.SharedKey) bool {
	t.Helper()
	_, ok := r.get(t, key)
	return ok
}

// newEnded returns a context that ends while a call is under way, or before.
func newEnded(t testing.TB) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	go cancel()
	return ctx, cancel
}

// redis is what an attacker has: a connection with every permission.
func redis(t testing.TB, server *redisserver.Server) func(words ...string) rueidis.RedisResult {
	t.Helper()
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{server.Addr()}, DisableCache: true, ForceSingleClient: true})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return func(words ...string) rueidis.RedisResult {
		return client.Do(context.Background(), client.B().Arbitrary(words[0]).Args(words[1:]...).Build())
	}
}
