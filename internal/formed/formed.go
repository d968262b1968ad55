// Package formed keeps what cannot be a bearer token from Verifiers, and lets one that remembers tokens look at each only once: to
// look at every character takes about as long as to find a remembered token.
package formed

import (
	"context"
	"errors"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/internal/bearer"
)

// ErrForm is what a Verify returns for what is not bearer.Valid.
var ErrForm = errors.New("not of the form b64token")

// Verify is that of a postern.Verifier, but for ErrForm.
type Verify func(ctx context.Context, token string) (*postern.Identity, error)

// Own returns the Verify that looks at the form itself, of a Verifier that has one, else nil. Package introspect sets it when it is
// initialised. It goes by the type alone: what one does with a token that only embeds such a Verifier is unknown.
var Own = func(postern.Verifier) Verify { return nil }

// Of returns a Verifier's own Verify, else one that looks at the form first.
func Of(v postern.Verifier) Verify {
	if own := Own(v); own != nil {
		return own
	}
	return func(ctx context.Context, token string) (*postern.Identity, error) {
		if !bearer.Valid(token) {
			return nil, ErrForm
		}
		return v.Verify(ctx, token)
	}
}
