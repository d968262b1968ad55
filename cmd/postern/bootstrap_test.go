package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/zitadeltest"
)

func bootstrapCLI(t *testing.T, s *zitadeltest.Server, args ...string) result {
	t.Helper()
	return runCLI(t, admin(s), "", append([]string{"bootstrap", "--yes"}, args...)...)
}

// What it says is ready has to be: a file that is there is looked at.
func TestBootstrapTakesNoFileForACredentialThatIsNone(t *testing.T) {
	s := zitadeltest.Start(t)
	bot, other := s.AddServiceUser("bot"), s.AddServiceUser("other")
	bot.ClientSecret()
	removed := bot.PAT()
	s.Revoke(removed)
	for name, row := range map[string]struct {
		flag, content, says string
	}{
		"an empty file":           {"--pat-to", "", "expected a personal access token of bot that works"},
		"something else":          {"--key-to", "hello", "expected a key of bot that works"},
		"another user's token":    {"--pat-to", other.PAT(), "it is of other"},
		"another user's key":      {"--key-to", string(other.KeyJSON()), "it is of other"},
		"a token that is removed": {"--pat-to", removed, "of bot that works"},
		"a wrong secret":          {"--secret-to", "wrong", "expected a client secret of bot that works"},
	} {
		t.Run(name, func(t *testing.T) {
			file := write(t, "file", []byte(row.content))
			r := bootstrapCLI(t, s, "--user", "bot", "--role", "ORG_OWNER", row.flag, file)
			assert.Equal(t, exitUsage, r.code)
			assert.Contains(t, r.err, row.says)
			content, err := os.ReadFile(file)
			require.NoError(t, err)
			assert.Equal(t, row.content, string(content))
		})
	}
	list := runCLI(t, admin(s), "", "call", "POST", "/management/v1/orgs/me/members/_search")
	assert.NotContains(t, list.out, bot.ID, "no role was given")
}

func TestBootstrapIsContentWithEachCredentialThatWorks(t *testing.T) {
	s := zitadeltest.Start(t)
	for _, flag := range []string{"--pat-to", "--key-to", "--secret-to"} {
		file := filepath.Join(t.TempDir(), "file")
		args := []string{"--user", "bot" + flag, "--role", "ORG_OWNER_VIEWER", flag, file, "--json"}
		r := bootstrapCLI(t, s, args...)
		require.Zero(t, r.code, r.err)
		r = bootstrapCLI(t, s, args...)
		require.Zero(t, r.code, r.err)
		assert.Contains(t, r.out, `"created_credential": false`)
		assert.Equal(t, 3, strings.Count(r.err, ": there already"), r.err)
		info, err := os.Stat(file)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
}

func TestBootstrapAddsARoleToThoseThatTheUserHas(t *testing.T) {
	s := zitadeltest.Start(t)
	file := filepath.Join(t.TempDir(), "pat")
	for _, role := range []string{"ORG_OWNER_VIEWER", "ORG_USER_MANAGER"} {
		r := bootstrapCLI(t, s, "--user", "bot", "--role", role, "--pat-to", file)
		require.Zero(t, r.code, r.err)
	}
	members := runCLI(t, admin(s), "", "call", "POST", "/management/v1/orgs/me/members/_search")
	assert.Contains(t, members.out, `"roles":["ORG_OWNER_VIEWER","ORG_USER_MANAGER"]`)
}

func TestBootstrapSaysThatANewSecretEndsTheOld(t *testing.T) {
	s := zitadeltest.Start(t)
	args := []string{"bootstrap", "--user", "bot", "--secret-to", filepath.Join(t.TempDir(), "secret")}
	assert.NotContains(t, runCLI(t, admin(s), "n\n", args...).err, "in place of any")
	s.AddServiceUser("bot")
	assert.Contains(t, runCLI(t, admin(s), "n\n", args...).err, "a client secret in place of any that it has")
}

// Two who start at once, as jobs of a pipeline do, end with one user, one role and one credential.
func TestTwoBootstrapsAtOnceEndWithOne(t *testing.T) {
	s := zitadeltest.Start(t)
	file := filepath.Join(t.TempDir(), "pat")
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			r := bootstrapCLI(t, s, "--user", "bot", "--role", "ORG_OWNER", "--pat-to", file)
			assert.Zero(t, r.code, r.err)
		})
	}
	group.Wait()
	list := runCLI(t, []string{"ZITADEL_ISSUER=" + s.Issuer(), "ZITADEL_PAT_FILE=" + file}, "", "pat", "list", "--json")
	assert.Len(t, ids(t, list.out), 1)
}

// Who cannot store a credential is told before a user or a credential is made.
func TestNothingIsMadeWhereNothingCanBeStored(t *testing.T) {
	s := zitadeltest.Start(t)
	file := filepath.Join(t.TempDir(), "none", "file")
	for _, flag := range []string{"--pat-to", "--key-to", "--secret-to"} {
		r := bootstrapCLI(t, s, "--user", "bot", flag, file)
		assert.Equal(t, exitUsage, r.code, flag)
		assert.Contains(t, r.err, "expected a directory")
	}
	for says, args := range map[string][]string{
		"expected at least 1m0s":        {"--pat-to", filepath.Join(t.TempDir(), "pat"), "--expires", "59s"},
		"stored and not printed":        {"--pat-to", "-"},
		"a client secret has no expiry": {"--secret-to", filepath.Join(t.TempDir(), "secret"), "--expires", "30d"},
	} {
		r := bootstrapCLI(t, s, append(args, "--user", "bot")...)
		assert.Equal(t, exitUsage, r.code)
		assert.Contains(t, r.err, says)
	}
	assert.NotContains(t, runCLI(t, admin(s), "", "call", "POST", "/management/v1/users/_search").out, `"bot"`)
	before := s.Calls(zitadeltest.AnyEndpoint)
	r := runCLI(t, admin(s), "", "pat", "create", "--to", file)
	assert.Equal(t, exitUsage, r.code)
	r = runCLI(t, admin(s), "", "pat", "rotate", file)
	assert.Equal(t, exitUsage, r.code)
	assert.Equal(t, before, s.Calls(zitadeltest.AnyEndpoint))
}
