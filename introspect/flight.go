package introspect

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/internal/cache"
)

var (
	errQueueFull = fmt.Errorf("introspect: too many calls are waiting for the identity server: %w", postern.ErrUnavailable)
	errLate      = fmt.Errorf("introspect: the identity server has not answered yet: %w", postern.ErrUnavailable)
	errLost      = fmt.Errorf("introspect: code in use for the call panicked or ended its goroutine: %w", postern.ErrUnavailable)
)

// flight is one question to the server, for which any number of callers wait.
type flight struct {
	key    cache.Key
	token  string
	mark   cache.Mark
	known  bool                 // the token was good when the server was last asked about it
	renews *cache.Item[verdict] // the entry in use that this is to renew, or nil
	blind  bool                 // what the second level has for the token could not be seen

	began   time.Time
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

// join waits with the caller for the answer about the key: not past ctx's end, nor, if patience is not 0, for a flight that has
// taken longer than that, be it in the queue or in the air; then the error is errLate. A flight that began before oldest is of no
// use to the caller; one that has landed since the caller looked is.
func (f *flights) join(ctx context.Context, wanted flight, oldest cache.Mark, patience time.Duration) (*flight, error) {
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
	var late <-chan time.Time
	if patience > 0 {
		late = time.After(patience - time.Since(joined.began))
	}
	var err error
	select {
	case <-joined.done:
		return joined, nil
	case <-late:
		err = errLate
	case <-ctx.Done():
		err = ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	joined.waiting--
	select {
	case <-joined.done: // at the same moment: an answer counts
		return joined, nil
	default:
		return nil, err
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
	begun.done, begun.began = make(chan struct{}), time.Now()
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

// work runs a flight, and sees to it that it lands whatever becomes of it.
func (f *flights) work(current *flight) {
	defer f.land(current)
	f.fly(current)
}

// land hands the outcome to the callers and the place to the next flight.
func (f *flights) land(landed *flight) {
	_ = recover() // in a goroutine of ours it would end the program
	f.mu.Lock()
	defer f.mu.Unlock()
	if landed.item == nil && landed.err == nil {
		landed.err = errLost
	}
	f.end(landed)
	f.inFlight--
	if !landed.known {
		f.strangersInFlight--
	}
	if next := f.next(); next != nil {
		go f.work(next)
	}
}

// next takes the next flight from the queues. One that all its callers have left is dropped, unless the token is known: who let an
// old answer stand in did not wait, and what the server says of the token must take effect all the same. f.mu is held.
func (f *flights) next() *flight {
	for {
		var next *flight
		switch {
		case len(f.known) > 0:
			next = pop(&f.known)
		case len(f.unknown) > 0 && f.strangersInFlight < f.strangers:
			next = pop(&f.unknown)
		default:
			return nil
		}
		if next.waiting > 0 || next.known {
			f.take(next)
			return next
		}
		next.err = errQueueFull // nobody is there to read it
		f.end(next)
	}
}

// pop leaves nothing behind in the array, which lives on: a flight holds a token.
func pop(queue *[]*flight) (first *flight) {
	first, (*queue)[0] = (*queue)[0], nil
	*queue = (*queue)[1:]
	return first
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
