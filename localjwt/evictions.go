package localjwt

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxEvictions bounds how many evictions are kept apart from each other.
const maxEvictions = 10_000

// evictee is what one eviction concerns: the tokens of a user, or one token by its id, or the tokens of a session by what their
// ids begin with.
type evictee struct {
	kind byte // 's' or 't'
	id   string
}

// evictions remembers which signatures are no longer enough. A signed token says what the issuer thought when it issued the
// token; an eviction says that something changed since. It never ends, but only the youngest are kept one by one: what an
// older one concerned is then taken to be every token.
type evictions struct {
	version atomic.Uint64 // grows with each eviction, so that a token is checked once, not on every request

	mu    sync.RWMutex
	all   time.Time // every token issued until then
	at    map[evictee]time.Time
	order []eviction // as they came; an evictee may stand in it several times, its last one counts
	limit int
}

type eviction struct {
	evictee
	at time.Time
}

func newEvictions() *evictions {
	return &evictions{at: make(map[evictee]time.Time), limit: maxEvictions}
}

// EvictTokenID adds a token or session; an empty id is none.
func (e *evictions) EvictTokenID(id string) {
	if id != "" {
		e.add(evictee{'t', id}, time.Now())
	}
}

// EvictSubject adds a user; an empty id is none.
func (e *evictions) EvictSubject(userID string) {
	if userID != "" {
		e.add(evictee{'s', userID}, time.Now())
	}
}

// EvictAll adds everything.
func (e *evictions) EvictAll() { e.addAll(time.Now()) }

func (e *evictions) add(what evictee, at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	defer e.version.Add(1)
	if before, ok := e.at[what]; ok && !at.After(before) {
		return
	}
	e.at[what] = at
	e.order = append(e.order, eviction{what, at})
	if len(e.order) > 2*e.limit {
		e.order = slices.DeleteFunc(e.order, e.superseded)
	}
	for len(e.at) > e.limit {
		oldest := e.order[0]
		e.order = e.order[1:]
		if !e.superseded(oldest) {
			delete(e.at, oldest.evictee)
			e.raise(oldest.at)
		}
	}
}

func (e *evictions) superseded(old eviction) bool { return !e.at[old.evictee].Equal(old.at) }

func (e *evictions) addAll(at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.raise(at)
	e.version.Add(1)
}

func (e *evictions) raise(at time.Time) {
	if at.After(e.all) {
		e.all = at
	}
}

// concern tells whether the token was evicted and not asked about since. To evict a user or everything concerns what was
// issued by then, to evict a token by its id that token whatever the clocks say.
func (e *evictions) concern(t *entry) bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	session, _, _ := strings.Cut(t.tokenID, "-at_")
	for _, id := range [...]string{t.tokenID, session} {
		if at, ok := e.at[evictee{'t', id}]; ok && !t.asked.After(at) {
			return true
		}
	}
	known := t.issued
	if t.asked.After(known) {
		known = t.asked
	}
	return !known.After(e.all) || !known.After(e.at[evictee{'s', t.subject}])
}
