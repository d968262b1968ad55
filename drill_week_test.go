package postern_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/jwtprofile"
	"github.com/postern-go/postern/keyfile"
	"github.com/postern-go/postern/zitadeltest"
)

// A week against a server whose token endpoint is down for an hour each day, and whose clock drifts by a minute a day, with tokens
// of 12 hours: no call ever fails, and the endpoint gets fewer than 20 requests a day, those in vain included. The hour is
// moved through the day, and thereby over the renewals; at times it refuses connections, at times it answers 503.
func TestAWeekOfOutagesAndDrift(t *testing.T) {
	most, run := 0, 0
	for outage := time.Hour; outage < 23*time.Hour; outage += 3 * time.Hour {
		fault, drift := zitadeltest.Drop(), time.Minute
		if run%2 == 1 {
			fault = zitadeltest.Status(http.StatusServiceUnavailable)
		}
		if run/2%2 == 1 {
			drift = -drift
		}
		run++
		synctest.Test(t, func(t *testing.T) {
			for day, requests := range week(t, outage, drift, fault) {
				assert.Less(t, requests, 20, "day %d, outage at %s, drift %s a day", day+1, outage, drift)
				most = max(most, requests)
			}
		})
	}
	t.Logf("at most %d token requests a day", most)
}

// week plays one week through with a call every 5 minutes, and returns the token requests of each day.
func week(t *testing.T, outage, drift time.Duration, fault zitadeltest.Fault) (requests []int) {
	const tokenEndpoint = zitadeltest.Endpoint("/oauth/v2/token")
	server := zitadeltest.Start(t, zitadeltest.Config{InMemory: true})
	user := server.AddServiceUser("bot", zitadeltest.WithOrgRole("ORG_OWNER"))
	key, err := keyfile.Parse(user.KeyJSON())
	require.NoError(t, err)
	src, err := jwtprofile.New(jwtprofile.Config{Issuer: server.Issuer(), Key: key, HTTPClient: server.Client(), Logger: quiet()})
	require.NoError(t, err)
	client := &http.Client{Transport: &postern.Transport{Source: src, Origins: []string{server.Issuer()}, Base: server.Transport()}}

	const step = 5 * time.Minute
	for day := range 7 {
		before := server.Calls(tokenEndpoint)
		for at := time.Duration(0); at < 24*time.Hour; at += step {
			switch at.Truncate(step) {
			case outage.Truncate(step):
				server.Misbehave(tokenEndpoint, -1, fault)
			case outage.Truncate(step) + time.Hour:
				server.Behave()
			}
			server.SkewClock(time.Duration(float64(drift) * (float64(day) + at.Hours()/24)))
			resp, err := client.Get(server.Issuer() + "/management/v1/orgs/me")
			if assert.NoError(t, err) {
				resp.Body.Close()
				assert.Equal(t, http.StatusOK, resp.StatusCode)
			}
			time.Sleep(step)
		}
		requests = append(requests, server.Calls(tokenEndpoint)-before)
	}
	return requests
}
