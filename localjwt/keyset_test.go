package localjwt

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func keySetOf(keys ...any) []byte {
	return must(json.Marshal(object{"keys": append([]any{}, keys...)}))
}

func rsaOf(bits int) *rsa.PublicKey {
	n := must(rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), uint(bits))))
	return &rsa.PublicKey{N: n.SetBit(n, bits-1, 1).SetBit(n, 0, 1), E: 65537}
}

func TestKeysThatAreNotForSignaturesAreLeftOut(t *testing.T) {
	good := jwk("good", "RS256", rsaKey.Public())
	b64 := base64.RawURLEncoding.EncodeToString
	raw := func(k jose.JSONWebKey, changes object) object {
		var o object
		if err := json.Unmarshal(must(json.Marshal(k)), &o); err != nil {
			panic(err)
		}
		return with(o, changes)
	}
	for _, row := range []struct {
		rule string
		key  any
		says string
	}{
		{"symmetric", object{"kty": "oct", "kid": "x", "k": b64(make([]byte, 32)), "alg": "HS256", "use": "sig"}, "[]uint8"},
		{"symmetric that claims RS256", object{"kty": "oct", "kid": "x", "k": b64(make([]byte, 32)), "alg": "RS256"}, "[]uint8"},
		{"private RSA", jwk("x", "RS256", rsaKey), "*rsa.PrivateKey"},
		{"private EC", jwk("x", "ES256", p256Key), "*ecdsa.PrivateKey"},
		{"private Ed25519", jwk("x", "EdDSA", ed25519Key), "ed25519.PrivateKey"},
		{"for encryption", raw(good, object{"use": "enc"}), "use: expected sig"},
		{"for other operations", raw(good, object{"key_ops": []string{"sign", "encrypt"}}), "key_ops: expected verify"},
		{"for no operation", raw(good, object{"key_ops": []string{}}), "key_ops: expected verify"},
		{"for operations of another type", raw(good, object{"key_ops": "verify"}), "key_ops: expected verify"},
		{"use in another case", raw(good, object{"use": "SIG"}), "use: expected sig"},
		{"without kid", raw(good, object{"kid": nil}), "kid: expected 1 to 256 bytes"},
		{"with a huge kid", raw(good, object{"kid": strings.Repeat("k", 257)}), "kid: expected 1 to 256 bytes"},
		{"RSA named ES256", raw(good, object{"alg": "ES256"}), "alg: expected one of"},
		{"RSA named HS256", raw(good, object{"alg": "HS256"}), "alg: expected one of"},
		{"RSA named none", raw(good, object{"alg": "none"}), "alg: expected one of"},
		{"RSA named PS512", raw(good, object{"alg": "PS512"}), "alg: expected one of"},
		{"RSA for encryption by its algorithm", raw(good, object{"alg": "RSA-OAEP"}), "alg: expected one of"},
		{"EC named RS256", jwk("x", "RS256", p256Key.Public()), "alg: expected one of"},
		{"P-384 named ES256", jwk("x", "ES256", p384Key.Public()), "alg: expected one of"},
		{"P-521", jwk("x", "ES512", p521Key.Public()), "another curve"},
		{"RSA of 1024 bits", jwk("x", "RS256", rsaOf(1024)), "got 1024"},
		{"RSA of 2047 bits", jwk("x", "RS256", rsaOf(2047)), "got 2047"},
		{"RSA of 4097 bits", jwk("x", "RS256", rsaOf(4097)), "known type"},
		{"RSA of a megabit", object{"kty": "RSA", "kid": "x", "n": b64(bytes.Repeat([]byte{0xff}, 1<<17)), "e": "AQAB"}, "known type"},
		{"RSA with an exponent of 32 bits", jwk("x", "RS256", &rsa.PublicKey{N: rsaKey.N, E: 1<<31 + 1}), "odd exponent"},
		{"RSA with an exponent of 65 bits", raw(good, object{"e": b64([]byte{1, 0, 0, 0, 0, 0, 1, 0, 1})}), "known type"},
		{"RSA with exponent 1", jwk("x", "RS256", &rsa.PublicKey{N: rsaKey.N, E: 1}), "known type"},
		{"RSA with an even exponent", jwk("x", "RS256", &rsa.PublicKey{N: rsaKey.N, E: 4}), "odd exponent"},
		{"EC point off the curve", object{"kty": "EC", "crv": "P-256", "kid": "x", "x": b64(make([]byte, 32)), "y": b64(make([]byte, 32))}, "known type"},
		{"X25519", object{"kty": "OKP", "crv": "X25519", "kid": "x", "x": b64(make([]byte, 32))}, "known type"},
		{"Ed25519 cut", object{"kty": "OKP", "crv": "Ed25519", "kid": "x", "x": b64(make([]byte, 31))}, ""},
		{"unknown type", object{"kty": "XYZ", "kid": "x"}, "known type"},
		{"no type", object{"kid": "x"}, "known type"},
		{"no object", "key", "known type"},
		{"null", nil, ""},
	} {
		t.Run(row.rule, func(t *testing.T) {
			keys, skipped, err := parseKeys(keySetOf(row.key, good))
			require.NoError(t, err, "the other key still serves")
			assert.Equal(t, []string{"good"}, slices.Collect(maps.Keys(keys)))
			require.Len(t, skipped, 1)
			assert.ErrorContains(t, skipped[0], row.says)
			_, _, err = parseKeys(keySetOf(row.key))
			require.ErrorContains(t, err, "expected a key for signatures, got none")
		})
	}
}

func TestAKeyVerifiesItsOwnAlgorithmOnly(t *testing.T) {
	for _, row := range []struct {
		key        jose.JSONWebKey
		algorithms []string
	}{
		{jwk("k", "", rsaKey.Public()), []string{"RS256", "RS384", "RS512", "PS256"}},
		{jwk("k", "PS256", rsaKey.Public()), []string{"PS256"}},
		{jwk("k", "", p256Key.Public()), []string{"ES256"}},
		{jwk("k", "", p384Key.Public()), []string{"ES384"}},
		{jwk("k", "", ed25519Key.Public()), []string{"EdDSA"}},
		{jose.JSONWebKey{KeyID: "k", Key: p256Key.Public()}, []string{"ES256"}}, // use may be missing
		{jwk("k", "RS256", rsaOf(4096)), []string{"RS256"}},
	} {
		keys, skipped, err := parseKeys(keySetOf(row.key))
		require.NoError(t, err)
		assert.Empty(t, skipped)
		assert.Equal(t, row.algorithms, keys["k"].algorithms)
		for _, a := range row.algorithms {
			assert.NotNil(t, methods[a])
		}
	}
	for name := range methods {
		assert.NotContains(t, name, "HS")
		assert.NotEqual(t, "none", strings.ToLower(name))
	}
}

func TestAKeyMayNameItsOperations(t *testing.T) {
	for _, operations := range []any{[]string{"verify"}, []string{"sign", "verify"}, nil} {
		k := object{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": base64.RawURLEncoding.EncodeToString(ed25519Key[32:]), "key_ops": operations}
		_, skipped, err := parseKeys(keySetOf(k))
		require.NoError(t, err)
		assert.Empty(t, skipped)
	}
}

func TestTwoKeysOfOneKidAreBothLeftOut(t *testing.T) {
	keys, skipped, err := parseKeys(keySetOf(jwk("a", "RS256", rsaKey.Public()), jwk("b", "RS256", rsaKey.Public()), jwk("a", "RS256", otherRSA.Public())))
	require.NoError(t, err)
	assert.Equal(t, []string{"b"}, slices.Collect(maps.Keys(keys)))
	assert.Len(t, skipped, 1)

	keys, skipped, err = parseKeys(keySetOf(jwk("a", "RS256", rsaKey.Public()), jwk("a", "RS256", rsaKey.Public())))
	require.NoError(t, err, "the same key twice is one key")
	assert.Len(t, keys, 1)
	assert.Empty(t, skipped)
}

func TestAKeySetThatCannotBeReadIsAnError(t *testing.T) {
	many := make([]any, maxKeys+1)
	for i := range many {
		many[i] = jwk(fmt.Sprint(i), "ES256", p256Key.Public())
	}
	good := string(keySetOf(jwk("a", "ES256", p256Key.Public())))
	for rule, text := range map[string]string{
		"empty":            ``,
		"no JSON":          `keys`,
		"an array":         `[]`,
		"no keys":          `{}`,
		"keys null":        `{"keys":null}`,
		"no key":           `{"keys":[]}`,
		"keys an object":   `{"keys":{"kty":"RSA"}}`,
		"keys twice":       `{"keys":[],` + good[1:],
		"KEYS":             strings.Replace(good, "keys", "KEYS", 1),
		"KEYS besides":     `{"KEYS":[],` + good[1:],
		"too many keys":    string(keySetOf(many...)),
		"no UTF-8":         "{\"keys\":\"\xff\"}",
		"cut in the midst": string(keySetOf(jwk("a", "RS256", rsaKey.Public())))[:200],
	} {
		_, _, err := parseKeys([]byte(text))
		assert.Error(t, err, rule)
	}
	_, _, err := parseKeys(keySetOf(many[:maxKeys]...))
	assert.NoError(t, err)
}

func TestWhatVerifiesNothingSafelyFitsNoAlgorithm(t *testing.T) {
	_, err := fitting(&rsa.PublicKey{N: rsaKey.N, E: 1})
	require.ErrorContains(t, err, "odd exponent")
	_, err = fitting(rsaOf(4097))
	require.ErrorContains(t, err, "got 4097")
	_, err = fitting("secret")
	require.ErrorContains(t, err, "got a string")
	assert.NotContains(t, err.Error(), "secret")
}
