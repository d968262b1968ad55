package middleware_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/middleware"
)

func TestChecks(t *testing.T) {
	caller := identity(t, map[string]any{
		"sub": "1", "client_id": "ci", "aud": []string{"p1", "app1"}, "scope": "openid orders.read urn:zitadel:iam:org:project:role:admin",
		"urn:zitadel:iam:user:resourceowner:id": "org1",
		"urn:zitadel:iam:org:project:roles":     map[string]any{"reader": map[string]string{"org1": "acme.example"}},
		"urn:zitadel:iam:org:project:p2:roles":  map[string]any{"auditor": map[string]string{"org2": "other.example"}},
	})
	nobody := identity(t, nil)
	yes := func(*http.Request, *postern.Identity) bool { return true }
	for _, c := range []struct {
		rule  string
		check middleware.Check
		want  bool
		name  string
	}{
		{"zero value refuses", middleware.Check{}, false, "zero middleware.Check, which refuses"},
		{"Role granted", middleware.Role("reader"), true, `role "reader"`},
		{"Role not granted, though the scope of a PAT claims it", middleware.Role("admin"), false, `role "admin"`},
		{"Role of another project", middleware.Role("auditor"), false, `role "auditor"`},
		{"Role's case counts", middleware.Role("Reader"), false, `role "Reader"`},
		{"AnyRole with one of them", middleware.AnyRole("admin", "reader"), true, `any role of ["admin" "reader"]`},
		{"AnyRole with none of them", middleware.AnyRole("admin", "owner"), false, `any role of ["admin" "owner"]`},
		{"RoleInOrg granted there", middleware.RoleInOrg("reader", "org1"), true, `role "reader" in organisation "org1"`},
		{"RoleInOrg granted elsewhere", middleware.RoleInOrg("reader", "org2"), false, `role "reader" in organisation "org2"`},
		{"RoleInOrg takes the id, not the domain", middleware.RoleInOrg("reader", "acme.example"), false, `role "reader" in organisation "acme.example"`},
		{"ProjectRole granted", middleware.ProjectRole("p2", "auditor"), true, `role "auditor" in project "p2"`},
		{"ProjectRole of another project", middleware.ProjectRole("p2", "reader"), false, `role "reader" in project "p2"`},
		{"Org is the user's", middleware.Org("org1"), true, `user of organisation ["org1"]`},
		{"Org is one of several", middleware.Org("org0", "org1"), true, `user of organisation ["org0" "org1"]`},
		{"Org is another", middleware.Org("org2"), false, `user of organisation ["org2"]`},
		{"Scope given", middleware.Scope("orders.read"), true, `scope "orders.read"`},
		{"Scope not given", middleware.Scope("orders"), false, `scope "orders"`},
		{"Audience named", middleware.Audience("app1"), true, `audience "app1"`},
		{"Audience not named", middleware.Audience("app2"), false, `audience "app2"`},
		{"ClientID asked for the token", middleware.ClientID("ci"), true, `client ["ci"]`},
		{"ClientID is one of several", middleware.ClientID("cd", "ci"), true, `client ["cd" "ci"]`},
		{"ClientID is another", middleware.ClientID("cd"), false, `client ["cd"]`},
		{"CheckFunc says yes", middleware.CheckFunc("owner", yes), true, "owner"},
		{"CheckFunc says no", middleware.CheckFunc("owner", func(*http.Request, *postern.Identity) bool { return false }), false, "owner"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			status := map[bool]int{true: 200, false: 403}
			protect := middleware.New(answering(caller, nil), middleware.Config{}).Require(c.check)
			assert.Equal(t, status[c.want], send(protect).Code)
			assert.Equal(t, c.name, c.check.String())
			if c.name != "owner" {
				protect = middleware.New(answering(nobody, nil), middleware.Config{}).Require(c.check)
				assert.Equal(t, 403, send(protect).Code, "an identity without any field passes no check")
			}
		})
	}
}

func TestAllChecksMustPass(t *testing.T) {
	caller := identity(t, map[string]any{"client_id": "ci"})
	gate := middleware.New(answering(caller, nil), middleware.Config{})
	var asked []string
	record := func(name string, answer bool) middleware.Check {
		return middleware.CheckFunc(name, func(r *http.Request, id *postern.Identity) bool {
			assert.Equal(t, "/orders", r.URL.Path)
			assert.Same(t, caller, id)
			asked = append(asked, name)
			return answer
		})
	}
	assert.Equal(t, 200, send(gate.Require(record("a", true), record("b", true))).Code)
	assert.Equal(t, []string{"a", "b"}, asked)
	asked = nil
	assert.Equal(t, 403, send(gate.Require(record("a", true), record("b", false), record("c", true))).Code)
	assert.Equal(t, []string{"a", "b"}, asked, "none is asked after one that failed")
}

func TestCheckFuncThatPanicsEndsTheRequestAsAHandlerDoes(t *testing.T) {
	gate := middleware.New(answering(identity(t, nil), nil), middleware.Config{})
	check := middleware.CheckFunc("boom", func(*http.Request, *postern.Identity) bool { panic("boom") })
	assert.PanicsWithValue(t, "boom", func() { send(gate.Require(check)) })
}

func TestZeroCheckIsNamedInTheRefusal(t *testing.T) {
	var got middleware.Refusal
	gate := middleware.New(answering(identity(t, nil), nil), middleware.Config{
		ErrorPage: func(_ http.ResponseWriter, _ *http.Request, refused middleware.Refusal) { got = refused },
	})
	assert.Equal(t, 403, send(gate.Require(middleware.Check{})).Code)
	assert.Equal(t, "zero middleware.Check, which refuses", got.Check)
}

func TestEmptyOrImpossibleChecksPanic(t *testing.T) {
	for name, f := range map[string]func() middleware.Check{
		"Role":                       func() middleware.Check { return middleware.Role("") },
		"AnyRole of nothing":         func() middleware.Check { return middleware.AnyRole() },
		"AnyRole with an empty one":  func() middleware.Check { return middleware.AnyRole("a", "") },
		"RoleInOrg role":             func() middleware.Check { return middleware.RoleInOrg("", "o") },
		"RoleInOrg organisation":     func() middleware.Check { return middleware.RoleInOrg("a", "") },
		"ProjectRole project":        func() middleware.Check { return middleware.ProjectRole("", "a") },
		"ProjectRole role":           func() middleware.Check { return middleware.ProjectRole("p", "") },
		"Org of nothing":             func() middleware.Check { return middleware.Org() },
		"Org empty":                  func() middleware.Check { return middleware.Org("") },
		"Scope empty":                func() middleware.Check { return middleware.Scope("") },
		"Scope of two":               func() middleware.Check { return middleware.Scope("a b") },
		"Scope with a quote":         func() middleware.Check { return middleware.Scope(`a"b`) },
		"Scope with a line break":    func() middleware.Check { return middleware.Scope("a\nb") },
		"Scope beyond ASCII":         func() middleware.Check { return middleware.Scope("ä") },
		"Audience":                   func() middleware.Check { return middleware.Audience("") },
		"ClientID of nothing":        func() middleware.Check { return middleware.ClientID() },
		"ClientID with an empty one": func() middleware.Check { return middleware.ClientID("a", "") },
		"CheckFunc without a name": func() middleware.Check {
			return middleware.CheckFunc("", func(*http.Request, *postern.Identity) bool { return true })
		},
		"CheckFunc without a func": func() middleware.Check { return middleware.CheckFunc("a", nil) },
	} {
		t.Run(name, func(t *testing.T) { assert.Panics(t, func() { f() }) })
	}
}

func TestScopePanicsForARoleScope(t *testing.T) {
	defer func() {
		said := fmt.Sprint(recover())
		assert.Contains(t, said, "urn:zitadel:iam:org:project:role:admin")
		assert.Contains(t, said, "every personal access token")
		assert.Contains(t, said, `use middleware.Role("admin")`)
	}()
	middleware.Scope("urn:zitadel:iam:org:project:role:admin")
}

func TestListsOfChecksAreCopied(t *testing.T) {
	caller := identity(t, map[string]any{
		"client_id": "ci", "urn:zitadel:iam:user:resourceowner:id": "org1",
		"urn:zitadel:iam:org:project:roles": map[string]any{"reader": map[string]string{"org1": "acme.example"}},
	})
	gate := middleware.New(answering(caller, nil), middleware.Config{})
	for _, f := range []func(...string) middleware.Check{middleware.AnyRole, middleware.Org, middleware.ClientID} {
		list := []string{"none"}
		check := f(list...)
		list[0] = map[string]string{"any": "reader", "use": "org1", "cli": "ci"}[check.String()[:3]]
		assert.Equal(t, 403, send(gate.Require(check)).Code)
		assert.Equal(t, 200, send(gate.Require(f(list...))).Code)
	}
}
