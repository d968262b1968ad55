// Package expiry warns that a credential runs out: on use, once a day, from a week before. It has no goroutine.
package expiry

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Before is how long before the end the warnings begin when nobody says otherwise.
const Before = 7 * 24 * time.Hour

const daily = 24 * time.Hour

// never is where a time means "no end": ZITADEL says year 9999.
var never = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// Watch says that something runs out. The zero value logs "credential" to slog.Default(). Its fields are set before first use.
type Watch struct {
	What string // names it: "personal access token"
	// Before is how long before the end the warnings begin. Zero means 7 days, negative turns them off.
	Before time.Duration
	// Call, when set, is called with each warning, in the goroutine of whoever uses the credential. It must not block.
	Call   func(expires time.Time)
	Logger *slog.Logger // nil means slog.Default()

	mu   sync.Mutex
	plan atomic.Pointer[plan]
}

// plan is when a credential with that end is to be looked at again.
type plan struct{ expires, next time.Time }

// Ends reports whether t is a moment, and neither unknown nor year 9999.
func Ends(t time.Time) bool { return !t.IsZero() && t.Before(never) }

// Check warns when the credential, which ends at expires, is near its end or past it, and the last warning of the same is a
// day ago. It costs two comparisons when there is nothing to say. A nil Watch says nothing.
func (w *Watch) Check(expires time.Time) {
	if w == nil || w.Before < 0 || !Ends(expires) {
		return
	}
	now := time.Now()
	if p := w.plan.Load(); p != nil && p.expires.Equal(expires) && now.Before(p.next) {
		return
	}
	if w.due(now, expires) {
		w.warn(now, expires)
	}
}

// due decides, for all goroutines that come at once, which one warns.
func (w *Watch) due(now, expires time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p := w.plan.Load(); p != nil && p.expires.Equal(expires) && now.Before(p.next) {
		return false
	}
	before := w.Before
	if before == 0 {
		before = Before
	}
	if first := expires.Add(-before); now.Before(first) {
		w.plan.Store(&plan{expires: expires, next: first})
		return false
	}
	w.plan.Store(&plan{expires: expires, next: now.Add(daily)})
	return true
}

func (w *Watch) warn(now, expires time.Time) {
	logger, what := w.Logger, w.What
	if logger == nil {
		logger = slog.Default()
	}
	if what == "" {
		what = "credential"
	}
	attrs := []slog.Attr{slog.Time("expires", expires)}
	text := "postern: the " + what + " has run out: renew it"
	if left := expires.Sub(now); left > 0 {
		text = "postern: the " + what + " runs out soon: renew it"
		attrs = append(attrs, slog.Duration("left", left.Round(time.Minute)))
	}
	logger.LogAttrs(context.Background(), slog.LevelWarn, text, attrs...)
	if w.Call != nil {
		w.Call(expires)
	}
}
