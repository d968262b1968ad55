package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/postern-go/postern"
)

func TestItPrintsWhatTheReadmeShows(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), &out))
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, shown, found := strings.Cut(string(readme), "$ go run ./examples/gateway\n")
	require.True(t, found)
	shown, _, _ = strings.Cut(shown, "```")
	assert.Equal(t, shown, out.String())
}

type buyers struct{}

func (buyers) Verify(context.Context, string) (*postern.Identity, error) {
	return postern.NewIdentity(map[string]any{
		"sub": "anna", "urn:zitadel:iam:org:project:roles": map[string]any{"buyer": map[string]string{"1": "acme.example"}},
	})
}

// through sends anna's request, with what a hostile caller may add, through the gateway to a warehouse.
func through(t *testing.T, warehouse http.HandlerFunc) *httptest.ResponseRecorder {
	server := httptest.NewServer(warehouse)
	t.Cleanup(server.Close)
	upstream, err := url.Parse(server.URL)
	require.NoError(t, err)
	source := postern.FromOAuth2(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "gateways-own"}))
	r := httptest.NewRequest("GET", "/stock/anvil", nil)
	r.Header.Set("Authorization", "Bearer annas")
	r.Header.Set(onBehalfOf, "the boss")
	r.Header.Set("Connection", onBehalfOf) // a hop-by-hop header is dropped: not this one
	w := httptest.NewRecorder()
	newGateway(buyers{}, source, upstream).ServeHTTP(w, r)
	return w
}

func TestWarehouseSeesTheGatewaysTokenOnly(t *testing.T) {
	w := through(t, func(_ http.ResponseWriter, r *http.Request) {
		assert.Equal(t, []string{"Bearer gateways-own"}, r.Header["Authorization"])
		assert.Equal(t, []string{"anna"}, r.Header[onBehalfOf])
		for name, values := range r.Header {
			assert.NotContains(t, strings.Join(values, " "), "annas", name)
		}
	})
	assert.Equal(t, 200, w.Code)
}

func TestRefusalOfTheGatewaysTokenIsNotTheCallers(t *testing.T) {
	for _, status := range []int{401, 403} {
		w := through(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			w.WriteHeader(status)
		})
		assert.Equal(t, 502, w.Code)
		assert.Empty(t, w.Header().Get("WWW-Authenticate"))
	}
	assert.Equal(t, 404, through(t, http.NotFound).Code, "other answers are the caller's")
}
