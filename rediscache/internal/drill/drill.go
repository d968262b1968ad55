// Package drill runs a fleet of processes against zitadeltest and a real Redis, makes things fail, and tells what the fleet
// answered.
package drill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"time"

	"github.com/postern-go/postern/rediscache/internal/redisserver"
	"github.com/postern-go/postern/zitadeltest"
)

// Config says how large a drill is.
type Config struct {
	Processes, Tokens, Revocations int
	// Phase is how long each of the phases of the timeline takes. Answers are cached for half of it.
	Phase time.Duration
}

// Result is what a drill found.
type Result struct {
	// CallsWithout and CallsWith are the introspection calls for all tokens, each checked once by every process, without and
	// with a second level.
	CallsWithout, CallsWith int
	// GaveUp are the calls to Redis meanwhile that took more than their 20 ms, or were not made because of that. Each costs one
	// introspection call at most.
	GaveUp int
	// AfterArrival says for each revocation how long after its event arrived the last process refused the token, and
	// AfterRemoval how long after the token was removed. Both are sorted.
	AfterArrival, AfterRemoval []time.Duration
	// Timeline has one slot for each fifth of a phase.
	Timeline []Slot
}

// Slot is what the fleet answered in a part of a phase.
type Slot struct {
	Phase string
	// OK, Refused and Unavailable count the answers 200, 401 and 503.
	OK, Refused, Unavailable int
	// ValidRefused are valid tokens that got another answer than 200, and InvalidAccepted tokens that got 200 and were invented,
	// or removed longer ago than answers are cached.
	ValidRefused, InvalidAccepted int
}

// Wrong counts the answers of the timeline that should have been others.
func (r Result) Wrong() (wrong int) {
	for _, s := range r.Timeline {
		wrong += s.ValidRefused + s.InvalidAccepted
	}
	return wrong
}

// Run runs the drill and prints it.
func Run(ctx context.Context, cfg Config, out io.Writer) (Result, error) {
	var r Result
	server, err := zitadeltest.New(zitadeltest.Config{})
	if err != nil {
		return r, err
	}
	defer server.Close()
	redis, err := redisserver.Start()
	if err != nil {
		return r, err
	}
	defer redis.Kill()
	events := &balancer{arrivals: make(chan time.Time, 1)}
	hook := httptest.NewServer(events)
	defer hook.Close()
	w, err := newWorld(ctx, server, hook.URL)
	if err != nil {
		return r, err
	}

	if r.CallsWithout, _, err = calls(ctx, cfg, w, ""); err != nil {
		return r, err
	}
	if r.CallsWith, r.GaveUp, err = calls(ctx, cfg, w, redis.Addr()); err != nil {
		return r, err
	}
	fmt.Fprintf(out, "introspection calls for %d tokens, each checked by %d processes: %d without a second level, %d with Redis (%.1f to 1), where %d calls to Redis were given up\n",
		cfg.Tokens, cfg.Processes, r.CallsWithout, r.CallsWith, float64(r.CallsWithout)/float64(r.CallsWith), r.GaveUp)

	if err := revocations(ctx, cfg, w, redis.Addr(), events, &r); err != nil {
		return r, err
	}
	fmt.Fprintf(out, "from a PAT's removal to its refusal by all %d processes, %d times: after the webhook's arrival p50 %v, p99 %v; after the removal p50 %v, p99 %v\n",
		cfg.Processes, cfg.Revocations, quantile(r.AfterArrival, 50), quantile(r.AfterArrival, 99), quantile(r.AfterRemoval, 50), quantile(r.AfterRemoval, 99))

	if err := timeline(ctx, cfg, w, redis, events, &r); err != nil {
		return r, err
	}
	fmt.Fprintf(out, "answers while Redis fails, answers cached for %v:\n%-24s %7s %7s %7s %15s %17s\n", cfg.Phase/2, "", "200", "401", "503", "valid refused", "invalid accepted")
	for _, s := range r.Timeline {
		fmt.Fprintf(out, "%-24s %7d %7d %7d %15d %17d\n", s.Phase, s.OK, s.Refused, s.Unavailable, s.ValidRefused, s.InvalidAccepted)
	}
	fmt.Fprintf(out, "wrong answers: %d\n", r.Wrong())
	return r, nil
}

// calls counts the introspection calls that a new fleet makes for new tokens, and the calls to Redis that it gives up.
func calls(ctx context.Context, cfg Config, w *world, redis string) (made, gaveUp int, err error) {
	f, err := start(w.replica(time.Hour, redis), cfg.Processes)
	if err != nil {
		return 0, 0, err
	}
	defer f.stop()
	if redis != "" {
		if err := f.warm(ctx, w); err != nil {
			return 0, 0, err
		}
	}
	tokens := w.tokens(cfg.Tokens)
	gaveUpBefore, err := f.gaveUp(ctx)
	if err != nil {
		return 0, 0, err
	}
	before := w.server.Calls(zitadeltest.IntrospectionEndpoint)
	for _, token := range tokens {
		for _, process := range rand.Perm(cfg.Processes) {
			if status, err := f.check(ctx, process, token); err != nil || status != http.StatusOK {
				return 0, 0, fmt.Errorf("a valid token got %d: %w", status, err)
			}
		}
	}
	made = w.server.Calls(zitadeltest.IntrospectionEndpoint) - before
	gaveUp, err = f.gaveUp(ctx)
	return made, gaveUp - gaveUpBefore, err
}

// warm waits until every process is connected to Redis: until one call serves all.
func (f *fleet) warm(ctx context.Context, w *world) error {
	for {
		token := w.bot.PAT()
		before := w.server.Calls(zitadeltest.IntrospectionEndpoint)
		for process := range f.addresses {
			if _, err := f.check(ctx, process, token); err != nil {
				return err
			}
		}
		if w.server.Calls(zitadeltest.IntrospectionEndpoint)-before == 1 {
			return nil
		}
		if err := wait(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

// revocations removes tokens that every process has cached, one after the other.
func revocations(ctx context.Context, cfg Config, w *world, redis string, events *balancer, r *Result) error {
	f, err := start(w.replica(time.Hour, redis), cfg.Processes)
	if err != nil {
		return err
	}
	defer f.stop()
	events.fleet.Store(f)
	defer events.fleet.Store(nil)
	if err := f.warm(ctx, w); err != nil {
		return err
	}
	for _, token := range w.tokens(cfg.Revocations) {
		for process := range f.addresses {
			if status, err := f.check(ctx, process, token); err != nil || status != http.StatusOK {
				return fmt.Errorf("a valid token got %d: %w", status, err)
			}
		}
		removed := time.Now()
		w.server.Revoke(token)
		var arrived time.Time
		select {
		case arrived = <-events.arrivals:
		case <-ctx.Done():
			return ctx.Err()
		}
		errs := make([]error, cfg.Processes)
		var all sync.WaitGroup
		for process := range f.addresses {
			all.Go(func() {
				for status := http.StatusOK; status == http.StatusOK && errs[process] == nil; {
					status, errs[process] = f.check(ctx, process, token)
				}
			})
		}
		all.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
		r.AfterArrival = append(r.AfterArrival, time.Since(arrived))
		r.AfterRemoval = append(r.AfterRemoval, time.Since(removed))
	}
	slices.Sort(r.AfterArrival)
	slices.Sort(r.AfterRemoval)
	return nil
}

// quantile returns the smallest of the sorted times that at least percent of them do not exceed.
func quantile(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)*percent+99)/100-1].Round(10 * time.Microsecond)
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
