package pat

import (
	"errors"
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
	case cutOff(token.AccessToken):
		return nil, errors.New("expected a whole token, got the beginning of one: write the personal access token again, in one piece")
	case f.first == "":
		f.first = token.AccessToken
	case token.AccessToken != f.first:
		return token, nil
	}
	return newToken(f.first, f.expires)
}
