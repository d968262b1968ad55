package drill

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/postern-go/postern/rediscache/internal/redisserver"
)

const (
	slotsAPhase = 5
	workers     = 6
	pause       = 4 * time.Millisecond // of a worker between two requests
	// slack is what a request may take on its way to where it is judged, on a busy machine.
	slack = time.Second
)

// subjects are the tokens under load: valid ones, and those removed with the time of their removal.
type subjects struct {
	mu      sync.Mutex
	valid   []string
	removed map[string]time.Time
}

// pick returns a token at random, now and then an invented one, and whether it is to be let in (nil: either is right).
func (s *subjects) pick(ttl time.Duration) (token string, judge func(began time.Time) (mustPass, mustFail bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rand.IntN(10) == 0 {
		return "invented-" + strconv.Itoa(rand.Int()), func(time.Time) (bool, bool) { return false, true }
	}
	if n := len(s.removed); n > 0 && rand.IntN(3) == 0 {
		skip := rand.IntN(n)
		for token := range s.removed {
			if skip--; skip < 0 {
				return token, func(began time.Time) (bool, bool) { return false, s.gone(token, began, ttl) }
			}
		}
	}
	token = s.valid[rand.IntN(len(s.valid))]
	return token, func(began time.Time) (bool, bool) {
		s.mu.Lock()
		_, removed := s.removed[token]
		s.mu.Unlock()
		return !removed, removed && s.gone(token, began, ttl)
	}
}

// gone reports whether no cache may hold the token any more.
func (s *subjects) gone(token string, began time.Time, ttl time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return began.Sub(s.removed[token]) > ttl+slack
}

// remove takes one of the valid tokens off.
func (s *subjects) remove(w *world) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.valid) - 1
	token := s.valid[last]
	s.valid = s.valid[:last]
	s.removed[token] = time.Now() // before, so that nobody calls its refusal wrong
	w.server.Revoke(token)
	s.removed[token] = time.Now()
}

// timeline puts the fleet under load while Redis is killed, restarted, stalled and let go on, and removes a token in every part of
// it.
func timeline(ctx context.Context, cfg Config, w *world, redis *redisserver.Server, events *balancer, r *Result) error {
	ttl := cfg.Phase / 2
	f, err := start(w.replica(ttl, redis.Addr()), cfg.Processes)
	if err != nil {
		return err
	}
	defer f.stop()
	events.fleet.Store(f)
	defer events.fleet.Store(nil)
	if err := f.warm(ctx, w); err != nil {
		return err
	}
	load := &subjects{valid: w.tokens(max(cfg.Tokens, 10*slotsAPhase)), removed: map[string]time.Time{}}
	var mu sync.Mutex
	var slot Slot
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	for range workers {
		work.Go(func() {
			for wait(ctx, pause) == nil {
				token, judge := load.pick(ttl)
				began := time.Now()
				status, err := f.check(ctx, rand.IntN(cfg.Processes), token)
				if ctx.Err() != nil {
					return
				}
				mustPass, mustFail := judge(began)
				mu.Lock()
				switch {
				case err != nil || status == http.StatusServiceUnavailable:
					slot.Unavailable++
				case status == http.StatusOK:
					slot.OK++
				default:
					slot.Refused++
				}
				if mustPass && (err != nil || status != http.StatusOK) {
					slot.ValidRefused++
				}
				if mustFail && err == nil && status == http.StatusOK {
					slot.InvalidAccepted++
				}
				mu.Unlock()
			}
		})
	}
	for _, phase := range []struct {
		name  string
		begin func() error
	}{
		{"Redis works", func() error { return nil }},
		{"Redis is killed", func() error { redis.Kill(); return nil }},
		{"Redis is started, empty", redis.Restart},
		{"Redis is stalled", redis.Stall},
		{"Redis goes on", redis.Resume},
	} {
		if err := phase.begin(); err != nil {
			return err
		}
		for range slotsAPhase {
			load.remove(w)
			if err := wait(ctx, cfg.Phase/slotsAPhase); err != nil {
				return err
			}
			mu.Lock()
			slot.Phase = phase.name
			r.Timeline = append(r.Timeline, slot)
			slot = Slot{}
			mu.Unlock()
		}
	}
	return nil
}
