package introspect

import (
	"context"
	"sync"

	"github.com/postern-go/postern/internal/cache"
)

// flight is one question to the server, for which any number of callers wait.
type flight struct {
	key    cache.Key
	token  string
	mark   cache.Mark
	known  bool                 // the token was good when the server was last asked about it
	renews *cache.Item[verdict] // the entry in use that this is to renew, or nil
	blind  bool                 // what the second level has for the token could not be seen

	waiting int // callers, under flights.mu
	done    chan struct{}
	item    *cache.Item[verdict] // the outcome, from done on: either this
	err     error                // or this
}

// flights lets one question a token be in flight, a limited number altogether, and others wait in a limited queue. A share of
// the limit is for tokens known to be good, and these go first.
type flights struct {
	fly                      func(*flight)                        // sets item or err
	landed                   func(cache.Key) *cache.Item[verdict] // what flights have brought that is still good
	limit, strangers, queued int                                  // most in flight, of them for unknown tokens, and most in each queue

	mu                          sync.Mutex
	byKey                       map[cache.Key]*flight
	inFlight, strangersInFlight int
	known, unknown              []*flight
}

func (f *flights) init(limit int, fly func(*flight), landed func(cache.Key) *cache.Item[verdict]) {
	f.fly, f.landed = fly, landed
	f.limit, f.queued = limit, limit*queuePerCall
	f.strangers = limit - limit/4
	if limit > 1 {
		f.strangers = min(f.strangers, limit-1)
	}
	f.byKey = make(map[cache.Key]*flight)
}

// join waits with the caller for the answer about the key. A flight that began before oldest is of no use to the caller; one
// that has landed since the caller looked is.
func (f *flights) join(ctx context.Context, wanted flight, oldest cache.Mark) (*flight, error) {
	f.mu.Lock()
	joined := f.byKey[wanted.key]
	if joined == nil || joined.mark < oldest {
		if item := f.landed(wanted.key); item != nil {
			f.mu.Unlock()
			wanted.item = item
			return &wanted, nil
		}
		if joined = f.begin(wanted); joined == nil {
			f.mu.Unlock()
			return nil, errQueueFull
		}
	}
	joined.waiting++
	f.mu.Unlock()
	select {
	case <-joined.done:
		return joined, nil
	case <-ctx.Done():
		f.mu.Lock()
		joined.waiting--
		f.mu.Unlock()
		return nil, ctx.Err()
	}
}

// renew begins a flight that nobody waits for, unless there is one. It returns false when the queue is full.
func (f *flights) renew(wanted flight) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.byKey[wanted.key] != nil || f.begin(wanted) != nil
}

// begin starts or queues a flight, or returns nil when the queue is full. f.mu is held.
func (f *flights) begin(wanted flight) *flight {
	begun := &wanted
	begun.done = make(chan struct{})
	switch {
	case f.inFlight < f.limit && (begun.known || f.strangersInFlight < f.strangers):
		f.take(begun)
		go f.work(begun)
	case begun.known && len(f.known) < f.queued:
		f.known = append(f.known, begun)
	case !begun.known && len(f.unknown) < f.queued:
		f.unknown = append(f.unknown, begun)
	default:
		return nil
	}
	f.byKey[begun.key] = begun
	return begun
}

// work runs a flight, and then whatever is queued.
func (f *flights) work(current *flight) {
	for current != nil {
		f.fly(current)
		f.mu.Lock()
		f.end(current)
		f.inFlight--
		if !current.known {
			f.strangersInFlight--
		}
		current = f.next()
		f.mu.Unlock()
	}
}

// next takes the next flight from the queues. One that all its callers have left is dropped. f.mu is held.
func (f *flights) next() *flight {
	for {
		var next *flight
		switch {
		case len(f.known) > 0:
			next, f.known = f.known[0], f.known[1:]
		case len(f.unknown) > 0 && f.strangersInFlight < f.strangers:
			next, f.unknown = f.unknown[0], f.unknown[1:]
		default:
			return nil
		}
		if next.waiting > 0 || next.renews != nil {
			f.take(next)
			return next
		}
		next.err = errQueueFull // nobody is there to read it
		f.end(next)
	}
}

func (f *flights) take(begun *flight) {
	f.inFlight++
	if !begun.known {
		f.strangersInFlight++
	}
}

func (f *flights) end(ended *flight) {
	if f.byKey[ended.key] == ended { // and not a later one, begun because of an eviction
		delete(f.byKey, ended.key)
	}
	close(ended.done)
}

func (f *flights) counts() (inFlight, queued int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.inFlight, len(f.known) + len(f.unknown)
}
