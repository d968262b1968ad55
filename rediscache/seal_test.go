package rediscache

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/introspect"
)

func mustDerive(t testing.TB, secret []byte) *keys {
	t.Helper()
	k, err := deriveKeys(secret)
	require.NoError(t, err)
	return k
}

func TestKeysAndNamesDependOnSecretIssuerClientAndToken(t *testing.T) {
	k := mustDerive(t, testSecret)
	seen := map[string]bool{k.name(testKey): true}
	for _, other := range []introspect.SharedKey{
		{Issuer: "x" + testKey.Issuer, ClientID: testKey.ClientID, Token: testKey.Token},
		{Issuer: testKey.Issuer, ClientID: "x" + testKey.ClientID, Token: testKey.Token},
		{Issuer: testKey.Issuer, ClientID: testKey.ClientID, Token: "x" + testKey.Token},
		{Issuer: testKey.Issuer + "x", ClientID: testKey.ClientID[1:], Token: testKey.Token},
	} {
		assert.False(t, seen[k.name(other)])
		seen[k.name(other)] = true
		sealed, err := k.sealAnswer(testKey, answer{})
		require.NoError(t, err)
		_, err = k.openAnswer(other, sealed)
		assert.ErrorIs(t, err, errSealed)
	}
	o := mustDerive(t, otherSecret)
	assert.False(t, seen[o.name(testKey)])
	sealed, err := o.sealAnswer(testKey, answer{})
	require.NoError(t, err)
	_, err = k.openAnswer(testKey, sealed)
	assert.ErrorIs(t, err, errSealed)
}

// Name, key and associated data each bind issuer, client id and token, so none of them has to be trusted alone.
func TestNameKeyAndContextEachBindIssuerClientAndToken(t *testing.T) {
	k := mustDerive(t, testSecret)
	aead, err := k.answer(testKey)
	require.NoError(t, err)
	sealed := aead.Seal(nil, nil, []byte("x"), answerContext(testKey))
	for _, other := range []introspect.SharedKey{
		{Issuer: "x", ClientID: testKey.ClientID, Token: testKey.Token},
		{Issuer: testKey.Issuer, ClientID: "x", Token: testKey.Token},
		{Issuer: testKey.Issuer, ClientID: testKey.ClientID, Token: "x"},
	} {
		assert.NotEqual(t, k.name(testKey), k.name(other))
		_, err = aead.Open(nil, nil, sealed, answerContext(other))
		assert.Error(t, err, "the key is right, the context is not")
		wrong, err := k.answer(other)
		require.NoError(t, err)
		_, err = wrong.Open(nil, nil, sealed, answerContext(testKey))
		assert.Error(t, err, "the context is right, the key is not")
	}
	assert.EqualValues(t, format, answerContext(testKey)[0], "the version is bound, too")
	assert.EqualValues(t, format, journalContext("postern")[0])
	// Two fleets never use the same names, so nobody can tell that they see the same token.
	assert.NotEqual(t, k.name(testKey), mustDerive(t, otherSecret).name(testKey))
}

func TestSealingTheSameTwiceGivesTwoValues(t *testing.T) {
	k := mustDerive(t, testSecret)
	one, err := k.sealAnswer(testKey, answer{})
	require.NoError(t, err)
	two, err := k.sealAnswer(testKey, answer{})
	require.NoError(t, err)
	assert.NotEqual(t, one, two)
}

func TestMessagesComeBackAsTheyWere(t *testing.T) {
	k := mustDerive(t, testSecret)
	now := time.UnixMilli(1795340448123)
	for _, m := range []message{
		{restart: true},
		{Eviction: introspect.Eviction{Issuer: "https://issuer.example", TokenID: "pat-1"}},
		{Eviction: introspect.Eviction{Issuer: "https://issuer.example", Subject: "user-1"}},
		{Eviction: introspect.Eviction{All: true}},
	} {
		m.id, m.sender, m.sent = newID(), newID(), now
		sealed := k.sealMessage("postern", m)
		got, err := k.openMessage("postern", sealed)
		require.NoError(t, err)
		assert.Equal(t, m, got)
		_, err = parseMessage(append(messageText(t, k, sealed), 0))
		assert.ErrorIs(t, err, errSealed, "more than a message")
		for i := range sealed {
			changed := bytes.Clone(sealed)
			changed[i] ^= 0x80
			_, err := k.openMessage("postern", changed)
			assert.ErrorIs(t, err, errSealed)
		}
		_, err = k.openMessage("another", sealed)
		assert.ErrorIs(t, err, errSealed)
	}
	sealed, err := k.sealAnswer(testKey, answer{})
	require.NoError(t, err)
	_, err = k.openMessage("postern", sealed)
	assert.ErrorIs(t, err, errSealed, "an answer is no message")
}

func messageText(t *testing.T, k *keys, sealed []byte) []byte {
	t.Helper()
	plain, err := k.journal.Open(nil, nil, sealed[1:], journalContext("postern"))
	require.NoError(t, err)
	return plain
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, 36))
	f.Add(append(make([]byte, 32), 0, 3, 'p', 'a', 't', 0, 4, 'u', 's', 'e', 'r', '{', '}'))
	f.Add(append(make([]byte, 32), 0xff, 0xff, 'p'))
	k := mustDerive(f, testSecret)
	f.Fuzz(func(t *testing.T, plain []byte) {
		if _, err := k.openAnswer(testKey, plain); err == nil {
			t.Fatal("opened what was not sealed")
		}
		a, err := parseAnswer(plain)
		if err == nil && len(a.TokenID)+len(a.Subject)+len(a.Claims)+36 != len(plain) {
			t.Fatal("bytes were lost or made up")
		}
	})
}

func FuzzMessage(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, 45))
	f.Add(append(append([]byte{kindSubject}, make([]byte, 40)...), 0, 1, 'i', 0, 1, 'u'))
	f.Add(append([]byte{9}, make([]byte, 44)...))
	k := mustDerive(f, testSecret)
	f.Fuzz(func(t *testing.T, plain []byte) {
		if _, err := k.openMessage("postern", plain); err == nil {
			t.Fatal("opened what was not sealed")
		}
		m, err := parseMessage(plain)
		if err == nil && m.restart == (m.All || m.TokenID != "" || m.Subject != "") && plain[0] != kindTokenID && plain[0] != kindSubject {
			t.Fatalf("%+v is nothing, or several things", m)
		}
	})
}
