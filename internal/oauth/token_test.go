package oauth_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/internal/oauth"
	"github.com/postern-go/postern/internal/skew"
	"github.com/postern-go/postern/zitadeltest"
)

func TestTokenAgainstAServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := zitadeltest.Start(t, zitadeltest.Config{InMemory: true})
		bot := s.AddServiceUser("bot")
		id, secret := "bot", bot.ClientSecret()
		clock := skew.New(nil)
		issuer, err := oauth.New(oauth.Config{Issuer: s.Issuer(), HTTPClient: s.Client()})
		require.NoError(t, err)
		grant := oauth.Grant{
			Form: func(context.Context) (url.Values, error) {
				return url.Values{"grant_type": {"client_credentials"}, "scope": {"openid"}}, nil
			},
			Authorize: func(r *http.Request) { r.SetBasicAuth(id, secret) },
			Clock:     clock,
		}
		token, err := issuer.Token(t.Context(), grant)
		require.NoError(t, err)
		assert.InDelta(t, 12*time.Hour, time.Until(token.Expiry), float64(2*time.Second))
		_, measured := clock.Offset()
		assert.True(t, measured)

		grant.Authorize = func(r *http.Request) { r.SetBasicAuth(id, "wrong") }
		_, err = issuer.Token(t.Context(), grant)
		var refusal *postern.Error
		require.ErrorAs(t, err, &refusal)
		assert.Equal(t, "invalid_request", refusal.Code)
		assert.Contains(t, refusal.Hint, "client secret is wrong")
		assert.NotErrorIs(t, err, postern.ErrUnavailable)
		t.Log(err)
	})
}
