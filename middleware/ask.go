package middleware

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/internal/formed"
)

// ask asks the verifier. Whatever that does, panicking included, the outcome is an identity or a reason to refuse: one that is
// not understood is an outage, not access.
func (g *Gate) ask(ctx context.Context, token string) (id *postern.Identity, refused Refusal) {
	defer func() {
		if p := recover(); p != nil {
			// What was panicked with may hold the token; its type and the stack do not.
			g.config.Logger.ErrorContext(ctx, "postern: the verifier panicked; the request is answered with 503",
				"type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			id, refused = nil, Refusal{Reason: Unavailable}
		}
	}()
	id, err := g.verify(ctx, token)
	switch {
	case err == nil && id != nil:
		return id, Refusal{}
	case err == nil:
		g.config.Logger.ErrorContext(ctx, "postern: the verifier returned neither an identity nor an error; the request is answered with 503")
		return nil, Refusal{Reason: Unavailable}
	case errors.Is(err, postern.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		refused = Refusal{Reason: Unavailable}
		if said, ok := errors.AsType[*postern.Error](err); ok && said != nil {
			refused.RetryAfter = said.RetryAfter
		}
		return nil, refused
	case errors.Is(err, formed.ErrForm):
		return nil, Refusal{Reason: MalformedHeader}
	case errors.Is(err, postern.ErrInvalidToken):
		return nil, Refusal{Reason: InvalidToken}
	default:
		// The text of an unknown error may hold the token, so it is not logged.
		g.config.Logger.ErrorContext(ctx, "postern: the verifier returned an error that wraps neither postern.ErrInvalidToken nor "+
			"postern.ErrUnavailable nor the context's; the request is answered with 503", "type", fmt.Sprintf("%T", err))
		return nil, Refusal{Reason: Unavailable}
	}
}
