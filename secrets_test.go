package postern_test

import (
	"bytes"
	"context"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/clientcredentials"
	"github.com/postern-go/postern/credentials"
	"github.com/postern-go/postern/introspect"
	"github.com/postern-go/postern/jwtprofile"
	"github.com/postern-go/postern/keyfile"
	"github.com/postern-go/postern/localjwt"
	"github.com/postern-go/postern/middleware"
	"github.com/postern-go/postern/pat"
	"github.com/postern-go/postern/rotate"
	"github.com/postern-go/postern/zitadeltest"
)

// secretValues are what must not be seen, and things of this module that hold them, all in use.
func secretValues(t *testing.T) (secrets []string, holders map[string]any) {
	t.Helper()
	s := zitadeltest.Start(t, zitadeltest.Config{InMemory: true})
	user := s.AddServiceUser("bot", zitadeltest.WithOrgRole("ORG_OWNER"))
	// Behind a func: printing descends into an http.Transport, beside its goroutines that change it.
	hidden := &http.Client{Transport: roundTripper(s.Transport().RoundTrip)}
	api := s.AddProject("orders").AddAPI("orders-api")
	token, secret, keyJSON := user.PAT(), user.ClientSecret(), user.KeyJSON()
	path := filepath.Join(t.TempDir(), "file")
	read := func(content []byte) string {
		name := path + fmt.Sprint(len(content))
		require.NoError(t, os.WriteFile(name, content, 0o600))
		return name
	}
	key := must(keyfile.Parse(keyJSON))
	quiet := slog.New(slog.DiscardHandler)

	byToken := must(pat.New(token))
	byFile := must(pat.FromFile(read([]byte(token))))
	t.Setenv("POSTERN_TEST_PAT", token)
	for name, value := range map[string]string{"PAT": "", "PAT_FILE": "", "KEY_FILE": "", "KEY_JSON": "", "CLIENT_SECRET_FILE": "", "ISSUER": s.Issuer(), "CLIENT_ID": "bot", "CLIENT_SECRET": secret} {
		t.Setenv("ZITADEL_"+name, value)
	}
	byKey := must(jwtprofile.New(jwtprofile.Config{Issuer: s.Issuer(), Key: key, HTTPClient: hidden, Logger: quiet}))
	bySecret := must(clientcredentials.New(clientcredentials.Config{Issuer: s.Issuer(), ClientID: "bot", ClientSecret: secret, HTTPClient: hidden, Logger: quiet}))
	transport := &postern.Transport{Source: byKey, Origins: []string{s.Issuer()}, Base: hidden.Transport}
	client := &http.Client{Transport: transport}
	resp, err := client.Get(s.Issuer() + "/management/v1/orgs/me")
	require.NoError(t, err)
	resp.Body.Close()

	basic := introspect.Basic(api.ClientID, api.ClientSecret)
	private := introspect.PrivateKeyJWT(must(keyfile.Parse(api.KeyJSON())))
	byBasic := must(introspect.New(introspect.Config{Issuer: s.Issuer(), Auth: basic, HTTPClient: hidden, Logger: quiet}))
	byPrivate := must(introspect.New(introspect.Config{Issuer: s.Issuer(), Auth: private, HTTPClient: hidden, Logger: quiet}))
	identity := must(byBasic.Verify(t.Context(), token))
	must(byPrivate.Verify(t.Context(), token))
	local := must(localjwt.New(localjwt.Config{Issuer: s.Issuer(), Audience: []string{"1"}, HTTPClient: hidden, Logger: quiet}))
	_, err = local.Verify(t.Context(), token)
	require.Error(t, err)
	wrong := must(clientcredentials.New(clientcredentials.Config{Issuer: s.Issuer(), ClientID: "bot", ClientSecret: secret + "x", HTTPClient: hidden, Logger: quiet}))
	_, refusal := wrong.Token()
	require.Error(t, refusal)
	webhook := must(introspect.NewRevocationHandler(byBasic, introspect.RevocationConfig{SigningKeys: []string{"webhook-key-0123456789"}}))

	d := key.Signer.(*rsa.PrivateKey).D
	secrets = []string{
		token, must(byKey.Token()).AccessToken, must(bySecret.Token()).AccessToken, secret, api.ClientSecret, "webhook-key-0123456789",
		d.String(), d.Text(16), fmt.Sprint(d.Bytes()), fmt.Sprint(d.Bits()), base64.StdEncoding.EncodeToString(keyJSON)[:60], "PRIVATE KEY",
		fmt.Sprintf("%x", token), fmt.Sprintf("%x", secret), fmt.Sprint([]byte(secret)), fmt.Sprint([]byte(token)), fmt.Sprint([]byte("webhook-key-0123456789")),
	}
	return secrets, map[string]any{
		"keyfile.Key": key, "keyfile.File": must(keyfile.Open(read(keyJSON))),
		"pat.Source": byToken, "pat.Source of a file": byFile, "pat.Source of a variable": must(pat.FromEnv("POSTERN_TEST_PAT")),
		"jwtprofile.Source": byKey, "clientcredentials.Source": bySecret,
		"postern.Reuse": postern.Reuse(byToken, postern.ReuseConfig{}), "postern.FromOAuth2": postern.FromOAuth2(bySecret),
		"postern.Transport": transport, "http.Client": client, "postern.NewClient": postern.NewClient(bySecret, s.Issuer()),
		"postern.Identity": identity, "the error of a refusal": refusal,
		"introspect.Basic": basic, "introspect.PrivateKeyJWT": private, "introspect.Verifier with Basic": byBasic, "introspect.Verifier with a key": byPrivate,
		"introspect.RevocationHandler": webhook, "localjwt.Verifier": local, "middleware.Gate": middleware.New(byBasic, middleware.Config{}),
		"credentials.Source": must(credentials.FromEnv()),
		"rotate.Rotator":     must(rotate.New(rotate.Config{Issuer: s.Issuer(), Kind: rotate.PAT, Store: rotate.NewFileStore(path), Source: byToken})),
		"rotate.Record":      rotate.NewRecord([]byte(token), keyJSON, "1"), "rotate.Client": must(rotate.NewClient(rotate.ClientConfig{Issuer: s.Issuer(), Source: byToken})),
	}
}

func TestNoSecretIsSeenHoweverAValueIsPrinted(t *testing.T) {
	// In a bubble, because printing reads what goroutines have written: Wait is when they are done.
	synctest.Test(t, func(t *testing.T) {
		secrets, holders := secretValues(t)
		synctest.Wait()
		for name, value := range holders {
			for shape, shaped := range shapes(value) {
				for form, text := range printed(t.Context(), shaped) {
					for i, secret := range secrets {
						if strings.Contains(text, secret) {
							t.Errorf("%s, %s, by %s shows secret %d: %.200s", name, shape, form, i, text)
						}
					}
				}
			}
		}
	})
}

// shapes are the ways in which a program holds a value.
func shapes(value any) map[string]any {
	all := map[string]any{
		"itself":                        value,
		"in an exported field":          struct{ Field any }{value},
		"in a pointer to such a struct": &struct{ Field any }{value},
		"in a slice":                    []any{value},
		"in a map":                      map[string]any{"key": value},
		"by a pointer":                  &value,
		"in an unexported field":        struct{ field any }{value},
	}
	if v := reflect.ValueOf(value); v.Kind() == reflect.Pointer {
		all["by value"] = v.Elem().Interface()
		all["by value in an unexported field"] = struct{ field any }{v.Elem().Interface()}
		all["by value in an exported field"] = struct{ Field any }{v.Elem().Interface()}
		typed := reflect.New(reflect.StructOf([]reflect.StructField{{Name: "Field", Type: v.Type()}})).Elem()
		typed.Field(0).Set(v)
		all["in an exported field of its type"] = typed.Interface()
	}
	return all
}

// printed are the ways in which a program prints a value.
func printed(ctx context.Context, value any) map[string]string {
	all := map[string]string{"Sprint": fmt.Sprint(value), "Errorf": fmt.Errorf("failed: %v", value).Error()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%b", "%o", "%e", "%g", "%c", "%U", "%T", "%p", "%+q", "%#q", "% x", "%#x", "%08d", "%w"} {
		all[verb] = fmt.Sprintf(verb, value)
	}
	if text, err := json.Marshal(value); err == nil {
		all["JSON"] = string(text)
	} else {
		all["JSON's error"] = err.Error()
	}
	if text, err := xml.Marshal(value); err == nil {
		all["XML"] = string(text)
	}
	var log bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(handler).With("with", value).WithGroup("group").ErrorContext(ctx, "x", "attr", value, slog.Group("g", "attr", value))
	}
	all["slog"] = log.String()
	return all
}

// That the test can fail: the same walk over what does show its secret.
func TestTheWalkFindsASecretThatIsShown(t *testing.T) {
	for shape, shaped := range shapes(&struct{ Secret string }{"hunter2"}) {
		found := false
		for _, text := range printed(t.Context(), shaped) {
			found = found || strings.Contains(text, "hunter2")
		}
		assert.True(t, found, shape)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
