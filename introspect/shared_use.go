package introspect

import (
	"context"
	"time"

	"github.com/postern-go/postern/internal/cache"
)

// watchShared takes evictions of the fleet for its own.
func (v *verifier) watchShared() {
	if v.cfg.Shared == nil {
		return
	}
	v.cfg.Shared.Watch(func(e Eviction) {
		if e.Issuer != "" && e.Issuer != v.cfg.Issuer {
			return
		}
		switch {
		case e.All:
			v.evictAll()
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

// loadShared returns an answer of the second level that is still good. A flight that renews an entry does not ask there: it
// would get the answer that the entry was made of.
func (v *verifier) loadShared(ctx context.Context, f *flight) (cache.Entry[verdict], bool) {
	if v.cfg.Shared == nil || f.renews != nil {
		return cache.Entry[verdict]{}, false
	}
	key, err := v.sharedKey(ctx, f.token)
	if err != nil {
		return cache.Entry[verdict]{}, false
	}
	answer, ok, err := v.cfg.Shared.Load(ctx, key)
	if err != nil || !ok {
		return cache.Entry[verdict]{}, false
	}
	now := time.Now()
	left := answer.Expires.Sub(now)
	entry, err := v.rules.judge(answer.Claims, now)
	if err != nil || entry.Bad || left <= 0 {
		return cache.Entry[verdict]{}, false
	}
	entry.Fresh = min(entry.Fresh, left)
	entry.Renew = min(entry.Renew, entry.Fresh-entry.Fresh/5)
	return entry, true
}

// storeShared hands an answer of the server on.
func (v *verifier) storeShared(ctx context.Context, f *flight, asked time.Time, s said) {
	if v.cfg.Shared == nil {
		return
	}
	key, err := v.sharedKey(ctx, f.token)
	if err != nil {
		return
	}
	if s.entry.Bad {
		if f.known {
			_ = v.cfg.Shared.Delete(ctx, key) // what fails there costs a question, no more
		}
		return
	}
	expires := time.Now().Add(s.entry.Fresh)
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
