// Package assertion signs the JWTs by which a key's owner proves who it is: the assertion of the JWT profile grant (RFC 7523
// §2.1) and the client assertion of private_key_jwt (§2.2). ZITADEL wants the same of both.
//
//	signer, err := assertion.New(assertion.Config{Key: key, Want: keyfile.Application, Audience: issuer, Clock: clock})
//	text, err := signer.Reusable(ctx)
package assertion

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/postern-go/postern/internal/skew"
	"github.com/postern-go/postern/keyfile"
)

const (
	// DefaultLifetime is how long an assertion is good when the Config does not say.
	DefaultLifetime = 5 * time.Minute
	minLifetime     = time.Minute
	maxLifetime     = time.Hour // ZITADEL refuses an older iat
	// backdate is how far iat lies in the past: ZITADEL refuses one that is 2 seconds in its future.
	backdate = 30 * time.Second
	// maxSigning bounds the calls of a Signer at once, those included that nobody waits for any more.
	maxSigning = 64
)

// Config says who signs what for whom.
type Config struct {
	// Key is asked for the key each time.
	Key keyfile.Source
	// Want is the type that the key must have.
	Want keyfile.Type
	// Audience is the issuer's URL.
	Audience string
	// Lifetime is from iat, which lies 30 seconds back, to exp: 1 minute to 1 hour, by default 5 minutes.
	Lifetime time.Duration
	// Algorithm is RS256, PS256 or ES256. Empty means RS256 for an RSA key and ES256 for one on P-256.
	Algorithm string
	// Clock corrects iat and exp. Nil means this machine's time.
	Clock *skew.Clock
}

// Signer makes assertions. It is safe for concurrent use.
type Signer struct {
	cfg     Config
	signing chan struct{} // one entry a call of the key's Signer
	renewal chan struct{} // held by the one that renews last
	last    atomic.Pointer[reusable]
}

// New checks cfg, and reports every mistake at once; what is wrong with the key stands behind "Key: ". It does no I/O: it looks at
// the key only where that is in memory.
func New(cfg Config) (*Signer, error) {
	if cfg.Lifetime == 0 {
		cfg.Lifetime = DefaultLifetime
	}
	if cfg.Clock == nil {
		cfg.Clock = skew.New(nil)
	}
	s := &Signer{cfg: cfg, signing: make(chan struct{}, maxSigning), renewal: make(chan struct{}, 1)}
	var errs []error
	if cfg.Lifetime < minLifetime || cfg.Lifetime > maxLifetime {
		errs = append(errs, fmt.Errorf("AssertionLifetime: expected a time from %s to %s, got %s", minLifetime, maxLifetime, cfg.Lifetime))
	}
	if cfg.Algorithm != "" && methods[cfg.Algorithm] == nil {
		errs = append(errs, errAlgorithm)
		s.cfg.Algorithm = ""
	}
	var err error
	switch source := cfg.Key.(type) {
	case nil:
		err = errNoKey
	case *keyfile.Key:
		_, err = s.check(source)
	case interface{ Current() *keyfile.Key }:
		_, err = s.check(source.Current())
	}
	if err != nil {
		errs = append(errs, fmt.Errorf("Key: %w", err))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return s, nil
}

// Fresh signs an assertion now. When ctx ends it returns ctx's error, even while the key's Signer still works.
func (s *Signer) Fresh(ctx context.Context) (string, error) {
	key, method, err := s.key(ctx)
	if err != nil {
		return "", err
	}
	return s.sign(ctx, key, method, s.cfg.Clock.Now())
}

// Algorithm is the one that key's assertions are signed by, or empty where the key does not fit.
func (s *Signer) Algorithm(key *keyfile.Key) string {
	method, err := s.check(key)
	if err != nil {
		return ""
	}
	return method.Alg()
}

// Reusable returns an assertion that may have been returned before. It signs one when the last has lived 80 % of its life, the
// key is another, the server's clock is found to be off by another time, or this machine's clock was set. Callers that need one
// at the same time share it.
func (s *Signer) Reusable(ctx context.Context) (string, error) {
	key, method, err := s.key(ctx)
	if err != nil {
		return "", err
	}
	if last := s.last.Load(); s.good(last, key, method) {
		return last.text, nil
	}
	select {
	case s.renewal <- struct{}{}:
		defer func() { <-s.renewal }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if last := s.last.Load(); s.good(last, key, method) {
		return last.text, nil
	}
	offset, _ := s.cfg.Clock.Offset()
	next := &reusable{key: key, method: method, offset: offset, signed: time.Now()}
	if next.text, err = s.sign(ctx, key, method, next.signed.Add(offset)); err != nil {
		return "", err
	}
	s.last.Store(next)
	return next.text, nil
}

// reusable is a signed assertion with what it was made of.
type reusable struct {
	text   string
	key    *keyfile.Key
	method *signingMethod
	offset time.Duration
	signed time.Time
}

func (s *Signer) good(r *reusable, key *keyfile.Key, method *signingMethod) bool {
	if r == nil || r.method != method || !sameKey(r.key, key) {
		return false
	}
	if offset, _ := s.cfg.Clock.Offset(); offset != r.offset {
		return false
	}
	now := time.Now()
	limit := (s.cfg.Lifetime - backdate) * 8 / 10
	steady, wall := now.Sub(r.signed), now.Round(0).Sub(r.signed.Round(0)) // they part when the clock is set or the machine sleeps
	return steady < limit && 0 <= wall && wall < limit
}

func sameKey(a, b *keyfile.Key) bool {
	return a == b || a.ID == b.ID && a.Subject() == b.Subject() && samePublic(a.Signer, b.Signer)
}

// key asks the source and checks what it gives.
func (s *Signer) key(ctx context.Context) (*keyfile.Key, *signingMethod, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	key, err := s.cfg.Key.Key(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("the key is not to be had: %w", err)
	}
	method, err := s.check(key)
	return key, method, err
}

var (
	errNoKey     = errors.New("expected a key, got nil: use what keyfile.Read returns")
	errAlgorithm = errors.New("Algorithm: expected RS256, PS256 or ES256, got another, which ZITADEL does not verify: leave it empty for the usual one of the key")
)

func (s *Signer) check(key *keyfile.Key) (*signingMethod, error) {
	if key == nil {
		return nil, errNoKey
	}
	if key.Type != s.cfg.Want && (key.Type == keyfile.Application || key.Type == keyfile.ServiceAccount) {
		return nil, wrongType(key.Type)
	}
	if err := key.Validate(s.cfg.Clock.Now()); err != nil {
		return nil, err
	}
	return methodFor(key.Signer.Public(), s.cfg.Algorithm)
}

func wrongType(got keyfile.Type) error {
	if got == keyfile.Application {
		return errors.New(`expected a service user's key (type "serviceaccount"), got an API application's: add a key to the service user in ZITADEL and use that file`)
	}
	return errors.New(`expected an API application's key (type "application"), got a service user's: add a key to the API application in ZITADEL and use that file`)
}

func (s *Signer) sign(ctx context.Context, key *keyfile.Key, method *signingMethod, now time.Time) (string, error) {
	issued := now.Add(-backdate).Unix()
	token := &jwt.Token{
		Method: method,
		Header: map[string]any{"typ": "JWT", "alg": method.Alg(), "kid": key.ID},
		Claims: jwt.MapClaims{
			"iss": key.Subject(), "sub": key.Subject(), "aud": s.cfg.Audience,
			"iat": issued, "exp": issued + int64(s.cfg.Lifetime/time.Second), "jti": rand.Text(),
		},
	}
	if inMemory(key.Signer) {
		return token.SignedString(key.Signer)
	}
	select {
	case s.signing <- struct{}{}:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	type result struct {
		text string
		err  error
	}
	done := make(chan result, 1)
	go func() { // a device may hang, and knows no context
		defer func() { <-s.signing }()
		text, err := token.SignedString(key.Signer)
		done <- result{text, err}
	}()
	select {
	case r := <-done:
		return r.text, r.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
