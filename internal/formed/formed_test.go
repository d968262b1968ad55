package formed_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/internal/formed"
)

// verifier knows every token, and says what it was asked about.
type verifier struct{ asked *[]string }

func (v verifier) Verify(_ context.Context, token string) (*postern.Identity, error) {
	*v.asked = append(*v.asked, token)
	return postern.NewIdentity(nil)
}

func TestWhatCannotBeATokenIsKeptFromAVerifier(t *testing.T) {
	v := verifier{new([]string)}
	for _, text := range []string{"two words", "", "==", "tok:en", "t\u00f6ken", "token\n"} {
		id, err := formed.Of(v)(t.Context(), text)
		require.ErrorIs(t, err, formed.ErrForm)
		require.Nil(t, id)
	}
	_, err := formed.Of(v)(t.Context(), "token==")
	require.NoError(t, err)
	assert.Equal(t, []string{"token=="}, *v.asked)
}
