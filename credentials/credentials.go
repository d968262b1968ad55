// Package credentials makes token sources and introspection's client of what the environment says, for services that name no
// method in code: the same binary runs with a personal access token on a laptop, and with a key in production.
//
//	src, err := credentials.FromEnv()
//	if err != nil {
//		return err // lists what is set, by name, and what is missing
//	}
//	client := postern.NewClient(src, src.Issuer())
//
// For the way in, it is
//
//	cfg, err := credentials.APIFromEnv()
//	if err != nil {
//		return err
//	}
//	verifier, err := introspect.New(cfg)
//
// # Variables
//
// ZITADEL_ISSUER is the server's URL, for both ways. Out, one of:
//
//	ZITADEL_PAT            a personal access token
//	ZITADEL_PAT_FILE       the path of a file that holds one, and is followed when it changes
//	ZITADEL_KEY_FILE       the path of a service user's key.json, which is followed when it changes
//	ZITADEL_KEY_JSON       the content of a service user's key.json
//	ZITADEL_CLIENT_ID      a service user's login name, with
//	    ZITADEL_CLIENT_SECRET or ZITADEL_CLIENT_SECRET_FILE, whose file is followed when it changes
//
// In, one of:
//
//	ZITADEL_API_KEY_FILE   the path of an API application's key.json, which is followed when it changes
//	ZITADEL_API_CLIENT_ID  an API application's client id, with
//	    ZITADEL_API_CLIENT_SECRET or ZITADEL_API_CLIENT_SECRET_FILE, whose file is read once
//
// A variable that is empty counts as not set. More than one way, or half of one, is an error: which one was meant is not for a
// program to guess. Errors name variables, and paths that are absolute or begin with a dot, and never show a value that is a secret.
//
// Under systemd, LoadCredential= with Environment=ZITADEL_PAT_FILE=%d/pat gives the path of a credential; in Kubernetes, mount a
// Secret and name the file in it.
package credentials

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/clientcredentials"
	"github.com/postern-go/postern/internal/follow"
	"github.com/postern-go/postern/internal/oauth"
	"github.com/postern-go/postern/internal/smallfile"
	"github.com/postern-go/postern/introspect"
	"github.com/postern-go/postern/jwtprofile"
	"github.com/postern-go/postern/keyfile"
	"github.com/postern-go/postern/pat"
	"github.com/postern-go/postern/rotate"
)

// maxSecret is the longest client secret with line breaks after it, in bytes. ZITADEL's have 64.
const maxSecret = 4 << 10

// Source is the token source that the environment names. It is safe for concurrent use, and formats without its credential.
type Source struct {
	tokens         postern.TokenSource
	issuer, method string
}

var (
	_ postern.TokenSource = (*Source)(nil)
	_ postern.Invalidator = (*Source)(nil)
)

// FromEnv returns the token source that the environment names, see the package's comment. The scopes are what tokens are asked for
// with, in place of the default, which reaches ZITADEL's own APIs; a personal access token has its own and ignores them. Files
// are read; nothing is sent.
//
// When a personal access token ends, which it does not tell, is looked up in the record of package rotate beside its file, or
// asked of the server once: then it is warned of from 7 days before, as a key's expiry is.
func FromEnv(scopes ...string) (*Source, error) {
	e := read("ZITADEL_")
	if err := e.check("PAT", "PAT_FILE", "KEY_FILE", "KEY_JSON", "CLIENT_ID"); err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	source, err := e.source(scopes)
	if err != nil {
		return nil, fmt.Errorf("credentials: %s: %w", e.name(e.way), err)
	}
	return &Source{tokens: source, issuer: e.issuer, method: e.name(e.way)}, nil
}

// APIFromEnv returns a Config for introspect.New with Issuer and Auth as the environment names them, see the package's comment. Add
// to it what else the API wants. Files are read; nothing is sent.
func APIFromEnv() (introspect.Config, error) {
	e := read("ZITADEL_API_")
	if err := e.check("KEY_FILE", "CLIENT_ID"); err != nil {
		return introspect.Config{}, fmt.Errorf("credentials: %w", err)
	}
	auth, err := e.auth()
	if err != nil {
		return introspect.Config{}, fmt.Errorf("credentials: %s: %w", e.name(e.way), err)
	}
	return introspect.Config{Issuer: e.issuer, Auth: auth}, nil
}

// Token returns a token that is valid now; see TokenCtx.
func (s *Source) Token() (*oauth2.Token, error) { return s.tokens.Token() }

// TokenCtx returns a token that is valid now, as the source that the environment names does.
func (s *Source) TokenCtx(ctx context.Context) (*oauth2.Token, error) { return s.tokens.TokenCtx(ctx) }

// Issuer returns ZITADEL_ISSUER: the origin of ZITADEL's own APIs, for postern.NewClient.
func (s *Source) Issuer() string { return s.issuer }

// Method returns the name of the variable that was used, for a log: "ZITADEL_KEY_FILE".
func (s *Source) Method() string { return s.method }

// Invalidate drops exactly that token: a server refused it.
func (s *Source) Invalidate(accessToken string) {
	if i, ok := s.tokens.(postern.Invalidator); ok {
		i.Invalidate(accessToken)
	}
}

// Format prints the method for every verb and flag.
func (s *Source) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "credentials.Source(%s)", s.method)
}

// MarshalText returns what Format prints.
func (s *Source) MarshalText() ([]byte, error) { return fmt.Append(nil, s), nil }

func (e *env) source(scopes []string) (postern.TokenSource, error) {
	switch e.way {
	case "PAT":
		return pat.New(e.values["PAT"], pat.LearnExpiry(rotate.PATExpiry(rotate.ClientConfig{Issuer: e.issuer})))
	case "PAT_FILE":
		return pat.FromFile(e.values["PAT_FILE"], pat.LearnExpiry(recordedOrAsked(e.values["PAT_FILE"], e.issuer)))
	case "KEY_FILE":
		file, err := keyfile.Open(e.values["KEY_FILE"])
		if err != nil {
			return nil, err
		}
		return jwtprofile.New(jwtprofile.Config{Issuer: e.issuer, Key: file, Scopes: scopes})
	case "KEY_JSON":
		key, err := keyfile.Parse([]byte(e.values["KEY_JSON"]))
		if err != nil {
			return nil, err
		}
		return jwtprofile.New(jwtprofile.Config{Issuer: e.issuer, Key: key, Scopes: scopes})
	}
	client := func(secret []byte) (postern.TokenSource, error) {
		return clientcredentials.New(clientcredentials.Config{
			Issuer: e.issuer, ClientID: e.values["CLIENT_ID"], ClientSecret: trim(secret), Scopes: scopes,
		})
	}
	if e.values["CLIENT_SECRET_FILE"] == "" {
		return client([]byte(e.values["CLIENT_SECRET"]))
	}
	file, err := follow.Open(follow.Config[postern.TokenSource]{
		Path: e.values["CLIENT_SECRET_FILE"], Limit: maxSecret, What: "client secret", Parse: client,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.name("CLIENT_SECRET_FILE"), err)
	}
	return &followed{file}, nil
}

func (e *env) auth() (introspect.Auth, error) {
	if e.way == "KEY_FILE" {
		file, err := keyfile.Open(e.values["KEY_FILE"])
		if err != nil {
			return nil, err
		}
		if key := file.Current(); key.Type != keyfile.Application {
			return nil, fmt.Errorf("expected an API application's key, got type %q: add a key to the API application in ZITADEL and use that file", key.Type)
		}
		return introspect.PrivateKeyJWT(file), nil
	}
	secret := []byte(e.values["CLIENT_SECRET"])
	if path := e.values["CLIENT_SECRET_FILE"]; path != "" {
		var err error
		if secret, _, err = smallfile.Read(path, maxSecret); err == nil && trim(secret) == "" {
			err = fmt.Errorf("%s: expected a client secret, got nothing", path)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.name("CLIENT_SECRET_FILE"), err)
		}
	}
	return introspect.Basic(e.values["CLIENT_ID"], trim(secret)), nil
}

// recordedOrAsked finds out when a token of a file ends.
func recordedOrAsked(path, issuer string) func(context.Context, string) (time.Time, error) {
	recorded, asked := rotate.NewFileStore(path).Expiry, rotate.PATExpiry(rotate.ClientConfig{Issuer: issuer})
	return func(ctx context.Context, token string) (time.Time, error) {
		if expires, err := recorded(ctx, token); err == nil {
			return expires, nil
		}
		return asked(ctx, token)
	}
}

// followed is a source made anew when its secret's file changes.
type followed struct {
	file *follow.File[postern.TokenSource]
}

func (f *followed) Token() (*oauth2.Token, error) { return f.file.Get().Token() }

func (f *followed) TokenCtx(ctx context.Context) (*oauth2.Token, error) {
	return f.file.Get().TokenCtx(ctx)
}

func (f *followed) Invalidate(accessToken string) {
	if i, ok := f.file.Get().(postern.Invalidator); ok {
		i.Invalidate(accessToken)
	}
}

func trim(secret []byte) string { return strings.TrimRight(string(secret), "\r\n") }

// checkIssuer returns what is wrong with the issuer, in the words of whoever will use it.
func checkIssuer(issuer string) error {
	if issuer == "" {
		return errors.New("ZITADEL_ISSUER: expected the server's URL, such as https://acme.zitadel.cloud, got nothing: set it")
	}
	if _, err := oauth.New(oauth.Config{Issuer: issuer}); err != nil {
		return fmt.Errorf("ZITADEL_ISSUER: %w", err)
	}
	return nil
}
