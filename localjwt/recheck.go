package localjwt

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/internal/cache"
	"github.com/postern-go/postern/internal/guard"
)

const (
	maxRechecks    = 16 // at once
	recheckTimeout = 10 * time.Second
)

// rechecks are the checks under way, one a token: the first requests with it may come all at once.
type rechecks struct {
	mu      sync.Mutex
	running map[cache.Key]struct{}
}

// begin reports whether a check of the token is now under way, and whether it is for the caller to make.
func (r *rechecks) begin(key cache.Key) (running, mine bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.running[key]; ok {
		return true, false
	}
	if len(r.running) >= maxRechecks {
		return false, false
	}
	if r.running == nil {
		r.running = make(map[cache.Key]struct{})
	}
	r.running[key] = struct{}{}
	return true, true
}

func (r *rechecks) end(key cache.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.running, key)
}

// startRecheck asks introspection about a token while the requests that carry it go on. Where too many checks are under way,
// a later request starts it.
func (v *Verifier) startRecheck(token string, item *cache.Item[*entry]) {
	key := v.tokens.Key(token)
	running, mine := v.rechecks.begin(key)
	if !running {
		v.tokens.RenewLater(item, 0)
		return
	}
	v.tokens.RenewLater(item, v.recheckEvery)
	if mine {
		go func() {
			defer v.rechecks.end(key)
			v.recheck(token, item.Value)
		}()
	}
}

// recheck asks about one token: the server, not what introspection remembers. A good answer is the token's Identity from then
// on: it knows of roles that were granted or taken since the token was issued. A bad one evicts the token, so that
// introspection decides about it from then on; it is not held against the token for good, because ZITADEL calls tokens inactive
// while its database fails. No answer changes nothing.
func (v *Verifier) recheck(token string, e *entry) {
	var err error
	defer guard.Panic(v.keys.logger, &err)
	ctx, cancel := context.WithTimeout(context.Background(), recheckTimeout)
	defer cancel()
	if fresh, ok := v.introspection.(evicter); ok {
		fresh.EvictToken(token)
	}
	asked := time.Now()
	id, err := v.introspection.Verify(ctx, token)
	switch {
	case err == nil:
		v.vouch(token, e, id, asked)
	case errors.Is(err, postern.ErrInvalidToken):
		v.evictions.EvictTokenID(e.tokenID)
	}
}
