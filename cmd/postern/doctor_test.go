package main

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/zitadeltest"
)

// Each row plants one fault, and says in which step doctor finds it and what its advice is about.
func TestDoctorNamesEachFault(t *testing.T) {
	for name, row := range map[string]struct {
		plant             func(t *testing.T, s *zitadeltest.Server, bot *zitadeltest.User) []string
		step, state, says string
	}{
		"no issuer": {func(*testing.T, *zitadeltest.Server, *zitadeltest.User) []string { return nil },
			"issuer", stateFault, "set ZITADEL_ISSUER"},
		"a host that has no address": {func(*testing.T, *zitadeltest.Server, *zitadeltest.User) []string {
			return []string{"ZITADEL_ISSUER=https://zitadel.invalid"}
		}, "name", stateFault, "correct the host"},
		"a port where nothing listens": {func(*testing.T, *zitadeltest.Server, *zitadeltest.User) []string {
			return []string{"ZITADEL_ISSUER=http://127.0.0.1:1"} // below the ports that are given out
		}, "connection", stateFault, "nothing listens there"},
		"a proxy that is not there": {func(*testing.T, *zitadeltest.Server, *zitadeltest.User) []string {
			return []string{"ZITADEL_ISSUER=https://zitadel.invalid", "HTTPS_PROXY=http://127.0.0.1:1"}
		}, "connection", stateFault, "correct HTTPS_PROXY"},
		"a certificate of an unknown authority": {func(t *testing.T, _ *zitadeltest.Server, _ *zitadeltest.User) []string {
			tls := httptest.NewTLSServer(nil)
			t.Cleanup(tls.Close)
			return []string{"ZITADEL_ISSUER=" + tls.URL}
		}, "connection", stateFault, "authority"},
		"https to a port without TLS": {func(_ *testing.T, s *zitadeltest.Server, _ *zitadeltest.User) []string {
			return []string{"ZITADEL_ISSUER=" + strings.Replace(s.Issuer(), "http:", "https:", 1)}
		}, "connection", stateFault, "correct scheme or port"},
		"an issuer that calls itself otherwise": {func(_ *testing.T, s *zitadeltest.Server, _ *zitadeltest.User) []string {
			return []string{"ZITADEL_ISSUER=" + strings.Replace(s.Issuer(), "127.0.0.1", "localhost", 1)}
		}, "discovery", stateFault, "own name for itself"},
		"a blocked instance": {func(_ *testing.T, s *zitadeltest.Server, bot *zitadeltest.User) []string {
			s.Block(true)
			return []string{"ZITADEL_ISSUER=" + s.Issuer(), "ZITADEL_PAT=" + bot.PAT()}
		}, "connection", stateFault, "the instance is blocked"},
		"a server that is down behind its proxy": {func(_ *testing.T, s *zitadeltest.Server, _ *zitadeltest.User) []string {
			s.Misbehave(zitadeltest.DiscoveryEndpoint, -1, zitadeltest.Status(503))
			return []string{"ZITADEL_ISSUER=" + s.Issuer()}
		}, "connection", stateFault, "look at its health"},
		"an address that leads elsewhere": {func(_ *testing.T, s *zitadeltest.Server, _ *zitadeltest.User) []string {
			s.Misbehave(zitadeltest.DiscoveryEndpoint, -1, zitadeltest.Status(302, "Location", "https://zitadel.example"))
			return []string{"ZITADEL_ISSUER=" + s.Issuer()}
		}, "connection", stateFault, "the URL that it leads to"},
		"a page in place of a ZITADEL": {func(_ *testing.T, s *zitadeltest.Server, _ *zitadeltest.User) []string {
			s.Misbehave(zitadeltest.DiscoveryEndpoint, -1, zitadeltest.Answer(200, "text/html", "<html>"))
			return []string{"ZITADEL_ISSUER=" + s.Issuer()}
		}, "discovery", stateFault, "the URL of ZITADEL"},
		"a slash too many": {func(_ *testing.T, s *zitadeltest.Server, _ *zitadeltest.User) []string {
			return []string{"ZITADEL_ISSUER=" + s.Issuer() + "/"}
		}, "discovery", stateFault, "without the slash at the end"},
		"a clock ten minutes off": {func(_ *testing.T, s *zitadeltest.Server, bot *zitadeltest.User) []string {
			s.SkewClock(10 * time.Minute)
			return []string{"ZITADEL_ISSUER=" + s.Issuer(), "ZITADEL_KEY_JSON=" + string(bot.KeyJSON())}
		}, "clock", stateWarning, "behind the server"},
		"a key that has expired": {func(_ *testing.T, s *zitadeltest.Server, bot *zitadeltest.User) []string {
			return []string{"ZITADEL_ISSUER=" + s.Issuer(), "ZITADEL_KEY_JSON=" + withExpiry(t, bot.KeyJSON(), time.Now().Add(-time.Hour))}
		}, "credential", stateFault, "expired"},
		"a personal access token that has expired": {func(t *testing.T, s *zitadeltest.Server, bot *zitadeltest.User) []string {
			// As package rotate leaves it: the token does not tell, the record beside it does.
			file := filepath.Join(t.TempDir(), "pat")
			r := runCLI(t, []string{"ZITADEL_ISSUER=" + s.Issuer(), "ZITADEL_PAT=" + bot.PAT()}, "", "pat", "create", "--to", file)
			require.Zero(t, r.code, r.err)
			record, err := os.ReadFile(file + ".state")
			require.NoError(t, err)
			past := regexp.MustCompile(`"expires": "[^"]*"`).ReplaceAll(record, []byte(`"expires": "2020-01-02T03:04:05Z"`))
			require.NotEqual(t, string(record), string(past))
			require.NoError(t, os.WriteFile(file+".state", past, 0o600))
			return []string{"ZITADEL_ISSUER=" + s.Issuer(), "ZITADEL_PAT_FILE=" + file}
		}, "credential", stateFault, "expired on 2020-01-02 03:04 it cannot renew itself"},
		"an application's key": {func(_ *testing.T, s *zitadeltest.Server, _ *zitadeltest.User) []string {
			key := s.AddProject("p").AddAPI("api").KeyJSON()
			return []string{"ZITADEL_ISSUER=" + s.Issuer(), "ZITADEL_KEY_JSON=" + string(key)}
		}, "credential", stateFault, "API application"},
		"a key that expires in three days": {func(_ *testing.T, s *zitadeltest.Server, bot *zitadeltest.User) []string {
			return []string{"ZITADEL_ISSUER=" + s.Issuer(), "ZITADEL_KEY_JSON=" + string(bot.KeyJSON(time.Now().Add(72*time.Hour)))}
		}, "credential", stateWarning, "postern key rotate"},
		"a wrong client secret": {func(_ *testing.T, s *zitadeltest.Server, bot *zitadeltest.User) []string {
			bot.ClientSecret()
			return []string{"ZITADEL_ISSUER=" + s.Issuer(), "ZITADEL_CLIENT_ID=" + bot.LoginName, "ZITADEL_CLIENT_SECRET=wrong"}
		}, "token", stateFault, "client secret is wrong"},
		"a client that is not there": {func(_ *testing.T, s *zitadeltest.Server, bot *zitadeltest.User) []string {
			return []string{"ZITADEL_ISSUER=" + s.Issuer(), "ZITADEL_CLIENT_ID=" + bot.ID + "0", "ZITADEL_CLIENT_SECRET=wrong"}
		}, "token", stateFault, "login name"},
		"a personal access token that was removed": {func(_ *testing.T, s *zitadeltest.Server, bot *zitadeltest.User) []string {
			pat := bot.PAT()
			s.Revoke(pat)
			return []string{"ZITADEL_ISSUER=" + s.Issuer(), "ZITADEL_PAT=" + pat}
		}, "audience", stateFault, "create a new one"},
		"a user without a role": {func(_ *testing.T, s *zitadeltest.Server, _ *zitadeltest.User) []string {
			return []string{"ZITADEL_ISSUER=" + s.Issuer(), "ZITADEL_PAT=" + s.AddServiceUser("nobody").PAT()}
		}, "role", stateWarning, "membership not found"},
		"a role in another organisation": {func(_ *testing.T, s *zitadeltest.Server, bot *zitadeltest.User) []string {
			return []string{"ZITADEL_ISSUER=" + s.Issuer(), "ZITADEL_PAT=" + bot.PAT(), "ORG=" + s.AddOrg("other").ID}
		}, "role", stateWarning, "membership not found"},
		"an API with a wrong secret": {func(_ *testing.T, s *zitadeltest.Server, bot *zitadeltest.User) []string {
			api := s.AddProject("p").AddAPI("api")
			return []string{"ZITADEL_ISSUER=" + s.Issuer(), "ZITADEL_PAT=" + bot.PAT(),
				"ZITADEL_API_CLIENT_ID=" + api.ClientID, "ZITADEL_API_CLIENT_SECRET=wrong"}
		}, "introspection", stateFault, "its key or secret"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := zitadeltest.Start(t)
			env := row.plant(t, s, s.AddServiceUser("bot", zitadeltest.WithOrgRole("ORG_OWNER")))
			args := []string{"doctor", "--json"}
			for _, variable := range env {
				if id, ok := strings.CutPrefix(variable, "ORG="); ok {
					args = append(args, "--org", id)
				}
			}
			r := runCLI(t, env, "", args...)
			var report struct {
				Steps   []finding
				Verdict string
			}
			require.NoError(t, json.Unmarshal([]byte(r.out), &report), r.out+r.err)
			found := map[string]finding{}
			for _, f := range report.Steps {
				found[f.Step] = f
				if f.Step != row.step {
					assert.NotEqual(t, stateFault, f.State, "%+v", f)
				}
			}
			f := found[row.step]
			assert.Equal(t, row.state, f.State, r.out)
			assert.Contains(t, f.Found+" "+f.Fix, row.says)
			assert.NotEmpty(t, f.Fix)
			if row.state == stateFault {
				assert.Equal(t, 1, r.code)
				assert.Equal(t, "A service with this configuration does not work: see "+row.step+".", report.Verdict)
			} else {
				assert.Zero(t, r.code)
			}
		})
	}
}

func TestDoctorFindsNothingWrongWhereNothingIs(t *testing.T) {
	s := zitadeltest.Start(t)
	api := s.AddProject("p").AddAPI("api")
	bot := s.AddServiceUser("bot", zitadeltest.WithOrgRole("ORG_OWNER"))
	for _, credential := range []string{"ZITADEL_PAT=" + bot.PAT(), "ZITADEL_KEY_JSON=" + string(bot.KeyJSON())} {
		r := runCLI(t, []string{"ZITADEL_ISSUER=" + s.Issuer(), credential, "ZITADEL_API_KEY_FILE=" + write(t, "api.json", api.KeyJSON())}, "", "doctor")
		assert.Zero(t, r.code, r.out)
		assert.NotContains(t, r.out, "✗")
	}
}

func withExpiry(t *testing.T, key []byte, at time.Time) string {
	var file map[string]any
	require.NoError(t, json.Unmarshal(key, &file))
	file["expirationDate"] = at.UTC().Format(time.RFC3339)
	changed, err := json.Marshal(file)
	require.NoError(t, err)
	return string(changed)
}
