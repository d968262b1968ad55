// Package pat is the token source for a personal access token: a long text that a service user's page in ZITADEL's console
// shows once. It is the simplest way out, and the one whose secret travels with every request.
//
//	src, err := pat.FromEnv("ZITADEL_PAT") // or pat.New(token), pat.FromFile(path)
//	if err != nil {
//		return err // says what is wrong with the token, and never shows it
//	}
//	client := postern.NewClient(src, issuer)
//	resp, err := client.Get(issuer + "/management/v1/orgs/me")
//
// A personal access token needs no scope to call ZITADEL's APIs. When they answer 401 it has expired or was removed, or its user
// was locked or deactivated, which ends all of the user's tokens for good: make another. When they answer 404 with "membership not
// found" the token is good, and its user has no role that allows the call: make the user a manager of the organisation,
// or of the instance.
package pat

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/internal/bearer"
	"github.com/postern-go/postern/internal/smallfile"
)

// Source gives one personal access token. It is safe for concurrent use, and formats without the token.
type Source struct {
	token *oauth2.Token
}

var _ postern.TokenSource = (*Source)(nil)

// An Option tells what a token does not tell by itself.
type Option func(*oauth2.Token)

// Expires says when ZITADEL ends the token, as it did when the token was made. From then on the Source gives an error
// instead. Without it, or with the zero time, the token is given out for ever.
func Expires(at time.Time) Option { return func(t *oauth2.Token) { t.Expiry = at } }

// New makes a Source of a token. Line breaks after it are cut off. It refuses what cannot be a bearer token (RFC 6750 §2.1: letters,
// digits and -._~+/, then any number of =, here at most 16 KiB), and a token that has expired. The error shows no part
// of the token.
func New(token string, options ...Option) (*Source, error) {
	s, err := newSource(token, options)
	if err != nil {
		return nil, fmt.Errorf("pat: %w", err)
	}
	return s, nil
}

// FromFile reads the token in the file at path, which holds nothing else: a regular file, or a symbolic link to one. See New for
// what a token is.
func FromFile(path string, options ...Option) (*Source, error) {
	data, _, err := smallfile.Read(path, maxFile)
	if err != nil {
		return nil, fmt.Errorf("pat: %w", err)
	}
	s, err := newSource(string(data), options)
	if err != nil {
		return nil, fmt.Errorf("pat: %s: %w", path, err)
	}
	return s, nil
}

// FromEnv reads the token in the environment variable of that name, once. See New for what a token is.
func FromEnv(name string, options ...Option) (*Source, error) {
	token, ok := os.LookupEnv(name)
	if !ok {
		return nil, fmt.Errorf("pat: expected a token in the environment variable %q, which is not set", name)
	}
	s, err := newSource(token, options)
	if err != nil {
		return nil, fmt.Errorf("pat: environment variable %q: %w", name, err)
	}
	return s, nil
}

// Token returns the token; see TokenCtx.
func (s *Source) Token() (*oauth2.Token, error) { return s.TokenCtx(context.Background()) }

// TokenCtx returns the token, which is the same each time, or an error once it has expired. It does not wait, and takes no notice
// of ctx.
func (s *Source) TokenCtx(context.Context) (*oauth2.Token, error) {
	if err := expired(s.token, time.Now()); err != nil {
		return nil, fmt.Errorf("pat: %w", err)
	}
	return s.token, nil
}

// Format prints the type's name for every verb and flag.
func (s *Source) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("pat.Source")) }

// maxFile is the longest token with line breaks after it, in bytes.
const maxFile = bearer.MaxLength + 16

func newSource(text string, options []Option) (*Source, error) {
	token, err := parse(text)
	if err != nil {
		return nil, err
	}
	t := &oauth2.Token{AccessToken: token, TokenType: "Bearer"}
	for _, option := range options {
		option(t)
	}
	if err := expired(t, time.Now()); err != nil {
		return nil, err
	}
	return &Source{token: t}, nil
}

// parse returns the token in text.
func parse(text string) (string, error) {
	token := strings.TrimRight(text, "\r\n")
	err := bearer.Check(token)
	if err == nil {
		return token, nil
	}
	switch {
	case strings.HasPrefix(token, "\xef\xbb\xbf"), strings.HasPrefix(token, "\xff\xfe"), strings.HasPrefix(token, "\xfe\xff"):
		return "", errors.New("expected a token, got a byte order mark before it: save the text as UTF-8 without one")
	case len(token) > len("Bearer ") && strings.EqualFold(token[:len("Bearer ")], "Bearer "):
		return "", errors.New("expected a token, got the word Bearer before it: leave it out")
	case strings.HasPrefix(strings.TrimSpace(token), "{"):
		return "", errors.New("expected a token, got JSON: a key file is for keyfile.Read and package jwtprofile, and of an API's answer only the token is wanted")
	}
	return "", fmt.Errorf("%w: copy the personal access token again, in one piece", err)
}

func expired(t *oauth2.Token, now time.Time) error {
	if t.Expiry.IsZero() || now.Before(t.Expiry) {
		return nil
	}
	return fmt.Errorf("expected a token that is still valid, got one that expired on %s: add another personal access token to the service user in ZITADEL",
		t.Expiry.UTC().Format(time.RFC3339))
}
