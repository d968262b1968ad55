package oauth_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/internal/oauth"
)

// stub answers without a network, so that it works in a synctest bubble.
type stub func(*http.Request) (*http.Response, error)

func (s stub) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if r.Body != nil {
		defer r.Body.Close()
	}
	return s(r)
}

const issuerURL = "https://issuer.example"

// discoveryDocument is what issuerURL says of itself.
const discoveryDocument = `{"issuer":"https://issuer.example","token_endpoint":"https://issuer.example/oauth/v2/token",` +
	`"introspection_endpoint":"https://issuer.example/oauth/v2/introspect","revocation_endpoint":"https://issuer.example/oauth/v2/revoke",` +
	`"jwks_uri":"https://issuer.example/oauth/v2/keys"}`

// answer makes a response; headers come in pairs of name and value.
func answer(status int, contentType, body string, headers ...string) *http.Response {
	header := http.Header{}
	if contentType != "" {
		header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(headers); i += 2 {
		header.Add(headers[i], headers[i+1])
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))}
}

func jsonAnswer(status int, body string, headers ...string) *http.Response {
	return answer(status, "application/json", body, headers...)
}

func newIssuer(t testing.TB, transport http.RoundTripper) *oauth.Issuer {
	t.Helper()
	issuer, err := oauth.New(oauth.Config{Issuer: issuerURL, HTTPClient: &http.Client{Transport: transport}})
	require.NoError(t, err)
	return issuer
}
