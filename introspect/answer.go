package introspect

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/internal/cache"
	"github.com/postern-go/postern/internal/strictjson"
)

// verdict is what Verify returns for a token: an identity, or an error that wraps postern.ErrInvalidToken.
type verdict struct {
	id     *postern.Identity
	err    error
	formed bool // the token has the form of one: bearer.Valid
}

func refusal(format string, args ...any) error {
	return fmt.Errorf("introspect: %s: %w", fmt.Sprintf(format, args...), postern.ErrInvalidToken)
}

// Refusals are made once: whoever invents tokens costs no memory. None holds anything of a token or answer.
var (
	errEmpty     = refusal("expected a token, got an empty one")
	errTooLong   = refusal("expected a token of at most %d bytes, got a longer one", maxToken)
	errInactive  = refusal("the server says that the token is not active: it is unknown, expired, revoked, or not meant for this API")
	errExpired   = refusal("expected a token that has not expired, got one that has (exp), though the server calls it active: is this machine's clock ahead?")
	errNotYet    = refusal("expected a token that is valid already, got one that is not yet (nbf): if it is new, this machine's clock is behind the server's")
	errTokenType = refusal("expected a bearer token, got one of another token_type")
)

// rules judge answers.
type rules struct {
	issuer                               string
	audience                             []string
	ttl, negativeTTL, maxStale, knownFor time.Duration
	errIssuer, errAudience               error
}

func newRules(cfg Config, known time.Duration) rules {
	return rules{
		issuer: cfg.Issuer, audience: cfg.Audience,
		ttl: cfg.TTL, negativeTTL: max(cfg.NegativeTTL, 0), maxStale: cfg.MaxStale, knownFor: known,
		errIssuer:   refusal("expected a token of the issuer %s, got another issuer's (iss)", cfg.Issuer),
		errAudience: refusal("expected a token for %s, got one for others (aud)", strings.Join(cfg.Audience, " or ")),
	}
}

// maxAnswer bounds an answer, in bytes, because it is remembered: an Identity keeps it whole.
const maxAnswer = 64 << 10

// judge makes an entry of an answer (RFC 7662 §2.2). An error says why it is not an answer, and shows nothing of it.
func (r *rules) judge(answer []byte, now time.Time) (cache.Entry[verdict], error) {
	if len(answer) > maxAnswer {
		return cache.Entry[verdict]{}, fmt.Errorf("expected an introspection answer of at most %d bytes, got %d", maxAnswer, len(answer))
	}
	object, err := strictjson.Parse(string(answer), "active", "exp", "nbf", "iss", "aud", "token_type")
	if err != nil {
		return cache.Entry[verdict]{}, fmt.Errorf("introspection answer: %w", err)
	}
	if active, _ := object.Get("active"); active != "true" {
		return r.refuse(errInactive, r.negativeTTL), nil
	}
	id, err := postern.ParseIdentity(answer, "")
	if err != nil {
		return cache.Entry[verdict]{}, fmt.Errorf("introspection answer: %w", err)
	}
	var notBefore time.Time
	if value, ok := object.Get("nbf"); ok {
		if notBefore, err = strictjson.TimeUp(value); err != nil {
			return cache.Entry[verdict]{}, fmt.Errorf("introspection answer: nbf: %w", err)
		}
	}
	tokenType := "Bearer"
	if value, ok := object.Get("token_type"); ok {
		if tokenType, err = strictjson.String(value); err != nil {
			return cache.Entry[verdict]{}, fmt.Errorf("introspection answer: token_type: %w", err)
		}
	}
	_, issued := object.Get("iss")
	_, expires := object.Get("exp") // and not by Expiry's zero time, which is a date like any other: the first second of the year 1
	switch {
	case expires && !id.Expiry().After(now):
		return r.refuse(errExpired, r.negativeTTL), nil
	case notBefore.After(now):
		return r.refuse(errNotYet, min(r.negativeTTL, notBefore.Sub(now))), nil
	case issued && id.Issuer() != r.issuer:
		return r.refuse(r.errIssuer, r.negativeTTL), nil
	case !strings.EqualFold(tokenType, "Bearer"): // RFC 6749 §5.1: in any case
		return r.refuse(errTokenType, r.negativeTTL), nil
	case len(r.audience) > 0 && !slices.ContainsFunc(r.audience, id.HasAudience):
		return r.refuse(r.errAudience, r.negativeTTL), nil
	}
	fresh := r.ttl - rand.N(r.ttl/10+1)
	entry := cache.Entry[verdict]{
		Value: verdict{id: id}, TokenID: id.TokenID(), Subject: id.Subject(), Session: session(id.TokenID()),
		Fresh: fresh, Stale: r.maxStale, Keep: r.knownFor, NotBefore: notBefore, Expiry: id.Expiry(),
	}
	if !expires || id.Expiry().Sub(now) > fresh { // asking about a token that is about to end would bring nothing
		entry.Renew = fresh - fresh/5
	}
	return entry, nil
}

func (r *rules) refuse(err error, ttl time.Duration) cache.Entry[verdict] {
	return cache.Entry[verdict]{Value: verdict{err: err}, Bad: true, Fresh: ttl}
}

// session is the part of ZITADEL's token ids that names the session, by which its events end tokens.
func session(tokenID string) string {
	session, _, ok := strings.Cut(tokenID, "-at_")
	if !ok {
		return ""
	}
	return session
}
