package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/zitadeltest"
)

func env(pairs ...string) func(string) string {
	values := make(map[string]string)
	for i := 0; i < len(pairs); i += 2 {
		values[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return values[name] }
}

func TestWithoutSettingsEachMethodSucceedsAndARefusalIsExplained(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), env(), &out))
	lines := strings.Split(out.String(), "\n")
	require.Contains(t, lines[2], "METHOD")
	for i, name := range []string{"personal access token", "private key JWT", "client credentials"} {
		assert.Regexp(t, "^"+name+` +ZITADEL +\d+ +opaque +\d+h\d+m\d+s +\d+$`, lines[3+i])
		assert.Equal(t, strings.Index(lines[2], "TOKEN"), strings.Index(lines[3+i], "opaque"), "columns are aligned")
	}
	for _, want := range []string{"status  400", "code    invalid_request", "Errors.User.Machine.Secret.Invalid", "hint    the client secret is wrong"} {
		assert.Contains(t, out.String(), want)
	}
}

// differs is what differs from run to run: numbers, times, and the room that they take.
var differs = regexp.MustCompile(`[\dhms.]*\d[\dhms.]*| +`)

func TestTheREADMEsShowWhatItPrints(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), env(), &out))
	for _, name := range []string{"README.md", "../../README.md"} {
		readme, err := os.ReadFile(name)
		require.NoError(t, err)
		assert.Contains(t, differs.ReplaceAllString(string(readme), "#"), differs.ReplaceAllString(out.String(), "#"), name)
	}
}

func TestAgainstAServerTheMethodsGivenAreShown(t *testing.T) {
	s := zitadeltest.Start(t)
	bot := s.AddServiceUser("bot", zitadeltest.WithOrgRole("ORG_OWNER"))
	dir := t.TempDir()
	patFile, keyFile := filepath.Join(dir, "pat"), filepath.Join(dir, "key.json")
	require.NoError(t, os.WriteFile(patFile, []byte(bot.PAT()+"\n"), 0o600))
	require.NoError(t, os.WriteFile(keyFile, bot.KeyJSON(), 0o600))
	for name, row := range map[string]struct {
		env  func(string) string
		want []string
	}{
		"a token":   {env("ZITADEL_ISSUER", s.Issuer(), "ZITADEL_PAT", bot.PAT()), []string{"personal access token"}},
		"its file":  {env("ZITADEL_ISSUER", s.Issuer(), "ZITADEL_PAT_FILE", patFile), []string{"personal access token (file)"}},
		"a key":     {env("ZITADEL_ISSUER", s.Issuer(), "ZITADEL_KEY_FILE", keyFile), []string{"private key JWT"}},
		"a secret":  {env("ZITADEL_ISSUER", s.Issuer(), "ZITADEL_CLIENT_ID", "bot", "ZITADEL_CLIENT_SECRET", bot.ClientSecret()), []string{"client credentials"}},
		"two kinds": {env("ZITADEL_ISSUER", s.Issuer(), "ZITADEL_PAT", bot.PAT(), "ZITADEL_KEY_FILE", keyFile), []string{"personal access token", "private key JWT"}},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			require.NoError(t, run(t.Context(), row.env, &out))
			rows := regexp.MustCompile(`(?m)^(\S.*?) {3,}ZITADEL `).FindAllStringSubmatch(out.String(), -1)
			var got []string
			for _, r := range rows {
				got = append(got, r[1])
			}
			assert.Equal(t, row.want, got)
			assert.NotContains(t, out.String(), "No ZITADEL_ISSUER")
			assert.Contains(t, out.String(), "hint")
		})
	}
}

func TestAFailureIsAnErrorThatSaysWhatToDo(t *testing.T) {
	s := zitadeltest.Start(t)
	nobody := s.AddServiceUser("nobody")
	for name, row := range map[string]struct {
		env  func(string) string
		want string
	}{
		"no credential":          {env("ZITADEL_ISSUER", s.Issuer()), "at least one of ZITADEL_PAT"},
		"no issuer":              {env("ZITADEL_PAT", "x"), "set ZITADEL_ISSUER"},
		"half of a pair":         {env("ZITADEL_ISSUER", s.Issuer(), "ZITADEL_CLIENT_ID", "bot"), "together"},
		"no such file":           {env("ZITADEL_ISSUER", s.Issuer(), "ZITADEL_KEY_FILE", "/nowhere/key.json"), "no such file"},
		"not an issuer":          {env("ZITADEL_ISSUER", "my-instance", "ZITADEL_CLIENT_ID", "bot", "ZITADEL_CLIENT_SECRET", "x"), "https://"},
		"a token of nobody's":    {env("ZITADEL_ISSUER", s.Issuer(), "ZITADEL_PAT", "x"), "401"},
		"a user without a role":  {env("ZITADEL_ISSUER", s.Issuer(), "ZITADEL_PAT", nobody.PAT()), "manager of the organisation"},
		"a secret that is wrong": {env("ZITADEL_ISSUER", s.Issuer(), "ZITADEL_CLIENT_ID", "nobody", "ZITADEL_CLIENT_SECRET", "x"), "client credentials: "},
		"nobody is listening":    {env("ZITADEL_ISSUER", "http://127.0.0.1:1", "ZITADEL_PAT", "x"), "personal access token: "},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			err := run(t.Context(), row.env, &out)
			assert.ErrorContains(t, err, row.want)
			assert.Empty(t, out.String())
		})
	}
}

func TestRowsBeforeAFailureAreShown(t *testing.T) {
	s := zitadeltest.Start(t)
	bot := s.AddServiceUser("bot", zitadeltest.WithOrgRole("ORG_OWNER"))
	var out bytes.Buffer
	err := run(t.Context(), env("ZITADEL_ISSUER", s.Issuer(), "ZITADEL_PAT", bot.PAT(), "ZITADEL_CLIENT_ID", "bot", "ZITADEL_CLIENT_SECRET", "x"), &out)
	assert.ErrorContains(t, err, "client credentials: ")
	assert.Contains(t, out.String(), "personal access token   ZITADEL")
}

func TestAnAnswerThatIsNoOrganisationIsAFailure(t *testing.T) {
	s := zitadeltest.Start(t)
	bot := s.AddServiceUser("bot", zitadeltest.WithOrgRole("ORG_OWNER"))
	for name, fault := range map[string]zitadeltest.Fault{
		"a page":  zitadeltest.Answer(http.StatusOK, "text/html", "<html>sign in</html>"),
		"nothing": zitadeltest.Answer(http.StatusOK, "application/json", "{}"),
		"down":    zitadeltest.Status(http.StatusBadGateway),
	} {
		t.Run(name, func(t *testing.T) {
			s.Misbehave(zitadeltest.ManagementEndpoint, 1, fault)
			assert.Error(t, run(t.Context(), env("ZITADEL_ISSUER", s.Issuer(), "ZITADEL_PAT", bot.PAT()), &bytes.Buffer{}))
		})
	}
}
