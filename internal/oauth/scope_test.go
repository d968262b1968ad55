package oauth_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/internal/oauth"
)

func TestScopesAreJoinedOrDefault(t *testing.T) {
	got, err := oauth.Scope(nil, "openid", "urn:x")
	require.NoError(t, err)
	assert.Equal(t, "openid urn:x", got)
	got, err = oauth.Scope([]string{"openid", "urn:zitadel:iam:org:project:role:a+b/c"}, "d")
	require.NoError(t, err)
	assert.Equal(t, "openid urn:zitadel:iam:org:project:role:a+b/c", got)
	for _, bad := range []string{"", "openid profile", "a\n", `a"b`, `a\b`, "ä", "a\x7f"} {
		_, err := oauth.Scope([]string{"openid", bad})
		assert.ErrorContains(t, err, "Scopes[1]: expected one scope", bad)
	}
}
