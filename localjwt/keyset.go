package localjwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"

	"github.com/go-jose/go-jose/v4"

	"github.com/postern-go/postern/internal/strictjson"
)

const (
	maxKeySet  = 256 << 10 // bytes of a key set
	maxKeys    = 128       // keys of a set; ZITADEL's have a handful
	minRSABits = 2048
	maxRSABits = 4096 // beyond it a verification takes long enough to be an attack; go-jose reads no larger ones
)

// key is one public key of the issuer. Key sets that follow each other share the keys that stayed, so whoever remembers a
// token can see at any time whether the issuer still publishes the key that signed it.
type key struct {
	id         string
	algorithms []string // it verifies
	public     crypto.PublicKey
	gone       atomic.Bool // a later key set has it no more
}

// verify checks the signature. The algorithm must be the key's own: golang-jwt's method then takes no other type of key.
func (k *key) verify(t *jws) error {
	if !slices.Contains(k.algorithms, t.algorithm) {
		return fmt.Errorf("alg: expected %q, which is for the key with this kid, got %q", k.algorithms, t.algorithm)
	}
	if err := methods[t.algorithm].Verify(t.signed, t.signature, k.public); err != nil {
		return errors.New("signature: expected one by the issuer's key with this kid, got another")
	}
	return nil
}

// equal tells whether two keys of one id are the same.
func (k *key) equal(other *key) bool {
	public, ok := k.public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && slices.Equal(k.algorithms, other.algorithms) && public.Equal(other.public)
}

// parseKeys reads a JWK Set (RFC 7517 §5). A key that this package cannot or must not use is left out and named in skipped:
// the others still work. A set without a usable key is an error.
func parseKeys(body []byte) (keys map[string]*key, skipped []error, err error) {
	object, err := strictjson.Parse(string(body), "keys")
	if err != nil {
		return nil, nil, fmt.Errorf("key set: %w", err)
	}
	list, _ := object.Get("keys")
	var raw []json.RawMessage
	if err := json.Unmarshal([]byte(list), &raw); err != nil {
		return nil, nil, errors.New("key set: expected an object with an array \"keys\" (RFC 7517 §5), got another")
	}
	if len(raw) > maxKeys {
		return nil, nil, fmt.Errorf("key set: expected at most %d keys, got %d", maxKeys, len(raw))
	}
	keys = make(map[string]*key)
	twice := make(map[string]bool)
	for i, text := range raw {
		k, err := parseKey(text)
		if err != nil {
			skipped = append(skipped, fmt.Errorf("key %d: %w", i+1, err))
			continue
		}
		if other := keys[k.id]; other != nil && !other.equal(k) {
			twice[k.id] = true // which of them would be a guess
			skipped = append(skipped, fmt.Errorf("key %d: kid: expected one key %s, got different ones", i+1, show(k.id)))
		}
		keys[k.id] = k
	}
	for id := range twice {
		delete(keys, id)
	}
	switch {
	case len(keys) > 0:
		return keys, skipped, nil
	case len(skipped) > 0:
		return nil, nil, fmt.Errorf("key set: expected a key for signatures, got none among %d: %w", len(raw), skipped[0])
	}
	return nil, nil, errors.New("key set: expected a key for signatures, got an empty set")
}

func parseKey(text []byte) (*key, error) {
	var jwk jose.JSONWebKey
	if err := jwk.UnmarshalJSON(text); err != nil {
		return nil, errors.New("expected a public key (RFC 7517 §4) of a known type, got another")
	}
	switch {
	case jwk.KeyID == "" || len(jwk.KeyID) > maxKeyID:
		return nil, fmt.Errorf("kid: expected 1 to %d bytes, got %d", maxKeyID, len(jwk.KeyID))
	case jwk.Use != "" && jwk.Use != "sig":
		return nil, fmt.Errorf("use: expected sig, got %s", show(jwk.Use))
	}
	var may struct {
		Operations []string `json:"key_ops"`
	}
	if err := json.Unmarshal(text, &may); err != nil || may.Operations != nil && !slices.Contains(may.Operations, "verify") {
		return nil, errors.New("key_ops: expected verify among them (RFC 7517 §4.3), got others")
	}
	algorithms, err := fitting(jwk.Key)
	if err != nil {
		return nil, err
	}
	if jwk.Algorithm != "" {
		if !slices.Contains(algorithms, jwk.Algorithm) {
			return nil, fmt.Errorf("alg: expected one of %q for a key of this type, got %s", algorithms, show(jwk.Algorithm))
		}
		algorithms = []string{jwk.Algorithm}
	}
	return &key{id: jwk.KeyID, algorithms: algorithms, public: jwk.Key}, nil
}

// fitting names the algorithms that a key is for (RFC 7518 §3.1, RFC 8037 §3.1) and refuses what verifies nothing safely:
// symmetric and private keys, which have no business in a published set, weak ones, and curves of no algorithm here.
func fitting(public any) ([]string, error) {
	switch public := public.(type) {
	case *rsa.PublicKey:
		if bits := public.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return nil, fmt.Errorf("expected an RSA key of %d to %d bits, got %d", minRSABits, maxRSABits, bits)
		}
		if public.E < 3 || public.E > math.MaxInt32 || public.E%2 == 0 { // crypto/rsa takes no other
			return nil, errors.New("expected an RSA key with an odd exponent of 3 to 2^31-1, got another")
		}
		return []string{"RS256", "RS384", "RS512", "PS256"}, nil
	case *ecdsa.PublicKey:
		switch public.Curve {
		case elliptic.P256():
			return []string{"ES256"}, nil
		case elliptic.P384():
			return []string{"ES384"}, nil
		}
		return nil, errors.New("expected an EC key on P-256 or P-384, got another curve")
	case ed25519.PublicKey:
		return []string{"EdDSA"}, nil
	}
	return nil, fmt.Errorf("expected an RSA, EC or Ed25519 public key, got a %T", public)
}
