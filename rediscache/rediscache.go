package rediscache

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/redis/rueidis"
	"github.com/sony/gobreaker/v2"

	"github.com/postern-go/postern/introspect"
)

// Config configures New.
type Config struct {
	// Redis says where Redis or Valkey is and how to speak to it: InitAddress (one address, or those of a Cluster or of the
	// Sentinels), TLSConfig, Username and Password, Sentinel.MasterSet and so on. InitAddress is required. Server-assisted
	// caching, automatic retries and unpipelined calls are turned off, as this package has no use for them.
	Redis rueidis.ClientOption
	// Secrets are the fleet secrets, at least 32 random bytes each. New values are sealed with the first; values sealed with
	// any of them are read. One secret, or two while it is changed: first give every replica {old, new}, then {new, old}, then
	// {new}.
	Secrets [][]byte
	// Prefix begins the names of everything in Redis, as in "postern:journal". Fleets that share a Redis need different ones.
	// Empty means "postern".
	Prefix string
	// Logger gets a message when Redis cannot be used, or takes no evictions, and when it does again; nil means slog.Default().
	Logger *slog.Logger
}

// Cache is a second level of introspection answers on Redis. It is safe for concurrent use, and one may serve several
// Verifiers. Close ends it.
type Cache struct{ *cache }

var _ introspect.Shared = (*Cache)(nil)

// New returns a Cache. It does not connect: that happens in the background on first use, and Redis may come and go. It returns
// an error that names every mistake in cfg.
func New(cfg Config) (*Cache, error) {
	var errs []error
	if len(cfg.Redis.InitAddress) == 0 {
		errs = append(errs, errors.New(`Redis.InitAddress: expected the address of a server, such as "redis:6379", got none`))
	}
	if cfg.Redis.SendToReplicas != nil || cfg.Redis.ReplicaOnly || len(cfg.Redis.Standalone.ReplicaAddress) > 0 {
		errs = append(errs, errors.New("Redis: expected to read from the primary, got SendToReplicas, ReplicaOnly or ReplicaAddress: a replica that lags does not know the last evictions"))
	}
	if n := len(cfg.Secrets); n == 0 || n > 2 {
		errs = append(errs, fmt.Errorf("Secrets: expected one fleet secret, or two while it is changed, got %d", n))
	}
	c := &cache{prefix: cfg.Prefix, logger: cfg.Logger}
	for i, secret := range cfg.Secrets {
		if len(secret) < minSecret {
			errs = append(errs, fmt.Errorf("Secrets[%d]: expected at least %d random bytes, got %d: openssl rand -out fleet.key 32", i, minSecret, len(secret)))
			continue
		}
		if i > 0 && slices.Equal(secret, cfg.Secrets[0]) {
			errs = append(errs, fmt.Errorf("Secrets[%d]: expected another secret than Secrets[0], got the same", i))
		}
		k, err := deriveKeys(secret)
		if err != nil {
			errs = append(errs, fmt.Errorf("Secrets[%d]: %w", i, err))
		}
		c.keys = append(c.keys, k)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("rediscache: %w", err)
	}
	if c.prefix == "" {
		c.prefix = "postern"
	}
	if c.logger == nil {
		c.logger = slog.Default()
	}
	c.option = &cfg.Redis
	c.option.InitAddress = slices.Clone(cfg.Redis.InitAddress)
	c.option.DisableCache, c.option.DisableRetry = true, true
	c.option.ClientSetInfo = rueidis.DisableClientSetInfo // one permission less to give
	c.option.DisableAutoPipelining, c.option.AlwaysPipelining = false, true
	c.journal = newJournal(newID())
	c.outbox = newOutbox(c.journal)
	c.slots = make(chan struct{}, maxInFlight)
	c.lost = make(chan struct{}, 1)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.breaker = gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Timeout:     breakerPause,
		ReadyToTrip: func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= breakerFailures },
		IsExcluded: func(err error) bool {
			return errors.Is(err, context.Canceled) || errors.Is(err, errBusy) || errors.Is(err, errLost) || errors.As(err, new(refusedError))
		},
	})
	return &Cache{c}, nil
}

// Load is introspect.Shared's. It takes 20 ms at most.
func (c *Cache) Load(ctx context.Context, key introspect.SharedKey) (introspect.SharedAnswer, bool, error) {
	return c.load(ctx, key)
}

// Store is introspect.Shared's. It takes 20 ms at most. Answers of more than 64 KiB are not stored.
func (c *Cache) Store(ctx context.Context, key introspect.SharedKey, answer introspect.SharedAnswer) error {
	return c.store(ctx, key, answer)
}

// Delete is introspect.Shared's. It takes 20 ms at most.
func (c *Cache) Delete(ctx context.Context, key introspect.SharedKey) error {
	return c.delete(ctx, key)
}

// Publish is introspect.Shared's: it returns at once. An eviction that Redis does not take is offered until it does, or until
// Close. Beyond a thousand that wait, all are replaced by one that evicts everything.
func (c *Cache) Publish(e introspect.Eviction) { c.publish(e) }

// Watch is introspect.Shared's.
func (c *Cache) Watch(evict func(introspect.Eviction)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watchers = append(c.watchers, evict)
}

// Close ends the work in the background and the connections, and waits for both: about a second for each connection to a Redis
// that does not answer, and where one is in the making up to Redis.Dialer.Timeout (5 s by default) and Redis.ConnWriteTimeout
// (10 s). Evictions that wait are not delivered. After Close nothing is loaded or stored. Two things of the client end a
// moment later: connections to a Cluster, and after a failure of Redis a goroutine that sleeps for a second at most, or in a
// Cluster of hundreds of nodes for 30.
func (c *Cache) Close() {
	c.end.Do(func() {
		c.start.Do(func() {})
		c.cancel()
		c.work.Wait()
		for range cap(c.slots) { // calls that nobody waits for any more
			c.slots <- struct{}{}
		}
	})
}

// Stats counts what a Cache did since it was made.
type Stats struct {
	// Hits are the answers that were found and could be used, and Misses those that were not there or had expired.
	Hits, Misses uint64
	// Evicted are the answers that were there and were not used, because they are or may be older than an eviction.
	Evicted uint64
	// Forged are the answers and messages that were not sealed with one of Secrets, or that were changed. A message that is read
	// again counts again.
	Forged uint64
	// Failures are the calls that Redis refused or did not answer in time, and Skipped those that were not made because of that.
	Failures, Skipped uint64
	// Stored are the answers that were stored, Sent the evictions that Redis took, and Received those that other replicas sent.
	Stored, Sent, Received uint64
	// Waiting are the evictions that Redis has not taken yet.
	Waiting int
	// Ready reports whether the journal of evictions was read, without which nothing is used.
	Ready bool
}

// Stats returns the counts. Each is right, but not of the same instant.
func (c *Cache) Stats() Stats {
	_, ready := c.journal.state()
	n := &c.counts
	return Stats{
		Hits: n.hits.Load(), Misses: n.misses.Load(), Evicted: n.evicted.Load(), Forged: n.forged.Load(),
		Failures: n.failures.Load(), Skipped: n.skipped.Load(),
		Stored: n.stored.Load(), Sent: n.sent.Load(), Received: n.received.Load(),
		Waiting: c.outbox.waiting(), Ready: ready,
	}
}

// cache stands behind a pointer, and what in it is secret behind another: a verb that suits no pointer prints what the first
// points to.
type cache struct {
	option  *rueidis.ClientOption
	keys    []*keys // the first seals, all open
	prefix  string
	logger  *slog.Logger
	journal *journal
	outbox  *outbox
	breaker *gobreaker.CircuitBreaker[struct{}]
	slots   chan struct{} // one for each call in flight
	lost    chan struct{} // rings when the journal has to be read anew
	counts  counts

	ctx        context.Context // ends with Close
	cancel     context.CancelFunc
	start, end sync.Once
	work       sync.WaitGroup

	mu       sync.Mutex
	client   rueidis.Client // nil until the first connection stood
	watchers []func(introspect.Eviction)
}

func (c *cache) journalKey() string           { return c.prefix + ":journal" }
func (c *cache) answerKey(name string) string { return c.prefix + ":answer:" + name }

func (c *cache) connection() rueidis.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.client
}

func (c *cache) tell(e introspect.Eviction) {
	c.mu.Lock()
	watchers := slices.Clone(c.watchers)
	c.mu.Unlock()
	for _, evict := range watchers {
		evict(e)
	}
}

func (c *cache) publish(e introspect.Eviction) {
	if !e.All && e.TokenID == "" && e.Subject == "" {
		return
	}
	if max(len(e.TokenID), len(e.Subject), len(e.Issuer)) > maxName { // no answer has such an id: rather too much than too little
		e = introspect.Eviction{All: true}
	}
	c.outbox.add(e, newID())
	c.tell(e)
	c.begin()
}

func newID() (i id) {
	_, _ = rand.Read(i[:])
	return i
}

const (
	budget          = 20 * time.Millisecond  // of one lookup
	recheck         = 100 * time.Millisecond // how long the journal counts as read after it was
	maxInFlight     = 128                    // lookups, those that gave up waiting included
	breakerFailures = 5
	breakerPause    = time.Second
)
