package introspect

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern"
)

// missing skips the test because a part of it is not there, or fails it where all parts have to be.
func missing(t *testing.T, part string, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("missing: %s: %v", part, err)
	}
	t.Skipf("missing: %s: %v", part, err)
}

// oidcProvider runs the npm package oidc-provider and returns its URL. It knows the clients of server.mjs.
func oidcProvider(t *testing.T, jwks []byte) string {
	t.Helper()
	for _, part := range []string{"node", "npm"} {
		if _, err := exec.LookPath(part); err != nil {
			missing(t, part, err)
		}
	}
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "server.mjs"} {
		data, err := os.ReadFile(filepath.Join("testdata", "oidc-provider", name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	install := exec.CommandContext(t.Context(), "npm", "ci", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts")
	install.Dir = dir
	if output, err := install.CombinedOutput(); err != nil {
		missing(t, "the npm package oidc-provider: "+string(bytes.TrimSpace(output)), err)
	}

	server := exec.Command("node", "server.mjs")
	server.Dir, server.Env = dir, append(os.Environ(), "API_KEY_JWKS="+string(jwks))
	var stderr bytes.Buffer
	server.Stderr = &stderr
	stdin, err := server.StdinPipe() // whose end is the server's
	require.NoError(t, err)
	stdout, err := server.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = server.Process.Kill()
		_ = server.Wait()
		http.DefaultClient.CloseIdleConnections()
	})
	lines := bufio.NewScanner(stdout)
	for lines.Scan() { // the package prints advice before
		if port := lines.Text(); strings.Trim(port, "0123456789") == "" && port != "" {
			go func() { _, _ = io.Copy(io.Discard, stdout) }()
			return "http://127.0.0.1:" + port
		}
	}
	_ = stdin.Close()
	_ = server.Wait() // until when stderr is written to
	require.FailNow(t, "the server did not start", stderr.String())
	return ""
}

// asBot sends a form as client bot.
func asBot(t *testing.T, url string, form url.Values) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", url, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("bot", "bot-secret")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, 200, resp.StatusCode, string(body))
	return body
}

// TestInteropOIDCProvider runs against a server that is not ZITADEL, with Basic and with private_key_jwt. It takes each client
// assertion only once.
func TestInteropOIDCProvider(t *testing.T) {
	key := applicationKey(t)
	key.ClientID = "api-key"
	jwks, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Signer.Public(), KeyID: key.ID, Algorithm: "ES256", Use: "sig"}}})
	require.NoError(t, err)
	server := oidcProvider(t, jwks)

	for name, auth := range map[string]Auth{"Basic": Basic("api basic", "s3:cret/+%"), "PrivateKeyJWT": PrivateKeyJWT(key)} {
		t.Run(name, func(t *testing.T) {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			v, err := New(Config{Issuer: server, Auth: auth, HTTPClient: client})
			require.NoError(t, err)
			for range 5 {
				var issued struct {
					AccessToken string `json:"access_token"`
				}
				require.NoError(t, json.Unmarshal(asBot(t, server+"/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"orders:read"}}), &issued))
				id, err := v.Verify(t.Context(), issued.AccessToken)
				require.NoError(t, err)
				require.Equal(t, "bot", id.ClientID())
				require.Equal(t, server, id.Issuer())
				require.True(t, id.HasScope("orders:read"))
				require.WithinDuration(t, time.Now().Add(10*time.Minute), id.Expiry(), time.Minute)

				asBot(t, server+"/token/revocation", url.Values{"token": {issued.AccessToken}})
				v.EvictToken(issued.AccessToken)
				_, err = v.Verify(t.Context(), issued.AccessToken)
				require.ErrorIs(t, err, postern.ErrInvalidToken)
			}
			require.Equal(t, uint64(10), v.Stats().Calls)
			require.Zero(t, v.Stats().Failures)
			if key, ok := v.v.client.(*keyClient); ok {
				require.True(t, key.once.Load(), "this server takes an assertion once")
			}
		})
	}

	t.Run("a wrong secret is our error and not the token's", func(t *testing.T) {
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		v, err := New(Config{Issuer: server, Auth: Basic("api basic", "wrong"), HTTPClient: client, Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		_, err = v.Verify(context.Background(), "some-token")
		require.ErrorIs(t, err, postern.ErrUnavailable)
		require.True(t, refused(err))
	})
}
