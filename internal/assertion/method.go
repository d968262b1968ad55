package assertion

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"github.com/golang-jwt/jwt/v5"
)

// signingMethod signs by any crypto.Signer (golang-jwt's own methods want the private key itself): RSA with PKCS #1 v1.5 or
// PSS, and ECDSA on P-256 (RFC 7518 §3.3 to §3.5). What the Signer returns is verified by golang-jwt before it is used.
type signingMethod struct {
	jwt.SigningMethod // verifies
	options           crypto.SignerOpts
	ecdsa             bool
}

var methods = map[string]*signingMethod{
	"RS256": {SigningMethod: jwt.SigningMethodRS256, options: crypto.SHA256},
	"PS256": {SigningMethod: jwt.SigningMethodPS256, options: &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}},
	"ES256": {SigningMethod: jwt.SigningMethodES256, options: crypto.SHA256, ecdsa: true},
}

// methodFor returns the method of that name, which must fit the key, or the usual one of the key for the empty name.
func methodFor(public crypto.PublicKey, name string) (*signingMethod, error) {
	_, isECDSA := public.(*ecdsa.PublicKey)
	if name == "" && isECDSA {
		name = "ES256"
	} else if name == "" {
		name = "RS256"
	}
	method := methods[name]
	if method.ecdsa != isECDSA {
		return nil, fmt.Errorf("the algorithm %s does not fit the key, which has a %T: leave the algorithm empty for the usual one of the key", name, public)
	}
	return method, nil
}

// Sign implements jwt.SigningMethod for a crypto.Signer as key.
func (m *signingMethod) Sign(text string, key any) (signature []byte, err error) {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("expected a crypto.Signer, got a %T", key)
	}
	defer func() {
		if recover() != nil { // what it says is the Signer's own and may be secret
			signature, err = nil, fmt.Errorf("expected a signature, got a panic from %T", signer)
		}
	}()
	digest := sha256.Sum256([]byte(text))
	if signature, err = signer.Sign(rand.Reader, digest[:], m.options); err != nil {
		return nil, fmt.Errorf("signing by %T: %w", signer, err)
	}
	if m.ecdsa {
		if signature, err = fixedLength(signature); err != nil {
			return nil, fmt.Errorf("signing by %T: %w", signer, err)
		}
	}
	if m.Verify(text, signature, signer.Public()) != nil {
		return nil, fmt.Errorf("signing by %T: expected a signature by %s that its own public key verifies, got another: does the device hold that key, and does it offer the algorithm?",
			signer, m.Alg())
	}
	return signature, nil
}

// fixedLength turns the ASN.1 that a crypto.Signer returns into the 64 bytes that a JWT has (RFC 7518 §3.4).
func fixedLength(der []byte) ([]byte, error) {
	var parts struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(der, &parts)
	if err != nil || len(rest) > 0 {
		return nil, errors.New("expected an ECDSA signature in ASN.1, got another form")
	}
	if parts.R.Sign() <= 0 || parts.S.Sign() <= 0 || parts.R.BitLen() > 256 || parts.S.BitLen() > 256 {
		return nil, errors.New("expected an ECDSA signature on P-256, got numbers out of its range")
	}
	fixed := make([]byte, 64)
	parts.R.FillBytes(fixed[:32])
	parts.S.FillBytes(fixed[32:])
	return fixed, nil
}

// inMemory reports whether signing is only arithmetic, which needs no goroutine of its own.
func inMemory(signer crypto.Signer) bool {
	switch signer.(type) {
	case *rsa.PrivateKey, *ecdsa.PrivateKey:
		return true
	}
	return false
}

func samePublic(a, b crypto.Signer) bool {
	public, ok := a.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(b.Public())
}
