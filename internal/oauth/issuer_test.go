package oauth_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/internal/oauth"
)

func TestNewSaysWhatIsWrongWithAnIssuer(t *testing.T) {
	for name, row := range map[string]struct{ issuer, want string }{
		"nothing":                    {"", "got nothing"},
		"no scheme":                  {"my-instance.zitadel.cloud", "write https:// before the host"},
		"host and port only":         {"localhost:8080", "write https:// before the host"},
		"an address and port":        {"127.0.0.1:8080", "write https:// before the host"},
		"no scheme but slashes":      {"//my-instance.zitadel.cloud", "write https:// before the host"},
		"another scheme":             {"ftp://my-instance.zitadel.cloud", "another scheme"},
		"no host":                    {"https:///path", "without"},
		"only a port":                {"https://:443", "without"},
		"a query":                    {"https://my-instance.zitadel.cloud?a=hunter2", "without a query"},
		"a query that is empty":      {"https://my-instance.zitadel.cloud?", "without a query"},
		"a fragment":                 {"https://my-instance.zitadel.cloud#hunter2", "without a fragment"},
		"a fragment that is empty":   {"https://my-instance.zitadel.cloud#", "without a fragment"},
		"a password":                 {"https://bot:hunter2@my-instance.zitadel.cloud", "without user name and password"},
		"a password and nonsense":    {"https://bot:hunter2%zz@my-instance.zitadel.cloud", "got text that is not one"},
		"a bad port":                 {"https://my-instance.zitadel.cloud:hunter2", "got text that is not one"},
		"a port out of range":        {"https://my-instance.zitadel.cloud:99999", "valid host name and port"},
		"a space":                    {"https://my instance", "got text that is not one"},
		"a line break":               {"https://my-instance.zitadel.cloud\n", "got text that is not one"},
		"plain http":                 {"http://my-instance.zitadel.cloud", "AllowHTTP"},
		"plain http to a look-alike": {"http://localhost.example.com", "AllowHTTP"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := oauth.New(oauth.Config{Issuer: row.issuer})
			require.ErrorContains(t, err, "Issuer: ")
			assert.ErrorContains(t, err, row.want)
			assert.NotContains(t, err.Error(), "hunter2")
		})
	}
}

func TestNewTakesIssuersWithAPathAndOnLoopback(t *testing.T) {
	for _, issuer := range []string{
		"https://my-instance.zitadel.cloud", "https://example.com/auth/zitadel", "https://example.com:8443", "https://EXAMPLE.com/",
		"http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:8080",
	} {
		made, err := oauth.New(oauth.Config{Issuer: issuer})
		require.NoError(t, err, issuer)
		assert.Equal(t, issuer, made.Issuer())
	}
	_, err := oauth.New(oauth.Config{Issuer: "http://zitadel.internal", AllowHTTP: true})
	assert.NoError(t, err)
}

func TestNewReportsEveryMistake(t *testing.T) {
	_, err := oauth.New(oauth.Config{
		Issuer:    "my-instance",
		Endpoints: map[oauth.Endpoint]string{oauth.Token: "/token", oauth.Introspection: "http://example.com", oauth.Revocation: "x:", oauth.JWKS: "https://a:b@c"},
		Header:    http.Header{"Authorization": {"Bearer hunter2"}, "X-Bad\n": {"1"}, "X-Value": {"hunter2\r\nX-Evil: 1"}},
	})
	for _, want := range []string{"Issuer: ", "TokenURL: ", "IntrospectionURL: ", "RevocationURL: ", "JWKSURL: ", "Authorization is not for you to set", "names of letters", "X-Value: expected a value of one line"} {
		assert.ErrorContains(t, err, want)
	}
	assert.NotContains(t, err.Error(), "hunter2")
}

func TestHeadersAreFixedAndCopied(t *testing.T) {
	header := http.Header{"x-zitadel-instance-host": {"tenant.example"}, "X-Two": {"1", "2"}, "Host": {"zitadel.example"}, "User-Agent": {"mine"}}
	var got *http.Request
	issuer, err := oauth.New(oauth.Config{Issuer: issuerURL, Header: header, HTTPClient: &http.Client{Transport: stub(func(r *http.Request) (*http.Response, error) {
		got = r
		return jsonAnswer(200, "{}"), nil
	})}})
	require.NoError(t, err)
	header.Set("X-Two", "changed")
	for range 2 {
		_, err = issuer.PostForm(t.Context(), issuerURL+"/token", nil, func(r *http.Request) { r.Header.Add("X-Two", "3") })
		require.NoError(t, err)
		assert.Equal(t, "tenant.example", got.Header.Get("X-Zitadel-Instance-Host"))
		assert.Equal(t, []string{"1", "2", "3"}, got.Header["X-Two"], "what one call adds the next one does not have")
		assert.Equal(t, "zitadel.example", got.Host)
		assert.Equal(t, "issuer.example", got.URL.Host)
		assert.Equal(t, "mine", got.UserAgent())
		assert.Equal(t, "application/x-www-form-urlencoded", got.Header.Get("Content-Type"))
		assert.Equal(t, "application/json", got.Header.Get("Accept"))
	}
	_, err = issuer.GetJSON(t.Context(), issuerURL+"/keys", 100)
	require.NoError(t, err)
	assert.Equal(t, "tenant.example", got.Header.Get("X-Zitadel-Instance-Host"))
	assert.Equal(t, "zitadel.example", got.Host)
	assert.Equal(t, "no-cache", got.Header.Get("Cache-Control"), "a cache on the way may not know the newest key")
	assert.Empty(t, got.Header.Get("Content-Type"))
}

func TestTheCallersClientIsNotChanged(t *testing.T) {
	client := &http.Client{Transport: stub(func(*http.Request) (*http.Response, error) { return jsonAnswer(200, "{}"), nil })}
	issuer, err := oauth.New(oauth.Config{Issuer: issuerURL, HTTPClient: client})
	require.NoError(t, err)
	_, err = issuer.GetJSON(t.Context(), issuerURL, 10)
	require.NoError(t, err)
	assert.Nil(t, client.CheckRedirect)
	assert.Zero(t, client.Timeout)
}
