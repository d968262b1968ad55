package postern

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"golang.org/x/oauth2"

	"github.com/postern-go/postern/internal/isnil"
	"github.com/postern-go/postern/internal/setback"
)

// ReuseConfig says how Reuse asks its source. The zero value suits most.
type ReuseConfig struct {
	// FetchTimeout is how long one call of the source may take, however many callers wait for it and whoever of them leaves.
	// Default (also for a negative value): 30 s. A source that does not come back in time keeps its place: callers get an
	// error that wraps ErrUnavailable, and it is not called a second time before it returns.
	FetchTimeout time.Duration
	// Credential names the credential that the source uses now, for instance the id of its key, and never is a secret. It is
	// called when the source is called, and when a caller would be given a remembered refusal: when the name has
	// changed, the refusal is forgotten and the source asked at once. It should take no time, and respect the context if it may
	// block: it is the caller's. Default: a refusal is remembered for its full time.
	Credential func(context.Context) string
	// Logger gets a warning for a renewal that failed while a token was in hand, which no caller sees, and an error with the
	// stack when the source panics. Default: slog.Default().
	Logger *slog.Logger
}

// Reuse returns a source that keeps the token of src in hand until it ends, for sources of your own; those of this module do it
// already. It is an Invalidator too, and hands Invalidate on to src where src is one. A token in hand costs a caller one atomic
// load.
//
//   - Renewal: at min(max(10 %, 1 min), half) of its life before a token ends, less up to a tenth of that at random so
//     that a fleet spreads out, the next caller starts a call of src in the background, and goes on with the token in hand.
//     A renewal that fails, or brings the same token again, is tried again after half of the time that is left, or after
//     Error.RetryAfter where that is longer. Nothing polls, and without callers nothing is renewed.
//   - No token in hand: all callers share one call of src. Each leaves when its own context ends, with an error that wraps the
//     context's and, with the sources of this module, what the call has met with so far. The call goes on for the others, under a
//     context of its own (FetchTimeout) without anybody's values.
//   - A refusal by the server, an *Error or *oauth2.RetrieveError with a code and status 400 or 401, or status 429, is
//     remembered: at first for 1 s, then twice as long each time up to 1 min; any other 4xx for 100 ms, then twice as long each
//     time up to 1 s. Where Error.RetryAfter is longer, whatever the status, that counts, up to 10 min. See
//     ReuseConfig.Credential. Other failures are not remembered: the next caller makes src be called again, from the second in
//     a row on 100 ms after the one before.
//   - Lifetimes: a token without Expiry never ends, nor does one with more than 100 years to go. One that has ended
//     when it comes is an error, as is one that is nil or empty. One that lives for 2 min or less is renewed at half of its life.
//   - Invalidate drops exactly that token. When a call under way then brings that very token, src is called once more; what
//     it gives then is used.
//   - A panic in src becomes an error that all callers get.
//
// Lives are counted on the monotonic clock, so that setting the machine's clock does not end or prolong them. Where that clock
// stands still while a machine sleeps, a token may be handed out past its end; a Transport finds out by the 401.
//
// Reuse of what Reuse returned gives that back, with the config it has. A nil src, typed or not, gives a source that refuses
// every call.
func Reuse(src TokenSource, cfg ReuseConfig) TokenSource {
	switch s := src.(type) {
	case *reuse:
		if s != nil {
			return s
		}
	case refusing:
		return s
	}
	if isnil.Is(src) {
		return refusing{errors.New("postern: Reuse was given no token source (nil); give it one, for instance of package jwtprofile")}
	}
	if cfg.FetchTimeout <= 0 {
		cfg.FetchTimeout = 30 * time.Second
	}
	if cfg.Credential == nil {
		cfg.Credential = func(context.Context) string { return "" }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &reuse{src: src, cfg: cfg, start: time.Now()}
}

const (
	never = time.Duration(math.MaxInt64)
	// endless is the life from which on a token's end is not worth reckoning with.
	endless = 100 * 365 * 24 * time.Hour

	maxRefusalMemory = time.Minute
	maxRetryAfter    = 10 * time.Minute
	maxAnswerMemory  = time.Second
	// outagePause is between two calls of a source that fails at once and of which nothing else holds callers back.
	outagePause = 100 * time.Millisecond
	// minRenewalGap keeps a renewal that fails from being tried ever faster as the token's end comes near.
	minRenewalGap = time.Second
	// timerSlack is how much earlier than need be hand is taken away: timers come late, and the long way looks at the clock.
	timerSlack = 10 * time.Millisecond
	// maxDropped bounds what Invalidate can make a call under way remember.
	maxDropped = 16
)

// reuse is what Reuse returns. Its times are counted from start, on the monotonic clock.
type reuse struct {
	src   TokenSource
	cfg   ReuseConfig
	start time.Time
	// hand is the token in hand while there is nothing else to do than to hand it out. A timer takes it away when there is,
	// which spares callers the look at the clock: that costs as much as all else that a Transport does beside copying.
	hand atomic.Pointer[oauth2.Token]

	mu       sync.Mutex
	held     *held // the token in hand, or one that has run out
	timer    *time.Timer
	flight   *flight       // the call of src under way
	failure  *failure      // of the last call, while it is remembered
	failures int           // in a row that were to be remembered
	outage   bool          // the last call failed in another way
	resume   time.Duration // src is not called before this
}

// held is a token in hand. It is not changed once it is stored.
type held struct {
	token      *oauth2.Token
	renew, end time.Duration // renew is not after end
}

type flight struct {
	ctx     context.Context // of the call: ends at its timeout, and after done
	setback func() error    // what it met with so far
	done    chan struct{}
	token   *oauth2.Token // token and err: before done is closed
	err     error
	dropped []string // invalidated meanwhile; under reuse.mu
	again   bool     // src was called once more for that reason; under reuse.mu
}

type failure struct {
	err        error
	until      time.Duration
	credential string
}

// outcome is what a call of src came to.
type outcome struct {
	token      *oauth2.Token
	err        error
	answer     *Error // in err: looked for where a panic in the source's own error type is caught
	credential string
}

func (r *reuse) Token() (*oauth2.Token, error) { return r.TokenCtx(context.Background()) }

func (r *reuse) TokenCtx(ctx context.Context) (*oauth2.Token, error) {
	if token := r.hand.Load(); token != nil {
		return token, nil
	}
	return r.slow(ctx)
}

func (r *reuse) Invalidate(accessToken string) {
	// The source first: else a caller in between could fetch the token again out of the source's own memory.
	if i, ok := r.src.(Invalidator); ok {
		i.Invalidate(accessToken)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held != nil && r.held.token.AccessToken == accessToken {
		r.hold(nil)
	}
	if f := r.flight; f != nil && !slices.Contains(f.dropped, accessToken) {
		if len(f.dropped) == maxDropped {
			f.dropped = slices.Delete(f.dropped, 0, 1)
		}
		f.dropped = append(f.dropped, accessToken)
	}
}

// Format keeps what the source holds out of logs, whatever the verb.
func (r *reuse) Format(s fmt.State, _ rune) { io.WriteString(s, "postern.Reuse(…)") }

// slow is TokenCtx where there is more to do than to hand out the token in hand.
func (r *reuse) slow(ctx context.Context) (*oauth2.Token, error) {
	for {
		token, f, failed, err := r.next(ctx)
		switch {
		case token != nil || err != nil:
			return token, err
		case f != nil:
			return r.wait(ctx, f)
		}
		// Credential is the user's code: it is not called under the lock.
		if r.cfg.Credential(ctx) == failed.credential {
			left := (failed.until - time.Since(r.start)).Round(time.Millisecond)
			return nil, fmt.Errorf("%w (remembered: asked again in %s, or when the credential changes)", failed.err, left)
		}
		r.mu.Lock()
		if r.failure == failed {
			r.failure, r.failures = nil, 0
		}
		r.mu.Unlock()
	}
}

// next decides for one caller: the token in hand, the call to wait for, or the failure that is still remembered.
func (r *reuse) next(ctx context.Context) (*oauth2.Token, *flight, *failure, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Since(r.start)
	if h := r.held; h != nil && now < h.end {
		if now >= h.renew && r.flight == nil {
			// Until the renewal lands, callers are back on the short way.
			r.hold(&held{h.token, h.end, h.end})
			r.launch()
		}
		return h.token, nil, nil, nil
	}
	if r.flight != nil {
		return nil, r.flight, nil, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, nil, fmt.Errorf("postern: no token was asked for: %w", err)
	}
	if r.failure != nil && now < r.failure.until {
		return nil, nil, r.failure, nil
	}
	return nil, r.launch(), nil, nil
}

func (r *reuse) wait(ctx context.Context, f *flight) (*oauth2.Token, error) {
	select {
	case <-f.done:
		return f.token, f.err
	case <-ctx.Done():
		if err := f.setback(); err != nil {
			return nil, fmt.Errorf("postern: waiting for a token: %w, after %w", ctx.Err(), err)
		}
		return nil, fmt.Errorf("postern: waiting for a token: %w", ctx.Err())
	case <-f.ctx.Done():
	}
	select {
	case <-f.done: // the call's context ends after done, too
		return f.token, f.err
	default:
		return nil, r.late("the source has not come back yet")
	}
}

// launch starts the one call of src, under the lock. The call belongs to nobody: it has its own timeout, and no values of the
// caller's context, whose trace hooks and the like may not outlive that caller.
func (r *reuse) launch() *flight {
	pause := max(r.resume-time.Since(r.start), 0)
	ctx, cancel := context.WithTimeout(context.Background(), pause+r.cfg.FetchTimeout)
	ctx, met := setback.Watch(ctx)
	f := &flight{ctx: ctx, setback: met, done: make(chan struct{})}
	r.flight = f
	go func() {
		defer cancel()
		time.Sleep(pause)
		for r.attempt(f) {
		}
	}()
	return f
}

// attempt calls src once, and reports whether it is to be called again.
func (r *reuse) attempt(f *flight) (again bool) {
	out := outcome{err: errors.New("postern: the token source ended its goroutine (runtime.Goexit) instead of returning")}
	defer func() {
		if p := recover(); p != nil {
			out = outcome{err: panicked(r.cfg.Logger, p)}
		}
		again = r.land(f, out)
	}()
	out = r.ask(f.ctx)
	return
}

func (r *reuse) ask(ctx context.Context) outcome {
	// Before the call: should the credential change in between, the next caller finds another name and asks again.
	credential := r.cfg.Credential(ctx)
	token, err := checked(r.src.TokenCtx(ctx))
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = r.late(err.Error())
	}
	return outcome{token, err, answerIn(err), credential}
}

// answerIn finds what the server said, in the error of a source of this module or of x/oauth2, or returns nil.
func answerIn(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*oauth2.RetrieveError](err); ok && e.Response != nil {
		return &Error{StatusCode: e.Response.StatusCode, Code: e.ErrorCode}
	}
	return nil
}

// late is the error for a call that took too long. It deliberately wraps no context error: callers would take it for their
// own context's.
func (r *reuse) late(why string) error {
	return fmt.Errorf("postern: %w: no token within %s (ReuseConfig.FetchTimeout): %s", ErrUnavailable, r.cfg.FetchTimeout, why)
}

// land puts down what a call came to, or reports that src is to be called again: it gave a token that was dropped meanwhile.
func (r *reuse) land(f *flight, out outcome) (again bool) {
	r.mu.Lock()
	now, old := time.Since(r.start), r.held
	if out.err == nil && !f.again && slices.Contains(f.dropped, out.token.AccessToken) {
		f.again = true
		r.mu.Unlock()
		return true
	}
	r.flight = nil
	f.token, f.err = out.token, out.err
	invisible := out.err != nil && old != nil && now < old.end
	switch {
	case out.err == nil:
		r.failure, r.failures, r.outage = nil, 0, false
		r.hold(lifeOf(out.token, old, now))
	default:
		r.remember(out, now)
		if invisible {
			r.hold(&held{old.token, later(now, old.end, asked(out.answer)), old.end})
		}
	}
	close(f.done)
	next := r.held
	r.mu.Unlock()
	if invisible { // but for operators
		r.cfg.Logger.Warn("postern: token renewal failed; the token in hand goes on", "error", out.err,
			"ends_in", (old.end - now).Round(time.Second), "next_try_in", (next.renew - now).Round(time.Second))
	}
	return false
}

// remember keeps a failure that others are to be given, and forgets those before it, under the lock.
func (r *reuse) remember(out outcome, now time.Duration) {
	wait := memory(out.answer, r.failures)
	if wait == 0 {
		r.failure, r.failures = nil, 0
		if r.outage {
			r.resume = now + outagePause
		}
		r.outage = true
		return
	}
	r.outage = false
	r.failure = &failure{out.err, now + wait, out.credential}
	r.failures++
}

// hold takes h, or nothing, for the token in hand, under the lock.
func (r *reuse) hold(h *held) {
	r.held = h
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	if h == nil {
		r.hand.Store(nil)
		return
	}
	if h.renew == never {
		r.hand.Store(h.token)
		return
	}
	due := h.renew - timerSlack - time.Since(r.start)
	if due <= 0 {
		r.hand.Store(nil)
		return
	}
	r.hand.Store(h.token)
	// Neither a source that its program has let go of nor its token is kept in memory by the timer, for as long as a token lives.
	source, of := weak.Make(r), weak.Make(h)
	r.timer = time.AfterFunc(due, func() {
		if r := source.Value(); r != nil {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.held == of.Value() {
				r.hand.Store(nil)
			}
		}
	})
}

// lifeOf works out when the token is renewed and when it ends.
func lifeOf(token *oauth2.Token, old *held, now time.Duration) *held {
	if token.Expiry.IsZero() {
		return &held{token, never, never}
	}
	life := time.Until(token.Expiry)
	if life > endless {
		return &held{token, never, never}
	}
	end := now + life
	if old != nil && old.token.AccessToken == token.AccessToken {
		return &held{token, later(now, end, 0), end}
	}
	lead := min(max(life/10, time.Minute), life/2)
	return &held{token, end - shorten(lead, 10), end}
}

// later is when a renewal that brought nothing is tried again: each time after half of what is left, or the wait that the server
// asked for, and at the end at the latest. Little of it is left to chance, so that an hour without an answer, from wherever in its
// window on, takes a token of 12 hours no more than 4 renewals in vain.
func later(now, end, wait time.Duration) time.Duration {
	return min(now+max(shorten((end-now)/2, 20), minRenewalGap, wait), end)
}

// asked is how long the server's answer, which may be nil, asks to wait, as far as it is heeded.
func asked(answer *Error) time.Duration {
	if answer == nil {
		return 0
	}
	return min(answer.RetryAfter, maxRetryAfter)
}

// memory is how long a failure is remembered, after so many before it that were. The server's answer may be nil.
func memory(answer *Error, before int) time.Duration {
	if answer == nil {
		return 0
	}
	var wait time.Duration
	switch status := answer.StatusCode; {
	case status == http.StatusTooManyRequests, answer.Code != "" && (status == http.StatusBadRequest || status == http.StatusUnauthorized):
		wait = double(time.Second, before, maxRefusalMemory)
	case status >= 400 && status < 500:
		wait = double(100*time.Millisecond, before, maxAnswerMemory)
	}
	return max(shorten(wait, 5), asked(answer))
}

func double(d time.Duration, times int, limit time.Duration) time.Duration {
	return min(d<<min(times, 16), limit)
}

// shorten takes up to d/part off at random, so that many processes do not act as one.
func shorten(d, part time.Duration) time.Duration {
	if d < part {
		return d
	}
	return d - rand.N(d/part)
}

// checked refuses tokens that no caller could use.
func checked(token *oauth2.Token, err error) (*oauth2.Token, error) {
	switch {
	case err != nil:
		return nil, err
	case token == nil:
		return nil, errors.New("postern: the token source returned neither a token nor an error; it must return one of them")
	case token.AccessToken == "":
		return nil, errors.New("postern: the token source returned a token with an empty AccessToken")
	case !token.Expiry.IsZero() && time.Until(token.Expiry) <= 0:
		return nil, fmt.Errorf("postern: the token source returned a token that had ended at %s already; check this machine's clock",
			token.Expiry.UTC().Format(time.RFC3339))
	}
	return token, nil
}

// panicked makes an error of what a source panicked with, and keeps the stack where an operator looks for it. What it panicked with
// may hold a token, so only its type is shown, or the text of the runtime's own.
func panicked(log *slog.Logger, p any) error {
	said := fmt.Sprintf("%T", p)
	if e, ok := p.(runtime.Error); ok {
		said = e.Error()
	}
	log.Error("postern: token source panicked", "panic", said, "stack", string(debug.Stack()))
	return fmt.Errorf("postern: token source panicked: %s: the log has its stack", said)
}

// refusing is a source with nothing to give.
type refusing struct{ err error }

func (s refusing) Token() (*oauth2.Token, error)                   { return nil, s.err }
func (s refusing) TokenCtx(context.Context) (*oauth2.Token, error) { return nil, s.err }
func (s refusing) Invalidate(string)                               {}
