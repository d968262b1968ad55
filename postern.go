// Package postern is the service gate of ZITADEL for Go programs: the way out for a service user's calls, a token on every
// request, and the way in to an API, a check of every token.
//
// # Out
//
// A program proves who it is with a TokenSource. Packages pat, jwtprofile and clientcredentials each make one, and
// NewClient puts its token on the requests to the origins that are named, and on no others:
//
//	key, err := keyfile.Read("key.json")
//	src, err := jwtprofile.New(jwtprofile.Config{Issuer: issuer, Key: key})
//	client := postern.NewClient(src, issuer)
//	resp, err := client.Get(issuer + "/management/v1/orgs/me")
//
// # In
//
// An API asks a Verifier whose token a request carries. Packages introspect and localjwt each make one, and package
// middleware stands with it in front of handlers, which find the Identity in the request's context:
//
//	v, err := introspect.New(introspect.Config{Issuer: issuer, Auth: introspect.PrivateKeyJWT(key)})
//	gate := middleware.New(v, middleware.Config{})
//	mux.Handle("GET /orders", gate.Require(middleware.Role("reader"))(orders))
//	id, ok := postern.FromContext(r.Context())
//
// # Compatibility
//
// Until version 1 a minor version may change exported names, and CHANGELOG.md says how to follow; from version 1 on Go's
// compatibility promise holds.
package postern

import (
	"context"

	"golang.org/x/oauth2"
)

// TokenSource gives access tokens. Its method set is a superset of oauth2.TokenSource and that of zitadel/oidc's
// profile.TokenSource, so it drops into libraries that take either. Implementations are safe for concurrent use, and the
// tokens they return are not changed by anyone afterwards.
type TokenSource interface {
	oauth2.TokenSource
	// TokenCtx returns a token that is valid now, or the context's error when ctx ends first.
	TokenCtx(ctx context.Context) (*oauth2.Token, error)
}

// Invalidator is what a TokenSource may also be: Invalidate drops exactly that access token, because a server refused it, so
// that the next call gets another. Any other token in hand stays.
type Invalidator interface {
	Invalidate(accessToken string)
}

// Verifier says whose token it is. It returns an error that wraps ErrInvalidToken for a token that gives no access,
// ErrUnavailable when that could not be found out, or the context's error when ctx ended first. A nil error comes with an
// Identity, and an error with none. Implementations are safe for concurrent use.
type Verifier interface {
	Verify(ctx context.Context, token string) (*Identity, error)
}

// NewContext returns a copy of ctx that carries id, as package middleware hands it to handlers. Tests of handlers use it with
// NewIdentity.
func NewContext(ctx context.Context, id *Identity) context.Context {
	if ctx == nil {
		panic("postern.NewContext: expected a context, got nil")
	}
	return &identityContext{ctx, id}
}

// FromContext returns the Identity of the request's caller, or false when there is none: an anonymous caller that
// middleware's Optional let pass, or a handler that no gate protects.
func FromContext(ctx context.Context) (*Identity, bool) {
	id, _ := ctx.Value(identityKey{}).(*Identity)
	return id, id != nil
}

type identityKey struct{}

// identityContext is what context.WithValue would make, in half the memory: every request pays for it.
type identityContext struct {
	context.Context
	id *Identity
}

// String keeps fmt from the claims: they are personal data and do not belong in logs.
func (c *identityContext) String() string { return "postern.NewContext" }

func (c *identityContext) Value(key any) any {
	if key == (identityKey{}) {
		return c.id
	}
	return c.Context.Value(key)
}
