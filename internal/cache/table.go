package cache

import (
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
)

const (
	maxWays = 7
	maxUsed = 3
	locks   = 64
)

// table is a set-associative table: a key belongs to one set of seven ways, of fewer where there is no room for seven. Readers take no
// lock: what they find is an item that nobody changes, and the key in it decides. Writers of a set take turns.
type table[V any] struct {
	sets     []set[V]
	pasts    []past // by set; for writers
	ways     int    // of each set; the last is the trial way, for which new entries contend when a set is full
	locks    [locks]sync.Mutex
	entries  atomic.Int64
	replaced atomic.Uint64
}

// set fills one cache line.
type set[V any] struct {
	tags atomic.Uint64 // a byte of each way's key, so that a lookup touches one item and not seven
	ways [maxWays]atomic.Pointer[Item[V]]
}

// past is what writers remember about a set.
type past struct {
	gone [maxWays]uint16 // two bytes of the keys of the last that went unused, the latest first
	hand uint8           // of the second-chance algorithm
}

// init makes room for at most so many entries, one at least.
func (t *table[V]) init(places int) {
	t.ways = min(places, maxWays)
	t.sets, t.pasts = make([]set[V], places/t.ways), make([]past, places/t.ways)
}

func (t *table[V]) index(key Key) uint64 {
	index, _ := bits.Mul64(key.a, uint64(len(t.sets)))
	return index
}

const (
	low  = 0x0101010101010101
	high = 0x8080808080808080
)

func (t *table[V]) find(key Key) *Item[V] {
	s := &t.sets[t.index(key)]
	differ := (s.tags.Load() ^ uint64(byte(key.b))*low) | 0xff<<56
	// A zero byte sets its high bit; a byte above one may, too, which costs a look at an item of another key. The eighth byte is
	// no way's.
	for same := (differ - low) &^ differ & high; same != 0; same &= same - 1 {
		if item := s.ways[bits.TrailingZeros64(same)/8].Load(); item != nil && item.key == key {
			return item
		}
	}
	return nil
}

// put stores the item in place of an older one of its key, else in a free way or that of one that ran out. In a full set it
// takes the trial way. Whoever was there, and was used meanwhile, gets the place of one of the others that was not used; whoever was not
// goes, but when it comes back soon it gets such a place, too. So a flood of tokens that are seen once replaces nothing but
// itself. (The idea is that of S3-FIFO, in a set.)
func (t *table[V]) put(item *Item[V], now end) {
	index := t.index(item.key)
	s, p, trial := &t.sets[index], &t.pasts[index], t.ways-1
	lock := &t.locks[index%locks]
	lock.Lock()
	defer lock.Unlock()
	free, stale := -1, -1
	for way := range t.ways {
		old := s.ways[way].Load()
		switch {
		case old == nil:
			free = way
		case old.key == item.key:
			item.used.Store(old.used.Load())
			s.store(way, item)
			return
		case old.keep.passed(now):
			s.ways[way].Store(nil) // lets its memory go, too
			t.entries.Add(-1)
			free = way
		case old.fresh.passed(now):
			stale = way
		}
	}
	switch {
	case free >= 0:
		t.entries.Add(1)
		s.store(free, item)
		return
	case stale >= 0:
		s.store(stale, item)
	case slices.Contains(p.gone[:], trace(item.key)):
		s.store(s.unused(p, trial), item)
	default:
		tried := s.ways[trial].Load()
		if tried.used.Load() > 0 {
			tried.used.Store(0)
			s.store(s.unused(p, trial), tried)
		} else {
			copy(p.gone[1:], p.gone[:])
			p.gone[0] = trace(tried.key)
		}
		s.store(trial, item)
	}
	t.replaced.Add(1)
}

func trace(key Key) uint16 { return uint16(key.b >> 8) }

// unused returns a way before the trial way that was not used since the hand last came by, as the second-chance algorithm has it:
// whoever came last is looked at last. Where there is no other than the trial way it is that.
func (s *set[V]) unused(p *past, trial int) (way int) {
	for range (maxUsed + 1) * trial { // readers go on using meanwhile
		way, p.hand = int(p.hand), (p.hand+1)%uint8(trial)
		used := &s.ways[way].Load().used
		if used.Load() == 0 {
			break
		}
		used.Store(used.Load() - 1)
	}
	return way
}

func (s *set[V]) store(way int, item *Item[V]) {
	s.ways[way].Store(item)
	shift := 8 * way
	s.tags.Store(s.tags.Load()&^(0xff<<shift) | uint64(byte(item.key.b))<<shift)
}

func (t *table[V]) remove(key Key) {
	if t.find(key) == nil {
		return
	}
	index := t.index(key)
	lock := &t.locks[index%locks]
	lock.Lock()
	defer lock.Unlock()
	s := &t.sets[index]
	for way := range t.ways {
		if item := s.ways[way].Load(); item != nil && item.key == key {
			s.ways[way].Store(nil)
			t.entries.Add(-1)
		}
	}
}
