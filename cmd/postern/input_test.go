package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/zitadeltest"
)

// Nothing is ever written to the standard input of these, and it stays open.
func TestAnInterruptEndsWhatWaitsForInput(t *testing.T) {
	s := zitadeltest.Start(t)
	for name, args := range map[string][]string{
		"a question": {"pat", "remove", "123"},
		"a body":     {"call", "POST", "/", "--data", "-"},
	} {
		t.Run(name, func(t *testing.T) {
			in, write, err := os.Pipe()
			require.NoError(t, err)
			defer in.Close()
			defer write.Close()
			cmd := exec.CommandContext(t.Context(), binary, args...)
			cmd.Env = admin(s)
			cmd.Stdin = in
			stderr, err := cmd.StderrPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			if name == "a question" { // where the program says that it is ready, wait for that
				_, err := bufio.NewReader(stderr).ReadString(']')
				require.NoError(t, err)
			} else { // a writer is ready when somebody reads
				fill(t, write)
			}
			require.NoError(t, cmd.Process.Signal(os.Interrupt))
			_, _ = io.Copy(io.Discard, stderr)
			_ = cmd.Wait()
			assert.Equal(t, exitInterrupted, cmd.ProcessState.ExitCode())
		})
	}
}

// fill writes more than a pipe holds, so that it returns when the other side has begun to read.
func fill(t *testing.T, pipe *os.File) {
	t.Helper()
	_, err := pipe.Write(bytes.Repeat([]byte("a"), 64<<10+1))
	require.NoError(t, err)
}

func TestInputIsReadToALimitAndNeverCut(t *testing.T) {
	s := zitadeltest.Start(t)
	api := s.AddProject("p").AddAPI("api")
	env := append(admin(s), "ZITADEL_API_CLIENT_ID="+api.ClientID, "ZITADEL_API_CLIENT_SECRET="+api.ClientSecret)
	r := runCLI(t, env, strings.Repeat("a", maxToken+1), "introspect")
	assert.Equal(t, exitUsage, r.code)
	assert.Contains(t, r.err, "expected at most 16384 bytes")
	r = runCLI(t, env, strings.Repeat("a", maxToken), "introspect")
	assert.Equal(t, exitRefused, r.code)
	assert.Contains(t, r.out, "one answer for all of these", "the server was asked about all of it")

	big := filepath.Join(t.TempDir(), "big.json")
	require.NoError(t, os.WriteFile(big, bytes.Repeat([]byte(" "), maxCallBody+1), 0o600))
	for name, args := range map[string][]string{
		"a file": {"--data", big}, "a directory": {"--data", t.TempDir()}, "a file that is not there": {"--data", big + "x"},
	} {
		before := s.Calls(zitadeltest.AnyEndpoint)
		r := runCLI(t, env, "", append([]string{"call", "POST", "/management/v1/users/_search"}, args...)...)
		assert.Equal(t, exitUsage, r.code, name)
		assert.Contains(t, r.err, "--data: ", name)
		assert.Equal(t, before, s.Calls(zitadeltest.AnyEndpoint), "nothing was sent")
	}
}

func TestAnEmptyFlagDoesNotFallBackToTheEnvironment(t *testing.T) {
	s := zitadeltest.Start(t)
	for _, flag := range []string{"--pat-file", "--key-file", "--client-id", "--client-secret-file", "--issuer"} {
		r := runCLI(t, admin(s), "", "whoami", flag, "")
		assert.Equal(t, exitUsage, r.code, flag)
		assert.Contains(t, r.err, flag+": expected a value")
	}
	assert.Zero(t, s.Calls(zitadeltest.AnyEndpoint))
}

func TestAGroupKnowsItsCommands(t *testing.T) {
	for _, group := range []string{"pat", "key", "revocation", "completion"} {
		assert.Zero(t, runCLI(t, nil, "", group).code, "its help")
		r := runCLI(t, nil, "", group, "dance")
		assert.Equal(t, exitUsage, r.code, group)
		assert.Contains(t, r.err, "unknown command")
	}
}
