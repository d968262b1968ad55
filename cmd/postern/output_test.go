package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/zitadeltest"
)

func TestAColourTakesNoRoomInATable(t *testing.T) {
	var out bytes.Buffer
	a := &app{out: &out}
	mark := "\x1b[" + yellow + "m!" + sgrEnd
	require.NoError(t, a.printTable([]string{"", "ID", "LEFT"}, []string{mark, "12345", "1 hour"}, []string{"", "6", ""}))
	assert.Equal(t, "   ID     LEFT\n"+mark+"  12345  1 hour\n   6\n", out.String())
}

func TestATableShowsNoControlCharacters(t *testing.T) {
	var out bytes.Buffer
	a := &app{out: &out}
	require.NoError(t, a.printTable([]string{"user", "\x1b]0;owned\x07eve\r\nadmin \u202e\u0085é"}))
	assert.Equal(t, "user  ?]0;owned?eve??admin ??é\n", out.String())
}

func TestExpiryIsToldInWords(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	for want, at := range map[string]time.Time{
		"unknown":                            {},
		"never":                              time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		"2026-01-02 03:03, expired":          now.Add(-time.Minute),
		"2026-01-02 05:03, 119 minutes left": now.Add(119 * time.Minute),
		"2026-01-04 02:04, 47 hours left":    now.Add(47 * time.Hour),
		"2026-01-09 03:04, 7 days left":      now.Add(7 * 24 * time.Hour),
	} {
		assert.Equal(t, want, withLeft(at, now))
	}
}

func TestCreatePrintsTheSecretWhenAsked(t *testing.T) {
	s := zitadeltest.Start(t)
	bot := s.AddServiceUser("bot")
	env := []string{"ZITADEL_ISSUER=" + s.Issuer(), "ZITADEL_PAT=" + bot.PAT()}
	r := runCLI(t, env, "", "pat", "create", "--to", "-", "--json", "--expires", "10m")
	require.Zero(t, r.code, r.err)
	var made struct{ ID, Token, Expires string }
	require.NoError(t, json.Unmarshal([]byte(r.out), &made))
	assert.NotEmpty(t, made.ID)
	assert.NotEmpty(t, made.Expires)
	assert.Contains(t, runCLI(t, []string{"ZITADEL_ISSUER=" + s.Issuer(), "ZITADEL_PAT=" + made.Token}, "", "whoami").out, bot.ID)
	r = runCLI(t, env, "", "key", "create", "--to", "-", "--json")
	require.Zero(t, r.code, r.err)
	assert.Contains(t, runCLI(t, []string{"ZITADEL_ISSUER=" + s.Issuer(), "ZITADEL_KEY_JSON=" + r.out}, "", "whoami").out, bot.ID)
}

// The reader of the pipe is gone: nobody gets the credential, so none may be left.
func TestACredentialThatCannotBePrintedIsRemovedAgain(t *testing.T) {
	s := zitadeltest.Start(t)
	env := []string{"ZITADEL_ISSUER=" + s.Issuer(), "ZITADEL_PAT=" + s.AddServiceUser("bot").PAT()}
	for _, kind := range []string{"pat", "key"} {
		before := runCLI(t, env, "", kind, "list", "--json").out
		read, write, err := os.Pipe()
		require.NoError(t, err)
		require.NoError(t, read.Close())
		cmd := exec.CommandContext(t.Context(), binary, kind, "create", "--to", "-")
		cmd.Env = env
		cmd.Stdout = write
		stderr, err := cmd.StderrPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		require.NoError(t, write.Close())
		said, err := io.ReadAll(stderr)
		require.NoError(t, err)
		_ = cmd.Wait()
		assert.Equal(t, exitRefused, cmd.ProcessState.ExitCode())
		assert.Contains(t, string(said), "was removed again")
		assert.Equal(t, ids(t, before), ids(t, runCLI(t, env, "", kind, "list", "--json").out))
	}
}
