package credentials_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/credentials"
	"github.com/postern-go/postern/internal/basetransport"
	"github.com/postern-go/postern/introspect"
	"github.com/postern-go/postern/rotate"
	"github.com/postern-go/postern/zitadeltest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	basetransport.Client().CloseIdleConnections()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Println(err)
		code = 1
	}
	os.Exit(code)
}

// setenv sets exactly these variables, and unsets all others that count.
func setenv(t *testing.T, env map[string]string) {
	t.Helper()
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "ZITADEL_") {
			t.Setenv(name, "") // to have it back after the test
			require.NoError(t, os.Unsetenv(name))
		}
	}
	for name, value := range env {
		t.Setenv(name, value)
	}
}

func file(t *testing.T, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(path, text, 0o600))
	return path
}

func TestEveryWayOutReachesZITADEL(t *testing.T) {
	server := zitadeltest.Start(t)
	user := server.AddServiceUser("bot", zitadeltest.WithOrgRole("ORG_OWNER"))
	key, token, secret := user.KeyJSON(), user.PAT(), user.ClientSecret()
	for method, env := range map[string]map[string]string{
		"ZITADEL_PAT":       {"ZITADEL_PAT": token},
		"ZITADEL_PAT_FILE":  {"ZITADEL_PAT_FILE": file(t, []byte(token+"\n"))},
		"ZITADEL_KEY_FILE":  {"ZITADEL_KEY_FILE": file(t, key)},
		"ZITADEL_KEY_JSON":  {"ZITADEL_KEY_JSON": string(key)},
		"ZITADEL_CLIENT_ID": {"ZITADEL_CLIENT_ID": user.LoginName, "ZITADEL_CLIENT_SECRET": secret},
		"with its file": {
			"ZITADEL_CLIENT_ID": user.LoginName, "ZITADEL_CLIENT_SECRET_FILE": file(t, []byte(secret+"\n")),
		},
		"beside an empty one": {"ZITADEL_PAT": token, "ZITADEL_KEY_FILE": ""},
		"beside the way in's": {"ZITADEL_PAT": token, "ZITADEL_API_KEY_FILE": "key.json"},
	} {
		t.Run(method, func(t *testing.T) {
			env["ZITADEL_ISSUER"] = server.Issuer()
			setenv(t, env)
			src, err := credentials.FromEnv()
			require.NoError(t, err)
			if strings.HasPrefix(method, "ZITADEL_") {
				assert.Equal(t, method, src.Method())
			}
			assert.Equal(t, server.Issuer(), src.Issuer())
			resp, err := postern.NewClient(src, src.Issuer()).Get(src.Issuer() + "/management/v1/orgs/me")
			require.NoError(t, err)
			resp.Body.Close()
			assert.Equal(t, http.StatusOK, resp.StatusCode)
			first, err := src.TokenCtx(t.Context())
			require.NoError(t, err)
			src.Invalidate(first.AccessToken)
			_, err = src.Token()
			require.NoError(t, err)

			said := fmt.Sprintf("%v %+v %#v %s", src, src, src, *src)
			text, err := json.Marshal([]any{src, *src})
			require.NoError(t, err)
			for _, hidden := range []string{token, secret, first.AccessToken, "PRIVATE"} {
				assert.NotContains(t, said+string(text), hidden)
			}
		})
	}
}

func TestScopesReachTheServer(t *testing.T) {
	server := zitadeltest.Start(t)
	user := server.AddServiceUser("bot")
	setenv(t, map[string]string{"ZITADEL_ISSUER": server.Issuer(), "ZITADEL_KEY_JSON": string(user.KeyJSON())})
	src, err := credentials.FromEnv("openid", postern.ScopeProjectAudience("123"))
	require.NoError(t, err)
	_, err = src.Token()
	require.NoError(t, err)
	asked := server.Requests(zitadeltest.TokenEndpoint)
	require.Len(t, asked, 1)
	assert.Contains(t, asked[0].Body, "scope=openid+urn%3Azitadel%3Aiam%3Aorg%3Aproject%3Aid%3A123%3Aaud")
}

func TestEveryWayInIntrospects(t *testing.T) {
	server := zitadeltest.Start(t)
	project := server.AddProject("shop", "admin")
	byKey, bySecret := project.AddAPI("key"), project.AddAPI("secret")
	token := server.AddServiceUser("bot").PAT()
	for name, env := range map[string]map[string]string{
		"key":    {"ZITADEL_API_KEY_FILE": file(t, byKey.KeyJSON())},
		"secret": {"ZITADEL_API_CLIENT_ID": bySecret.ClientID, "ZITADEL_API_CLIENT_SECRET": bySecret.ClientSecret},
		"secret's file": {
			"ZITADEL_API_CLIENT_ID": bySecret.ClientID, "ZITADEL_API_CLIENT_SECRET_FILE": file(t, []byte(bySecret.ClientSecret+"\n")),
		},
		"beside the way out's": {"ZITADEL_API_KEY_FILE": file(t, byKey.KeyJSON()), "ZITADEL_PAT": "1", "ZITADEL_CLIENT_ID": "2"},
	} {
		t.Run(name, func(t *testing.T) {
			env["ZITADEL_ISSUER"] = server.Issuer()
			setenv(t, env)
			cfg, err := credentials.APIFromEnv()
			require.NoError(t, err)
			verifier, err := introspect.New(cfg)
			require.NoError(t, err)
			id, err := verifier.Verify(t.Context(), token)
			require.NoError(t, err)
			assert.Equal(t, "bot", id.Username())
		})
	}
}

func TestMistakesAreListedByNameAndNotByValue(t *testing.T) {
	const issuer = "https://acme.example"
	missing := filepath.Join(t.TempDir(), "missing")
	for name, test := range map[string]struct {
		env  map[string]string
		want []string
	}{
		"nothing": {nil, []string{"ZITADEL_ISSUER: expected the server's URL",
			"expected one of ZITADEL_PAT, ZITADEL_PAT_FILE, ZITADEL_KEY_FILE, ZITADEL_KEY_JSON, ZITADEL_CLIENT_ID to be set, got none"}},
		"only an empty one": {map[string]string{"ZITADEL_PAT": "", "ZITADEL_ISSUER": issuer}, []string{"set are ZITADEL_PAT (empty)"}},
		"two ways": {map[string]string{"ZITADEL_PAT": "hunter2", "ZITADEL_KEY_FILE": "hunter2", "ZITADEL_ISSUER": issuer},
			[]string{"expected one way to authenticate, got 2: set are ZITADEL_PAT, ZITADEL_KEY_FILE: unset all but one"}},
		"a token and a whole client": {map[string]string{"ZITADEL_PAT": "hunter2", "ZITADEL_CLIENT_ID": "hunter2", "ZITADEL_CLIENT_SECRET": "hunter2", "ZITADEL_ISSUER": issuer},
			[]string{"got 2: set are ZITADEL_PAT, ZITADEL_CLIENT_ID, ZITADEL_CLIENT_SECRET"}},
		"all ways": {map[string]string{"ZITADEL_PAT": "hunter2", "ZITADEL_PAT_FILE": "hunter2", "ZITADEL_KEY_FILE": "hunter2", "ZITADEL_KEY_JSON": "hunter2",
			"ZITADEL_CLIENT_ID": "hunter2", "ZITADEL_CLIENT_SECRET": "hunter2"}, []string{"got 5", "ZITADEL_ISSUER"}},
		"an id alone": {map[string]string{"ZITADEL_CLIENT_ID": "hunter2", "ZITADEL_ISSUER": issuer},
			[]string{"expected ZITADEL_CLIENT_SECRET or ZITADEL_CLIENT_SECRET_FILE with ZITADEL_CLIENT_ID, got neither: set are ZITADEL_CLIENT_ID"}},
		"a secret alone": {map[string]string{"ZITADEL_CLIENT_SECRET": "hunter2", "ZITADEL_ISSUER": issuer},
			[]string{"expected ZITADEL_CLIENT_ID with the client secret, got none: set are ZITADEL_CLIENT_SECRET"}},
		"a PAT and half a client": {map[string]string{"ZITADEL_PAT": "hunter2", "ZITADEL_CLIENT_SECRET": "hunter2", "ZITADEL_ISSUER": issuer},
			[]string{"expected ZITADEL_CLIENT_ID with the client secret"}},
		"two secrets": {map[string]string{"ZITADEL_CLIENT_ID": "bot", "ZITADEL_CLIENT_SECRET": "hunter2", "ZITADEL_CLIENT_SECRET_FILE": "x", "ZITADEL_ISSUER": issuer},
			[]string{"got both: set are ZITADEL_CLIENT_ID, ZITADEL_CLIENT_SECRET, ZITADEL_CLIENT_SECRET_FILE: unset one"}},
		"a token for a file":      {map[string]string{"ZITADEL_PAT_FILE": "hunter2", "ZITADEL_ISSUER": issuer}, []string{"ZITADEL_PAT_FILE: expected the path of a file"}},
		"a token longer than any": {map[string]string{"ZITADEL_PAT_FILE": strings.Repeat("hunter2", 50), "ZITADEL_ISSUER": issuer}, []string{"ZITADEL_PAT_FILE: expected the path of a file"}},
		"a key for a file":        {map[string]string{"ZITADEL_KEY_FILE": `{"key":"/hunter2"}`, "ZITADEL_ISSUER": issuer}, []string{"ZITADEL_KEY_FILE: expected the path of a file"}},
		"a secret for a file": {map[string]string{"ZITADEL_CLIENT_ID": "bot", "ZITADEL_CLIENT_SECRET_FILE": "hunter2", "ZITADEL_ISSUER": issuer},
			[]string{"ZITADEL_CLIENT_SECRET_FILE: expected the path of a file"}},
		"no URL":               {map[string]string{"ZITADEL_PAT": "hunter2", "ZITADEL_ISSUER": "acme"}, []string{"ZITADEL_ISSUER"}},
		"plain http":           {map[string]string{"ZITADEL_PAT": "hunter2", "ZITADEL_ISSUER": "http://acme.example"}, []string{"ZITADEL_ISSUER", "https"}},
		"no token":             {map[string]string{"ZITADEL_PAT": "Bearer hunter2", "ZITADEL_ISSUER": issuer}, []string{"ZITADEL_PAT", "leave it out"}},
		"no file":              {map[string]string{"ZITADEL_PAT_FILE": missing, "ZITADEL_ISSUER": issuer}, []string{"ZITADEL_PAT_FILE", missing}},
		"no key file":          {map[string]string{"ZITADEL_KEY_FILE": missing, "ZITADEL_ISSUER": issuer}, []string{"ZITADEL_KEY_FILE", missing}},
		"no key":               {map[string]string{"ZITADEL_KEY_JSON": "hunter2", "ZITADEL_ISSUER": issuer}, []string{"ZITADEL_KEY_JSON"}},
		"no secret file":       {map[string]string{"ZITADEL_CLIENT_ID": "bot", "ZITADEL_CLIENT_SECRET_FILE": missing, "ZITADEL_ISSUER": issuer}, []string{missing}},
		"an empty secret file": {map[string]string{"ZITADEL_CLIENT_ID": "bot", "ZITADEL_CLIENT_SECRET_FILE": file(t, []byte("\n")), "ZITADEL_ISSUER": issuer}, []string{"ClientSecret"}},
	} {
		t.Run(name, func(t *testing.T) {
			setenv(t, test.env)
			_, err := credentials.FromEnv()
			for _, want := range test.want {
				require.ErrorContains(t, err, want)
			}
			assert.NotContains(t, err.Error(), "unter2")
		})
	}
}

// Each variable not set, empty or set, in every combination: one whole way is taken, and any other mistake lists all that is set.
func TestEveryCombination(t *testing.T) {
	server := zitadeltest.Start(t)
	key, apiKey := server.AddServiceUser("bot").KeyJSON(), server.AddProject("shop").AddAPI("api").KeyJSON()
	for prefix, way := range map[string]struct {
		values map[string]string
		read   func() error
	}{
		"ZITADEL_": {map[string]string{
			"PAT": "hunter2", "PAT_FILE": file(t, []byte("hunter2")), "KEY_FILE": file(t, key), "KEY_JSON": string(key),
			"CLIENT_ID": "hunter2", "CLIENT_SECRET": "hunter2", "CLIENT_SECRET_FILE": file(t, []byte("hunter2")),
		}, func() error { _, err := credentials.FromEnv(); return err }},
		"ZITADEL_API_": {map[string]string{
			"KEY_FILE": file(t, apiKey), "CLIENT_ID": "hunter2", "CLIENT_SECRET": "hunter2", "CLIENT_SECRET_FILE": file(t, []byte("hunter2")),
		}, func() error { _, err := credentials.APIFromEnv(); return err }},
	} {
		setenv(t, map[string]string{"ZITADEL_ISSUER": server.Issuer()})
		names := slices.Sorted(maps.Keys(way.values))
		for _, name := range names {
			t.Setenv(prefix+name, "") // to have it back after the test
		}
		for n := range int(math.Pow(3, float64(len(names)))) {
			var set []string
			for _, name := range names {
				require.NoError(t, os.Unsetenv(prefix+name))
				if n%3 > 0 {
					require.NoError(t, os.Setenv(prefix+name, ""))
				}
				if n%3 > 1 {
					require.NoError(t, os.Setenv(prefix+name, way.values[name]))
					set = append(set, name)
				}
				n /= 3
			}
			err := way.read()
			switch strings.Join(set, " ") {
			case "PAT", "PAT_FILE", "KEY_FILE", "KEY_JSON", "CLIENT_ID CLIENT_SECRET", "CLIENT_ID CLIENT_SECRET_FILE":
				require.NoError(t, err, set)
				continue
			}
			for _, name := range set {
				require.ErrorContains(t, err, prefix+name, set)
				require.NotContains(t, err.Error(), way.values[name], set)
			}
			require.Error(t, err, set)
		}
	}
}

func TestMistakesOfTheWayIn(t *testing.T) {
	server := zitadeltest.Start(t)
	serviceKey := file(t, server.AddServiceUser("bot").KeyJSON())
	for name, test := range map[string]struct {
		env  map[string]string
		want string
	}{
		"nothing":            {nil, "expected one of ZITADEL_API_KEY_FILE, ZITADEL_API_CLIENT_ID to be set, got none"},
		"only the way out's": {map[string]string{"ZITADEL_PAT": "hunter2"}, "to be set, got none"},
		"both": {map[string]string{"ZITADEL_API_KEY_FILE": "hunter2", "ZITADEL_API_CLIENT_ID": "hunter2", "ZITADEL_API_CLIENT_SECRET": "hunter2"},
			"got 2: set are ZITADEL_API_KEY_FILE, ZITADEL_API_CLIENT_ID, ZITADEL_API_CLIENT_SECRET: unset"},
		"a key for a file": {map[string]string{"ZITADEL_API_KEY_FILE": `{"key":"hunter2"}`}, "ZITADEL_API_KEY_FILE: expected the path of a file"},
		"a secret for a file": {map[string]string{"ZITADEL_API_CLIENT_ID": "1", "ZITADEL_API_CLIENT_SECRET_FILE": "hunter2"},
			"ZITADEL_API_CLIENT_SECRET_FILE: expected the path of a file"},
		"half":                 {map[string]string{"ZITADEL_API_CLIENT_ID": "hunter2"}, "expected ZITADEL_API_CLIENT_SECRET or ZITADEL_API_CLIENT_SECRET_FILE"},
		"no file":              {map[string]string{"ZITADEL_API_KEY_FILE": "/nowhere/key.json"}, "/nowhere/key.json"},
		"a service user's key": {map[string]string{"ZITADEL_API_KEY_FILE": serviceKey}, "expected an API application's key"},
		"an empty secret file": {map[string]string{"ZITADEL_API_CLIENT_ID": "1", "ZITADEL_API_CLIENT_SECRET_FILE": file(t, nil)}, "expected a client secret, got nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			setenv(t, test.env)
			t.Setenv("ZITADEL_ISSUER", server.Issuer())
			_, err := credentials.APIFromEnv()
			require.ErrorContains(t, err, test.want)
			assert.NotContains(t, err.Error(), "unter2")
		})
	}
}

func TestTheEndOfAPATIsFoundOut(t *testing.T) {
	server := zitadeltest.Start(t)
	soon := server.Now().Add(48 * time.Hour)
	var log bytes.Buffer
	before := slog.Default()
	defer slog.SetDefault(before)
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))

	// By asking the server, of a user with one.
	setenv(t, map[string]string{"ZITADEL_ISSUER": server.Issuer(), "ZITADEL_PAT": server.AddServiceUser("one").PAT(soon)})
	src, err := credentials.FromEnv()
	require.NoError(t, err)
	_, err = src.Token()
	require.NoError(t, err)
	assert.Equal(t, 1, strings.Count(log.String(), "runs out soon"), log.String())

	// By the record of a renewal, of a user with several.
	user := server.AddServiceUser("several")
	user.PAT()
	path := file(t, []byte(user.PAT(server.Now().Add(24*time.Hour))))
	r, err := rotate.New(rotate.Config{Issuer: server.Issuer(), Kind: rotate.PAT, Store: rotate.NewFileStore(path), Life: 48 * time.Hour})
	require.NoError(t, err)
	_, err = r.Run(t.Context())
	require.NoError(t, err)
	setenv(t, map[string]string{"ZITADEL_ISSUER": server.Issuer(), "ZITADEL_PAT_FILE": path})
	src, err = credentials.FromEnv()
	require.NoError(t, err)
	_, err = src.Token()
	require.NoError(t, err)
	assert.Equal(t, 2, strings.Count(log.String(), "runs out soon"), log.String())
}
