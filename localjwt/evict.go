package localjwt

import "time"

// evicter is what a verifier may be besides, as introspect's is.
type evicter interface {
	EvictToken(token string)
	EvictTokenID(id string)
	EvictSubject(userID string)
	EvictAll()
}

var _ evicter = (*Verifier)(nil)

// EvictToken evicts one token: its signature no longer suffices. With Config.Introspection, which is told as well, the next
// request with the token is decided there, and so are all later ones; without, there is nobody to ask and the token is
// refused.
//
// Evictions last as long as the process. The youngest 10 000 are kept one by one; where there are more, every token issued
// before the oldest of those is taken for evicted.
func (v *Verifier) EvictToken(token string) {
	if isJWT(token) {
		if t, err := parse(token); err == nil {
			// By id, for one token may have several signatures: whoever holds one ECDSA signature can make another.
			if c, err := readClaims(t.payload); err == nil && c.issuer == v.issuer && c.id != "" {
				v.evictions.add(evictee{'t', c.id}, time.Now())
			}
		}
	}
	if e, ok := v.introspection.(evicter); ok {
		e.EvictToken(token)
	}
}

// EvictTokenID evicts the token with that id (jti), as EvictToken does.
func (v *Verifier) EvictTokenID(id string) {
	v.evictions.add(evictee{'t', id}, time.Now())
	if e, ok := v.introspection.(evicter); ok {
		e.EvictTokenID(id)
	}
}

// EvictSubject evicts the tokens of that user (sub) that were issued until now, as EvictToken does. Those issued later are
// taken on their signature again.
func (v *Verifier) EvictSubject(userID string) {
	v.evictions.add(evictee{'s', userID}, time.Now())
	if e, ok := v.introspection.(evicter); ok {
		e.EvictSubject(userID)
	}
}

// EvictAll evicts every token issued until now, as EvictToken does. Without Config.Introspection each client must get a new
// token.
func (v *Verifier) EvictAll() {
	v.evictions.addAll(time.Now())
	if e, ok := v.introspection.(evicter); ok {
		e.EvictAll()
	}
}
