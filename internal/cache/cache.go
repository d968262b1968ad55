// Package cache keeps what is known about tokens, for the verifiers that must answer in a fraction of a microsecond and under
// attack.
//
// A token is never kept: its key is a keyed hash (Hasher). A lookup takes no lock and allocates nothing. The number of entries
// is bounded, and a flood of new tokens replaces new entries, not those in use: an entry that was not used since it came has
// one place of seven in its part of the table, and refusals have a small table of their own, so that invented tokens push
// out other invented tokens only.
//
//	c := cache.New[*postern.Identity](cache.Config{MaxEntries: 100_000, MaxLife: time.Hour})
//	key, mark := c.Key(token), c.Mark()
//	item, state := c.Get(key)               // cache.Fresh: use item.Value
//	…                                       // ask the server
//	c.Put(key, mark, cache.Entry[*postern.Identity]{Value: id, Fresh: ttl, Expiry: id.Expiry(), TokenID: id.TokenID()})
//	c.EvictTokenID(jti)                     // entries of calls that began before are void
//
// A library would do for the table, and was measured (otter, ristretto: 1.3 to 2 times the time of a hit, more allocations), but
// none keeps refusals apart, none voids entries by subject at once, and none takes results of calls that overlap an eviction
// for void.
package cache

import (
	"math"
	"sync/atomic"
	"time"
	"unsafe"
)

// Config says how much a Cache keeps and for how long.
type Config struct {
	// MaxEntries bounds the entries, refusals included: of the places a sixteenth is for refusals, or seven where that is more, but
	// never over a half. Less than 2 counts as 2.
	// The table is divided into sets of seven: when as many tokens are in use as it has places, about one in seven finds its
	// set full, so a table should have twice the places of the tokens in use.
	MaxEntries int
	// MaxLife bounds how long after Put an entry can be used, stale or not. Longer times given to Put are cut to it.
	MaxLife time.Duration
}

// Cache maps keys of tokens to values. It is safe for concurrent use.
type Cache[V any] struct {
	Hasher
	clock
	good, bad table[V]
	evictions evictions
	maxLife   time.Duration
	hits      [stripes]counter
}

// New returns an empty Cache with a hash key of its own.
func New[V any](cfg Config) *Cache[V] {
	places := max(cfg.MaxEntries, 2)
	c := &Cache[V]{Hasher: newHasher(), clock: clock{base: time.Now()}, maxLife: cfg.MaxLife}
	refusals := min(max(places/16, maxWays), places/2)
	c.bad.init(refusals)
	c.good.init(places - refusals)
	c.evictions.init(cfg.MaxLife)
	return c
}

// State is what may be done with an Item.
type State uint8

const (
	// Miss: nothing is known, or no longer. There is no Item.
	Miss State = iota
	// Fresh: use the value.
	Fresh
	// Due: use the value, and start a renewal. Get says so to one caller: who does not Put a new entry after that calls
	// RenewLater.
	Due
	// Stale: the entry ran out. Its token was good once, and while Usable says so the value may stand in for a newer one that
	// cannot be had.
	Stale
)

// Entry is what Put stores.
type Entry[V any] struct {
	Value V
	// Bad marks a refusal: it lives among its like, where a flood of invented tokens can do no harm.
	Bad bool
	// TokenID, Session and Subject are by what the entry can be evicted; empty: not by that. EvictTokenID takes either of the
	// first two.
	TokenID, Session, Subject string
	// Since is when all that follows begins to count; the zero time: in Put.
	Since time.Time
	// Fresh is how long the value may be used, Stale how much longer it may stand in for a newer one that cannot be had, and Keep
	// how much longer than Fresh it is known at all.
	Fresh, Stale, Keep time.Duration
	// Renew is when Get asks one caller for a renewal; 0: never.
	Renew time.Duration
	// NotBefore and Expiry bound the use, whatever the durations say; the zero time: no bound.
	NotBefore, Expiry time.Time
}

// Item is an entry in the table. Value must not be changed.
type Item[V any] struct {
	// What a hit looks at comes first, to be in as few cache lines as possible.
	Value   V
	key     Key
	fresh   end
	from    int64         // wall clock
	checked atomic.Uint64 // the last eviction that is known not to concern it
	renewAt atomic.Int64  // nanoseconds after base
	used    atomic.Uint32 // how often since it came or was last passed over, up to maxUsed
	bad     bool

	mark                      Mark // of the call that brought it
	stale, keep               end
	tokenID, session, subject string
}

// Bad reports whether it is a refusal.
func (i *Item[V]) Bad() bool { return i.bad }

// Get returns what is known about the token with that key, and what may be done with it.
func (c *Cache[V]) Get(key Key) (*Item[V], State) { return c.GetAt(time.Time{}, key) }

// GetAt is Get for a caller who has just looked at the clocks; the zero time: it has not.
func (c *Cache[V]) GetAt(when time.Time, key Key) (*Item[V], State) {
	item, state, now := c.look(when, key)
	if state != Fresh {
		return item, state
	}
	if used := item.used.Load(); used < maxUsed {
		item.used.Store(used + 1)
	}
	c.hits[stripe()].add(item.bad)
	if due := item.renewAt.Load(); now.mono >= due && item.renewAt.CompareAndSwap(due, math.MaxInt64) {
		return item, Due
	}
	return item, Fresh
}

// Peek returns the Item that Get would call Fresh or Due, or nil. It counts for nothing.
func (c *Cache[V]) Peek(key Key) *Item[V] {
	if item, state, _ := c.look(time.Time{}, key); state == Fresh {
		return item
	}
	return nil
}

func (c *Cache[V]) look(when time.Time, key Key) (*Item[V], State, end) {
	item := c.good.find(key)
	if item == nil {
		if item = c.bad.find(key); item == nil {
			return nil, Miss, end{}
		}
	}
	var now end
	if when.IsZero() {
		now = c.about()
	} else {
		now = c.at(when)
	}
	switch {
	case now.wall < item.from || c.void(item):
		return nil, Miss, now
	case !item.fresh.passed(now):
		return item, Fresh, now
	case !item.keep.passed(now):
		return item, Stale, now
	}
	return nil, Miss, now
}

// Usable reports whether a Stale item may stand in for what cannot be had: not past what Put was given as Stale and Expiry, and
// not evicted.
func (c *Cache[V]) Usable(item *Item[V]) bool {
	now := c.now()
	return !item.stale.passed(now) && now.wall >= item.from && !c.void(item)
}

// RenewLater lets Get ask for a renewal of the item again, after d.
func (c *Cache[V]) RenewLater(item *Item[V], d time.Duration) {
	item.renewAt.Store(int64(time.Since(c.base) + d))
}

// Put stores an entry that a call brought which began at mark, and returns the item. When an eviction since then concerns the
// entry it is not stored and ok is false; the item may be of use to who began before the eviction, and to nobody else.
func (c *Cache[V]) Put(key Key, mark Mark, e Entry[V]) (item *Item[V], ok bool) {
	now := c.now()
	since := now
	if !e.Since.IsZero() {
		since = c.at(e.Since)
	}
	latest := nanos(e.Expiry, math.MaxInt64)
	fresh := min(e.Fresh, c.maxLife)
	stale := fresh + min(max(e.Stale, 0), c.maxLife-fresh)
	keep := fresh + min(max(e.Keep, e.Stale, 0), c.maxLife-fresh)
	item = &Item[V]{
		Value: e.Value, key: key, tokenID: e.TokenID, session: e.Session, subject: e.Subject, bad: e.Bad, mark: mark,
		from: nanos(e.NotBefore, math.MinInt64), fresh: since.after(fresh, latest), stale: since.after(stale, latest), keep: since.after(keep, latest),
	}
	item.renewAt.Store(math.MaxInt64)
	if e.Renew > 0 {
		item.renewAt.Store(since.mono + int64(e.Renew))
	}
	item.checked.Store(uint64(mark))
	if c.void(item) {
		return item, false
	}
	// The refusal is in place before the access that it ends goes, and the other way round: no moment without an answer.
	store, other := &c.good, &c.bad
	if e.Bad {
		store, other = other, store
	}
	store.put(item, now)
	other.remove(key)
	return item, true
}

// nanos returns t in nanoseconds since 1970, which reach to the year 2262, or the bound for the zero time.
func nanos(t time.Time, bound int64) int64 {
	switch {
	case t.IsZero():
		return bound
	case t.Unix() >= math.MaxInt64/int64(time.Second):
		return math.MaxInt64
	case t.Unix() <= math.MinInt64/int64(time.Second):
		return math.MinInt64
	}
	return t.UnixNano()
}

// Counts is what a Cache tells about itself.
type Counts struct {
	// Hits are the answers given, and Refusals those among them that were a Bad entry.
	Hits, Refusals uint64
	// Entries are the places taken, those of entries that ran out and were not yet replaced included.
	Entries int
	// Replaced are the entries that had to go before their time because their set was full.
	Replaced uint64
	// Evictions are the calls of an Evict method.
	Evictions uint64
}

// Counts counts. The numbers are each right, but not of the same instant.
func (c *Cache[V]) Counts() Counts {
	counts := Counts{
		Entries:   int(c.good.entries.Load() + c.bad.entries.Load()),
		Replaced:  c.good.replaced.Load() + c.bad.replaced.Load(),
		Evictions: c.evictions.epoch.Load(),
	}
	for i := range c.hits {
		bad := c.hits[i].bad.Load()
		counts.Hits += c.hits[i].good.Load() + bad
		counts.Refusals += bad
	}
	return counts
}

// Hits are counted in stripes that lie two cache lines apart, and a goroutine keeps to one: cores that wrote to the same line would
// wait for each other at every hit. (Lots drawn at every hit were no better than one counter.)
const stripes = 64

// stripe tells goroutines apart by where their stacks lie. The address is a number here and points to nothing.
func stripe() uintptr {
	var here byte
	return uintptr(unsafe.Pointer(&here)) >> 12 % stripes
}

type counter struct {
	good, bad atomic.Uint64
	_         [128 - 16]byte
}

func (c *counter) add(bad bool) {
	if bad {
		c.bad.Add(1)
	} else {
		c.good.Add(1)
	}
}
