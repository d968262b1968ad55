package cache

import (
	"sync"
	"sync/atomic"
	"time"
)

// Mark is a moment in the order of evictions.
type Mark uint64

// Mark is to be taken before the server is asked, and handed to Put with the answer.
func (c *Cache[V]) Mark() Mark { return Mark(c.evictions.epoch.Load()) }

// EvictKey voids what is known about one token, as EvictTokenID does about the token with that id, EvictSubject about all tokens
// of a user, and EvictAll about all. They hold for every Get that begins after they return, and for what calls bring that began
// before. Each takes the same short time, however many entries there are; nothing is searched.
func (c *Cache[V]) EvictKey(key Key) {
	c.evictions.add(concern{key: key})
	c.good.remove(key)
	c.bad.remove(key)
}

// EvictTokenID is described at EvictKey; the id of a session voids all its tokens. An empty id evicts nothing.
func (c *Cache[V]) EvictTokenID(id string) {
	if id != "" {
		c.evictions.add(concern{tokenID: id})
	}
}

// EvictSubject is described at EvictKey. An empty subject evicts nothing.
func (c *Cache[V]) EvictSubject(subject string) {
	if subject != "" {
		c.evictions.add(concern{subject: subject})
	}
}

// EvictAll is described at EvictKey.
func (c *Cache[V]) EvictAll() { c.evictions.addAll() }

// Void reports whether an eviction after the item's mark concerns it.
func (c *Cache[V]) Void(item *Item[V]) bool { return c.void(item) }

// Evicted returns the last eviction that, by the key alone, concerns a token: what a call brings that began before is void.
func (c *Cache[V]) Evicted(key Key) Mark {
	last, _ := c.evictions.last(concern{key: key})
	return Mark(last)
}

// void costs one comparison as long as nothing was evicted since the item was last looked at.
func (c *Cache[V]) void(item *Item[V]) bool {
	if item.checked.Load() == c.evictions.epoch.Load() {
		return false
	}
	last, epoch := c.evictions.last(concern{key: item.key}, concern{tokenID: item.tokenID}, concern{tokenID: item.session},
		concern{subject: item.subject})
	if last > uint64(item.mark) {
		return true
	}
	item.checked.Store(epoch)
	return false
}

// concern says what an eviction is about: exactly one of its fields is set.
type concern struct {
	key              Key
	tokenID, subject string
}

// maxConcerns bounds the evictions that are remembered one by one in a generation. Beyond it everything is evicted.
const maxConcerns = 1 << 15

// evictions remembers evictions by number for as long as an entry can live that they may concern: in two generations, each
// MaxLife long. When one is forgotten, what began before its end is void altogether.
type evictions struct {
	epoch atomic.Uint64 // the number of the latest

	mu             sync.RWMutex
	current, older map[concern]uint64
	all            uint64 // whatever has a lower mark is void
	olderEnd       uint64 // the number of the last eviction in older
	began          time.Time
	generation     time.Duration
}

func (e *evictions) init(generation time.Duration) {
	e.generation, e.began = generation, time.Now()
	e.current = map[concern]uint64{}
}

func (e *evictions) add(about concern) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.age()
	number := e.epoch.Load() + 1
	if len(e.current) >= maxConcerns {
		e.forget(number)
	}
	e.current[about] = number
	e.epoch.Store(number) // last: who sees the number finds the eviction
}

func (e *evictions) addAll() {
	e.mu.Lock()
	defer e.mu.Unlock()
	number := e.epoch.Load() + 1
	e.forget(number)
	e.epoch.Store(number)
}

// forget voids everything before number, so that no single eviction need be remembered.
func (e *evictions) forget(number uint64) {
	e.all, e.olderEnd = number, number
	e.current, e.older = map[concern]uint64{}, nil
	e.began = time.Now()
}

// age begins a new generation when the current one is over.
func (e *evictions) age() {
	if time.Since(e.began) < e.generation {
		return
	}
	e.all = max(e.all, e.olderEnd)
	e.older, e.olderEnd = e.current, e.epoch.Load()
	e.current, e.began = map[concern]uint64{}, time.Now()
}

// last returns the number of the last eviction about any of these, or about all, and that of the last eviction altogether.
func (e *evictions) last(about ...concern) (last, epoch uint64) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	last = e.all
	for _, a := range about {
		if a != (concern{}) {
			last = max(last, e.current[a], e.older[a])
		}
	}
	return last, e.epoch.Load()
}
