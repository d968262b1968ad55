package clientcredentials_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/clientcredentials"
	"github.com/postern-go/postern/zitadeltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newServer(t *testing.T) *zitadeltest.Server {
	t.Helper()
	return zitadeltest.Start(t, zitadeltest.Config{InMemory: true})
}

func newSource(t *testing.T, s *zitadeltest.Server, cfg clientcredentials.Config) *clientcredentials.Source {
	t.Helper()
	cfg.Issuer, cfg.HTTPClient, cfg.Logger = s.Issuer(), s.Client(), slog.New(slog.DiscardHandler)
	src, err := clientcredentials.New(cfg)
	require.NoError(t, err)
	return src
}

func TestATokenCallsTheManagementAPI(t *testing.T) {
	for name, post := range map[string]bool{"by Basic": false, "by post": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t)
				secret := s.AddServiceUser("bot", zitadeltest.WithOrgRole("ORG_OWNER")).ClientSecret()
				src := newSource(t, s, clientcredentials.Config{ClientID: "bot", ClientSecret: secret, Post: post})
				client := &http.Client{Transport: &postern.Transport{Source: src, Origins: []string{s.Issuer()}, Base: s.Transport()}}
				for range 3 {
					resp, err := client.Get(s.Issuer() + "/management/v1/orgs/me")
					require.NoError(t, err)
					resp.Body.Close()
					assert.Equal(t, http.StatusOK, resp.StatusCode)
				}
				requests := s.Requests(zitadeltest.TokenEndpoint)
				require.Len(t, requests, 1, "the token is kept")
				form, err := url.ParseQuery(requests[0].Body)
				require.NoError(t, err)
				assert.Equal(t, "client_credentials", form.Get("grant_type"))
				assert.Equal(t, "openid "+postern.ScopeZITADELAPI, form.Get("scope"))
				assert.Equal(t, post, form.Has("client_secret"))
				assert.Equal(t, !post, strings.HasPrefix(requests[0].Header.Get("Authorization"), "Basic "))

				token, err := src.Token()
				require.NoError(t, err)
				src.Invalidate(token.AccessToken)
				again, err := src.Token()
				require.NoError(t, err)
				assert.NotEqual(t, token.AccessToken, again.AccessToken, "a dropped token is replaced")
			})
		})
	}
}

// special ids and secrets, which each way to send must carry unchanged (RFC 6749 §2.3.1).
var special = map[string][2]string{
	"a colon in the id":     {"bot:1", "secret"},
	"a colon in the secret": {"bot", "se:cr:et"},
	"percent":               {"100%bot", "50%41%"},
	"plus and spaces":       {"a+b c", " se+cret "},
	"umlauts":               {"jürgen@zitadel.example", "geheim-ß-✓-日本"},
	"form characters":       {"a&b=c", "d&e=f;g/?#@"},
	"quotes and slashes":    {`a"b\c`, `'d"e\f<g>`},
	"base64 of padding":     {"bot", "=="},
}

func TestIDAndSecretArriveUnchanged(t *testing.T) {
	for name, row := range special {
		for way, post := range map[string]bool{"Basic": false, "post": true} {
			t.Run(name+" by "+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newServer(t)
					var got [2]string
					s.Misbehave(zitadeltest.TokenEndpoint, -1, func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
						got = received(t, r)
						w.Header().Set("Content-Type", "application/json")
						fmt.Fprint(w, `{"access_token":"a","token_type":"bearer","expires_in":60}`)
					})
					_, err := newSource(t, s, clientcredentials.Config{ClientID: row[0], ClientSecret: row[1], Post: post}).Token()
					require.NoError(t, err)
					assert.Equal(t, row, got)
				})
			})
		}
	}
}

// received reads id and secret as RFC 6749 §2.3.1 says, by nothing of this module.
func received(t *testing.T, r *http.Request) [2]string {
	if header := r.Header.Get("Authorization"); header != "" {
		decoded, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(header, "Basic "))
		require.NoError(t, err)
		id, secret, ok := strings.Cut(string(decoded), ":")
		require.True(t, ok)
		id, err = url.QueryUnescape(id)
		require.NoError(t, err)
		secret, err = url.QueryUnescape(secret)
		require.NoError(t, err)
		return [2]string{id, secret}
	}
	require.NoError(t, r.ParseForm())
	return [2]string{r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")}
}

// The server of zitadeltest decodes by zitadel/oidc, as ZITADEL does.
func TestAnIDWithSpecialCharactersIsKnownToTheServer(t *testing.T) {
	for _, name := range []string{"bot+1", "bot:1", "100%bot", "jürgen", "a b"} {
		for way, post := range map[string]bool{"Basic": false, "post": true} {
			t.Run(name+" by "+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newServer(t)
					secret := s.AddServiceUser(name).ClientSecret()
					_, err := newSource(t, s, clientcredentials.Config{ClientID: name, ClientSecret: secret, Post: post}).Token()
					assert.NoError(t, err)
				})
			})
		}
	}
}

func TestNewReportsEveryMistakeUnseen(t *testing.T) {
	_, err := clientcredentials.New(clientcredentials.Config{Issuer: "http://zitadel.example", TokenURL: "token", Scopes: []string{""}})
	for _, want := range []string{"clientcredentials: ", "Issuer: ", "AllowHTTP", "TokenURL: ", "ClientID: expected the service user's user name, got nothing",
		"ClientSecret: expected the secret that ZITADEL generated for the user, got nothing", "Scopes[0]: "} {
		assert.ErrorContains(t, err, want)
	}
	for name, row := range map[string]struct{ secret, want string }{
		"a line break at its end":    {"hunter2\n", "no line break at the end"},
		"a line break as on Windows": {"hunter2\r\n", "no line break at the end"},
		"a line break within":        {"hun\nter2", "no control characters"},
		"a NUL":                      {"hunter2\x00", "no control characters"},
		"too long":                   {strings.Repeat("hunter2", 200), "at most 1024 bytes, got 1400"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := clientcredentials.New(clientcredentials.Config{Issuer: "https://zitadel.example", ClientID: "bot", ClientSecret: row.secret})
			require.ErrorContains(t, err, "ClientSecret: ")
			assert.ErrorContains(t, err, row.want)
			assert.NotContains(t, err.Error(), "hun")
		})
	}
}

func TestARefusalIsExplainedAndRemembered(t *testing.T) {
	for name, row := range map[string]struct {
		id, code, hint string
	}{
		"a wrong secret":  {"bot", "invalid_request", "the client secret is wrong"},
		"an unknown user": {"nobody", "invalid_client", "its user name (login name), not its id"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t)
				s.AddServiceUser("bot").ClientSecret()
				src := newSource(t, s, clientcredentials.Config{ClientID: row.id, ClientSecret: "hunter2-hunter2"})
				for range 100 {
					_, err := src.Token()
					var refusal *postern.Error
					require.ErrorAs(t, err, &refusal)
					assert.Equal(t, row.code, refusal.Code)
					assert.Contains(t, refusal.Hint, row.hint)
					assert.NotErrorIs(t, err, postern.ErrUnavailable)
					assert.NotContains(t, err.Error(), "hunter2")
				}
				assert.Equal(t, 1, s.Calls(zitadeltest.TokenEndpoint), "a wrong secret does not hammer the server")
			})
		})
	}
}

func TestASecretThatTheServerRepeatsIsNotShown(t *testing.T) {
	for way, post := range map[string]bool{"Basic": false, "post": true} {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t)
				s.Misbehave(zitadeltest.TokenEndpoint, -1, func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
					w.Header().Set("Content-Type", "application/json")
					w.WriteHeader(http.StatusBadRequest)
					json.NewEncoder(w).Encode(map[string]string{"error": "invalid_client", "error_description": received(t, r)[1] + " from " + r.Header.Get("Authorization")})
				})
				_, err := newSource(t, s, clientcredentials.Config{ClientID: "bot", ClientSecret: "hünter2+hunter2", Post: post}).Token()
				require.ErrorContains(t, err, "[redacted] from")
				assert.NotContains(t, err.Error(), "unter2")
				assert.NotContains(t, err.Error(), base64.StdEncoding.EncodeToString([]byte("bot:"))[:4])
			})
		})
	}
}

func TestACallerLeavesAtItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		secret := s.AddServiceUser("bot").ClientSecret()
		for _, endpoint := range []zitadeltest.Endpoint{zitadeltest.DiscoveryEndpoint, zitadeltest.TokenEndpoint} {
			s.Misbehave(endpoint, 1, zitadeltest.Stall())
			src := newSource(t, s, clientcredentials.Config{ClientID: "bot", ClientSecret: secret})
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			start := time.Now()
			_, err := src.TokenCtx(ctx)
			cancel()
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Equal(t, 50*time.Millisecond, time.Since(start), endpoint)
			s.Release()
			_, err = src.Token()
			assert.NoError(t, err)
		}
	})
}

func TestACallerWhoLeavesHearsWhatTheServerSaidSoFar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.Misbehave(zitadeltest.TokenEndpoint, -1, zitadeltest.Status(http.StatusServiceUnavailable))
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond) // the first pause between tries is longer
		defer cancel()
		began := time.Now()
		_, err := newSource(t, s, clientcredentials.Config{ClientID: "bot", ClientSecret: "hunter2"}).TokenCtx(ctx)
		assert.Equal(t, 50*time.Millisecond, time.Since(began))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		var said *postern.Error
		require.ErrorAs(t, err, &said)
		assert.Equal(t, http.StatusServiceUnavailable, said.StatusCode)
		time.Sleep(time.Minute) // the call goes on without the caller, to its end
	})
}

func TestASourceFormatsWithoutItsSecret(t *testing.T) {
	src, err := clientcredentials.New(clientcredentials.Config{Issuer: "https://zitadel.example", ClientID: "bot", ClientSecret: "hunter2"})
	require.NoError(t, err)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		assert.Equal(t, "clientcredentials.Source", fmt.Sprintf(verb, src))
	}
	encoded, err := json.Marshal([]any{src})
	require.NoError(t, err)
	assert.Equal(t, "[{}]", string(encoded))
}
