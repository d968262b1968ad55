package localjwt

// evicter is what a verifier may be besides, as introspect's is.
type evicter interface {
	EvictToken(token string)
	EvictTokenID(id string)
	EvictSubject(userID string)
	EvictAll()
}

var _ evicter = (*Verifier)(nil)

// Each Evict method below tells introspection first: who finds a token evicted here must not get an answer there that is older
// than the eviction.

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
// Like the other Evict methods it takes the same short time however much is remembered (and what introspection takes for it), and
// holds for every Verify that begins after it returns. Evictions last as long as the process. The youngest 10,000 are kept one by
// one; where there are more, every token issued before the oldest of those is taken for evicted.
func (v *Verifier) EvictToken(token string) {
	if e, ok := v.introspection.(evicter); ok {
		e.EvictToken(token)
	}
	// By id, for one token may have several signatures: whoever holds one ECDSA signature can make another.
	v.evictions.EvictTokenID(v.idOf(token))
}

// EvictTokenID evicts the token with that id (jti), or given the part of an id before "-at_" all tokens of that session. See
// EvictToken.
func (v *Verifier) EvictTokenID(id string) {
	if e, ok := v.introspection.(evicter); ok {
		e.EvictTokenID(id)
	}
	v.evictions.EvictTokenID(id)
}

// EvictSubject evicts the tokens of that user (sub) that were issued until now. Those issued later are taken on their
// signature again. When a token was issued is what it says (iat), or when it was first remembered if that is sooner; where there
// is Config.Introspection, tokens of about that time (Config.Leeway) are asked about, and where not, the issuer's clock should
// not be ahead. See EvictToken.
func (v *Verifier) EvictSubject(userID string) {
	if e, ok := v.introspection.(evicter); ok {
		e.EvictSubject(userID)
	}
	v.evictions.EvictSubject(userID)
}

// EvictAll evicts every token issued until now: without Config.Introspection each client must get a new one. See EvictToken.
func (v *Verifier) EvictAll() {
	if e, ok := v.introspection.(evicter); ok {
		e.EvictAll()
	}
	v.evictions.EvictAll()
}

// idOf returns the id of a JWT of this issuer, or nothing for one that is signed by somebody else: that would be another's id.
func (v *Verifier) idOf(token string) string {
	if !isJWT(token) {
		return ""
	}
	t, err := parse(token)
	if err != nil {
		return ""
	}
	c, err := readClaims(t.payload)
	if err != nil || c.issuer != v.issuer {
		return ""
	}
	if set := v.keys.set.Load(); set != nil {
		if k := set.keys[t.keyID]; k != nil && k.verify(t) != nil {
			return ""
		}
	}
	return c.id
}
