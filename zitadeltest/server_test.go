package zitadeltest_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/zitadeltest"
)

func TestServesItsOrganisationToAServiceUser(t *testing.T) {
	askForOrganisation(t, zitadeltest.Start(t))
}

func TestServesInASynctestBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		askForOrganisation(t, zitadeltest.Start(t, zitadeltest.Config{InMemory: true}))
	})
}

func askForOrganisation(t *testing.T, s *zitadeltest.Server) {
	bot := s.AddServiceUser("bot", zitadeltest.WithOrgRole("ORG_OWNER"))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Issuer()+"/management/v1/orgs/me", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+bot.PAT())
	resp, err := s.Client().Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	var answer struct{ Org struct{ ID string } }
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	assert.Equal(t, s.OrgID(), answer.Org.ID)
}
