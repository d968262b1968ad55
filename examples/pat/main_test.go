package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/zitadeltest"
)

func TestItPrintsTheOrganisation(t *testing.T) {
	s := zitadeltest.Start(t)
	t.Setenv("ZITADEL_PAT", s.AddServiceUser("bot", zitadeltest.WithOrgRole("ORG_OWNER")).PAT())
	var out bytes.Buffer
	require.NoError(t, run(s.Issuer(), &out))
	assert.Contains(t, out.String(), s.OrgID())
}

func TestARefusalIsAnErrorThatNamesTheStatus(t *testing.T) {
	s := zitadeltest.Start(t)
	t.Setenv("ZITADEL_PAT", s.AddServiceUser("bot").PAT())
	var out bytes.Buffer
	assert.ErrorContains(t, run(s.Issuer(), &out), "404")
	assert.Contains(t, out.String(), "membership not found", "and what the API says is shown")
}
