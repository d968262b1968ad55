package introspect

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/sony/gobreaker/v2"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/internal/bearer"
	"github.com/postern-go/postern/internal/cache"
	"github.com/postern-go/postern/internal/formed"
	"github.com/postern-go/postern/internal/oauth"
)

// Verifier asks a server about tokens and remembers what it says. Make one with New, and one an API: all that it saves comes
// from being shared. It is safe for concurrent use, and needs no Close: it has nothing running but calls in flight.
type Verifier struct{ v *verifier }

var (
	_ postern.Verifier = (*Verifier)(nil)
	_ Evictor          = (*Verifier)(nil)
)

type verifier struct {
	cfg        Config
	issuer     *oauth.Issuer
	client     client
	rules      rules
	cache      *cache.Cache[verdict]
	flights    flights
	breakers   [2]*gobreaker.CircuitBreaker[said]
	hold       hold
	breakerLog breakerLog
	bursts     bursts
	also       also

	sharedAll coalesced // evictions of everything by the fleet

	refusalLog, failureLog, burstLog, panicLog oncePerMinute
	misses, stale, calls, failures, turnedAway atomic.Uint64
	renewals, turnedInactive, inactiveBursts   atomic.Uint64
}

// String names the server, and nothing of the credentials.
func (v *Verifier) String() string { return "introspect.Verifier(" + v.v.cfg.Issuer + ")" }

// GoString returns what String does.
func (v *Verifier) GoString() string { return v.String() }

// maxToken bounds a token, in bytes. ZITADEL's opaque tokens have fewer than 300, its JWTs a few thousand at most; package localjwt,
// which takes as much, asks about them.
const maxToken = 16 << 10

// Verify returns whose token it is. The error wraps postern.ErrInvalidToken when the token gives no access, for one empty or longer than
// 16 KiB, too; postern.ErrUnavailable when nobody could say, with the server's *postern.Error where it refused this API's own
// credentials; or ctx's error when ctx ended before the answer was there and no older one stands in (Config.MaxStale). What is
// remembered needs no waiting, and is returned even when ctx has ended.
func (v *Verifier) Verify(ctx context.Context, token string) (*postern.Identity, error) {
	return v.v.verify(ctx, token, false)
}

// Package middleware asks for strict verification.
func init() {
	formed.Own = func(v postern.Verifier) formed.Verify {
		if v, ok := v.(*Verifier); ok {
			return v.verifyStrictly
		}
		return nil
	}
}

func (v *Verifier) verifyStrictly(ctx context.Context, token string) (*postern.Identity, error) {
	return v.v.verify(ctx, token, true)
}

// verify is Verify. When strict it refuses what has not the form of a token; for what is remembered the entry says whether it has.
func (v *verifier) verify(ctx context.Context, token string, strict bool) (*postern.Identity, error) {
	if len(token) == 0 || len(token) > maxToken {
		return nil, badLength(token)
	}
	key := v.cache.Key(token)
	item, state := v.cache.Get(key)
	if strict && (item == nil || !item.Value.formed) && !bearer.Valid(token) {
		if state == cache.Due {
			v.cache.RenewLater(item, 0) // who is not strict will
		}
		return nil, formed.ErrForm
	}
	if state == cache.Fresh {
		return item.Value.id, item.Value.err
	}
	return v.find(ctx, token, key, item, state)
}

func badLength(token string) error {
	if token == "" {
		return errEmpty
	}
	return errTooLong
}

// find is verify for what is not remembered, or not for much longer.
func (v *verifier) find(ctx context.Context, token string, key cache.Key, old *cache.Item[verdict], state cache.State) (*postern.Identity, error) {
	wanted := flight{key: key, token: token, mark: v.cache.Mark(), known: old != nil}
	if state == cache.Due {
		v.renew(wanted, old)
		return old.Value.id, old.Value.err
	}
	v.misses.Add(1)
	if err := ctx.Err(); err != nil && (old == nil || !v.cache.Usable(old)) {
		return nil, fmt.Errorf("introspect: %w", err)
	}
	landed, err := v.await(ctx, wanted, old, v.cache.Evicted(key))
	if err == nil && landed.err == nil && landed.mark < wanted.mark && v.cache.Void(landed.item) {
		// Evicted after that flight began, and perhaps before this call did: ask again.
		landed, err = v.await(ctx, wanted, old, wanted.mark)
	}
	switch {
	case errors.Is(err, errQueueFull):
		v.turnedAway.Add(1)
	case errors.Is(err, errLate):
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("introspect: %w", err)
	case err != nil: // the caller is gone
		return nil, fmt.Errorf("introspect: %w", err)
	case landed.err == nil:
		return landed.item.Value.id, landed.item.Value.err
	default:
		err = landed.err
	}
	if old != nil && v.cache.Usable(old) {
		v.stale.Add(1)
		return old.Value.id.AsStale(), nil
	}
	return nil, err
}

// await waits for the answer about a token, and less long while an old one can stand in.
func (v *verifier) await(ctx context.Context, wanted flight, old *cache.Item[verdict], oldest cache.Mark) (*flight, error) {
	if old != nil && v.cache.Usable(old) {
		landed, err := v.flights.join(ctx, wanted, oldest, v.cfg.Timeout/patience)
		if !errors.Is(err, errLate) || v.cache.Usable(old) {
			return landed, err
		}
	}
	return v.flights.join(ctx, wanted, oldest, 0)
}

func (v *verifier) renew(wanted flight, old *cache.Item[verdict]) {
	wanted.renews = old
	if !v.flights.renew(wanted) {
		v.turnedAway.Add(1)
		v.cache.RenewLater(old, v.cfg.TTL/50)
	}
}

// EvictToken forgets what is known about a token. Like the other Evict methods it takes the same short time however much is
// remembered, holds for every Verify that begins after it returns, and voids what calls in flight bring. With Config.Shared it
// also waits for the second level, for Config.Timeout at most.
func (v *Verifier) EvictToken(token string) {
	v.v.deleteShared(token) // first: from here on nobody loads what is then evicted here
	v.v.cache.EvictKey(v.v.cache.Key(token))
}

// EvictTokenID forgets the token with that id (jti; a personal access token's tokenId). The part of an id before "-at_" names a
// session of ZITADEL's, and forgets all its tokens. See EvictToken; with Config.Shared the other replicas are told.
func (v *Verifier) EvictTokenID(id string) {
	v.v.publish(Eviction{TokenID: id})
	v.v.evictTokenID(id)
}

// EvictSubject forgets every token of the user with that id (sub). See EvictToken; with Config.Shared the other replicas are
// told.
func (v *Verifier) EvictSubject(userID string) {
	v.v.publish(Eviction{Subject: userID})
	v.v.evictSubject(userID)
}

// EvictAll forgets everything. See EvictToken; with Config.Shared the other replicas are told.
func (v *Verifier) EvictAll() {
	v.v.publish(Eviction{All: true})
	v.v.evictAll()
}
