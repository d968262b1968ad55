package localjwt

import (
	"context"
	"errors"
	"time"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/internal/cache"
	"github.com/postern-go/postern/internal/guard"
)

const (
	maxRechecks    = 16 // at once
	recheckTimeout = 10 * time.Second
)

// startRecheck asks introspection about a token while the requests that carry it go on. Where too many checks are under way,
// a later request starts it.
func (v *Verifier) startRecheck(token string, item *cache.Item[*entry]) {
	select {
	case v.rechecks <- struct{}{}:
		v.tokens.RenewLater(item, v.recheckEvery)
		go func() {
			defer func() { <-v.rechecks }()
			v.recheck(token, item.Value)
		}()
	default:
		v.tokens.RenewLater(item, 0)
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
