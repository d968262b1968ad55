package oauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/postern-go/postern/internal/bearer"
	"github.com/postern-go/postern/internal/skew"
	"github.com/postern-go/postern/internal/strictjson"
)

// Grant is a token request.
type Grant struct {
	// Form makes the form of one try.
	Form func(ctx context.Context) (url.Values, error)
	// Authorize adds client credentials to the request; it may be nil.
	Authorize func(*http.Request)
	// Secrets are cut out of what the server says, besides those that PostForm knows by itself.
	Secrets []string
	// Clock, which may be nil, observes the server's time.
	Clock *skew.Clock
}

// Token asks the token endpoint, with retries, and returns the token.
func (i *Issuer) Token(ctx context.Context, g Grant) (*oauth2.Token, error) {
	endpoint, err := i.URL(ctx, Token)
	if err != nil {
		return nil, err
	}
	return Retry(ctx, func() (*oauth2.Token, error) {
		form, err := g.Form(ctx)
		if err != nil {
			return nil, err
		}
		resp, err := i.PostForm(ctx, endpoint, form, g.Authorize, g.Secrets...)
		if resp != nil && g.Clock != nil {
			g.Clock.Observe(resp.Header, resp.Sent, resp.Received)
		}
		if err != nil {
			return nil, err
		}
		token, err := ParseToken(string(resp.Body), resp.Sent)
		if err != nil {
			return nil, resp.Unusable(fmt.Errorf("%w: %s", err, isIt))
		}
		return token, nil
	})
}

// maxLifetime of a token, in seconds: ten years. More than that is a mistake, not a lifetime.
const maxLifetime = 10 * 365 * 24 * 60 * 60

// ParseToken reads a token response (RFC 6749 §5.1). It must have an access_token that can be a bearer token, the
// token_type Bearer in any case, and expires_in as a number of seconds from 1 to ten years, a fraction dropped. A
// lifetime that is missing, a string, zero, negative or longer is an error: a token that nobody knows the end of is not
// renewed in time. The token expires that long after sent, when the request left, so never later than the server has it.
// Errors show nothing of text.
func ParseToken(text string, sent time.Time) (*oauth2.Token, error) {
	object, err := strictjson.Parse(text, "access_token", "token_type", "expires_in")
	if err != nil {
		return nil, fmt.Errorf("expected a token response: %w", err)
	}
	member := func(name string, read func(string) error) error {
		value, ok := object.Get(name)
		if !ok {
			return fmt.Errorf("expected a token response with %s, got one without", name)
		}
		return named(name, read(value))
	}
	token := &oauth2.Token{TokenType: "Bearer"} // ZITADEL's APIs refuse other spellings
	// The first mistake is enough, and keeps to one line of a log: who reads it did not make the answer.
	err = cmp.Or(
		member("access_token", func(value string) (err error) {
			if token.AccessToken, err = strictjson.String(value); err != nil {
				return err
			}
			return bearer.Check(token.AccessToken)
		}),
		member("token_type", func(value string) error {
			kind, err := strictjson.String(value)
			if err == nil && !strings.EqualFold(kind, "Bearer") {
				err = errors.New("expected Bearer, got a kind of token that this library does not know how to send")
			}
			return err
		}),
		member("expires_in", func(value string) error {
			seconds, err := lifetime(value)
			token.ExpiresIn = seconds
			token.Expiry = sent.Round(0).Add(time.Duration(seconds) * time.Second)
			return err
		}),
	)
	if err != nil {
		return nil, err
	}
	return token, nil
}

func lifetime(value string) (int64, error) {
	const want = "expected a number of seconds from 1 to ten years, "
	if !strings.ContainsAny(value[:1], "-0123456789") {
		return 0, errors.New(want + "got another type")
	}
	seconds, err := strconv.ParseFloat(value, 64)
	switch {
	case seconds < 1:
		return 0, errors.New(want + "got less")
	case err != nil || seconds > maxLifetime:
		return 0, errors.New(want + "got more")
	}
	return int64(seconds), nil
}
