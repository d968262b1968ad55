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

func grantOf(clock *skew.Clock) oauth.Grant {
	return oauth.Grant{Clock: clock, Form: func(context.Context) (url.Values, error) { return url.Values{"assertion": {secretInForm}}, nil }}
}

func TestATokenThatIsUnusableIsAnErrorOfTheCall(t *testing.T) {
	for name, resp := range map[string]*http.Response{
		"no access_token": jsonAnswer(200, `{"token_type":"Bearer","expires_in":60}`),
		"HTML":            answer(200, "text/html", "<html>"),
		"a redirect":      answer(307, "", "", "Location", "/x"),
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			issuer := newIssuer(t, tokenStub(func(r *http.Request) (*http.Response, error) { calls++; resp.Request = r; return resp, nil }))
			_, err := issuer.Token(t.Context(), grantOf(nil))
			assert.ErrorContains(t, err, "POST https://issuer.example/oauth/v2/token: identity server unavailable: ")
			assert.ErrorIs(t, err, postern.ErrUnavailable)
			assert.Equal(t, 1, calls)
		})
	}
}

// tokenStub answers discovery, and hands the token endpoint's calls on.
func tokenStub(token stub) stub {
	return func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodGet {
			return jsonAnswer(200, discoveryDocument), nil
		}
		return token(r)
	}
}

func TestEachTryHasAFormOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		issuer := newIssuer(t, tokenStub(func(*http.Request) (*http.Response, error) {
			if calls++; calls < 3 {
				return answer(503, "", ""), nil
			}
			return jsonAnswer(200, `{"access_token":"a","token_type":"Bearer","expires_in":60}`), nil
		}))
		forms := 0
		g := oauth.Grant{Form: func(context.Context) (url.Values, error) { forms++; return nil, nil }}
		_, err := issuer.Token(t.Context(), g)
		require.NoError(t, err)
		assert.Equal(t, 3, forms)
	})
}

func TestTheClockSeesRefusalsToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := newIssuer(t, tokenStub(func(*http.Request) (*http.Response, error) {
			return jsonAnswer(400, `{"error":"invalid_grant"}`, "Cache-Control", "no-store", "Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)), nil
		}))
		clock := skew.New(nil)
		_, err := issuer.Token(t.Context(), grantOf(clock))
		require.Error(t, err)
		offset, measured := clock.Offset()
		assert.True(t, measured)
		assert.InDelta(t, time.Hour, offset, float64(time.Second))
	})
}

func TestALifeIsCountedFromWhenTheRequestLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := newIssuer(t, tokenStub(func(*http.Request) (*http.Response, error) {
			time.Sleep(10 * time.Second)
			return jsonAnswer(200, `{"access_token":"a","token_type":"Bearer","expires_in":60}`, "Cache-Control", "no-store",
				"Date", time.Now().Add(12*time.Hour).UTC().Format(http.TimeFormat)), nil
		}))
		start := time.Now()
		token, err := issuer.Token(t.Context(), grantOf(skew.New(nil)))
		require.NoError(t, err)
		assert.True(t, token.Expiry.Equal(start.Add(time.Minute)), "and no skew makes it longer")
	})
}
