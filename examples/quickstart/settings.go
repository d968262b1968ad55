package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/clientcredentials"
	"github.com/postern-go/postern/jwtprofile"
	"github.com/postern-go/postern/keyfile"
	"github.com/postern-go/postern/pat"
	"github.com/postern-go/postern/zitadeltest"
)

// settings are the issuer and the credentials of one service user, those that there are.
type settings struct {
	issuer                 string
	pat, patFile           string
	patExpiry              time.Time // zero: not known
	keyFile                string
	keyJSON                []byte // instead of a file
	clientID, clientSecret string
}

func settingsFrom(getenv func(string) string) (settings, error) {
	s := settings{
		issuer: getenv("ZITADEL_ISSUER"),
		pat:    getenv("ZITADEL_PAT"), patFile: getenv("ZITADEL_PAT_FILE"),
		keyFile:  getenv("ZITADEL_KEY_FILE"),
		clientID: getenv("ZITADEL_CLIENT_ID"), clientSecret: getenv("ZITADEL_CLIENT_SECRET"),
	}
	credential := s.pat + s.patFile + s.keyFile + s.clientID + s.clientSecret
	switch {
	case (s.clientID == "") != (s.clientSecret == ""):
		return s, errors.New("set ZITADEL_CLIENT_ID and ZITADEL_CLIENT_SECRET together")
	case s.issuer == "" && credential != "":
		return s, errors.New("set ZITADEL_ISSUER to the server that the credential is for, such as https://my-instance.zitadel.cloud")
	case s.issuer != "" && credential == "":
		return s, errors.New("set at least one of ZITADEL_PAT, ZITADEL_PAT_FILE, ZITADEL_KEY_FILE, or ZITADEL_CLIENT_ID with ZITADEL_CLIENT_SECRET")
	}
	return s, nil
}

// ownServer starts a ZITADEL with a service user that manages its organisation.
func ownServer() (settings, func(), error) {
	server, err := zitadeltest.New(zitadeltest.Config{})
	if err != nil {
		return settings{}, nil, err
	}
	bot := server.AddServiceUser("quickstart-bot", zitadeltest.WithOrgRole("ORG_OWNER"))
	server.IssueToken(bot) // makes the signing key, which a real server has already, so that no row pays for it
	expiry := server.Now().Add(30 * 24 * time.Hour)
	return settings{
		issuer: server.Issuer(), pat: bot.PAT(expiry), patExpiry: expiry,
		keyJSON: bot.KeyJSON(), clientID: bot.LoginName, clientSecret: bot.ClientSecret(),
	}, server.Close, nil
}

type method struct {
	name   string
	source postern.TokenSource
}

// methods makes a source of each credential.
func (s settings) methods() (all []method, err error) {
	add := func(name string, src postern.TokenSource, e error) {
		if e != nil {
			err = errors.Join(err, e)
		}
		all = append(all, method{name, src})
	}
	if s.pat != "" {
		src, err := pat.New(s.pat, pat.Expires(s.patExpiry))
		add("personal access token", src, err)
	}
	if s.patFile != "" {
		src, err := pat.FromFile(s.patFile)
		add("personal access token (file)", src, err)
	}
	if s.keyFile != "" || s.keyJSON != nil {
		src, err := s.keySource()
		add("private key JWT", src, err)
	}
	if s.clientID != "" {
		src, err := s.secretSource(s.clientSecret)
		add("client credentials", src, err)
	}
	return all, err
}

func (s settings) keySource() (postern.TokenSource, error) {
	var key *keyfile.Key
	var err error
	if s.keyFile != "" {
		key, err = keyfile.Read(s.keyFile)
	} else {
		key, err = keyfile.Parse(s.keyJSON)
	}
	if err != nil {
		return nil, err
	}
	return jwtprofile.New(jwtprofile.Config{Issuer: s.issuer, Key: key})
}

func (s settings) secretSource(secret string) (postern.TokenSource, error) {
	return clientcredentials.New(clientcredentials.Config{Issuer: s.issuer, ClientID: s.clientID, ClientSecret: secret})
}

// showRefusal makes a call with a wrong secret, to show what a program would log.
func showRefusal(ctx context.Context, s settings, out io.Writer) error {
	if s.clientID == "" {
		s.clientID = "postern-quickstart-nobody"
	}
	src, err := s.secretSource("not-the-secret")
	if err != nil {
		return err
	}
	_, err = ask(ctx, s.issuer, src)
	refusal, ok := errors.AsType[*postern.Error](err)
	if !ok {
		return fmt.Errorf("a wrong secret should be refused, got: %w", errors.Join(err, ctx.Err()))
	}
	_, err = fmt.Fprintf(out, "\nA wrong secret, for comparison, is refused:\n  status  %d\n  code    %s\n  said    %s\n  hint    %s\n",
		refusal.StatusCode, refusal.Code, refusal.Description, refusal.Hint)
	return err
}
