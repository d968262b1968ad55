package postern

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// The sentinels are what a caller decides on, with errors.Is. What the server said, where it said anything, is an *Error in
// the same chain, for errors.As.
var (
	// ErrInvalidToken means that the token gives no access: unknown, expired, revoked, or meant for somebody else. Asking
	// again with the same token does not help.
	ErrInvalidToken = errors.New("invalid token")
	// ErrUnavailable means that the identity server could not be asked, or gave no usable answer. Nothing is known about the
	// token or credential. Trying later may help.
	ErrUnavailable = errors.New("identity server unavailable")
)

// Error is what the identity server said and what this library makes of it. It holds no token, key or secret.
type Error struct {
	// StatusCode is the HTTP status of the answer, or 0 when the answer was none.
	StatusCode int
	// Code is the error code of RFC 6749 §5.2, such as "invalid_grant", or empty when the server gave none.
	Code string
	// Description is the server's error_description, cut to 200 bytes and rid of everything but printable ASCII.
	Description string
	// Hint is the likely cause and its cure, in one sentence, or empty.
	Hint string
	// RetryAfter is how long the server asked to wait, or 0 when it did not say.
	RetryAfter time.Duration
	// Skew is how far the server's clock was measured to be ahead of this machine's (negative: behind), or 0 when it was not
	// measured.
	Skew time.Duration
}

// Error returns one line: status, code, description and hint.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("server answered")
	if e.StatusCode != 0 {
		fmt.Fprintf(&b, " %d", e.StatusCode)
	}
	if e.Code != "" {
		b.WriteString(" " + e.Code)
	}
	if e.Description != "" {
		fmt.Fprintf(&b, " (%s)", e.Description)
	}
	if e.RetryAfter > 0 {
		fmt.Fprintf(&b, ", retry after %s", e.RetryAfter)
	}
	if e.Hint != "" {
		b.WriteString(": " + e.Hint)
	}
	return b.String()
}
