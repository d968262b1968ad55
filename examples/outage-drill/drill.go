package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/postern-go/postern/introspect"
	"github.com/postern-go/postern/middleware"
	"github.com/postern-go/postern/zitadeltest"
)

const (
	workers = 8
	pace    = 10 * time.Millisecond // between two requests of a worker
	ttl     = 2 * time.Second
	timeout = time.Second
)

// phase is a state of the server, and what good tokens may get while it lasts.
type phase struct {
	name   string
	begin  func(*drill)
	outage bool // the server cannot be asked
}

const inactive = "says inactive"

var well = phase{name: "well", begin: func(*drill) {}}

var phases = []phase{
	well,
	{name: "stopped", outage: true, begin: func(d *drill) { d.line.cut.Store(true) }},
	well,
	{name: "stalls", outage: true, begin: func(d *drill) {
		d.zitadel.Misbehave(zitadeltest.IntrospectionEndpoint, -1, zitadeltest.Stall())
	}},
	well,
	{name: "answers 500", outage: true, begin: func(d *drill) {
		d.zitadel.Misbehave(zitadeltest.IntrospectionEndpoint, -1, zitadeltest.Status(http.StatusInternalServerError))
	}},
	well,
	{name: "answers garbage", outage: true, begin: func(d *drill) {
		d.zitadel.Misbehave(zitadeltest.IntrospectionEndpoint, -1, zitadeltest.Garbage())
	}},
	well,
	{name: inactive, begin: func(d *drill) { d.zitadel.IntrospectInactive(true) }},
	well,
}

// drill is an API in front of a ZITADEL that can be made to fail.
type drill struct {
	zitadel  *zitadeltest.Server
	line     *line
	verifier *introspect.Verifier
	api      http.Handler
	maxStale time.Duration
	good     []string
	revoked  string

	began time.Time
	mu    sync.Mutex
	now   second
}

// second counts what happened in one second, by the status of the answer.
type second struct{ good, bad map[int]int }

func newDrill(cfg zitadeltest.Config, tokens int, maxStale time.Duration) (*drill, error) {
	zitadel, err := zitadeltest.New(cfg)
	if err != nil {
		return nil, err
	}
	d := &drill{zitadel: zitadel, line: &line{base: zitadel.Transport()}, maxStale: maxStale, began: time.Now()}
	orders := zitadel.AddProject("orders", "viewer")
	app := orders.AddAPI("orders-api")
	bot := zitadel.AddServiceUser("bot", zitadeltest.WithProjectRole(orders, "viewer"))
	for range tokens {
		d.good = append(d.good, bot.PAT())
	}
	d.revoked = bot.PAT()
	zitadel.Revoke(d.revoked)
	d.verifier, err = introspect.New(introspect.Config{
		Issuer: zitadel.Issuer(), Auth: introspect.Basic(app.ClientID, app.ClientSecret), HTTPClient: &http.Client{Transport: d.line},
		TTL: ttl, NegativeTTL: time.Second, MaxStale: maxStale, Timeout: timeout, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		zitadel.Close()
		return nil, err
	}
	gate := middleware.New(d.verifier, middleware.Config{})
	d.api = gate.Require(middleware.Role("viewer"))(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "[]") }))
	return d, nil
}

func (d *drill) close() { d.zitadel.Close() }

// run goes through the phases under load.
func (d *drill) run(ctx context.Context, w io.Writer, long time.Duration) error {
	for _, token := range d.good { // so that all are known before the first outage
		if status := d.ask(ctx, token); status != http.StatusOK {
			return fmt.Errorf("a good token got %d from a server that is well", status)
		}
	}
	load, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	d.take()
	for range workers {
		wg.Go(func() { d.work(load) })
	}
	fmt.Fprintf(w, "%5s  %-16s  %15s  %15s  %s\n", "", "", "good tokens", "bad tokens", "")
	fmt.Fprintf(w, "%5s  %-16s  %5s%5s%5s  %5s%5s%5s  %s\n", "s", "ZITADEL", "200", "401", "503", "200", "401", "503", "breaker")
	var errs []error
	for i, p := range phases {
		d.line.cut.Store(false)
		d.zitadel.Behave()
		p.begin(d)
		recovered := make(chan time.Duration, 1)
		if i > 0 && p.name == well.name {
			go d.recovery(load, recovered)
		}
		var s second
		for began := time.Now(); time.Since(began) < long; {
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				return ctx.Err()
			}
			s = d.take()
			fmt.Fprintf(w, "%5.0f  %-16s  %5d%5d%5d  %5d%5d%5d  %s\n", time.Since(d.began).Seconds(), p.name,
				s.good[200], s.good[401], s.good[503], s.bad[200], s.bad[401], s.bad[503], d.verifier.Stats().Breaker)
			errs = append(errs, d.judge(p, s))
		}
		errs = append(errs, d.judgeLast(p, s))
		select {
		case after := <-recovered:
			fmt.Fprintf(w, "       asked again, and good tokens let in on a new answer, %.1f s after ZITADEL came back from %q\n", after.Seconds(), phases[i-1].name)
		default:
			if i > 0 && p.name == well.name {
				errs = append(errs, fmt.Errorf("no recovery within %s after %q", long, phases[i-1].name))
			}
		}
	}
	stop()
	wg.Wait()
	s := d.verifier.Stats()
	fmt.Fprintf(w, "\n%d answers from memory, %d stale ones, %d calls, %d of them failed, %d tokens turned inactive in %d bursts\n\n",
		s.Hits, s.Stale, s.Calls, s.Failures, s.TurnedInactive, s.InactiveBursts)
	if s.InactiveBursts == 0 {
		errs = append(errs, fmt.Errorf("MaxStale %s: %d good tokens turned inactive, and no burst of them was noticed", d.maxStale, s.TurnedInactive))
	}
	return errors.Join(errs...)
}

// judge holds a second against what is promised.
func (d *drill) judge(p phase, s second) error {
	failed := func(what string, n int) error {
		return fmt.Errorf("MaxStale %s, %s: %d %s", d.maxStale, p.name, n, what)
	}
	var errs []error
	if n := s.bad[200]; n > 0 {
		errs = append(errs, failed("bad tokens were let in", n))
	}
	for status, n := range s.good {
		switch {
		case status == 200 || status == 0: // 0: the drill ended
		case status != 401 && status != 503:
			errs = append(errs, failed(fmt.Sprintf("good tokens got %d", status), n))
		case p.outage && d.maxStale > 0:
			errs = append(errs, failed(fmt.Sprintf("good tokens got %d although the server could not be asked", status), n))
		case p.outage && status == 401:
			errs = append(errs, failed("good tokens got 401: an outage is no verdict", n))
		}
	}
	return errors.Join(errs...)
}

// judgeLast holds the last second of a phase, in which nothing is remembered from before, against what the phase must have done:
// a failure that nobody notices would prove nothing.
func (d *drill) judgeLast(p phase, s second) error {
	want := http.StatusOK
	switch {
	case p.outage && d.maxStale == 0:
		want = http.StatusServiceUnavailable
	case p.name == inactive:
		want = http.StatusUnauthorized
	}
	if len(s.good) != 1 || s.good[want] == 0 {
		return fmt.Errorf("MaxStale %s, %s: expected only %d for good tokens in the last second, got %v", d.maxStale, p.name, want, s.good)
	}
	return nil
}

// recovery tells how long it takes until a good token is let in on an answer that the server gave after now.
func (d *drill) recovery(ctx context.Context, recovered chan<- time.Duration) {
	began, token := time.Now(), d.good[0]
	d.verifier.EvictToken(token) // what is remembered does not count
	for ctx.Err() == nil {
		if d.ask(ctx, token) == http.StatusOK {
			recovered <- time.Since(began)
			return
		}
		pause(ctx, pace)
	}
}

// work sends requests, one in five with a token that must not be let in.
func (d *drill) work(ctx context.Context) {
	for ctx.Err() == nil {
		token, good := d.good[1+rand.IntN(len(d.good)-1)], true // the first is for recovery
		if rand.IntN(5) == 0 {
			token, good = fmt.Sprint("invented-", rand.IntN(1000)), false
			if rand.IntN(10) == 0 {
				token = d.revoked
			}
		}
		d.count(good, d.ask(ctx, token))
		pause(ctx, pace)
	}
}

func (d *drill) ask(ctx context.Context, token string) (status int) {
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/orders", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	d.api.ServeHTTP(w, r)
	if ctx.Err() != nil {
		return 0
	}
	return w.Code
}

func (d *drill) count(good bool, status int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	counts := d.now.bad
	if good {
		counts = d.now.good
	}
	counts[status]++
}

// take returns what was counted since the last time.
func (d *drill) take() second {
	d.mu.Lock()
	defer d.mu.Unlock()
	taken := d.now
	d.now = second{good: map[int]int{}, bad: map[int]int{}}
	return taken
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// line is the way to the server, which can be cut: connections are then refused as by a machine where nothing listens.
type line struct {
	base http.RoundTripper
	cut  atomic.Bool
}

func (l *line) RoundTrip(r *http.Request) (*http.Response, error) {
	if l.cut.Load() {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, fmt.Errorf("dial: %w", syscall.ECONNREFUSED)
	}
	return l.base.RoundTrip(r)
}
