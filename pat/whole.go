package pat

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
)

// minTag is how long the last part of a JWE is at least: 16 bytes (RFC 7518 §5.3) in base64.
const minTag = 22

// cutOff reports whether token is the beginning of a JWE (RFC 7516 §7.1), which is what ZITADEL's tokens are: it may come from a file
// that is half written. Of tokens of another form, as old ones are, nobody can tell.
func cutOff(token string) bool {
	const object = "eyJhbGciOi" // {"alg": in base64url
	if !strings.HasPrefix(token, object) {
		return strings.HasPrefix(object, token)
	}
	parts := strings.Split(token, ".")
	text, _ := base64.RawURLEncoding.DecodeString(parts[0]) // or as much of it as there is
	if slices.ContainsFunc(text, func(c byte) bool { return c < ' ' || c > '~' }) {
		return false // it begins like JSON by chance
	}
	var header struct {
		Encryption string `json:"enc"`
	}
	if json.Unmarshal(text, &header) != nil {
		return len(parts) == 1
	}
	return header.Encryption != "" && (len(parts) < 5 || len(parts[4]) < minTag)
}
