package middleware

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/postern-go/postern"
)

// Check is one demand on a caller whose token is good. The zero value refuses every request, so that a Check that was declared and
// never set gives no access. Checks hold no state of a request and may be shared between rules.
//
// The functions that make them panic on an empty or impossible value: it would ask for nothing, or for what nobody has.
type Check struct {
	name  string
	scope string // what to tell the client of, for Scope
	test  func(r *http.Request, id *postern.Identity) bool
}

// Role asks for a role in the API's own project, whichever organisation granted it. An API that serves several
// organisations must ask RoleInOrg: any of them may grant the role to its own users.
func Role(role string) Check {
	mustBeSet("Role", "role", role)
	return newCheck(fmt.Sprintf("role %q", role), func(_ *http.Request, id *postern.Identity) bool { return id.HasRole(role) })
}

// AnyRole asks for at least one of the roles, each as Role does.
func AnyRole(roles ...string) Check {
	mustBeSet("AnyRole", "role", roles...)
	roles = slices.Clone(roles)
	return newCheck(fmt.Sprintf("any role of %q", roles), func(_ *http.Request, id *postern.Identity) bool {
		return slices.ContainsFunc(roles, id.HasRole)
	})
}

// RoleInOrg asks for a role in the API's own project that the organisation with that id granted. When the organisation is
// known only from the request, as in /orgs/{org}/orders, use CheckFunc with Identity.HasRoleInOrg.
func RoleInOrg(role, orgID string) Check {
	mustBeSet("RoleInOrg", "role", role)
	mustBeSet("RoleInOrg", "organisation id", orgID)
	return newCheck(fmt.Sprintf("role %q in organisation %q", role, orgID), func(_ *http.Request, id *postern.Identity) bool {
		return id.HasRoleInOrg(role, orgID)
	})
}

// ProjectRole asks for a role in the project with that id. Introspection tells of the roles in the API's own project only.
func ProjectRole(projectID, role string) Check {
	mustBeSet("ProjectRole", "project id", projectID)
	mustBeSet("ProjectRole", "role", role)
	return newCheck(fmt.Sprintf("role %q in project %q", role, projectID), func(_ *http.Request, id *postern.Identity) bool {
		return id.HasProjectRole(projectID, role)
	})
}

// Org asks that the user belong to one of the organisations, named by id. ZITADEL tells that of PATs, and of other tokens when they
// were asked for with postern.ScopeResourceOwner.
func Org(orgIDs ...string) Check {
	mustBeSet("Org", "organisation id", orgIDs...)
	orgIDs = slices.Clone(orgIDs)
	return newCheck(fmt.Sprintf("user of organisation %q", orgIDs), func(_ *http.Request, id *postern.Identity) bool {
		return slices.Contains(orgIDs, id.OrgID())
	})
}

// Scope asks for one scope; several are several Checks. The challenges of the rule name it, so that a client knows what to ask
// for. It panics for a scope that starts with urn:zitadel:iam:org:project:role: because ZITADEL adds those to every personal
// access token, one for each role that the project defines, granted or not: ask for Role.
func Scope(scope string) Check {
	mustBeSet("Scope", "scope", scope)
	if strings.ContainsFunc(scope, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }) {
		panic(fmt.Sprintf("middleware.Scope: expected one scope, of the characters that RFC 6749 §3.3 allows, got %q; ask for several scopes "+
			"with several checks", scope))
	}
	if role, is := strings.CutPrefix(scope, postern.ScopeProjectRole("")); is {
		panic(fmt.Sprintf("middleware.Scope: expected a scope that says something, got %q: ZITADEL adds this scope to every personal access "+
			"token for every role that the project defines, granted or not; use middleware.Role(%q)", scope, role))
	}
	c := newCheck(fmt.Sprintf("scope %q", scope), func(_ *http.Request, id *postern.Identity) bool { return id.HasScope(scope) })
	c.scope = scope
	return c
}

// Audience asks that the token be meant for that client or project id. ZITADEL adds the asking API's client and project to
// every personal access token, so this keeps no PAT out.
func Audience(id string) Check {
	mustBeSet("Audience", "client or project id", id)
	return newCheck(fmt.Sprintf("audience %q", id), func(_ *http.Request, who *postern.Identity) bool { return who.HasAudience(id) })
}

// ClientID asks that one of those clients asked for the token: an application's client id, or for the access token of a service
// user its login name. Personal access tokens have no client and do not pass.
func ClientID(ids ...string) Check {
	mustBeSet("ClientID", "client id", ids...)
	ids = slices.Clone(ids)
	return newCheck(fmt.Sprintf("client %q", ids), func(_ *http.Request, id *postern.Identity) bool {
		return slices.Contains(ids, id.ClientID())
	})
}

// CheckFunc asks test, which gets the request as the gate got it and an Identity that is never nil. It is called for every
// request with a good token, by many goroutines at once, until an earlier check fails. When it panics the request ends as if the
// handler had panicked. The name stands in Refusal.Check and reaches no client.
func CheckFunc(name string, test func(r *http.Request, id *postern.Identity) bool) Check {
	mustBeSet("CheckFunc", "name", name)
	if test == nil {
		panic("middleware.CheckFunc: expected a function, got nil")
	}
	return newCheck(name, test)
}

// String returns the name that Refusal.Check has for it.
func (c Check) String() string {
	if c.test == nil {
		return "zero middleware.Check, which refuses"
	}
	return c.name
}

func newCheck(name string, test func(r *http.Request, id *postern.Identity) bool) Check {
	return Check{name: name, test: test}
}

func (c Check) passes(r *http.Request, id *postern.Identity) bool {
	return c.test != nil && c.test(r, id)
}

func mustBeSet(check, what string, values ...string) {
	if len(values) == 0 || slices.Contains(values, "") {
		panic(fmt.Sprintf("middleware.%s: expected a %s, got %q; an empty one would ask for nothing", check, what, values))
	}
}
