package pat

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// followed reads the tokens that a file holds one after the other.
type followed struct {
	first   string
	expires time.Time // of the first
}

func (f *followed) parse(data []byte) (*oauth2.Token, error) {
	token, err := newToken(string(data), time.Time{})
	switch {
	case err != nil:
		return nil, err
	case f.first == "":
		f.first = token.AccessToken
	case token.AccessToken != f.first:
		return token, whole(token.AccessToken)
	}
	return newToken(f.first, f.expires)
}

// The shortest authentication tag, of 16 bytes, in base64url.
const tagLength = 22

// whole refuses the beginning of an encrypted token (RFC 7516 §7.1), as ZITADEL v4's are: a file may be half written. What belongs to
// tokens of other kinds it does not know.
func whole(token string) error {
	const object = "eyJ" // {" in base64url
	if !strings.HasPrefix(token, object) && !strings.HasPrefix(object, token) {
		return nil
	}
	parts := strings.Split(token, ".")
	head := parts[0]
	begun, err := base64.RawURLEncoding.DecodeString(head[:len(head)/4*4])
	if err != nil || slices.ContainsFunc(begun, func(c byte) bool { return c < ' ' || c > '~' }) {
		return nil // it is no JSON, and begins like it by chance
	}
	var header struct {
		Encryption string `json:"enc"`
	}
	text, err := base64.RawURLEncoding.DecodeString(head)
	if err == nil {
		err = json.Unmarshal(text, &header)
	}
	if err != nil || header.Encryption != "" && (len(parts) < 5 || len(parts[4]) < tagLength) {
		return errors.New("expected a whole token, got what looks like the beginning of one")
	}
	return nil
}
