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
