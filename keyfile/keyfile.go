// Package keyfile reads the key files that ZITADEL gives out: key.json of a service user, and that of an API application.
//
//	key, err := keyfile.Read("key.json")
//	if err != nil {
//		return err // says what is wrong with the file and what to do
//	}
//	src, err := jwtprofile.New(jwtprofile.Config{Issuer: issuer, Key: key})
//
// Parse takes the content instead of a path, and Open follows a file that is replaced while the program runs. From 7 days before
// a key's expiry on, its use logs a warning once a day, see Warn. Whatever gives a key is a Source: *Key and *File are, and so is
// a type of yours that asks a vault.
//
// The private half may live elsewhere, in a KMS, an HSM or a TPM. Then the key has no file: make it yourself, with that
// device's crypto.Signer, and with the public half uploaded to ZITADEL.
//
//	key := &keyfile.Key{Type: keyfile.ServiceAccount, ID: keyID, UserID: userID, Signer: signer}
//
// ZITADEL verifies signatures by RSA (RS256, PS256) and by ECDSA on P-256 (ES256). It lets you upload an Ed25519 key, too, and
// then refuses every signature by it, so such a key is refused here.
//
// Formatting a Key, in whatever way, shows its ids and never the key.
package keyfile

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/postern-go/postern/internal/expiry"
)

// Type says whose key it is.
type Type string

const (
	// ServiceAccount is the type of a service user's key: it gets tokens, see package jwtprofile.
	ServiceAccount Type = "serviceaccount"
	// Application is the type of an API application's key: it authenticates introspection, see package introspect.
	Application Type = "application"
)

// A Source gives the key to sign with now. Implementations are safe for concurrent use, and the keys they return are not
// changed by anyone afterwards. A key that comes from a Source is checked with Validate before it is used.
type Source interface {
	// Key returns the key that is to sign now, or an error that says why there is none; it must not show the key.
	Key(ctx context.Context) (*Key, error)
}

var (
	_ Source = (*Key)(nil)
	_ Source = (*File)(nil)
)

// Key is one private key with the ids under which ZITADEL knows it. Do not change a Key that is in use.
type Key struct {
	// Type says whether UserID or ClientID must be set.
	Type Type
	// ID is the key's id (keyId), which goes into the header of a signed assertion as kid.
	ID string
	// UserID is the service user's id. An application's key has none.
	UserID string
	// ClientID is the application's client id. A service user's key has none.
	ClientID string
	// AppID is the application's id, for information. A service user's key has none.
	AppID string
	// Expiry is when ZITADEL stops to accept the key. The zero time means that the file did not say. Keys without expiry carry
	// a date in the year 9999.
	Expiry time.Time
	// Signer is the private key: RSA of 2048 to 16384 bits, or ECDSA on P-256. Its Sign may be called by several goroutines at
	// once. A Signer that is not plain memory should return within a second or so: callers wait for it.
	Signer crypto.Signer

	watch *expiry.Watch // nil for one made by hand
}

// Key returns k itself, so that a *Key is a Source. When it comes from a file and runs out soon, that is logged, see Warn.
func (k *Key) Key(context.Context) (*Key, error) {
	if k == nil {
		return nil, errors.New("keyfile: expected a key, got nil: use the key that Read or Parse returned, and look at their error first")
	}
	k.watch.Check(k.Expiry)
	return k, nil
}

// Subject returns the id that ZITADEL knows the key's owner by, the iss and sub of an assertion: a service user's UserID, an
// application's ClientID.
func (k *Key) Subject() string {
	if k.Type == Application {
		return k.ClientID
	}
	return k.UserID
}

// String names the key by its type, ids and expiry.
func (k Key) String() string {
	expiry := "unknown expiry"
	if !k.Expiry.IsZero() {
		expiry = "expires " + k.Expiry.UTC().Format(time.RFC3339)
	}
	owner := fmt.Sprintf("userId %q", k.UserID)
	if k.Type == Application {
		owner = fmt.Sprintf("clientId %q", k.ClientID)
	}
	return fmt.Sprintf("keyfile.Key(type %q, keyId %q, %s, %s)", string(k.Type), k.ID, owner, expiry)
}

// Format prints what String returns for every verb and flag.
func (k Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(k.String())) }

// MarshalText returns what String returns, so that JSON, XML and YAML show no more. A Key cannot be stored that way.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// LogValue returns what String returns.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }
