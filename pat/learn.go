package pat

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
)

const (
	learnFor   = 5 * time.Second
	learnAgain = time.Hour
)

// learner finds out when a token ends.
type learner struct {
	asking sync.Mutex // held by the one caller who asks
	last   atomic.Pointer[learned]
}

// learned is what was found out of one token.
type learned struct {
	token   *oauth2.Token
	expires time.Time // zero: not known
	again   time.Time // when to ask again; zero: not at all
}

func (l *learner) expiry(token *oauth2.Token) time.Time {
	if last := l.last.Load(); last != nil && last.token == token {
		return last.expires
	}
	return time.Time{}
}

func (l *learner) learn(ctx context.Context, token *oauth2.Token, o *options) {
	if l.known(token) || !l.asking.TryLock() {
		return
	}
	defer l.asking.Unlock()
	if l.known(token) {
		return
	}
	asking, cancel := context.WithTimeout(ctx, learnFor)
	defer cancel()
	expires, err := o.ask(asking, token.AccessToken)
	if ctx.Err() != nil {
		return // the caller gave up, which says nothing: the next one asks
	}
	found := &learned{token: token, expires: expires}
	if err != nil {
		found.expires, found.again = time.Time{}, time.Now().Add(learnAgain)
		o.log().Debug("postern: when the personal access token ends could not be found out", "err", err)
	}
	l.last.Store(found)
}

func (l *learner) known(token *oauth2.Token) bool {
	last := l.last.Load()
	return last != nil && last.token == token && (last.again.IsZero() || time.Now().Before(last.again))
}

func (o *options) log() *slog.Logger {
	if o.logger != nil {
		return o.logger
	}
	return slog.Default()
}
