package localjwt

// evicter is what a verifier may be besides, as introspect's is.
type evicter interface {
	EvictToken(token string)
	EvictTokenID(id string)
	EvictSubject(userID string)
	EvictAll()
}

var _ evicter = (*Verifier)(nil)

// follow makes the evictions of introspection, be it told itself or by another replica, v's own, too.
func (v *Verifier) follow(introspection any) {
	also, ok := introspection.(interface {
		AlsoEvict(interface {
			EvictTokenID(id string)
			EvictSubject(userID string)
			EvictAll()
		})
	})
	if ok {
		also.AlsoEvict(v.evictions)
	}
}

// EvictToken evicts one token: its signature no longer suffices. With Config.Introspection, which is told as well, the next
// request with the token waits for what the server says, and the token is good again if the server says so; without, there is
// nobody to ask, and the token is refused.
//
// Like the other Evict methods it takes the same short time however much is remembered, and holds for every Verify that begins
// after it returns. Evictions last as long as the process. The youngest 10,000 are kept one by one; where there are more, every
// token issued before the oldest of those is taken for evicted.
func (v *Verifier) EvictToken(token string) {
	if isJWT(token) {
		if t, err := parse(token); err == nil {
			// By id, for one token may have several signatures: whoever holds one ECDSA signature can make another.
			if c, err := readClaims(t.payload); err == nil && c.issuer == v.issuer {
				v.evictions.EvictTokenID(c.id)
			}
		}
	}
	if e, ok := v.introspection.(evicter); ok {
		e.EvictToken(token)
	}
}

// EvictTokenID evicts the token with that id (jti), or given the part of an id before "-at_" all tokens of that session. See
// EvictToken.
func (v *Verifier) EvictTokenID(id string) {
	v.evictions.EvictTokenID(id)
	if e, ok := v.introspection.(evicter); ok {
		e.EvictTokenID(id)
	}
}

// EvictSubject evicts the tokens of that user (sub) that were issued until now. Those issued later are taken on their
// signature again. See EvictToken.
func (v *Verifier) EvictSubject(userID string) {
	v.evictions.EvictSubject(userID)
	if e, ok := v.introspection.(evicter); ok {
		e.EvictSubject(userID)
	}
}

// EvictAll evicts every token issued until now: without Config.Introspection each client must get a new one. See EvictToken.
func (v *Verifier) EvictAll() {
	v.evictions.EvictAll()
	if e, ok := v.introspection.(evicter); ok {
		e.EvictAll()
	}
}
