package keyfile

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	minRSABits = 2048
	maxRSABits = 16384
	maxID      = 256 // bytes; ZITADEL's own ids have about 20 and may be chosen up to 200
)

// Validate reports everything about k for which ZITADEL would refuse its signatures at that time: a field that is missing, a
// kind of key that it does not verify, an expiry that has come. What Read and Parse return is valid when they return it.
func (k *Key) Validate(at time.Time) error {
	if k == nil {
		return errors.New("expected a key, got nil")
	}
	return errors.Join(k.validateIDs(), validateSigner(k.Signer), k.validateExpiry(at))
}

func (k *Key) validateIDs() error {
	errs := []error{validateID("keyId", k.ID)}
	switch k.Type {
	case ServiceAccount:
		errs = append(errs, validateID("userId", k.UserID))
	case Application:
		errs = append(errs, validateID("clientId", k.ClientID))
	case "":
		errs = append(errs, fmt.Errorf("type: expected %q or %q, got nothing", ServiceAccount, Application))
	default:
		errs = append(errs, fmt.Errorf("type: expected %q or %q, got another: is it a key file of ZITADEL's?", ServiceAccount, Application))
	}
	return errors.Join(errs...)
}

func validateID(name, id string) error {
	if id == "" {
		return fmt.Errorf("%s: expected an id, got nothing", name)
	}
	if len(id) > maxID {
		return fmt.Errorf("%s: expected an id of at most %d bytes, got %d", name, maxID, len(id))
	}
	if !utf8.ValidString(id) {
		return fmt.Errorf("%s: expected UTF-8, got bytes that are not", name)
	}
	for _, r := range id {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("%s: expected printable characters, got another", name)
		}
	}
	return nil
}

func (k *Key) validateExpiry(at time.Time) error {
	if k.Expiry.IsZero() || at.Before(k.Expiry) {
		return nil
	}
	return fmt.Errorf("expected a key that is still valid, got one that expired on %s: add a new key in ZITADEL and use its file (this clock says %s)",
		k.Expiry.UTC().Format(time.RFC3339), at.UTC().Format(time.RFC3339))
}

const useInstead = "use an RSA key of 2048 bits or an ECDSA key on P-256"

// validateSigner looks at the public half: the private one may be in a device. The Signer may be anything: a typed nil panics
// here, and so does a public key that lacks its numbers.
func validateSigner(signer crypto.Signer) (err error) {
	if signer == nil {
		return errors.New("key: expected a Signer, got nil")
	}
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("key: expected a Signer that tells its public key, got a panic from %T: is it nil, or its key empty?", signer)
		}
	}()
	switch public := signer.Public().(type) {
	case *rsa.PublicKey:
		return validateRSA(public)
	case *ecdsa.PublicKey:
		if public.Curve != elliptic.P256() {
			return fmt.Errorf("key: expected ECDSA on the curve P-256, got %s, which ZITADEL does not verify: %s", public.Curve.Params().Name, useInstead)
		}
		if _, err := public.Bytes(); err != nil {
			return fmt.Errorf("key: expected a point of P-256: %w", err)
		}
		return nil
	case ed25519.PublicKey:
		return errors.New("key: got Ed25519, which ZITADEL lets you upload and then never verifies: " + useInstead)
	case nil:
		return errors.New("key: expected a Signer that knows its public key, got none from it: has its device been opened?")
	default:
		return fmt.Errorf("key: got a public key of type %T, which ZITADEL does not verify: %s", public, useInstead)
	}
}

func validateRSA(public *rsa.PublicKey) error {
	switch bits := public.N.BitLen(); {
	case bits < minRSABits:
		return fmt.Errorf("key: expected RSA of at least %d bits, got %d: add a new key in ZITADEL, which makes RSA keys of 2048 bits", minRSABits, bits)
	case bits > maxRSABits:
		return fmt.Errorf("key: expected RSA of at most %d bits, got %d: %s", maxRSABits, bits, useInstead)
	}
	return nil
}
