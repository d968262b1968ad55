// Package formed keeps what cannot be a bearer token from Verifiers, and lets one that remembers tokens look at each only once: to
// look at every character takes about as long as to find a remembered token.
package formed

import (
	"context"
	"errors"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/internal/bearer"
)

// ErrForm is what a Verify returns for what is not of the form b64token (RFC 6750 §2.1).
var ErrForm = errors.New("expected a token of letters, digits and -._~+/ with perhaps = at the end, got something else")

// Verify is that of a postern.Verifier, but for ErrForm.
type Verify func(ctx context.Context, token string) (*postern.Identity, error)

// Of returns the Verify of a Verifier: its own where it embeds an Own, else one that looks at the form first.
func Of(v postern.Verifier) Verify {
	if has, ok := v.(interface {
		own(postern.Verifier) Verify
	}); ok {
		if own := has.own(v); own != nil {
			return own
		}
	}
	return func(ctx context.Context, token string) (*postern.Identity, error) {
		if !bearer.Valid(token) {
			return nil, ErrForm
		}
		return v.Verify(ctx, token)
	}
}

// Own is for a Verifier to embed that has a Verify of its own.
type Own struct {
	verifier postern.Verifier
	verify   Verify
}

// New returns what v, a pointer, embeds.
func New(v postern.Verifier, verify Verify) Own { return Own{v, verify} }

// own returns nil for a Verifier that embeds the one that all this is about: its Verify may do more.
func (o Own) own(v postern.Verifier) Verify {
	if o.verifier != v {
		return nil
	}
	return o.verify
}
