package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/zitadeltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func environment(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

func TestWithoutSettingsItPrintsWhatTheReadmeShows(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), environment(nil), &out))
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, shown, found := strings.Cut(string(readme), "$ go run ./examples/api\n")
	require.True(t, found)
	shown, _, _ = strings.Cut(shown, "```")
	assert.Equal(t, shown, out.String())
}

func TestServesForRealUntilItIsTold(t *testing.T) {
	zitadel := zitadeltest.Start(t)
	project := zitadel.AddProject("orders", "reader", "admin")
	app := project.AddAPI("orders-api")
	token := zitadel.AddServiceUser("reader", zitadeltest.WithProjectRole(project, "reader")).PAT()
	for name, vars := range map[string]map[string]string{
		"with a key":    {"ZITADEL_API_KEY_FILE": write(t, app.KeyJSON())},
		"with a secret": {"ZITADEL_API_CLIENT_ID": app.ClientID, "ZITADEL_API_CLIENT_SECRET": app.ClientSecret},
	} {
		t.Run(name, func(t *testing.T) {
			vars["ZITADEL_ISSUER"] = zitadel.Issuer()
			vars["ORDERS_URL"] = "https://orders.example.com"
			url, stop := start(t, vars)
			assert.Equal(t, 200, status(t, "GET", url+"/orders", token, nil))
			assert.Equal(t, 403, status(t, "DELETE", url+"/orders/1", token, nil))
			var metadata map[string]any
			assert.Equal(t, 200, status(t, "GET", url+"/.well-known/oauth-protected-resource", "", &metadata))
			assert.Equal(t, "https://orders.example.com", metadata["resource"])
			assert.Equal(t, []any{zitadel.Issuer()}, metadata["authorization_servers"])
			assert.Equal(t, "stopped\n", stop())
		})
	}
}

func TestWhoamiTellsCallersAboutThemselves(t *testing.T) {
	zitadel := zitadeltest.Start(t)
	app := zitadel.AddProject("orders").AddAPI("orders-api")
	user := zitadel.AddServiceUser("reader")
	url, stop := start(t, map[string]string{
		"ZITADEL_ISSUER": zitadel.Issuer(), "ZITADEL_API_CLIENT_ID": app.ClientID, "ZITADEL_API_CLIENT_SECRET": app.ClientSecret,
	})
	defer stop()
	var who map[string]string
	assert.Equal(t, 200, status(t, "GET", url+"/whoami", user.PAT(), &who))
	assert.Equal(t, user.ID, who["subject"])
	assert.Equal(t, user.LoginName, who["username"])
}

func TestOrdersAreRemovedOnce(t *testing.T) {
	zitadel := zitadeltest.Start(t)
	project := zitadel.AddProject("orders", "admin")
	app := project.AddAPI("orders-api")
	token := zitadel.IssueToken(zitadel.AddServiceUser("admin", zitadeltest.WithProjectRole(project, "admin")),
		"openid", postern.ScopeProjectAudience(project.ID))
	url, stop := start(t, map[string]string{
		"ZITADEL_ISSUER": zitadel.Issuer(), "ZITADEL_API_CLIENT_ID": app.ClientID, "ZITADEL_API_CLIENT_SECRET": app.ClientSecret,
	})
	defer stop()
	assert.Equal(t, 204, status(t, "DELETE", url+"/orders/2", token, nil))
	assert.Equal(t, 404, status(t, "DELETE", url+"/orders/2", token, nil))
	var list []order
	assert.Equal(t, 200, status(t, "GET", url+"/orders", token, &list))
	assert.Equal(t, []order{{1, "anvil"}, {3, "dynamite"}}, list)
}

func TestWithItsProjectIDTheAPIVerifiesJWTsByItself(t *testing.T) {
	zitadel := zitadeltest.Start(t)
	project := zitadel.AddProject("orders", "reader")
	app := project.AddAPI("orders-api")
	vars := map[string]string{
		"ZITADEL_ISSUER": zitadel.Issuer(), "ZITADEL_API_CLIENT_ID": app.ClientID, "ZITADEL_API_CLIENT_SECRET": app.ClientSecret,
		"ZITADEL_PROJECT_ID": project.ID, "ZITADEL_SIGNING_KEY": "60qg1DolicZwlHOWbNwgumZjX6NfVxtCUWSK",
	}
	reader := zitadel.AddServiceUser("reader", zitadeltest.WithProjectRole(project, "reader"), zitadeltest.JWTTokens())
	url, stop := start(t, vars)
	defer stop()
	zitadel.Misbehave(zitadeltest.IntrospectionEndpoint, -1, zitadeltest.Status(http.StatusServiceUnavailable))
	jwt := zitadel.IssueToken(reader, "openid", postern.ScopeProjectAudience(project.ID), postern.ScopeProjectsRoles)
	assert.Equal(t, 200, status(t, "GET", url+"/orders", jwt, nil))
	assert.Equal(t, 503, status(t, "GET", url+"/orders", reader.PAT(), nil), "personal access tokens are asked about")
	assert.Equal(t, 401, status(t, "POST", url+"/zitadel/events", "", nil), "an event that is not signed")
}

// What the events are for: without them the answer about a token is used until it is a minute old.
func TestWithoutEventsARevokedTokenIsRememberedForAWhile(t *testing.T) {
	zitadel := zitadeltest.Start(t)
	app := zitadel.AddProject("orders").AddAPI("orders-api")
	url, stop := start(t, map[string]string{
		"ZITADEL_ISSUER": zitadel.Issuer(), "ZITADEL_API_CLIENT_ID": app.ClientID, "ZITADEL_API_CLIENT_SECRET": app.ClientSecret,
	})
	defer stop()
	token := zitadel.AddServiceUser("guest").PAT()
	assert.Equal(t, 200, status(t, "GET", url+"/whoami", token, nil))
	zitadel.Revoke(token)
	assert.Equal(t, 200, status(t, "GET", url+"/whoami", token, nil))
}

func TestSettingsMistakesAreNamed(t *testing.T) {
	for rule, c := range map[string]struct {
		vars map[string]string
		want string
	}{
		"nothing to ask with": {map[string]string{}, "expected ZITADEL_API_KEY_FILE, or"},
		"no issuer":           {map[string]string{"ZITADEL_ISSUER": "", "ZITADEL_API_CLIENT_ID": "1", "ZITADEL_API_CLIENT_SECRET": "s3cr3t"}, "expected ZITADEL_ISSUER"},
		"secret without id":   {map[string]string{"ZITADEL_API_CLIENT_SECRET": "s3cr3t"}, "expected ZITADEL_API_KEY_FILE, or"},
		"both":                {map[string]string{"ZITADEL_API_CLIENT_ID": "1", "ZITADEL_API_KEY_FILE": "k"}, "got both"},
		"no such file":        {map[string]string{"ZITADEL_API_KEY_FILE": "missing.json"}, "ZITADEL_API_KEY_FILE: "},
		"address in use or wrong": {map[string]string{
			"ZITADEL_API_CLIENT_ID": "1", "ZITADEL_API_CLIENT_SECRET": "s3cr3t", "ORDERS_ADDR": "nowhere",
		}, "ORDERS_ADDR: "},
		"public URL without a scheme": {map[string]string{
			"ZITADEL_API_CLIENT_ID": "1", "ZITADEL_API_CLIENT_SECRET": "s3cr3t", "ORDERS_URL": "orders.example.com",
		}, "ORDERS_URL: ID: expected https"},
		"signing key of nothing": {map[string]string{
			"ZITADEL_API_CLIENT_ID": "1", "ZITADEL_API_CLIENT_SECRET": "s3cr3t", "ZITADEL_SIGNING_KEY": " ",
		}, "SigningKeys"},
		"issuer is no URL": {map[string]string{
			"ZITADEL_ISSUER": "zitadel", "ZITADEL_API_CLIENT_ID": "1", "ZITADEL_API_CLIENT_SECRET": "s3cr3t",
		}, "Issuer"},
	} {
		t.Run(rule, func(t *testing.T) {
			if _, set := c.vars["ZITADEL_ISSUER"]; !set {
				c.vars["ZITADEL_ISSUER"] = "https://zitadel.example.com"
			}
			ended, end := context.WithCancel(t.Context())
			end() // so that a mistake nobody sees fails the test, and does not serve for ever
			err := run(ended, environment(c.vars), io.Discard)
			require.ErrorContains(t, err, c.want)
			assert.NotContains(t, err.Error(), "s3cr3t")
		})
	}
}

// The guide's commands, from nothing to the first 200, are run as they stand there.
func TestGuideLeadsToTheFirst200(t *testing.T) {
	for _, tool := range []string{"bash", "curl", "jq", "base64"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skipf("the guide's commands need %s", tool)
		}
	}
	guide, err := os.ReadFile("../../docs/api.md")
	require.NoError(t, err)
	blocks := func(kind string) string {
		found := regexp.MustCompile("(?s)```sh\n# "+kind+"\n(.*?)```").FindAllStringSubmatch(string(guide), -1)
		require.NotEmpty(t, found, kind)
		var all string
		for _, f := range found {
			all += f[1]
		}
		return all
	}
	_, shown, _ := strings.Cut(string(guide), "# call\n")
	_, shown, _ = strings.Cut(shown, "```\n\n```\n")
	shown, _, _ = strings.Cut(shown, "```")

	zitadel := zitadeltest.Start(t)
	dir := t.TempDir()
	bash := func(script string) string {
		t.Helper()
		c := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script)
		c.Dir = dir
		c.Env = append(os.Environ(), "ZITADEL_ISSUER="+zitadel.Issuer(), "ADMIN_TOKEN="+zitadel.AdminPAT(), "no_proxy=127.0.0.1")
		var errs bytes.Buffer
		c.Stderr = &errs
		out, err := c.Output()
		require.NoError(t, err, errs.String())
		return string(out)
	}
	token := strings.TrimSpace(bash(blocks("setup") + `echo "$TOKEN"`))
	url, stop := start(t, map[string]string{
		"ZITADEL_ISSUER": zitadel.Issuer(), "ZITADEL_API_KEY_FILE": filepath.Join(dir, "api-key.json"),
	})
	defer stop()
	calls := strings.ReplaceAll(blocks("call"), "http://127.0.0.1:8080", url)
	assert.Equal(t, shown, bash("TOKEN='"+token+"'\n"+calls))
	assert.Equal(t, "401\n200\n", shown)
}

// start runs the API on a free port, and returns its URL and a func that ends it and returns what it printed last.
func start(t *testing.T, vars map[string]string) (url string, stop func() string) {
	t.Helper()
	vars["ORDERS_ADDR"] = "127.0.0.1:0"
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, environment(vars), w)
		w.CloseWithError(io.EOF)
		ended <- err
	}()
	out := bufio.NewReader(r)
	line, err := out.ReadString('\n')
	if err != nil {
		cancel()
		require.NoError(t, <-ended)
	}
	_, err = fmt.Sscanf(line, "orders API on %s", &url)
	require.NoError(t, err, line)
	return strings.TrimSuffix(url, ","), func() string {
		cancel()
		rest, err := io.ReadAll(out)
		assert.NoError(t, err)
		assert.NoError(t, <-ended)
		return string(rest)
	}
}

func status(t *testing.T, method, url, token string, into any) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	r.Close = true
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	if into != nil {
		require.NoError(t, json.NewDecoder(resp.Body).Decode(into))
	}
	return resp.StatusCode
}

func write(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key.json")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}
