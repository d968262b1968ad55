// Package clientcredentials is the token source for a service user's client id and secret (client credentials, RFC 6749 §4.4).
//
//	src, err := clientcredentials.New(clientcredentials.Config{
//		Issuer: "https://my-instance.zitadel.cloud", ClientID: "ci-bot", ClientSecret: os.Getenv("CLIENT_SECRET"),
//	})
//	if err != nil {
//		return err
//	}
//	client := postern.NewClient(src, "https://my-instance.zitadel.cloud")
//	resp, err := client.Get("https://my-instance.zitadel.cloud/management/v1/orgs/me")
//
// In ZITADEL the client id is the service user's user name (its login name), not its id. A token is kept and renewed as postern.Reuse
// says, so make one Source and share it.
//
// # When a call is refused
//
// The errors hold a *postern.Error, whose Hint says what to do. When ZITADEL's APIs answer 401 to a fresh token, it lacks their
// audience: ask for postern.ScopeZITADELAPI, which the default does. When they answer 404 with "membership not found" the token is
// good, and its user has no role that allows the call: make the user a manager of the organisation, or of the instance.
package clientcredentials

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"golang.org/x/oauth2"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/internal/oauth"
)

// Config says who asks whom. Issuer, ClientID and ClientSecret are required. It holds a secret, so do not print it.
type Config struct {
	// Issuer is ZITADEL's URL as its discovery document says it, such as "https://my-instance.zitadel.cloud". It may have a
	// path.
	Issuer string
	// ClientID is the service user's user name, at most 1 KiB.
	ClientID string
	// ClientSecret is what ZITADEL generated for the user, at most 1 KiB. It must not end in a line break, as a text read from
	// a file may.
	ClientSecret string
	// Post sends id and secret in the form (client_secret_post) instead of by Basic authentication (client_secret_basic).
	Post bool
	// Scopes to ask for, each an element of its own. Empty means openid and postern.ScopeZITADELAPI. ZITADEL drops those that it
	// does not know without a word.
	Scopes []string

	// HTTPClient sends the requests; it is copied, follows no redirect, and gets a timeout of 15 seconds a call if it has
	// none. Nil means one that is shared in this module: proxies from the environment, TLS 1.2 at least. For a certificate
	// authority of your own give a client with its transport.
	HTTPClient *http.Client
	// Header is added to the requests for discovery and tokens, such as x-zitadel-instance-host behind a proxy.
	Header http.Header
	// AllowHTTP lets the secret go over plain http to other hosts than loopback.
	AllowHTTP bool
	// TokenURL is where to ask for tokens. Empty means where the issuer's discovery document says, which must have the
	// issuer's origin.
	TokenURL string
	// Logger gets a warning when a renewal failed. Nil means slog.Default().
	Logger *slog.Logger
}

// Source gives access tokens of one service user. It is safe for concurrent use, and formats without the secret.
type Source struct {
	tokens postern.TokenSource
}

var (
	_ postern.TokenSource = (*Source)(nil)
	_ postern.Invalidator = (*Source)(nil)
)

// New checks cfg and reports every mistake at once, without the secret. It does no I/O: the issuer is asked for its endpoints
// when the first token is wanted.
func New(cfg Config) (*Source, error) {
	issuer, errIssuer := oauth.New(oauth.Config{
		Issuer: cfg.Issuer, HTTPClient: cfg.HTTPClient, Header: cfg.Header, AllowHTTP: cfg.AllowHTTP,
		Endpoints: map[oauth.Endpoint]string{oauth.Token: cfg.TokenURL},
	})
	scope, errScope := oauth.Scope(cfg.Scopes, "openid", postern.ScopeZITADELAPI)
	err := errors.Join(errIssuer, check("ClientID", "the service user's user name", cfg.ClientID),
		check("ClientSecret", "the secret that ZITADEL generated for the user", cfg.ClientSecret), errScope)
	if err != nil {
		return nil, fmt.Errorf("clientcredentials: %w", err)
	}
	g := &grant{issuer: issuer, id: cfg.ClientID, secret: cfg.ClientSecret, post: cfg.Post, scope: scope}
	return &Source{tokens: postern.Reuse(g, postern.ReuseConfig{Logger: cfg.Logger})}, nil
}

// Token returns a token that is valid now; see TokenCtx.
func (s *Source) Token() (*oauth2.Token, error) { return s.tokens.Token() }

// TokenCtx returns a token that is valid now: the one in hand, or a new one. The error wraps an *postern.Error where the
// server answered by an error, postern.ErrUnavailable where nothing is known about id and secret, and ctx's error when ctx ended first.
func (s *Source) TokenCtx(ctx context.Context) (*oauth2.Token, error) { return s.tokens.TokenCtx(ctx) }

// Invalidate drops that access token, if it is the one in hand.
func (s *Source) Invalidate(accessToken string) {
	s.tokens.(postern.Invalidator).Invalidate(accessToken)
}

// Format prints the type's name for every verb and flag.
func (s Source) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("clientcredentials.Source")) }

const maxCredential = 1 << 10 // bytes, of an id or a secret; ZITADEL's secrets have 64

// check says what is wrong with an id or secret, and shows no part of it.
func check(field, want, value string) error {
	switch {
	case value == "":
		return fmt.Errorf("%s: expected %s, got nothing", field, want)
	case len(value) > maxCredential:
		return fmt.Errorf("%s: expected %s, of at most %d bytes, got %d: copy it again", field, want, maxCredential, len(value))
	case strings.HasSuffix(value, "\n"), strings.HasSuffix(value, "\r"):
		return fmt.Errorf("%s: expected no line break at the end, got one: cut it off, as strings.TrimRight does", field)
	case strings.ContainsFunc(value, unicode.IsControl):
		return fmt.Errorf("%s: expected no control characters, got one: copy the text again", field)
	}
	return nil
}

// grant asks for one token, each time.
type grant struct {
	issuer     *oauth.Issuer
	id, secret string
	post       bool
	scope      string
}

func (g *grant) Token() (*oauth2.Token, error) { return g.TokenCtx(context.Background()) }

func (g *grant) TokenCtx(ctx context.Context) (*oauth2.Token, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {g.scope}}
	request := oauth.Grant{
		Form:    func(context.Context) (url.Values, error) { return form, nil },
		Secrets: []string{g.secret},
	}
	if g.post {
		form.Set("client_id", g.id)
		form.Set("client_secret", g.secret)
	} else {
		request.Authorize = oauth.Basic(g.id, g.secret)
	}
	token, err := g.issuer.Token(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("clientcredentials: %w", err)
	}
	return token, nil
}
