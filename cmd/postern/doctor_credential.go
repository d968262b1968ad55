package main

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/credentials"
	"github.com/postern-go/postern/introspect"
	"github.com/postern-go/postern/keyfile"
	"github.com/postern-go/postern/rotate"
)

// describeCredential tells the kind of the credential, and when it ends if that can be known.
func describeCredential(ctx context.Context, source *credentials.Source) (expires time.Time, kind string) {
	switch source.Method() {
	case "ZITADEL_KEY_FILE", "ZITADEL_KEY_JSON":
		key, err := readKey(source.Method())
		if err != nil {
			return time.Time{}, ""
		}
		kind = ", ECDSA on P-256"
		if public, ok := key.Signer.Public().(*rsa.PublicKey); ok {
			kind = fmt.Sprintf(", RSA of %d bits", public.N.BitLen())
		}
		return key.Expiry, kind
	case "ZITADEL_PAT", "ZITADEL_PAT_FILE":
		return patExpiry(ctx, source), ""
	}
	return time.Time{}, ""
}

func readKey(method string) (*keyfile.Key, error) {
	if method == "ZITADEL_KEY_JSON" {
		return keyfile.Parse([]byte(os.Getenv(method)))
	}
	return keyfile.Read(os.Getenv(method))
}

// patExpiry asks the record of package rotate, and then the server: a token does not tell its end.
func patExpiry(ctx context.Context, source *credentials.Source) time.Time {
	token, err := source.TokenCtx(ctx)
	if err != nil {
		return time.Time{}
	}
	if !token.Expiry.IsZero() {
		return token.Expiry
	}
	if path := os.Getenv("ZITADEL_PAT_FILE"); path != "" {
		if expires, err := rotate.NewFileStore(path).Expiry(ctx, token.AccessToken); err == nil {
			return expires
		}
	}
	expires, err := rotate.PATExpiry(rotate.ClientConfig{Issuer: source.Issuer()})(ctx, token.AccessToken)
	if err != nil {
		return time.Time{}
	}
	return expires
}

// renewal is the command that renews what the variable names.
func renewal(method string) string {
	if strings.HasPrefix(method, "ZITADEL_KEY") {
		return "postern key rotate FILE"
	}
	return "postern pat rotate FILE"
}

func checkIntrospection(ctx context.Context, p *patient) (string, string, error) {
	if !apiConfigured() {
		return "not asked for: no ZITADEL_API_KEY_FILE or ZITADEL_API_CLIENT_ID is set", "", nil
	}
	cfg, err := credentials.APIFromEnv()
	if err != nil {
		return "", "correct what it says, in the environment or the file", err
	}
	cfg.Logger = slog.New(slog.DiscardHandler)
	verifier, err := introspect.New(cfg)
	if err != nil {
		return "", "correct what it says", err
	}
	// Only a token that is known to be good proves a client wrong: ZITADEL may call a wrong client's token inactive.
	id, err := verifier.Verify(ctx, p.token)
	switch {
	case err == nil && id.Subject() == p.me.ID:
		return "the API may ask, and is told " + p.me.UserName, "", nil
	case err == nil:
		return "", "is ZITADEL_ISSUER the same for both ways?", errors.New("the API is told another user than the token's")
	case errors.Is(err, postern.ErrInvalidToken) && strings.HasPrefix(p.source.Method(), "ZITADEL_PAT"):
		return "", "a personal access token that works is active for every API of the instance, so the API's key or secret is wrong, or the server has trouble: add a new key to the API application, or look at the server's log",
			errors.New("the server calls a good token inactive")
	case errors.Is(err, postern.ErrInvalidToken):
		return "the API may ask; it is told that this token is not for it",
			"a caller of that API must ask for the scope " + postern.ScopeProjectAudience("{its project id}"), nil
	}
	return "", "check the API application in ZITADEL: its key or secret, and that it and its project are active", err
}
