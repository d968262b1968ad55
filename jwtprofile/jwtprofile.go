// Package jwtprofile is the token source for a service user's private key: the key signs an assertion, and ZITADEL's token
// endpoint gives a token for it (JWT profile, RFC 7523 §2.1). The key never leaves the process, or its device.
//
//	key, err := keyfile.Read("key.json")
//	if err != nil {
//		return err
//	}
//	src, err := jwtprofile.New(jwtprofile.Config{Issuer: "https://my-instance.zitadel.cloud", Key: key})
//	if err != nil {
//		return err
//	}
//	client := postern.NewClient(src, "https://my-instance.zitadel.cloud")
//	resp, err := client.Get("https://my-instance.zitadel.cloud/management/v1/orgs/me")
//
// A token is kept and renewed as postern.Reuse says, so make one Source and share it.
//
// # Clocks
//
// ZITADEL refuses an assertion that is dated 2 seconds into its future. Assertions are dated 30 seconds back, and by the server's
// clock as far as its answers tell it: where this machine's clock is wrong, the first request may be refused, and is made once
// more with the right time. A difference over 30 seconds is logged. How long a token lives is never corrected.
//
// # When a call is refused
//
// The errors hold a *postern.Error, whose Hint says what the server does not: it calls every bad assertion by the same name. When
// ZITADEL's APIs answer 401 to a fresh token, it lacks their audience: ask for postern.ScopeZITADELAPI, which the default does. When
// they answer 404 with "membership not found" the token is good, and its user has no role that allows the call: make the user a
// manager of the organisation, or of the instance.
package jwtprofile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/oauth2"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/internal/assertion"
	"github.com/postern-go/postern/internal/oauth"
	"github.com/postern-go/postern/internal/skew"
	"github.com/postern-go/postern/keyfile"
)

// Config says who asks whom. Issuer and Key are required.
type Config struct {
	// Issuer is ZITADEL's URL as its discovery document says it, such as "https://my-instance.zitadel.cloud". It may have a
	// path. It is also the aud of the assertion.
	Issuer string
	// Key is a service user's key: a *keyfile.Key, a *keyfile.File, or a source of yours, which is asked for each assertion, and
	// again while a refusal is remembered, to see whether the key is another. Its private half must be RSA or ECDSA on P-256.
	Key keyfile.Source
	// Scopes to ask for, each an element of its own. Empty means openid and postern.ScopeZITADELAPI. ZITADEL drops those that it
	// does not know without a word.
	Scopes []string

	// Algorithm is RS256, PS256 or ES256. Empty means RS256 for an RSA key and ES256 for one on P-256.
	Algorithm string
	// AssertionLifetime is how long an assertion is good, from 1 minute to 1 hour. Zero means 5 minutes. Of it, 30 seconds lie in
	// the past when it is signed.
	AssertionLifetime time.Duration

	// HTTPClient sends the requests; it is copied, follows no redirect, and gets a timeout of 15 seconds a call if it has
	// none. Nil means one that is shared in this module: proxies from the environment, TLS 1.2 at least. For a certificate
	// authority of your own give a client with its transport.
	HTTPClient *http.Client
	// Header is added to the requests for discovery and tokens, such as x-zitadel-instance-host behind a proxy.
	Header http.Header
	// AllowHTTP lets the assertion go over plain http to other hosts than loopback.
	AllowHTTP bool
	// TokenURL is where to ask for tokens. Empty means where the issuer's discovery document says, which must have the
	// issuer's origin.
	TokenURL string
	// Logger gets warnings: a renewal that failed, a clock that is off. Nil means slog.Default().
	Logger *slog.Logger
}

// Source gives access tokens of one service user. It is safe for concurrent use.
type Source struct {
	tokens postern.TokenSource
}

var (
	_ postern.TokenSource = (*Source)(nil)
	_ postern.Invalidator = (*Source)(nil)
)

// New checks cfg and reports every mistake at once; an API application's key, an expired key and one that ZITADEL does not
// verify are among them. It does no I/O: the issuer is asked for its endpoints when the first token is wanted.
func New(cfg Config) (*Source, error) {
	clock := skew.New(cfg.Logger)
	issuer, errIssuer := oauth.New(oauth.Config{
		Issuer: cfg.Issuer, HTTPClient: cfg.HTTPClient, Header: cfg.Header, AllowHTTP: cfg.AllowHTTP,
		Endpoints: map[oauth.Endpoint]string{oauth.Token: cfg.TokenURL},
	})
	signer, errSigner := assertion.New(assertion.Config{
		Key: cfg.Key, Want: keyfile.ServiceAccount, Audience: cfg.Issuer, Lifetime: cfg.AssertionLifetime, Algorithm: cfg.Algorithm, Clock: clock,
	})
	scope, errScope := oauth.Scope(cfg.Scopes, "openid", postern.ScopeZITADELAPI)
	if err := errors.Join(errIssuer, errSigner, errScope); err != nil {
		return nil, fmt.Errorf("jwtprofile: %w", err)
	}
	g := &grant{issuer: issuer, signer: signer, key: cfg.Key, scope: scope, clock: clock}
	return &Source{tokens: postern.Reuse(g, postern.ReuseConfig{Credential: g.credential, Logger: cfg.Logger})}, nil
}

// Token returns a token that is valid now; see TokenCtx.
func (s *Source) Token() (*oauth2.Token, error) { return s.tokens.Token() }

// TokenCtx returns a token that is valid now: the one in hand, or a new one. The error wraps an *postern.Error where the
// server answered by an error, postern.ErrUnavailable where nothing is known about the key, and ctx's error when ctx ended first.
func (s *Source) TokenCtx(ctx context.Context) (*oauth2.Token, error) { return s.tokens.TokenCtx(ctx) }

// Invalidate drops that access token, if it is the one in hand.
func (s *Source) Invalidate(accessToken string) {
	s.tokens.(postern.Invalidator).Invalidate(accessToken)
}

// Format prints the type's name for every verb and flag.
func (s Source) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("jwtprofile.Source")) }

// grant asks for one token, each time.
type grant struct {
	issuer *oauth.Issuer
	signer *assertion.Signer
	key    keyfile.Source
	scope  string
	clock  *skew.Clock
}

func (g *grant) Token() (*oauth2.Token, error) { return g.TokenCtx(context.Background()) }

func (g *grant) TokenCtx(ctx context.Context) (*oauth2.Token, error) {
	token, refusal, dated, err := g.ask(ctx)
	if refusal != nil && (refusal.Code == "invalid_grant" || refusal.Code == "invalid_request") {
		// Every bad assertion is refused alike. One that was dated by another clock than the answer's is worth another.
		if offset, _ := g.clock.Offset(); offset != dated {
			token, refusal, _, err = g.ask(ctx)
		}
	}
	if err != nil {
		g.explain(ctx, refusal)
		return nil, fmt.Errorf("jwtprofile: %w", err)
	}
	return token, nil
}

// ask returns, beside the token, what the server said in err, if it said anything, and by which clock the assertion was dated.
func (g *grant) ask(ctx context.Context) (token *oauth2.Token, refusal *postern.Error, dated time.Duration, err error) {
	var unsigned error
	token, err = g.issuer.Token(ctx, oauth.Grant{
		Clock: g.clock,
		Form: func(ctx context.Context) (url.Values, error) {
			var signed string
			dated, _ = g.clock.Offset()
			if signed, unsigned = g.signer.Fresh(ctx); unsigned != nil {
				return nil, unsigned
			}
			return url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {signed}, "scope": {g.scope}}, nil
		},
	})
	if unsigned == nil { // else an *Error in it is that of a vault, or the like, and not ours to change
		refusal, _ = errors.AsType[*postern.Error](err)
	}
	return token, refusal, dated, err
}

// credential names the key in use, so that a new key is tried at once.
func (g *grant) credential(ctx context.Context) string {
	key, err := g.key.Key(ctx)
	if err != nil || key == nil {
		return ""
	}
	return key.ID + " " + key.Subject()
}
