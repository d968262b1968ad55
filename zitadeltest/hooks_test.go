package zitadeltest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/zitadeltest"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// receive is a webhook without a socket.
func receive(t *testing.T, into chan<- object) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		data, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		var event object
		assert.NoError(t, json.Unmarshal(data, &event))
		into <- event
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Header: http.Header{}, Request: r}, nil
	})
}

func target(t *testing.T, s *zitadeltest.Server, name string) (id, key string) {
	t.Helper()
	a := admin(t, s, "POST", "/v2/actions/targets", object{
		"name": name, "restWebhook": object{"interruptOnError": true}, "timeout": "5s", "endpoint": "http://hook.example/" + name,
	})
	return a.text(t, "id"), a.text(t, "signingKey")
}

func execute(t *testing.T, s *zitadeltest.Server, event object, targets ...string) {
	t.Helper()
	admin(t, s, "PUT", "/v2/actions/executions", object{"condition": object{"event": event}, "targets": targets})
}

func TestTheNarrowestConditionGetsTheEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		s := zitadeltest.Start(t, zitadeltest.Config{InMemory: true, Webhooks: roundTripper(func(r *http.Request) (*http.Response, error) {
			var event struct {
				EventType string `json:"event_type"`
			}
			if err := json.NewDecoder(r.Body).Decode(&event); err != nil {
				return nil, err
			}
			got = append(got, strings.TrimPrefix(r.URL.Path, "/")+" "+event.EventType)
			return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
		})})
		one, _ := target(t, s, "one")
		group, _ := target(t, s, "group")
		all, _ := target(t, s, "all")
		execute(t, s, object{"event": "user.pat.removed"}, one)
		execute(t, s, object{"group": "user.pat"}, group)
		execute(t, s, object{"all": true}, all)

		bot := s.AddServiceUser("bot")
		token := bot.PAT()
		s.Revoke(token)
		synctest.Wait()
		assert.Equal(t, []string{"all user.machine.added", "group user.pat.added", "one user.pat.removed"}, got)

		execute(t, s, object{"event": "user.pat.removed"}) // no targets: nobody
		s.Revoke(bot.PAT())
		synctest.Wait()
		assert.Equal(t, []string{"group user.pat.added", "group user.pat.removed"}, got[3:])
	})
}

func TestAWebhookThatFailsIsNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		s := zitadeltest.Start(t, zitadeltest.Config{InMemory: true, Webhooks: roundTripper(func(r *http.Request) (*http.Response, error) {
			if tries++; tries == 1 {
				<-r.Context().Done() // until the target's timeout
				return nil, r.Context().Err()
			}
			return &http.Response{StatusCode: http.StatusInternalServerError, Body: http.NoBody}, nil
		})})
		id, _ := target(t, s, "slow")
		execute(t, s, object{"event": "user.pat.added"}, id)
		bot := s.AddServiceUser("bot")
		start := time.Now()
		bot.PAT()
		bot.PAT()
		time.Sleep(5 * time.Second) // in the bubble
		synctest.Wait()
		assert.Equal(t, 2, tries)
		assert.Equal(t, 5*time.Second, time.Since(start))
	})
}

func TestCloseDropsWhatIsNotDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		s, err := zitadeltest.New(zitadeltest.Config{InMemory: true, Webhooks: roundTripper(func(r *http.Request) (*http.Response, error) {
			tries++
			<-r.Context().Done()
			return nil, r.Context().Err()
		})})
		require.NoError(t, err)
		id, _ := target(t, s, "stuck")
		execute(t, s, object{"event": "user.pat.added"}, id)
		bot := s.AddServiceUser("bot")
		bot.PAT()
		bot.PAT()
		synctest.Wait()
		s.Close()
		assert.Equal(t, 1, tries)
	})
}

func TestTargetsAndExecutionsAreChecked(t *testing.T) {
	s := zitadeltest.Start(t, zitadeltest.Config{InMemory: true})
	id, key := target(t, s, "evict")
	assert.Len(t, key, 36)
	good := object{"name": "x", "restWebhook": object{}, "timeout": "5s", "endpoint": "http://hook.example"}
	but := func(change object) object {
		out := object{}
		for _, m := range []object{good, change} {
			for name, value := range m {
				out[name] = value
			}
		}
		return out
	}
	taken, _ := target(t, s, "taken")
	condition := func(c object, targets ...string) object { return object{"condition": c, "targets": targets} }
	for _, c := range []struct {
		method, path string
		body         object
		status, code int
		message      string
	}{
		{"POST", "/v2/actions/targets", but(object{"name": ""}), 400, 3, "invalid CreateTargetRequest.Name: value length must be between 1 and 1000 runes, inclusive"},
		{"POST", "/v2/actions/targets", but(object{"restWebhook": nil}), 400, 3, "invalid CreateTargetRequest.TargetType: value is required"},
		{"POST", "/v2/actions/targets", but(object{"timeout": nil}), 400, 3, "Target has no timeout (COMMAND-39f35d8uri)"},
		{"POST", "/v2/actions/targets", but(object{"timeout": "1m"}), 400, 3, `proto: (line 1:73): invalid google.protobuf.Duration value "1m"`},
		{"POST", "/v2/actions/targets", but(object{"timeout": 5}), 400, 3, `proto: syntax error (line 1:73): unexpected token 5`},
		{"POST", "/v2/actions/targets", but(object{"timeout": "600s"}), 400, 3, "invalid CreateTargetRequest.Timeout: value must be inside range [0s, 4m30s]"},
		{"POST", "/v2/actions/targets", but(object{"endpoint": "no url"}), 400, 3, "Target has an invalid URL (COMMAND-1r2k6qo6wg)"},
		{"POST", "/v2/actions/targets", but(object{"name": "taken"}), 409, 6, "Errors.Target.AlreadyExists (V3-DKcYh)"},
		{"POST", "/v2/actions/targets/" + id, object{"name": "taken"}, 409, 6, "Errors.Target.AlreadyExists (V3-DKcYh)"},
		{"POST", "/v2/actions/targets", but(object{"payloadType": "PAYLOAD_TYPE_JWT"}), 501, 12, `zitadeltest sends JSON only: leave payloadType out or send "PAYLOAD_TYPE_JSON"`},
		{"GET", "/v2/actions/targets/1", nil, 404, 5, "Target not found (QUERY-hj5oaniyrz)"},
		{"POST", "/v2/actions/targets/1", object{}, 404, 5, "Target not found (COMMAND-xj14f2cccn)"},
		{"POST", "/v2/actions/targets/1", object{"name": ""}, 400, 3, "invalid UpdateTargetRequest.Name: value length must be between 1 and 1000 runes, inclusive"},
		{"POST", "/v2/actions/targets/" + id, object{"timeout": "0s"}, 400, 3, "Target has no timeout (COMMAND-08b39vdi57)"},
		{"POST", "/v2/actions/targets/" + id, object{"expirationSigningKey": "1s"}, 400, 3, "invalid UpdateTargetRequest.ExpirationSigningKey: value must equal 0s"},
		{"PUT", "/v2/actions/executions", condition(object{"event": object{"event": "made.up"}}, id), 404, 5, "Execution condition is invalid (COMMAND-74aaqj8fv9)"},
		{"PUT", "/v2/actions/executions", condition(object{"event": object{"group": "made"}}, id), 404, 5, "Execution condition is invalid (COMMAND-er5oneb5lz)"},
		{"PUT", "/v2/actions/executions", condition(object{}, id), 400, 3, "invalid SetExecutionRequest.Condition: " + within + "invalid Condition.ConditionType: value is required"},
		{"PUT", "/v2/actions/executions", condition(object{"event": object{}}, id), 400, 3, "invalid SetExecutionRequest.Condition: " + within + "invalid Condition.Event: " + within + "invalid EventExecution.Condition: value is required"},
		{"PUT", "/v2/actions/executions", condition(object{"event": object{"all": false}}, id), 400, 3, "invalid SetExecutionRequest.Condition: " + within + "invalid Condition.Event: " + within + "invalid EventExecution.All: value must equal true"},
		{"PUT", "/v2/actions/executions", condition(object{"event": object{"event": ""}}, id), 400, 3, "invalid SetExecutionRequest.Condition: " + within + "invalid Condition.Event: " + within + "invalid EventExecution.Event: value length must be between 1 and 1000 runes, inclusive"},
		{"PUT", "/v2/actions/executions", condition(object{"event": object{"all": true}}, "1"), 404, 5, "Target not found (COMMAND-17e8fq1ggk)"},
		{"PUT", "/v2/actions/executions", object{}, 400, 3, "Execution condition is invalid (ACTION-5r5Ju)"},
	} {
		a := ask(t, s, c.method, c.path, bearer(s.AdminPAT()), send(t, c.body))
		refused(t, a, c.status, c.code, c.message)
	}
	owner := s.AddServiceUser("owner", zitadeltest.WithOrgRole("ORG_OWNER"))
	refused(t, ask(t, s, "POST", "/v2/actions/targets", bearer(owner.PAT()), send(t, good)), 403, 7, "No matching permissions found (AUTH-5mWD2)")

	admin(t, s, "DELETE", "/v2/actions/targets/"+taken, nil)
	changed := admin(t, s, "POST", "/v2/actions/targets/"+id, object{"name": "renamed", "timeout": "90.5s", "expirationSigningKey": "0s", "payloadType": 1})
	assert.NotEqual(t, key, changed.text(t, "signingKey"))
	read := admin(t, s, "GET", "/v2/actions/targets/"+id, nil).body["target"].(object)
	assert.Equal(t, "renamed", read["name"])
	assert.Equal(t, "90.500s", read["timeout"])
	assert.Equal(t, "PAYLOAD_TYPE_JSON", read["payloadType"])
	again := admin(t, s, "POST", "/v2/actions/targets/"+id, object{"name": "renamed"})
	assert.Equal(t, changed.body["changeDate"], again.body["changeDate"], "nothing changed")
	assert.Equal(t, object{"interruptOnError": true}, read["restWebhook"])
	execute(t, s, object{"group": "user"}, id)
	assert.Equal(t, "1", admin(t, s, "POST", "/v2/actions/executions/search", object{}).body["pagination"].(object)["totalResult"])
	assert.Len(t, admin(t, s, "POST", "/v2/actions/targets/search", object{}).body["targets"], 1)
	for _, filter := range []object{
		{"targetFilter": object{"targetId": id}}, {"executionTypeFilter": object{"executionType": "EXECUTION_TYPE_EVENT"}},
		{"inConditionsFilter": object{"conditions": []object{{"event": object{"group": "user"}}}}},
	} {
		found := admin(t, s, "POST", "/v2/actions/executions/search", object{"filters": []object{filter}})
		assert.Len(t, found.body["executions"], 1, "%v", filter)
	}
	gone := admin(t, s, "DELETE", "/v2/actions/targets/"+id, nil).body["deletionDate"]
	assert.NotContains(t, admin(t, s, "POST", "/v2/actions/executions/search", object{}).body["executions"].([]any)[0], "targets", "none is left")
	require.NotNil(t, gone)
	assert.Equal(t, gone, admin(t, s, "DELETE", "/v2/actions/targets/"+id, nil).body["deletionDate"], "deleting twice is no mistake")
	assert.Empty(t, admin(t, s, "DELETE", "/v2/actions/targets/1", nil).body)
	assert.NotContains(t, admin(t, s, "POST", "/v2/actions/targets/search", object{}).body, "targets")
}
