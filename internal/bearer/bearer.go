// Package bearer says what can be a bearer token (RFC 6750 §2.1).
package bearer

import (
	"errors"
	"fmt"
	"strings"
)

// MaxLength of a token, in bytes. ZITADEL's opaque tokens have about 290, and its JWTs seldom more than 4000; what is
// longer than this does not fit into the headers that servers accept.
const MaxLength = 16 << 10

// Check returns nil for a text of the form b64token, of at most MaxLength bytes: letters, digits and -._~+/, then any number
// of =. Its errors show no part of the token.
func Check(token string) error {
	if token == "" {
		return errors.New("expected a token, got nothing")
	}
	if len(token) > MaxLength {
		return fmt.Errorf("expected a token of at most %d bytes, got %d", MaxLength, len(token))
	}
	body := strings.TrimRight(token, "=")
	if body == "" {
		return errors.New("expected a token, got only =")
	}
	for i := range len(body) {
		switch c := body[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~+/", c) >= 0:
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			return fmt.Errorf("expected a token without spaces and line breaks, got one at byte %d of %d", i+1, len(token))
		default:
			return fmt.Errorf("expected a token of letters, digits and -._~+/=, got another character at byte %d of %d", i+1, len(token))
		}
	}
	return nil
}
