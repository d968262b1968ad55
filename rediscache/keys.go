package rediscache

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"github.com/postern-go/postern/introspect"
)

// minSecret is the least length of a fleet secret in bytes: that of the keys derived from it.
const minSecret = 32

// keys are what is derived from one fleet secret, each for one purpose (HKDF, RFC 5869).
type keys struct {
	root    []byte      // of the keys that seal answers
	names   []byte      // HMAC key of the names of answers
	journal cipher.AEAD // seals evictions
}

func deriveKeys(secret []byte) (*keys, error) {
	root, err := hkdf.Extract(sha256.New, secret, []byte("postern rediscache"))
	if err != nil {
		return nil, err
	}
	names, err := hkdf.Expand(sha256.New, root, "names", sha256.Size)
	if err != nil {
		return nil, err
	}
	journal, err := expandAEAD(root, "journal")
	if err != nil {
		return nil, err
	}
	return &keys{root, names, journal}, nil
}

// name is what an answer is called in Redis: an HMAC (RFC 2104) cut to 192 bits.
func (k *keys) name(key introspect.SharedKey) string {
	mac := hmac.New(sha256.New, k.names)
	mac.Write(packed(key.Issuer, key.ClientID, key.Token))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:24])
}

// answer seals and opens the answer with that key, and no other's. The token is part of the key, so the fleet secret alone
// opens nothing.
func (k *keys) answer(key introspect.SharedKey) (cipher.AEAD, error) {
	return expandAEAD(k.root, "answer"+string(packed(key.Issuer, key.ClientID, key.Token)))
}

func expandAEAD(root []byte, purpose string) (cipher.AEAD, error) {
	key, err := hkdf.Expand(sha256.New, root, purpose, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// packed joins parts so that no two lists of parts give the same bytes.
func packed(parts ...string) []byte {
	var b []byte
	for _, part := range parts {
		b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
		b = append(b, part...)
	}
	return b
}
