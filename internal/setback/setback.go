// Package setback lets a caller who stops waiting for a call know what the call has met with so far: a server that is down, say,
// and is being asked again.
package setback

import (
	"context"
	"sync/atomic"
)

type key struct{}

// Watch returns a context for the call, and a function that returns the last error that was reported with it, or nil.
func Watch(ctx context.Context) (context.Context, func() error) {
	last := new(atomic.Pointer[error])
	return context.WithValue(ctx, key{}, last), func() error {
		if err := last.Load(); err != nil {
			return *err
		}
		return nil
	}
}

// Report tells whoever watches ctx of an error that does not end the call.
func Report(ctx context.Context, err error) {
	if last, ok := ctx.Value(key{}).(*atomic.Pointer[error]); ok {
		last.Store(&err)
	}
}
