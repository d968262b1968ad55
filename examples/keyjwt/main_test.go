package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/zitadeltest"
)

func TestItPrintsTheOrganisation(t *testing.T) {
	s := zitadeltest.Start(t)
	path := filepath.Join(t.TempDir(), "key.json")
	require.NoError(t, os.WriteFile(path, s.AddServiceUser("bot", zitadeltest.WithOrgRole("ORG_OWNER")).KeyJSON(), 0o600))
	t.Setenv("ZITADEL_KEY_FILE", path)
	var out bytes.Buffer
	require.NoError(t, run(s.Issuer(), &out))
	assert.Contains(t, out.String(), s.OrgID())
}

func TestARefusalIsAnErrorThatNamesTheStatus(t *testing.T) {
	s := zitadeltest.Start(t)
	path := filepath.Join(t.TempDir(), "key.json")
	require.NoError(t, os.WriteFile(path, s.AddServiceUser("bot").KeyJSON(), 0o600))
	t.Setenv("ZITADEL_KEY_FILE", path)
	var out bytes.Buffer
	assert.ErrorContains(t, run(s.Issuer(), &out), "404")
	assert.Contains(t, out.String(), "membership not found", "and what the API says is shown")
}
