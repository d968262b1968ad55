package keyfile

import (
	"log/slog"
	"time"

	"github.com/postern-go/postern/internal/expiry"
)

// An Option says how a key is watched.
type Option func(*options)

// Warn sets when the warnings begin that a key runs out: so long before its expiry, 0 for 7 days, negative for never. From then
// on a use of the key logs a warning once a day, and calls call, unless that is nil, with the time of expiry. The call comes in the
// goroutine of whoever uses the key and must not block.
func Warn(before time.Duration, call func(expires time.Time)) Option {
	return func(o *options) { o.watch.Before, o.watch.Call = before, call }
}

// Logger sets where warnings go, and what Open says of the file. The default is slog.Default().
func Logger(logger *slog.Logger) Option {
	return func(o *options) { o.logger, o.watch.Logger = logger, logger }
}

type options struct {
	logger *slog.Logger
	watch  expiry.Watch
}

func apply(all []Option) *options {
	o := &options{watch: expiry.Watch{What: "key"}}
	for _, option := range all {
		option(o)
	}
	return o
}

// parse reads a key that is watched.
func (o *options) parse(data []byte) (*Key, error) {
	key, err := parse(data, time.Now())
	if err != nil {
		return nil, err
	}
	key.watch = &o.watch
	return key, nil
}
