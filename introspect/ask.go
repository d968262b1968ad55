package introspect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/internal/bearer"
	"github.com/postern-go/postern/internal/cache"
	"github.com/postern-go/postern/internal/oauth"
)

// ownError is a failure on our side of the wire: a key that cannot be read or used.
type ownError struct{ error }

func (e *ownError) Unwrap() error { return e.error }

// refused reports whether the server refused this API's credentials: 400 unauthorized_client is ZITADEL's way (its guides, and
// RFC 7662 §2.3, say 401).
func refused(err error) bool {
	e, ok := errors.AsType[*postern.Error](err)
	return ok && (e.StatusCode == http.StatusUnauthorized ||
		e.StatusCode == http.StatusBadRequest && (e.Code == "unauthorized_client" || e.Code == "invalid_client"))
}

// serverFailed reports whether the error is the server's failure. That it refuses something, with a 4xx, shows that it works.
func serverFailed(err error) bool {
	if e, ok := errors.AsType[*postern.Error](err); ok {
		return e.StatusCode < 400 || e.StatusCode >= 500 || e.StatusCode == http.StatusTooManyRequests || e.StatusCode == http.StatusRequestTimeout
	}
	return err != nil
}

// fly asks about a flight's token, detached from whoever waits for it.
func (v *verifier) fly(f *flight) {
	ctx, cancel := context.WithTimeout(context.Background(), v.cfg.Timeout)
	defer cancel()
	entry, err := v.answer(ctx, f)
	if err != nil {
		f.err = v.unavailable(ctx, err)
		if f.renews != nil {
			v.cache.RenewLater(f.renews, v.cfg.TTL/50)
		}
		return
	}
	entry.Value.formed = bearer.Valid(f.token)
	f.item, _ = v.cache.Put(f.key, f.mark, entry)
}

// unavailable makes what callers get of what went wrong.
func (v *verifier) unavailable(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil: // ours, not that of any caller, and must not pass for theirs
		return fmt.Errorf("introspect: expected an answer within %s, got none: %w", v.cfg.Timeout, postern.ErrUnavailable)
	case errors.Is(err, postern.ErrUnavailable):
		return fmt.Errorf("introspect: %w", err)
	}
	return fmt.Errorf("introspect: %w: %w", postern.ErrUnavailable, err)
}

// answer returns what the second level or else the server says.
func (v *verifier) answer(ctx context.Context, f *flight) (cache.Entry[verdict], error) {
	if entry, ok := v.loadShared(ctx, f); ok {
		return entry, nil
	}
	if v.hold.refusing() { // and only then: a Source may take its time
		v.hold.changed(v.credential(ctx))
	}
	if err := v.hold.check(f.known); err != nil {
		v.logRefusal(err)
		return cache.Entry[verdict]{}, err
	}
	asked := time.Now()
	said, err := v.breaker(f.known).Execute(func() (said, error) { return v.ask(ctx, f) })
	v.logBreaker(f.known)
	if err != nil {
		v.learn(ctx, f, err)
		return cache.Entry[verdict]{}, err
	}
	if !said.entry.Bad {
		v.hold.accepted()
		said.entry.Since = asked // what was revoked since then is not known to be in the answer
	}
	if f.known {
		v.renewed(said.entry.Value.err)
	}
	v.storeShared(ctx, f, asked, said)
	return said.entry, nil
}

// credential names the credential in use, or is empty where it is not known or never changes.
func (v *verifier) credential(ctx context.Context) (name string) {
	defer v.recovered(new(error)) // whoever signs with it panics again
	return v.client.credential(ctx)
}

type said struct {
	entry cache.Entry[verdict]
	body  []byte
}

// ask makes one call (RFC 7662 §2.1).
func (v *verifier) ask(ctx context.Context, f *flight) (_ said, err error) {
	defer v.recovered(&err)
	endpoint, err := v.issuer.URL(ctx, oauth.Introspection)
	if err != nil {
		return said{}, err
	}
	v.calls.Add(1)
	if f.renews != nil {
		v.renewals.Add(1)
	}
	resp, err := v.client.call(ctx, func(credentials url.Values, authorize func(*http.Request)) (*oauth.Response, error) {
		form := url.Values{"token": {f.token}}
		for name, values := range credentials {
			form[name] = values
		}
		return v.issuer.PostForm(ctx, endpoint, form, authorize, f.token)
	})
	if err != nil {
		return said{}, err
	}
	entry, err := v.rules.judge(resp.Body, time.Now())
	if err != nil {
		return said{}, resp.Unusable(err)
	}
	return said{entry: entry, body: resp.Body}, nil
}

// recovered makes an error of a panic, in a deferred call: it is the user's code that panicked (a Source, Signer, RoundTripper,
// Shared), and in a goroutine of ours, where nobody else could keep it from ending the program.
func (v *verifier) recovered(err *error) {
	p := recover()
	if p == nil {
		return
	}
	*err = &ownError{fmt.Errorf("expected an answer, got a panic (%T) from the key's Source, the HTTPClient or Shared", p)}
	if v.panicLog.allows() { // what was panicked with may hold a token; its type and the stack do not
		v.log(slog.LevelError, "introspect: code in use for asking the identity server panicked", "type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
	}
}

// log keeps a Logger that panics from taking along what the server said.
func (v *verifier) log(level slog.Level, text string, args ...any) {
	defer func() { _ = recover() }()
	v.cfg.Logger.Log(context.Background(), level, text, append(args, "issuer", v.cfg.Issuer)...)
}

// learn counts a failure, and holds further calls back where the server's answer asks for it.
func (v *verifier) learn(ctx context.Context, f *flight, err error) {
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return // not asked
	}
	v.failures.Add(1)
	switch e, ok := errors.AsType[*postern.Error](err); {
	case refused(err):
		v.hold.refused(f.known, err, v.credential(ctx))
		v.logRefusal(err)
		return
	case ok && e.RetryAfter > 0:
		v.hold.asked(e.RetryAfter, err)
	}
	if v.failureLog.allows() { // callers learn from package middleware only that it is an outage
		v.log(slog.LevelWarn, "introspect: the identity server could not be asked about a token, or gave no usable answer", "error", err)
	}
}

// logRefusal logs once a minute that our credentials are refused, for as long as somebody is turned away because of it.
func (v *verifier) logRefusal(err error) {
	if refused(err) && v.refusalLog.allows() {
		v.log(slog.LevelError, "introspect: the identity server refuses this API's own credentials, so no token can be checked", "error", err)
	}
}

const (
	failuresToOpen = 5
	openFor        = time.Second
)

// breaker returns one of two: an attacker chooses the unknown tokens, and may have found one that makes the server fail, or one
// whose answer is none. That must not keep it from being asked about tokens known to be good.
func (v *verifier) breaker(known bool) *gobreaker.CircuitBreaker[said] {
	return v.breakers[which(known)]
}

func which(known bool) int {
	if known {
		return 1
	}
	return 0
}

func newBreaker(about string) *gobreaker.CircuitBreaker[said] {
	return gobreaker.NewCircuitBreaker[said](gobreaker.Settings{
		Name:         about,
		MaxRequests:  1,
		Timeout:      openFor,
		ReadyToTrip:  func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= failuresToOpen },
		IsSuccessful: func(err error) bool { return !serverFailed(err) },
		IsExcluded:   func(err error) bool { _, own := errors.AsType[*ownError](err); return own },
	})
}

// breakerLog remembers which breakers the log has as open.
type breakerLog struct {
	mu     sync.Mutex
	logged [2]bool
}

// logBreaker says once that a breaker has opened, and once that it has closed. It looks after the call: gobreaker would tell under its
// lock, which Stats takes, too, and who is told may want those.
func (v *verifier) logBreaker(known bool) {
	b, o := v.breaker(known), &v.breakerLog
	o.mu.Lock()
	open, logged := b.State() != gobreaker.StateClosed, &o.logged[which(known)]
	changed := *logged != open
	*logged = open
	o.mu.Unlock()
	switch {
	case changed && open:
		v.log(slog.LevelWarn, "introspect: the identity server does not answer, calls are held back", "about", b.Name())
	case changed:
		v.log(slog.LevelInfo, "introspect: the identity server answers again", "about", b.Name())
	}
}

const (
	minPause      = time.Second
	maxPause      = time.Minute
	maxRetryAfter = 30 * time.Second
)

// hold keeps calls back after an answer which says that more of them will not help for now.
type hold struct {
	mu           sync.Mutex
	until        time.Time
	err          error
	strangerSaid bool   // and not a token known to be good
	credential   string // that was refused
	pause        time.Duration
}

// check returns the error to answer with while calls are held back. What the server said about an unknown token does not hold
// back a call for one known to be good: an attacker chooses the former.
func (h *hold) check(known bool) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Now().Before(h.until) && !(known && h.strangerSaid) {
		return h.err
	}
	return nil
}

// refusing reports whether calls are held back because our credentials were refused.
func (h *hold) refusing() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return refused(h.err) && time.Now().Before(h.until)
}

// changed ends that for another credential than the one that was refused.
func (h *hold) changed(credential string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if refused(h.err) && credential != "" && credential != h.credential {
		h.until, h.pause = time.Time{}, 0
	}
}

// refused holds calls back for twice as long as the last time, because the server refused our credentials.
func (h *hold) refused(known bool, err error, credential string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.credential = credential
	if time.Now().Before(h.until) && (!known || !h.strangerSaid) {
		return // said by a call of the same burst
	}
	h.pause = min(max(2*h.pause, minPause), maxPause)
	h.set(h.pause-rand.N(h.pause/10), err, !known)
}

// asked holds calls back as the server asks (RFC 9110 §10.2.3).
func (h *hold) asked(pause time.Duration, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.set(min(pause, maxRetryAfter), err, false)
}

func (h *hold) set(pause time.Duration, err error, strangerSaid bool) {
	h.until, h.err, h.strangerSaid = time.Now().Add(pause), err, strangerSaid
}

// accepted ends the hold for refused credentials: an active answer proves them. An inactive one does not: ZITADEL may give it to
// a wrong client about a wrong token.
func (h *hold) accepted() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pause = 0
	if refused(h.err) { // and not what the server asked for (Retry-After) while this answer was under way
		h.until = time.Time{}
	}
}

const (
	burstWindow = 10 * time.Second
	burstSize   = 10
)

// renewed counts an answer about a token known to be good, and warns of a burst.
func (v *verifier) renewed(err error) {
	inactive := errors.Is(err, errInactive)
	if inactive {
		v.turnedInactive.Add(1)
	}
	if !v.bursts.count(inactive) {
		return
	}
	v.inactiveBursts.Add(1)
	if v.burstLog.allows() {
		v.log(slog.LevelWarn, "introspect: many tokens that were good have turned inactive at once, which ZITADEL also says when its database fails or this API's key is broken",
			"inactive", burstSize, "within", burstWindow)
	}
}

// bursts notices when tokens known to be good turn inactive all at once.
type bursts struct {
	mu     sync.Mutex
	asked  int             // how many were asked about
	turned [burstSize]turn // the last that turned inactive, oldest first
}

type turn struct {
	at    time.Time
	asked int
}

// count reports whether the token is the tenth that turned inactive within ten seconds, while not more than that were asked about
// that did not. It then begins anew.
func (b *bursts) count(inactive bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	if !inactive {
		return false
	}
	copy(b.turned[:], b.turned[1:])
	last := turn{time.Now(), b.asked}
	b.turned[burstSize-1] = last
	first := b.turned[0]
	burst := last.at.Sub(first.at) <= burstWindow && last.asked-first.asked < 2*burstSize
	if burst {
		b.turned = [burstSize]turn{}
	}
	return burst
}

// oncePerMinute keeps a log calm.
type oncePerMinute struct{ last atomic.Pointer[time.Time] }

func (o *oncePerMinute) allows() bool {
	now, last := time.Now(), o.last.Load()
	return (last == nil || now.Sub(*last) >= time.Minute) && o.last.CompareAndSwap(last, &now)
}
