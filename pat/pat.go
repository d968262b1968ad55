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
// FromFile takes up a file that changes, and package rotate changes it before the token runs out. Where the end is known, by Expires or
// LearnExpiry, it is warned of from 7 days before, see Warn.
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
	"github.com/postern-go/postern/internal/follow"
)

// Source gives a personal access token. It is safe for concurrent use, and formats without the token.
type Source struct {
	fixed   *held                       // what New and FromEnv were given
	file    *follow.File[*oauth2.Token] // or the file to look into
	options *options
	learner learner
}

// held puts a second pointer before the token: of a value that a verb does not fit, fmt shows what one pointer leads to.
type held struct{ token *oauth2.Token }

var (
	_ postern.TokenSource = (*Source)(nil)
	_ postern.Invalidator = (*Source)(nil)
)

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
// what a token is. The file is followed: when it is replaced, as package rotate, an editor or a mounted secret does it, calls get
// the new token within 5 seconds. It is looked at when a token is asked for, at most every 5 seconds, and when a server refused
// the token; nothing runs in the background. A file that is gone, half written or wrong leaves the token before in use, and is
// logged once. What Expires says is about the token that is there now, and not about another.
func FromFile(path string, options ...Option) (*Source, error) {
	o := apply(options)
	tokens := followed{expires: o.expires}
	file, err := follow.Open(follow.Config[*oauth2.Token]{
		Path: path, Limit: maxFile, What: "personal access token", Logger: o.logger, Parse: tokens.parse,
	})
	if err != nil {
		return nil, fmt.Errorf("pat: %w", err)
	}
	return &Source{file: file, options: o}, nil
}

// FromEnv reads the token in the environment variable of that name, once. See New for what a token is.
func FromEnv(name string, options ...Option) (*Source, error) {
	token, ok := os.LookupEnv(name)
	if !ok && !isName(name) {
		return nil, errors.New("pat: expected the name of an environment variable, got text that is none: a token itself is for New")
	}
	if !ok {
		return nil, fmt.Errorf("pat: expected a token in the environment variable %q, which is not set: set it", name)
	}
	s, err := newSource(token, options)
	if err != nil {
		return nil, fmt.Errorf("pat: environment variable %q: %w", name, err)
	}
	return s, nil
}

// Token returns the token; see TokenCtx.
func (s *Source) Token() (*oauth2.Token, error) { return s.TokenCtx(context.Background()) }

// TokenCtx returns the token, which is the same each time until its file changes, or an error once it has expired. It waits for
// nothing but the file system, except for LearnExpiry, and takes no other notice of ctx.
func (s *Source) TokenCtx(ctx context.Context) (*oauth2.Token, error) {
	token := s.current()
	if err := expired(token.Expiry, time.Now()); err != nil {
		return nil, fmt.Errorf("pat: %w", err)
	}
	if token.Expiry.IsZero() && s.options.ask != nil {
		s.learner.learn(ctx, token, s.options)
	}
	s.options.watch.Check(s.expiry(token))
	return token, nil
}

// Expiry returns when the token ends, as Expires told or LearnExpiry found out, or the zero time when that is not known.
func (s *Source) Expiry() time.Time { return s.expiry(s.current()) }

// Invalidate has the file looked at now, and not only when 5 seconds have passed, if that is the token in use: a server refused it.
func (s *Source) Invalidate(accessToken string) {
	if s.file != nil && s.file.Get().AccessToken == accessToken {
		s.file.Refresh()
	}
}

// Format prints the type's name for every verb and flag.
func (s *Source) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("pat.Source")) }

func (s *Source) current() *oauth2.Token {
	if s.file != nil {
		return s.file.Get()
	}
	return s.fixed.token
}

func (s *Source) expiry(token *oauth2.Token) time.Time {
	if !token.Expiry.IsZero() {
		return token.Expiry
	}
	return s.learner.expiry(token)
}

// isName reports whether name is one that variables have (POSIX.1-2017 §8.1), and not a token that was taken for one.
func isName(name string) bool {
	return name != "" && len(name) <= 64 && !strings.ContainsFunc(name, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_')
	})
}

// maxFile is the longest token with line breaks after it, in bytes.
const maxFile = bearer.MaxLength + 16

func newSource(text string, options []Option) (*Source, error) {
	o := apply(options)
	token, err := newToken(text, o.expires)
	if err != nil {
		return nil, err
	}
	return &Source{fixed: &held{token}, options: o}, nil
}

func newToken(text string, expires time.Time) (*oauth2.Token, error) {
	token, err := parse(text)
	if err != nil {
		return nil, err
	}
	if err := expired(expires, time.Now()); err != nil {
		return nil, err
	}
	return &oauth2.Token{AccessToken: token, TokenType: "Bearer", Expiry: expires}, nil
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

func expired(expires, now time.Time) error {
	if expires.IsZero() || now.Before(expires) {
		return nil
	}
	return fmt.Errorf("expected a token that is still valid, got one that expired on %s: add another personal access token to the service user in ZITADEL",
		expires.UTC().Format(time.RFC3339))
}
