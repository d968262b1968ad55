package oauth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/internal/setback"
)

const (
	maxTries = 4
	// The pause before another try doubles from about firstPause, and begins after what the server asks for.
	firstPause = 200 * time.Millisecond
	// A server that asks for more than longestPause is not asked again by this call.
	longestPause = 10 * time.Second
)

// Retry calls try until it succeeds, at most 4 times, with pauses of about 0.2, 0.4 and 0.8 seconds, each up to a half shorter or
// longer, after what the server's Retry-After asks for; more than 10 seconds of that end it. Tried again are calls of PostForm and
// GetJSON to which no answer came, or 500, 502, 503, 504, or 429 unless the instance is blocked. It never waits beyond ctx's
// deadline: when the next try would begin after it, the last error is returned at once. When ctx has ended the error wraps
// ctx's.
func Retry[T any](ctx context.Context, try func() (T, error)) (T, error) {
	pauses := &pauses{ctx: ctx, exponential: backoff.ExponentialBackOff{
		InitialInterval: firstPause, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: longestPause,
	}}
	var last error
	result, err := backoff.Retry(ctx, func() (T, error) {
		result, err := try()
		last = err
		if e, ok := errors.AsType[*callError](err); err != nil && (!ok || !e.again) {
			return result, backoff.Permanent(err)
		}
		if err != nil {
			setback.Report(ctx, err)
		}
		pauses.asked = 0
		if e, ok := errors.AsType[*postern.Error](err); ok {
			pauses.asked = e.RetryAfter
		}
		return result, err
	}, backoff.WithBackOff(pauses), backoff.WithMaxTries(maxTries), backoff.WithMaxElapsedTime(0))
	if err == nil {
		return result, nil
	}
	if ended := ctx.Err(); ended != nil && !errors.Is(last, ended) {
		return result, fmt.Errorf("%w, after %w", ended, last)
	}
	return result, last
}

// pauses is a backoff.BackOff that knows what the server asked for and when ctx ends.
type pauses struct {
	ctx         context.Context
	exponential backoff.ExponentialBackOff
	asked       time.Duration
}

func (p *pauses) Reset() { p.exponential.Reset() }

func (p *pauses) NextBackOff() time.Duration {
	next := p.asked + p.exponential.NextBackOff() // which differs from process to process
	if deadline, ok := p.ctx.Deadline(); p.asked > longestPause || ok && time.Until(deadline) <= next {
		return backoff.Stop
	}
	return next
}
