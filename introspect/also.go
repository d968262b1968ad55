package introspect

import "sync"

// AlsoEvict makes e evict whatever v evicts by token id, by subject or altogether, be it told here or, with Config.Shared, by
// another replica. Package localjwt uses it for tokens that it verified itself. The methods of e return at once and may be
// called from several goroutines, and more than once for one eviction; they must not evict from v in turn.
func (v *Verifier) AlsoEvict(e interface {
	EvictTokenID(id string)
	EvictSubject(userID string)
	EvictAll()
}) {
	v.v.also.mu.Lock()
	defer v.v.also.mu.Unlock()
	v.v.also.list = append(v.v.also.list, e)
}

// also are those who evict along.
type also struct {
	mu   sync.Mutex
	list []Evictor
}

func (a *also) each(do func(Evictor)) {
	a.mu.Lock()
	list := a.list
	a.mu.Unlock()
	for _, e := range list {
		do(e)
	}
}

func (v *verifier) evictTokenID(id string) {
	v.cache.EvictTokenID(id)
	v.also.each(func(e Evictor) { e.EvictTokenID(id) })
}

func (v *verifier) evictSubject(userID string) {
	v.cache.EvictSubject(userID)
	v.also.each(func(e Evictor) { e.EvictSubject(userID) })
}

func (v *verifier) evictAll() {
	v.cache.EvictAll()
	v.also.each(Evictor.EvictAll)
}
