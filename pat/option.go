package pat

import (
	"context"
	"log/slog"
	"time"

	"github.com/postern-go/postern/internal/expiry"
)

// An Option tells what a token does not tell by itself, and how it is watched.
type Option func(*options)

// Expires says when ZITADEL ends the token, as it did when the token was made. From then on the Source gives an error
// instead. Without it, or with the zero time, the token is given out for ever.
func Expires(at time.Time) Option { return func(o *options) { o.expires = at } }

// LearnExpiry has the Source ask when its token ends, where Expires does not say: once, at the token's first use, again for each new
// token of a file, and again after an hour when there was no answer. The one caller who asks waits for 5 seconds at most; the
// others do not wait. The answer is for Expiry and for warnings: no token is refused on its word. Functions to ask are
// rotate.PATExpiry, which asks the server; FileStore.Expiry of that package, which asks the record of a renewal; and one that
// asks an introspect.Verifier:
//
//	func(ctx context.Context, token string) (time.Time, error) {
//		id, err := verifier.Verify(ctx, token)
//		if err != nil {
//			return time.Time{}, err
//		}
//		return id.Expiry(), nil
//	}
func LearnExpiry(ask func(ctx context.Context, token string) (time.Time, error)) Option {
	return func(o *options) { o.ask = ask }
}

// Warn sets when the warnings begin that a token runs out, where its end is known: so long before, 0 for 7 days, negative for
// never. From then on a use of the token logs a warning once a day, and calls call, unless that is nil, with the time of expiry. The
// call comes in the goroutine of whoever uses the token and must not block.
func Warn(before time.Duration, call func(expires time.Time)) Option {
	return func(o *options) { o.watch.Before, o.watch.Call = before, call }
}

// Logger sets where warnings go, and what FromFile says of the file. The default is slog.Default().
func Logger(logger *slog.Logger) Option {
	return func(o *options) { o.logger, o.watch.Logger = logger, logger }
}

type options struct {
	expires time.Time
	ask     func(context.Context, string) (time.Time, error)
	logger  *slog.Logger
	watch   expiry.Watch
}

func apply(all []Option) *options {
	o := &options{watch: expiry.Watch{What: "personal access token"}}
	for _, option := range all {
		option(o)
	}
	return o
}
