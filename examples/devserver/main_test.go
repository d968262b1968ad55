package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// devserver runs the program until the test ends, and returns the issuer, the administrator's token and the curl lines it printed.
func devserver(t *testing.T) (issuer, pat string, curls []string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "it's the admin's.pat")
	ctx, stop := context.WithCancel(context.Background())
	read, write := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"-addr", "127.0.0.1:0", "-admin-pat-file", file}, write, io.Discard)
		write.Close()
	}()
	t.Cleanup(func() {
		stop()
		assert.NoError(t, <-ended)
	})

	lines := bufio.NewScanner(read)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "Issuer: "):
			issuer = strings.TrimPrefix(line, "Issuer: ")
		case strings.HasPrefix(line, "curl "):
			curls = append(curls, line)
		}
		if strings.HasPrefix(line, "Interrupt") {
			break
		}
	}
	go io.Copy(io.Discard, read) // ends with the program
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	return issuer, strings.TrimSpace(string(data)), curls
}

func TestPrintsTheIssuerAndWritesTheToken(t *testing.T) {
	issuer, pat, _ := devserver(t)
	assert.Regexp(t, `^http://127\.0\.0\.1:[1-9]\d*$`, issuer)
	assert.Len(t, strings.Split(pat, "."), 5)
}

func TestTheTokenFileIsReplacedWhateverItsMode(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pat")
	require.NoError(t, os.WriteFile(file, []byte("old and longer than the new one"), 0o644))
	require.NoError(t, writeSecret(file, "new"))
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "new\n", string(data))
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestCurlLinesWorkAsTheyStand(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		missing(t, "curl")
	}
	_, _, curls := devserver(t)
	require.Len(t, curls, 5)
	for _, line := range curls {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", line).CombinedOutput()
		require.NoError(t, err, "%s: %s", line, out)
		var answer map[string]any
		require.NoError(t, json.Unmarshal(out, &answer), "%s: %s", line, out)
		assert.NotContains(t, answer, "code", "%s", line)
		assert.NotContains(t, answer, "error", "%s", line)
		if strings.Contains(line, "introspect") {
			assert.Equal(t, true, answer["active"], "%s", line)
		}
	}
}

func TestTheNamesThatComeToMindAreFree(t *testing.T) {
	issuer, pat, _ := devserver(t)
	for path, body := range map[string]string{
		"/management/v1/projects": `{"name":"orders"}`, "/management/v1/users/machine": `{"userName":"bot","name":"Bot"}`,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, issuer+path, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+pat)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, http.StatusOK, resp.StatusCode, path)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestMistakesAreTold(t *testing.T) {
	for _, args := range [][]string{
		{"-addr", "nowhere"},
		{"-admin-pat-file", filepath.Join(t.TempDir(), "missing", "pat"), "-addr", "127.0.0.1:0"},
		{"surplus"},
		{"-no-such-flag"},
	} {
		assert.Error(t, run(t.Context(), args, io.Discard, io.Discard), "%q", args)
	}
}

// missing skips a test that needs a program which is not installed; in CI it fails.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing, and CI has to have it", what)
	}
	t.Skipf("%s is missing: install it to run this test", what)
}
