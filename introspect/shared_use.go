package introspect

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/postern-go/postern/internal/cache"
)

// watchShared takes evictions of the fleet for its own.
func (v *verifier) watchShared() {
	if v.cfg.Shared == nil {
		return
	}
	v.sharedAll.evict = v.evictAll
	v.cfg.Shared.Watch(func(e Eviction) {
		if e.Issuer != "" && e.Issuer != v.cfg.Issuer {
			return
		}
		switch {
		case e.All:
			v.sharedAll.call() // each replica that is told by the server tells the fleet
		case e.TokenID != "":
			v.evictTokenID(e.TokenID)
		case e.Subject != "":
			v.evictSubject(e.Subject)
		}
	})
}

func (v *verifier) publish(e Eviction) {
	if v.cfg.Shared != nil {
		e.Issuer = v.cfg.Issuer
		v.cfg.Shared.Publish(e)
	}
}

// loadShared returns an answer of the second level that is still good. A flight that renews an entry takes one in the first half
// of its life: what another replica has renewed already, and not the answer that the entry was made of.
func (v *verifier) loadShared(ctx context.Context, f *flight) (cache.Entry[verdict], bool) {
	if v.cfg.Shared == nil {
		return cache.Entry[verdict]{}, false
	}
	defer v.recovered(new(error)) // it costs a question, no more
	key, err := v.sharedKey(ctx, f.token)
	if err != nil {
		return cache.Entry[verdict]{}, false
	}
	f.blind = true // until seen
	answer, ok, err := v.cfg.Shared.Load(ctx, key)
	f.blind = err != nil
	if err != nil || !ok {
		return cache.Entry[verdict]{}, false
	}
	now := time.Now()
	left := answer.Expires.Sub(now)
	entry, err := v.rules.judge(answer.Claims, now)
	if err != nil || entry.Bad || left <= 0 || f.renews != nil && left < v.cfg.TTL/2 {
		return cache.Entry[verdict]{}, false
	}
	entry.Fresh = min(entry.Fresh, left)
	// Replicas that hold the same answer renew it one after the other, so that most find what the first one brought.
	entry.Renew = min(entry.Renew, entry.Fresh*4/5-rand.N(entry.Fresh*3/10+1))
	return entry, true
}

// storeShared hands an answer of the server on.
func (v *verifier) storeShared(ctx context.Context, f *flight, asked time.Time, s said) {
	if v.cfg.Shared == nil {
		return
	}
	defer v.recovered(new(error)) // what the server said stands
	key, err := v.sharedKey(ctx, f.token)
	if err != nil {
		return
	}
	if s.entry.Bad {
		if f.known || f.blind {
			_ = v.cfg.Shared.Delete(ctx, key) // what fails there costs a question, no more
		}
		return
	}
	expires := asked.Add(s.entry.Fresh)
	if !s.entry.Expiry.IsZero() && s.entry.Expiry.Before(expires) {
		expires = s.entry.Expiry
	}
	_ = v.cfg.Shared.Store(ctx, key, SharedAnswer{
		Claims: s.body, TokenID: s.entry.TokenID, Subject: s.entry.Subject, Asked: asked, Expires: expires,
	})
}

func (v *verifier) deleteShared(token string) {
	if v.cfg.Shared == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), v.cfg.Timeout)
	defer cancel()
	if key, err := v.sharedKey(ctx, token); err == nil {
		_ = v.cfg.Shared.Delete(ctx, key)
	}
}

func (v *verifier) sharedKey(ctx context.Context, token string) (SharedKey, error) {
	id, err := v.client.id(ctx)
	return SharedKey{Issuer: v.cfg.Issuer, ClientID: id, Token: token}, err
}
