package localjwt

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/internal/cache"
	"github.com/postern-go/postern/internal/isnil"
)

// IssuersConfig says which verifier takes which token. Verifiers is required.
type IssuersConfig struct {
	// Verifiers take the JWTs of their issuers: each must be another's.
	Verifiers []*Verifier
	// Hosts take opaque tokens by the host that a request was made to, as WithHost notes it: lower case, without port. An
	// opaque token does not tell who issued it.
	Hosts map[string]postern.Verifier
	// Opaque takes opaque tokens of requests to other hosts. nil: they are refused.
	Opaque postern.Verifier
}

// Issuers verifies tokens of several issuers, as an API behind several ZITADEL instances or custom domains is shown: a JWT
// goes to the verifier whose issuer its iss names, to the letter, and to no other. It is safe for concurrent use.
//
// User ids are unique within one instance only: an API must go by Identity.Issuer and Identity.Subject together.
type Issuers struct {
	verifiers []*Verifier
	issuers   map[string]*Verifier
	known     *cache.Cache[*Verifier] // whose token it is, so that it need not be taken apart again
	hosts     map[string]postern.Verifier
	opaque    postern.Verifier
}

var (
	_ postern.Verifier = (*Issuers)(nil)
	_ evicter          = (*Issuers)(nil)
)

// NewIssuers reports every mistake in cfg at once.
func NewIssuers(cfg IssuersConfig) (*Issuers, error) {
	s := &Issuers{
		verifiers: slices.Clone(cfg.Verifiers),
		issuers:   make(map[string]*Verifier),
		hosts:     maps.Clone(cfg.Hosts),
		opaque:    cfg.Opaque,
	}
	var errs []error
	if len(cfg.Verifiers) == 0 {
		errs = append(errs, errors.New("Verifiers: expected at least one, got none"))
	}
	entries := 0
	for i, v := range cfg.Verifiers {
		switch {
		case v == nil:
			errs = append(errs, fmt.Errorf("Verifiers[%d]: expected a Verifier, got nil", i))
		case s.issuers[v.issuer] != nil:
			errs = append(errs, fmt.Errorf("Verifiers[%d]: expected another issuer each, got %q twice", i, v.issuer))
		default:
			s.issuers[v.issuer] = v
			entries += v.maxEntries
		}
	}
	for _, host := range slices.Sorted(maps.Keys(cfg.Hosts)) {
		if host == "" || host != hostOf(host) {
			errs = append(errs, fmt.Errorf("Hosts: expected a host name in lower case without port, got %q", host))
		}
		if isnil.Is(cfg.Hosts[host]) {
			errs = append(errs, fmt.Errorf("Hosts[%q]: expected a Verifier, got nil", host))
		}
	}
	if cfg.Opaque != nil && isnil.Is(cfg.Opaque) {
		errs = append(errs, fmt.Errorf("Opaque: expected a Verifier, got a nil %T: check the error of its constructor", cfg.Opaque))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("localjwt: %w", err)
	}
	s.known = cache.New[*Verifier](cache.Config{MaxEntries: entries, MaxLife: maxRemembered})
	return s, nil
}

// Verify returns whose token it is, as the Verify of the issuer's verifier does. A JWT of another issuer, and an opaque token
// that no rule is for, are refused without a call.
func (s *Issuers) Verify(ctx context.Context, token string) (*postern.Identity, error) {
	if !isJWT(token) {
		return s.verifyOpaque(ctx, token)
	}
	place := s.known.Key(token)
	if item, _ := s.known.Get(place); item != nil {
		return item.Value.Verify(ctx, token)
	}
	v, err := s.issuerOf(token)
	if err != nil {
		return nil, refused(err)
	}
	id, err := v.Verify(ctx, token)
	if err == nil {
		s.known.Put(place, s.known.Mark(), cache.Entry[*Verifier]{Value: v, Fresh: maxRemembered})
	}
	return id, err
}

// EvictToken evicts the token where it is known: see Verifier.EvictToken.
func (s *Issuers) EvictToken(token string) { s.each(func(e evicter) { e.EvictToken(token) }) }

// EvictTokenID evicts the token with that id at every issuer: see Verifier.EvictTokenID.
func (s *Issuers) EvictTokenID(id string) { s.each(func(e evicter) { e.EvictTokenID(id) }) }

// EvictSubject evicts the tokens of the user with that id at every issuer: see Verifier.EvictSubject. Two users of different
// instances may share an id; evict at one Verifier to keep them apart.
func (s *Issuers) EvictSubject(userID string) { s.each(func(e evicter) { e.EvictSubject(userID) }) }

// EvictAll evicts every token: see Verifier.EvictAll.
func (s *Issuers) EvictAll() { s.each(evicter.EvictAll) }

// String names the issuers.
func (s *Issuers) String() string {
	return "localjwt.Issuers(" + strings.Join(slices.Sorted(maps.Keys(s.issuers)), " ") + ")"
}

// GoString returns what String does.
func (s *Issuers) GoString() string { return s.String() }

func (s *Issuers) verifyOpaque(ctx context.Context, token string) (*postern.Identity, error) {
	host, _ := ctx.Value(hostKey{}).(string)
	if v := s.hosts[host]; v != nil {
		return v.Verify(ctx, token)
	}
	if s.opaque != nil {
		return s.opaque.Verify(ctx, token)
	}
	return nil, refused(fmt.Errorf("expected a JWT, which has three parts, got %d; IssuersConfig says who takes opaque tokens, by host or all",
		strings.Count(token, ".")+1))
}

func (s *Issuers) issuerOf(token string) (*Verifier, error) {
	t, err := parse(token)
	if err != nil {
		return nil, err
	}
	c, err := readClaims(t.payload)
	if err != nil {
		return nil, err
	}
	if v := s.issuers[c.issuer]; v != nil {
		return v, nil
	}
	return nil, fmt.Errorf("claim \"iss\": expected one of %q, got %s", slices.Sorted(maps.Keys(s.issuers)), show(c.issuer))
}

// each calls do with everybody who may know tokens. One who stands in two places is called twice, which does no harm.
func (s *Issuers) each(do func(evicter)) {
	for _, v := range s.verifiers {
		do(v)
	}
	for _, v := range append(slices.Collect(maps.Values(s.hosts)), s.opaque) {
		if e, ok := v.(evicter); ok {
			do(e)
		}
	}
}

type hostKey struct{}

// WithHost returns a copy of ctx that tells Issuers which host a request was made to: http.Request.Host, or the authority of
// a gRPC call. IssuersConfig.Hosts goes by it.
func WithHost(ctx context.Context, host string) context.Context {
	return context.WithValue(ctx, hostKey{}, hostOf(host))
}

// hostOf strips the port and the case.
func hostOf(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.Trim(strings.TrimSuffix(host, "."), "[]"))
}
