package formed_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/internal/formed"
)

// plain knows every token, and says what it was asked about.
type plain struct{ asked *[]string }

func (p plain) Verify(_ context.Context, token string) (*postern.Identity, error) {
	*p.asked = append(*p.asked, token)
	return postern.NewIdentity(nil)
}

func newPlain() plain { return plain{new([]string)} }

// knowing has a Verify of its own.
type knowing struct {
	formed.Own
	plain
	own *[]string
}

func newKnowing() *knowing {
	k := &knowing{plain: newPlain(), own: new([]string)}
	k.Own = formed.New(k, func(_ context.Context, token string) (*postern.Identity, error) {
		*k.own = append(*k.own, token)
		return postern.NewIdentity(nil)
	})
	return k
}

func TestWhatCannotBeATokenIsKeptFromAVerifier(t *testing.T) {
	p := newPlain()
	_, err := formed.Of(p)(t.Context(), "two words")
	require.ErrorIs(t, err, formed.ErrForm)
	_, err = formed.Of(p)(t.Context(), "token")
	require.NoError(t, err)
	assert.Equal(t, []string{"token"}, *p.asked)
}

func TestAVerifiersOwnVerifyIsAsked(t *testing.T) {
	k := newKnowing()
	_, err := formed.Of(k)(t.Context(), "two words")
	require.NoError(t, err)
	assert.Equal(t, []string{"two words"}, *k.own)
	assert.Empty(t, *k.asked)
}

// around embeds a Verifier and does something with the token first, as one that logs or counts would.
type around struct {
	*knowing
	seen *[]string
	tags []string // so that it cannot be compared
}

func (a around) Verify(ctx context.Context, token string) (*postern.Identity, error) {
	*a.seen = append(*a.seen, token)
	return a.knowing.Verify(ctx, token)
}

func TestWhatCannotBeATokenIsKeptFromAVerifierAroundOneWithItsOwn(t *testing.T) {
	a := around{knowing: newKnowing(), seen: new([]string), tags: []string{}}
	verifiers := map[string]postern.Verifier{"value": a, "pointer": &a, "a copy": new(*a.knowing), "without Own": &knowing{plain: a.plain}}
	for name, v := range verifiers {
		_, err := formed.Of(v)(t.Context(), "two words")
		require.ErrorIs(t, err, formed.ErrForm, name)
		_, err = formed.Of(v)(t.Context(), "token")
		require.NoError(t, err, name)
	}
	assert.Equal(t, []string{"token", "token"}, *a.seen)
	assert.Empty(t, *a.own)
}
