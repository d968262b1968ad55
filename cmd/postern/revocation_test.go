package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/introspect"
	"github.com/postern-go/postern/middleware"
	"github.com/postern-go/postern/zitadeltest"
)

// A whole API: its webhook is registered by setup, and check times what that brings. The cache would keep the token for an hour.
func TestRevocationSetupAndCheck(t *testing.T) {
	s := zitadeltest.Start(t)
	app := s.AddProject("orders").AddAPI("orders-api")
	v, err := introspect.New(introspect.Config{Issuer: s.Issuer(), Auth: introspect.Basic(app.ClientID, app.ClientSecret), TTL: time.Hour})
	require.NoError(t, err)
	var events http.Handler // known after setup
	mux := http.NewServeMux()
	mux.Handle("GET /orders", middleware.New(v, middleware.Config{}).Require()(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	mux.HandleFunc("POST /events", func(w http.ResponseWriter, r *http.Request) { events.ServeHTTP(w, r) })
	api := httptest.NewServer(mux)
	t.Cleanup(api.Close)

	keyFile := filepath.Join(t.TempDir(), "signing-key")
	setup := []string{"revocation", "setup", "--endpoint", api.URL + "/events", "--key-to", keyFile}
	r := runCLI(t, admin(s), "", setup...)
	require.Zero(t, r.code, r.err)
	key, err := os.ReadFile(keyFile)
	require.NoError(t, err)
	assert.NotContains(t, r.out+r.err, strings.TrimSpace(string(key)))
	assert.Contains(t, r.out, "the signing key is in "+keyFile)
	events, err = introspect.NewRevocationHandler(v, introspect.RevocationConfig{SigningKeys: []string{strings.TrimSpace(string(key))}})
	require.NoError(t, err)

	r = runCLI(t, admin(s), "", setup...)
	require.Zero(t, r.code, r.err)
	again, err := os.ReadFile(keyFile)
	require.NoError(t, err)
	assert.Equal(t, key, again)

	bot := s.AddServiceUser("bot")
	file := write(t, "pat", []byte(bot.PAT()))
	env := []string{"ZITADEL_ISSUER=" + s.Issuer(), "ZITADEL_PAT_FILE=" + file}
	r = runCLI(t, env, "", "revocation", "check", "--api", api.URL+"/orders")
	require.Zero(t, r.code, r.err)
	assert.Contains(t, r.out, "the API refused the token")

	t.Run("the key goes to a file of that name where none is named", func(t *testing.T) {
		t.Chdir(t.TempDir())
		r := runCLI(t, admin(s), "", setup[:4]...)
		require.Zero(t, r.code, r.err)
		assert.Contains(t, r.out, "the signing key is in signing-key")
		again, err := os.ReadFile("signing-key")
		require.NoError(t, err)
		assert.Equal(t, key, again)
	})
	t.Run("a file that cannot be made is told before there is a key", func(t *testing.T) {
		before := s.Calls(zitadeltest.AnyEndpoint)
		r := runCLI(t, admin(s), "", "revocation", "setup", "--endpoint", api.URL+"/events", "--key-to", filepath.Join(t.TempDir(), "none", "key"))
		assert.Equal(t, exitUsage, r.code)
		r = runCLI(t, admin(s), "", "revocation", "setup", "--endpoint", "api", "--key-to", filepath.Join(t.TempDir(), "key"))
		assert.Equal(t, exitUsage, r.code)
		assert.Contains(t, r.err, "--endpoint: expected a URL")
		assert.Equal(t, before, s.Calls(zitadeltest.AnyEndpoint))
	})
	t.Run("a key that nobody can store is an error", func(t *testing.T) {
		_, err := storeSigningKey(filepath.Join(t.TempDir(), "key"), new(introspect.RevocationTarget))
		assert.ErrorContains(t, err, "does not tell it again")
	})
	t.Run("a file that holds something else is left alone", func(t *testing.T) {
		for content, says := range map[string]string{"\n": "holds no signing key", "other": "holds another signing key"} {
			file := write(t, "key", []byte(content))
			r := runCLI(t, admin(s), "", "revocation", "setup", "--endpoint", api.URL+"/events", "--key-to", file)
			assert.Equal(t, 1, r.code)
			assert.Contains(t, r.err, says)
			after, err := os.ReadFile(file)
			require.NoError(t, err)
			assert.Equal(t, content, string(after))
		}
	})
	t.Run("a token that stays is an error", func(t *testing.T) {
		deaf := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		t.Cleanup(deaf.Close)
		r := runCLI(t, env, "", "revocation", "check", "--api", deaf.URL, "--within", "100ms")
		assert.Equal(t, 1, r.code)
		assert.Contains(t, r.err, "still took the token")
	})
	t.Run("an API that takes no token is an error", func(t *testing.T) {
		r := runCLI(t, env, "", "revocation", "check", "--api", api.URL+"/nowhere")
		assert.Equal(t, 1, r.code)
		assert.Contains(t, r.err, "any active token may GET")
	})
	assert.Equal(t, 1, strings.Count(runCLI(t, env, "", "pat", "list", "--json").out, `"id"`), "throwaway tokens are gone")
}
