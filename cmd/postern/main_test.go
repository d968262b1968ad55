package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/keyfile"
	"github.com/postern-go/postern/zitadeltest"
)

// binary is the command, built once for all tests: they run it as its users do.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "postern")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "postern")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		panic(string(out))
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// result is what a run of the command left behind.
type result struct {
	out, err string
	code     int
}

// runCLI runs the command with nothing in its environment but env.
func runCLI(t testing.TB, env []string, stdin string, args ...string) result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, env...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return result{out.String(), errOut.String(), cmd.ProcessState.ExitCode()}
}

// admin is the environment of a server's administrator.
func admin(s *zitadeltest.Server) []string {
	return []string{"ZITADEL_ISSUER=" + s.Issuer(), "ZITADEL_PAT=" + s.AdminPAT()}
}

func write(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	for _, command := range [][]string{
		nil, {"token"}, {"whoami"}, {"call"}, {"bootstrap"}, {"introspect"}, {"doctor"},
		{"pat"}, {"pat", "list"}, {"pat", "create"}, {"pat", "rotate"}, {"pat", "remove"},
		{"revocation"}, {"revocation", "setup"}, {"revocation", "check"}, {"help"},
		{"completion"}, {"completion", "bash"}, {"completion", "zsh"}, {"completion", "fish"}, {"completion", "powershell"},
		{"key"}, {"key", "list"}, {"key", "create"}, {"key", "rotate"}, {"key", "remove"},
	} {
		t.Run(strings.Join(command, " "), func(t *testing.T) {
			r := runCLI(t, nil, "", append(command, "--help")...)
			assert.Zero(t, r.code)
			assert.Contains(t, r.out, "Examples:\n  ")
			assert.Contains(t, r.out, strings.TrimSpace("postern "+strings.Join(command, " ")))
		})
	}
}

func TestCompletionForEachShell(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		r := runCLI(t, nil, "", "completion", shell)
		assert.Zero(t, r.code)
		assert.Contains(t, r.out, "postern")
	}
}

func TestExitCodes(t *testing.T) {
	s := zitadeltest.Start(t)
	nobody := s.AddServiceUser("nobody")
	removedKey := string(nobody.KeyJSON())
	key, err := keyfile.Parse([]byte(removedKey))
	require.NoError(t, err)
	require.Zero(t, runCLI(t, []string{"ZITADEL_ISSUER=" + s.Issuer(), "ZITADEL_PAT=" + nobody.PAT()}, "", "key", "remove", key.ID, "--yes").code)
	for name, row := range map[string]struct {
		env  []string
		args []string
		code int
		says string
	}{
		"done":                               {admin(s), []string{"whoami"}, 0, ""},
		"the server refused":                 {[]string{"ZITADEL_ISSUER=" + s.Issuer(), "ZITADEL_PAT=" + nobody.PAT()}, []string{"call", "GET", "/management/v1/orgs/me"}, 1, "membership not found"},
		"an unknown command":                 {nil, []string{"dance"}, 2, "unknown command"},
		"help for an unknown command":        {nil, []string{"help", "dance"}, 2, "see postern --help"},
		"help for an unknown one of a group": {nil, []string{"help", "pat", "dance"}, 2, "unknown command"},
		"an unknown flag":                    {nil, []string{"whoami", "--loud"}, 2, "unknown flag"},
		"too few arguments":                  {nil, []string{"call", "GET"}, 2, "accepts 2 arg(s), received 1: see postern call --help"},
		"no credential":                      {[]string{"ZITADEL_ISSUER=" + s.Issuer()}, []string{"whoami"}, 2, "expected one of ZITADEL_PAT"},
		"two credentials":                    {append(admin(s), "ZITADEL_KEY_FILE=key.json"), []string{"whoami"}, 2, "unset all but one"},
		"a path without slash":               {admin(s), []string{"call", "GET", "management"}, 2, "begins with a slash"},
		"the server cannot be asked":         {[]string{"ZITADEL_ISSUER=http://127.0.0.1:1", "ZITADEL_PAT=abc"}, []string{"whoami"}, 3, "unavailable"},
		"an API that cannot be asked":        {[]string{"ZITADEL_ISSUER=http://127.0.0.1:1", "ZITADEL_PAT=abc"}, []string{"call", "GET", "/"}, 3, "unavailable"},
		"an organisation that is no id":      {admin(s), []string{"whoami", "--org", "a\nb"}, 2, "--org: expected"},
		"a key that is refused":              {[]string{"ZITADEL_ISSUER=" + s.Issuer(), "ZITADEL_KEY_JSON=" + removedKey}, []string{"call", "GET", "/"}, 1, "invalid_grant"},
		"removal that nobody confirmed":      {admin(s), []string{"pat", "remove", "123"}, 2, "not confirmed"},
	} {
		t.Run(name, func(t *testing.T) {
			r := runCLI(t, row.env, "", row.args...)
			assert.Equal(t, row.code, r.code, r.err)
			assert.Contains(t, r.err, row.says)
		})
	}
}

// A token that is another user's is not said to be removed: it goes on working.
func TestWhatTheUserDoesNotHaveIsNotSaidToBeRemoved(t *testing.T) {
	s := zitadeltest.Start(t)
	bot := s.AddServiceUser("bot")
	id, _ := bot.PATWithID()
	r := runCLI(t, admin(s), "", "pat", "remove", id, "--yes")
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.err, "which it does not have")
	assert.Empty(t, r.out)
	assert.Zero(t, runCLI(t, admin(s), "", "pat", "remove", id, "--user", bot.ID, "--yes").code)
	assert.Equal(t, 1, runCLI(t, admin(s), "", "pat", "remove", id, "--user", bot.ID, "--yes").code, "it is gone")
	token := bot.PAT()
	r = runCLI(t, admin(s), "", "pat", "remove", token)
	assert.Equal(t, 2, r.code, "a token is no id")
	assert.NotContains(t, r.err, token)
}

func TestFlagsSpeakForTheEnvironment(t *testing.T) {
	s := zitadeltest.Start(t)
	bot := s.AddServiceUser("bot")
	file := write(t, "pat", []byte(bot.PAT()+"\n"))
	r := runCLI(t, admin(s), "", "whoami", "--pat-file", file)
	require.Zero(t, r.code, r.err)
	assert.Contains(t, r.out, bot.ID)
	assert.Contains(t, r.out, "ZITADEL_PAT_FILE")
}

func TestTokenPrintsWhatItIsAskedFor(t *testing.T) {
	s := zitadeltest.Start(t)
	bot := s.AddServiceUser("bot")
	pat := bot.PAT()
	env := []string{"ZITADEL_ISSUER=" + s.Issuer(), "ZITADEL_PAT=" + pat}
	assert.Equal(t, pat+"\n", runCLI(t, env, "", "token").out)
	assert.Equal(t, "Authorization: Bearer "+pat+"\n", runCLI(t, env, "", "token", "-H").out)
	assert.Contains(t, runCLI(t, env, "", "token", "--json").out, `"access_token": "`+pat+`"`)
}

// Only token, and create with --to -, print a secret, because that is what they are for.
func TestNoOtherCommandShowsASecret(t *testing.T) {
	s := zitadeltest.Start(t)
	bot := s.AddServiceUser("bot", zitadeltest.WithOrgRole("ORG_OWNER"))
	pat := bot.PAT()
	env := []string{"ZITADEL_ISSUER=" + s.Issuer(), "ZITADEL_PAT=" + pat}
	dir := t.TempDir()
	for _, args := range [][]string{
		{"whoami"}, {"whoami", "--json"}, {"pat", "list"}, {"pat", "list", "--json"}, {"key", "list"}, {"doctor"}, {"doctor", "--json"},
		{"pat", "create", "--to", filepath.Join(dir, "pat")}, {"key", "create", "--to", filepath.Join(dir, "key"), "--json"},
		{"bootstrap", "--user", "other", "--secret-to", filepath.Join(dir, "secret"), "--yes"},
		{"call", "GET", "/management/v1/orgs/me"},
	} {
		r := runCLI(t, env, "", args...)
		require.Zero(t, r.code, "%v: %s", args, r.err)
		secrets := []string{pat, "PRIVATE KEY"}
		for _, name := range []string{"pat", "secret"} {
			if content, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
				secrets = append(secrets, strings.TrimSpace(string(content)))
			}
		}
		for _, secret := range secrets {
			assert.NotContains(t, r.out+r.err, secret, "%v", args)
		}
	}
}

func TestFilesAreNotOverwrittenAndBelongToTheirOwner(t *testing.T) {
	s := zitadeltest.Start(t)
	file := write(t, "pat", []byte("precious"))
	r := runCLI(t, admin(s), "", "pat", "create", "--to", file)
	assert.Equal(t, 2, r.code)
	assert.Contains(t, r.err, "is there already")
	fresh := filepath.Join(t.TempDir(), "key.json")
	r = runCLI(t, admin(s), "", "key", "create", "--to", fresh)
	require.Zero(t, r.code, r.err)
	info, err := os.Stat(fresh)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestIntrospectShowsWhatAnAPISees(t *testing.T) {
	s := zitadeltest.Start(t)
	project := s.AddProject("orders", "viewer", "admin")
	api := project.AddAPI("api")
	bot := s.AddServiceUser("bot", zitadeltest.WithProjectRole(project, "viewer"))
	env := []string{"ZITADEL_ISSUER=" + s.Issuer(), "ZITADEL_API_CLIENT_ID=" + api.ClientID, "ZITADEL_API_CLIENT_SECRET=" + api.ClientSecret}

	r := runCLI(t, env, bot.PAT(), "introspect")
	require.Zero(t, r.code, r.err)
	assert.Contains(t, r.out, "bot ("+bot.ID+")")
	assert.Contains(t, r.out, "viewer, granted by ")
	assert.NotContains(t, r.out, "admin, granted", "a scope is no role")

	r = runCLI(t, env, s.IssueToken(bot), "introspect")
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.out, "urn:zitadel:iam:org:project:id:{project id}:aud")
	r = runCLI(t, env, "Authorization: Bearer "+bot.PAT(), "introspect")
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.out, "refused: expected a token of letters, digits")
	r = runCLI(t, append(env, "ZITADEL_API_CLIENT_SECRET=wrong"), bot.PAT(), "introspect")
	assert.Equal(t, 1, r.code, "the server was asked, and refused the API")
	assert.Contains(t, r.err, "unauthorized_client")
	assert.NotContains(t, r.err, "unavailable")
	r = runCLI(t, env, "", "introspect")
	assert.Equal(t, 2, r.code)
	assert.Contains(t, r.err, "expected a token on the standard input")
}

func TestBootstrapTwiceDoesNothingTwice(t *testing.T) {
	s := zitadeltest.Start(t)
	file := filepath.Join(t.TempDir(), "pat")
	args := []string{"bootstrap", "--user", "ci-bot", "--role", "ORG_OWNER", "--pat-to", file}
	r := runCLI(t, admin(s), "n\n", args...)
	assert.Equal(t, 2, r.code)
	assert.Contains(t, r.err, "create the service user ci-bot")
	assert.NoFileExists(t, file)

	r = runCLI(t, admin(s), "y\n", args...)
	require.Zero(t, r.code, r.err)
	first, err := os.ReadFile(file)
	require.NoError(t, err)
	r = runCLI(t, admin(s), "", append(args, "--yes", "--json")...)
	require.Zero(t, r.code, r.err)
	assert.Contains(t, r.out, `"created_user": false`)
	assert.Contains(t, r.out, `"created_credential": false`)
	second, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, first, second)
	list := runCLI(t, []string{"ZITADEL_ISSUER=" + s.Issuer()}, "", "pat", "list", "--json", "--pat-file", file)
	assert.Equal(t, 1, strings.Count(list.out, `"id"`))
}
