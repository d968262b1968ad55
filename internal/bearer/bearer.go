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

// Valid reports whether a text, of whatever length, has the form b64token: letters, digits and -._~+/, then any number of =.
func Valid(token string) bool {
	body := strings.TrimRight(token, "=")
	if body == "" {
		return false
	}
	// Eight bytes at a time take less than half the time of looking at each: requests pay for it, on the way out and in.
	bad := false
	for ; len(body) >= 8; body = body[8:] {
		bad = bad || notB64[body[0]]|notB64[body[1]]|notB64[body[2]]|notB64[body[3]]|notB64[body[4]]|notB64[body[5]]|notB64[body[6]]|notB64[body[7]] != 0
	}
	for i := range len(body) {
		bad = bad || notB64[body[i]] != 0
	}
	return !bad
}

// Check returns nil for a Valid token of at most MaxLength bytes. Its errors show no part of the token.
func Check(token string) error {
	switch {
	case token == "":
		return errors.New("expected a token, got nothing")
	case len(token) > MaxLength:
		return fmt.Errorf("expected a token of at most %d bytes, got %d", MaxLength, len(token))
	case Valid(token):
		return nil
	}
	for i := range len(strings.TrimRight(token, "=")) {
		switch c := token[i]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			return fmt.Errorf("expected a token without spaces and line breaks, got one at byte %d of %d", i+1, len(token))
		case notB64[c] != 0:
			return fmt.Errorf("expected a token of letters, digits and -._~+/=, got another character at byte %d of %d", i+1, len(token))
		}
	}
	return errors.New("expected a token, got only =")
}

// notB64 has a 1 for every byte that is not one of a b64token's, but for =.
var notB64 = func() (table [256]byte) {
	for i := range table {
		table[i] = 1
	}
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/" {
		table[c] = 0
	}
	return table
}()
