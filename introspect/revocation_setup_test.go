package introspect_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/internal/zitadelapi"
	"github.com/postern-go/postern/introspect"
	"github.com/postern-go/postern/zitadeltest"
)

func adminOf(s *zitadeltest.Server) postern.TokenSource {
	return postern.FromOAuth2(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: s.AdminPAT()}))
}

func setupOf(s *zitadeltest.Server) introspect.RevocationSetup {
	return introspect.RevocationSetup{Issuer: s.Issuer(), Source: adminOf(s), HTTPClient: s.Client(), Endpoint: "https://api.example.com/events"}
}

func TestSetupRevocationRegistersForEveryEventAndMayRunAgain(t *testing.T) {
	s := zitadeltest.Start(t)
	registered := func() int { return s.Calls("/v2/actions/executions") - s.Calls("/v2/actions/executions/search") }
	first, err := introspect.SetupRevocation(t.Context(), setupOf(s))
	require.NoError(t, err)
	assert.True(t, first.Created)
	assert.NotEmpty(t, first.SigningKey())
	assert.Len(t, first.Events, 21)
	assert.Empty(t, first.Unknown)
	assert.Equal(t, 21, registered())

	again, err := introspect.SetupRevocation(t.Context(), setupOf(s))
	require.NoError(t, err)
	assert.False(t, again.Created)
	assert.Equal(t, []any{first.ID, first.SigningKey(), first.Events}, []any{again.ID, again.SigningKey(), again.Events})
	assert.Equal(t, 21, registered(), "what is as it should be is left alone")
}

func TestSetupRevocationKeepsOtherTargets(t *testing.T) {
	s := zitadeltest.Start(t)
	api, err := zitadelapi.New(zitadelapi.Config{Issuer: s.Issuer(), Source: adminOf(s), HTTPClient: s.Client()})
	require.NoError(t, err)
	var theirs struct{ ID string }
	require.NoError(t, api.Call(t.Context(), http.MethodPost, "/v2/actions/targets", map[string]any{
		"name": "audit", "endpoint": "https://audit.example.com", "timeout": "1s", "restAsync": map[string]any{},
	}, &theirs))
	require.NoError(t, api.Call(t.Context(), http.MethodPut, "/v2/actions/executions", map[string]any{
		"condition": map[string]any{"event": map[string]any{"event": "user.locked"}}, "targets": []string{theirs.ID},
	}, nil))
	ours, err := introspect.SetupRevocation(t.Context(), setupOf(s))
	require.NoError(t, err)
	assert.NotEqual(t, theirs.ID, ours.ID)
	var found struct {
		Executions []struct {
			Condition struct{ Event struct{ Event string } }
			Targets   []string
		}
	}
	require.NoError(t, api.Call(t.Context(), http.MethodPost, "/v2/actions/executions/search", map[string]any{}, &found))
	for _, e := range found.Executions {
		if e.Condition.Event.Event == "user.locked" {
			assert.Equal(t, []string{theirs.ID, ours.ID}, e.Targets)
		} else {
			assert.Equal(t, []string{ours.ID}, e.Targets)
		}
	}
}

func TestSetupRevocationTakesAlongWhoIsRegisteredForAGroupOrForAll(t *testing.T) {
	s := zitadeltest.Start(t)
	api, err := zitadelapi.New(zitadelapi.Config{Issuer: s.Issuer(), Source: adminOf(s), HTTPClient: s.Client()})
	require.NoError(t, err)
	others := map[string]string{} // names of targets by id
	for name, condition := range map[string]map[string]any{
		"all": {"all": true}, "user": {"group": "user"}, "grant": {"group": "user.grant"}, "removed": {"event": "user.grant.removed"},
	} {
		var target struct{ ID string }
		require.NoError(t, api.Call(t.Context(), http.MethodPost, "/v2/actions/targets", map[string]any{
			"name": name, "endpoint": "https://" + name + ".example.com", "timeout": "1s", "restAsync": map[string]any{},
		}, &target))
		require.NoError(t, api.Call(t.Context(), http.MethodPut, "/v2/actions/executions", map[string]any{
			"condition": map[string]any{"event": condition}, "targets": []string{target.ID},
		}, nil))
		others[target.ID] = name
	}
	ours, err := introspect.SetupRevocation(t.Context(), setupOf(s))
	require.NoError(t, err)
	others[ours.ID] = "ours"
	var found struct {
		Executions []struct {
			Condition struct{ Event struct{ Event string } }
			Targets   []string
		}
	}
	require.NoError(t, api.Call(t.Context(), http.MethodPost, "/v2/actions/executions/search", map[string]any{}, &found))
	got := map[string][]string{}
	for _, e := range found.Executions {
		for _, id := range e.Targets {
			got[e.Condition.Event.Event] = append(got[e.Condition.Event.Event], others[id])
		}
	}
	for event, theirs := range map[string]string{
		"org.removed": "all", "user.locked": "user", "user.pat.removed": "user", "user.grant.cascade.changed": "grant", "user.grant.removed": "removed",
	} {
		assert.Equal(t, []string{theirs, "ours"}, got[event], event)
	}
}

func TestSetupRevocationMovesTheEndpoint(t *testing.T) {
	s := zitadeltest.Start(t)
	first, err := introspect.SetupRevocation(t.Context(), setupOf(s))
	require.NoError(t, err)
	moved := setupOf(s)
	moved.Endpoint = "https://new.example.com/events"
	second, err := introspect.SetupRevocation(t.Context(), moved)
	require.NoError(t, err)
	assert.Equal(t, first.ID, second.ID)
	api, err := zitadelapi.New(zitadelapi.Config{Issuer: s.Issuer(), Source: adminOf(s), HTTPClient: s.Client()})
	require.NoError(t, err)
	var found struct {
		Targets []struct{ ID, Endpoint string }
	}
	require.NoError(t, api.Call(t.Context(), http.MethodPost, "/v2/actions/targets/search", map[string]any{}, &found))
	assert.Equal(t, []struct{ ID, Endpoint string }{{first.ID, moved.Endpoint}}, found.Targets)
	other := setupOf(s)
	other.Name = "another"
	third, err := introspect.SetupRevocation(t.Context(), other)
	require.NoError(t, err)
	assert.NotEqual(t, first.ID, third.ID)
}

// told is an Evictor that sends on what it is told.
type told struct{ ids, subjects, alls chan string }

func (t told) EvictTokenID(id string)  { t.ids <- id }
func (t told) EvictSubject(sub string) { t.subjects <- sub }
func (t told) EvictAll()               { t.alls <- "" }

func TestWhatIsSetUpArrives(t *testing.T) {
	s := zitadeltest.Start(t)
	evictor := told{make(chan string, 9), make(chan string, 9), make(chan string, 9)}
	var mu sync.Mutex
	var handler http.Handler
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		handler.ServeHTTP(w, r)
	}))
	defer hook.Close()
	setup := setupOf(s)
	setup.Endpoint = hook.URL
	target, err := introspect.SetupRevocation(t.Context(), setup)
	require.NoError(t, err)
	mu.Lock()
	handler, err = introspect.NewRevocationHandler(evictor, introspect.RevocationConfig{SigningKeys: []string{target.SigningKey()}})
	mu.Unlock()
	require.NoError(t, err)

	bot := s.AddServiceUser("bot")
	s.Revoke(bot.PAT())
	assert.NotEmpty(t, <-evictor.ids)
}

func TestSetupRevocationReportsMistakesAndRefusals(t *testing.T) {
	_, err := introspect.SetupRevocation(t.Context(), introspect.RevocationSetup{Issuer: "http://issuer.example", Endpoint: "http://api.example.com/events"})
	assert.ErrorContains(t, err, "Issuer: ")
	assert.ErrorContains(t, err, "Source: expected a token source, got nil")
	assert.ErrorContains(t, err, "Endpoint: ")
	for _, endpoint := range []string{"/events", "https://user:pass@api.example.com/events", "https://api.example.com/events#x"} {
		_, err = introspect.SetupRevocation(t.Context(), introspect.RevocationSetup{Endpoint: endpoint})
		assert.ErrorContains(t, err, "Endpoint: expected the URL of the handler", endpoint)
		assert.NotContains(t, err.Error(), "pass@")
	}

	s := zitadeltest.Start(t)
	cfg := setupOf(s)
	bot := s.AddServiceUser("bot") // without any role
	cfg.Source = postern.FromOAuth2(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: bot.PAT()}))
	_, err = introspect.SetupRevocation(t.Context(), cfg)
	assert.Error(t, err)
}

// serving is the setup at a server that answers each path so, and others with an empty object.
func serving(t *testing.T, answers map[string]func(body string) (status int, answer string)) introspect.RevocationSetup {
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		status, answer := http.StatusOK, `{}`
		mu.Lock()
		if say := answers[r.URL.Path]; say != nil {
			status, answer = say(string(body))
		}
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(server.Close)
	return introspect.RevocationSetup{
		Issuer: server.URL, HTTPClient: server.Client(), Endpoint: "https://api.example.com/events",
		Source: postern.FromOAuth2(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "admin"})),
	}
}

func TestEventsThatTheServerDoesNotKnowAreNamed(t *testing.T) {
	registered := 0
	old := serving(t, map[string]func(string) (int, string){
		"/v2/actions/targets": func(string) (int, string) { return 200, `{"id":"1","signingKey":"a-key"}` },
		"/v2/actions/executions": func(string) (int, string) {
			if registered++; registered > 2 {
				return 404, `{"code":5,"message":"Errors.Execution.ConditionInvalid"}`
			}
			return 200, `{}`
		},
	})
	target, err := introspect.SetupRevocation(t.Context(), old)
	require.NoError(t, err)
	assert.Equal(t, []string{"oidc_session.access_token.revoked", "oidc_session.refresh_token.revoked"}, target.Events)
	assert.Len(t, target.Unknown, 19)
	_, err = introspect.SetupRevocation(t.Context(), old)
	assert.ErrorContains(t, err, "knows none of the events")
}

func TestSetupRevocationFindsItsTargetAmongOthersAndItsEventsOnTheLastPage(t *testing.T) {
	const page = 100
	registered := map[bool]int{} // whether it was for an event of which the others are not to be forgotten
	target, err := introspect.SetupRevocation(t.Context(), serving(t, map[string]func(string) (int, string){
		"/v2/actions/targets/search": func(string) (int, string) {
			return 200, `{"targets":[{"id":"1","name":"audit","endpoint":"https://api.example.com/events"},
				{"id":"2","name":"postern-revocation","endpoint":"https://api.example.com/events","signingKey":"a-key"}]}`
		},
		"/v2/actions/executions/search": func(body string) (int, string) {
			if !strings.Contains(body, `"offset":0`) {
				return 200, `{"executions":[{"condition":{"event":{"event":"user.locked"}},"targets":["1"]}, {"condition":{"event":{"event":"org.removed"}},"targets":["2"]}]}`
			}
			return 200, `{"executions":[{"condition":{"event":{"event":"other"}},"targets":["1"]}` + strings.Repeat(`,{"condition":{"request":{}},"targets":["1"]}`, page-1) + `]}`
		},
		"/v2/actions/executions": func(body string) (int, string) {
			registered[strings.Contains(body, `"user.locked"`) == strings.Contains(body, `["1","2"]`)]++
			return 200, `{}`
		},
	}))
	require.NoError(t, err)
	assert.Equal(t, []any{"2", "a-key", false}, []any{target.ID, target.SigningKey(), target.Created})
	assert.Equal(t, map[bool]int{true: 20}, registered, "all but the one that was")
}

func TestATargetWithoutASigningKeyIsAnError(t *testing.T) {
	_, err := introspect.SetupRevocation(t.Context(), serving(t, map[string]func(string) (int, string){
		"/v2/actions/targets": func(string) (int, string) { return 200, `{"id":"1"}` },
	}))
	assert.ErrorContains(t, err, "expected the id and signing key of the created target, got none")
}

func TestTargetPrintsNoKey(t *testing.T) {
	s := zitadeltest.Start(t)
	target, err := introspect.SetupRevocation(t.Context(), setupOf(s))
	require.NoError(t, err)
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v %+v", target, target, target, *target), target.SigningKey())
}

// Once, with the token of an administrator.
func ExampleSetupRevocation() {
	server, err := zitadeltest.New(zitadeltest.Config{}) // stands for https://acme.zitadel.cloud
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	target, err := introspect.SetupRevocation(context.Background(), introspect.RevocationSetup{
		Issuer: server.Issuer(), Source: adminOf(server), Endpoint: "https://orders.example.com/zitadel/events",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(target.Created, len(target.Events), len(target.SigningKey()) > 0)
	// Output: true 21 true
}
