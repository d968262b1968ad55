// Package guard keeps a panic in code that a user has given to this module, such as a key's Source or an HTTP client's transport,
// from ending the program where it comes in a goroutine of this module's own, which nobody else can recover.
//
//	func (r *keyring) load(ctx context.Context) (set *keySet, err error) {
//		defer guard.Panic(r.logger, &err)
package guard

import (
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"

	"github.com/postern-go/postern"
)

// Panic is to be deferred. It makes an error that wraps postern.ErrUnavailable of a panic, and logs the stack to logger, or to
// slog.Default() where that is nil. What the panic says may be secret, so only its type is shown, or the text of the
// runtime's own.
func Panic(logger *slog.Logger, err *error) {
	p := recover()
	if p == nil {
		return
	}
	said := fmt.Sprintf("%T", p)
	if e, ok := p.(runtime.Error); ok {
		said = e.Error()
	}
	if logger == nil {
		logger = slog.Default()
	}
	logger.Error("postern: code that this module was given panicked", "panic", said, "stack", string(debug.Stack()))
	*err = fmt.Errorf("%w: expected an answer, got a panic (%s) from code that this module was given, such as a key's Source or an HTTP client's transport: the log has its stack",
		postern.ErrUnavailable, said)
}
