package zitadeltest_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/postern-go/postern/zitadeltest"
)

// Whatever body comes, the server answers in the form of its API and goes on.
func FuzzBodies(f *testing.F) {
	for _, seed := range []string{
		"", "{", "[]", "null", `{"userName":"x","name":"y"}`, `{"user_name":5}`, `{"expirationDate":"soon"}`, `{"roleKeys":[1]}`,
		`{"query":{"limit":"1","offset":99999999999999999999}}`, `{"queries":[{"userNameQuery":{"userName":"x","method":99}}]}`,
		`{"queries":[{"":1,"typeQuery":{}},{"orQuery":{"queries":[{}]}}]}`, `{"name":1,"name":2}`,
		`{"metadata":[{"key":"a","value":"%%%"}]}`, `{"condition":{"event":{"group":"user"}},"targets":["1"]}`, `{"timeout":"-5s"}`,
		`{"publicKey":"LS0tLS1CRUdJTiBQVUJMSUMgS0VZLS0tLS0KLS0tLS1FTkQgUFVCTElDIEtFWS0tLS0tCg==","type":1}`,
	} {
		f.Add(seed)
	}
	s, err := zitadeltest.New(zitadeltest.Config{InMemory: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(s.Close)
	project := s.AddProject("p").ID
	user := s.AddServiceUser("u").ID
	paths := []string{
		v1 + "/users/machine", v1 + "/users/_search", v1 + "/users/" + user + "/pats", v1 + "/users/" + user + "/grants",
		v1 + "/users/" + user + "/metadata/_bulk", v1 + "/projects/" + project + "/roles/_bulk", v1 + "/orgs/me/members",
		"/v2/users/new", "/v2/users/pats/search", "/v2/users/" + user + "/keys", "/v2/actions/targets",
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, path := range paths {
			a := ask(t, s, "POST", path, bearer(s.AdminPAT()), body("application/json", text))
			assert.Contains(t, []int{200, 400, 404, 409, 501}, a.status, "%s: %s", path, a.raw)
			assert.True(t, json.Valid([]byte(a.raw)), "%s: %s", path, a.raw)
		}
	})
}

// Whatever is sent as a token or an assertion, it is refused as a bad one.
func FuzzTokens(f *testing.F) {
	s, err := zitadeltest.New(zitadeltest.Config{InMemory: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(s.Close)
	api := s.AddProject("p").AddAPI("a")
	for _, seed := range []string{
		"", "x", "a.b.c", "a.b.c.d.e", "..", "....", "eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJSUzI1NiJ9.e30.AAAA",
		"eyJhbGciOiJBMjU2R0NNS1ciLCJlbmMiOiJBMjU2R0NNIiwiaXYiOiIiLCJ0YWciOiIifQ.AAAA.AAAA.AAAA.AAAA",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		a := ask(t, s, "POST", "/oauth/v2/introspect", basic(api.ClientID, api.ClientSecret), form("token", token))
		if token != "" {
			assert.Equal(t, object{"active": false}, a.body)
		}
		a = jwtProfile(t, s, token, "openid")
		assert.Equal(t, 400, a.status)
		a = ask(t, s, "POST", "/oauth/v2/introspect", form("token", "x", "client_assertion_type", assertionType, "client_assertion", token))
		assert.Contains(t, []int{200, 400}, a.status)
		assert.NotEqual(t, true, a.body["active"])
	})
}
