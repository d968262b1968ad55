package introspect_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
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
	first, err := introspect.SetupRevocation(t.Context(), setupOf(s))
	require.NoError(t, err)
	assert.True(t, first.Created)
	assert.NotEmpty(t, first.SigningKey())
	assert.Len(t, first.Events, 21)
	assert.Empty(t, first.Unknown)

	calls := s.Calls("PUT /v2/actions/executions")
	again, err := introspect.SetupRevocation(t.Context(), setupOf(s))
	require.NoError(t, err)
	assert.False(t, again.Created)
	assert.Equal(t, []any{first.ID, first.SigningKey(), first.Events}, []any{again.ID, again.SigningKey(), again.Events})
	assert.Equal(t, calls, s.Calls("PUT /v2/actions/executions"), "what is as it should be is left alone")
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

func TestSetupRevocationMovesTheEndpoint(t *testing.T) {
	s := zitadeltest.Start(t)
	first, err := introspect.SetupRevocation(t.Context(), setupOf(s))
	require.NoError(t, err)
	moved := setupOf(s)
	moved.Endpoint = "https://new.example.com/events"
	second, err := introspect.SetupRevocation(t.Context(), moved)
	require.NoError(t, err)
	assert.Equal(t, first.ID, second.ID)
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
	_, err = introspect.SetupRevocation(t.Context(), introspect.RevocationSetup{Endpoint: "/events"})
	assert.ErrorContains(t, err, "Endpoint: expected the URL of the handler")

	s := zitadeltest.Start(t)
	cfg := setupOf(s)
	bot := s.AddServiceUser("bot") // without any role
	cfg.Source = postern.FromOAuth2(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: bot.PAT()}))
	_, err = introspect.SetupRevocation(t.Context(), cfg)
	assert.Error(t, err)
}

func TestEventsThatTheServerDoesNotKnowAreNamed(t *testing.T) {
	var mu sync.Mutex
	known := map[string]bool{}
	old := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/v2/actions/targets":
			fmt.Fprint(w, `{"id":"1","signingKey":"a-key-of-some-length"}`)
		case "/v2/actions/executions":
			if len(known) >= 2 {
				w.WriteHeader(http.StatusNotFound)
				fmt.Fprint(w, `{"code":5,"message":"Errors.Execution.ConditionInvalid"}`)
				return
			}
			known[fmt.Sprint(len(known))] = true
			fmt.Fprint(w, `{}`)
		default:
			fmt.Fprint(w, `{}`)
		}
	}))
	defer old.Close()
	target, err := introspect.SetupRevocation(t.Context(), introspect.RevocationSetup{
		Issuer: old.URL, HTTPClient: old.Client(), Endpoint: "https://api.example.com/events",
		Source: postern.FromOAuth2(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "admin"})),
	})
	require.NoError(t, err)
	assert.Equal(t, []string{"oidc_session.access_token.revoked", "oidc_session.refresh_token.revoked"}, target.Events)
	assert.Len(t, target.Unknown, 19)
	_, err = introspect.SetupRevocation(t.Context(), introspect.RevocationSetup{
		Issuer: old.URL, HTTPClient: old.Client(), Endpoint: "https://api.example.com/events",
		Source: postern.FromOAuth2(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "admin"})),
	})
	assert.ErrorContains(t, err, "knows none of the events")
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
