package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The guide's commands are run as they stand, by a shell.
func TestTheCommandsOfTheGuideWork(t *testing.T) {
	guide, err := os.ReadFile("../../docs/first-call.md")
	require.NoError(t, err)
	issuer, adminPAT := startDevserver(t)
	dir := t.TempDir()
	blocks := strings.Split(string(guide), "```sh\n")[1:]
	require.Len(t, blocks, 3, "one a method")
	for _, block := range blocks {
		script, _, closed := strings.Cut(block, "```")
		require.True(t, closed)
		cmd := exec.Command("sh", "-ec", script)
		cmd.Dir = dir
		cmd.Env = []string{"PATH=" + filepath.Dir(binary) + ":" + os.Getenv("PATH"), "ZITADEL_ISSUER=" + issuer, "ZITADEL_PAT_FILE=" + adminPAT}
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s\n%s", script, out)
		assert.Contains(t, string(out), "ORG_STATE_ACTIVE")
	}
}
