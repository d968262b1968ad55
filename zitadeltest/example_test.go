package zitadeltest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/introspect"
	"github.com/postern-go/postern/middleware"
	"github.com/postern-go/postern/zitadeltest"
)

// orders is the handler under test. It asks for the role viewer.
var orders = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	id, _ := postern.FromContext(r.Context())
	fmt.Fprintf(w, "the orders, for %s", id.Username())
})

// exampleT is what an example has in place of a *testing.T.
type exampleT struct{ cleanup []func() }

func (*exampleT) Helper()                           {}
func (t *exampleT) Cleanup(f func())                { t.cleanup = append(t.cleanup, f) }
func (*exampleT) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (t *exampleT) end() {
	for _, f := range t.cleanup {
		f()
	}
}

// Three lines lead to a protected handler under test: a server, an API of a project, and a verifier that asks the one as the other.
func Example() {
	t := &exampleT{} // in a test, the *testing.T
	defer t.end()

	s := zitadeltest.Start(t)
	project := s.AddProject("orders", "viewer")
	handler := protect(s, project.AddAPI("orders-api"), orders)

	clerk := s.AddServiceUser("clerk", zitadeltest.WithProjectRole(project, "viewer"))
	stranger := s.AddServiceUser("stranger")
	for _, token := range []string{clerk.PAT(), stranger.PAT(), "made-up", ""} {
		r := httptest.NewRequest(http.MethodGet, "/orders", nil)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Println(w.Code, http.StatusText(w.Code))
	}
	// Output:
	// 200 OK
	// 403 Forbidden
	// 401 Unauthorized
	// 401 Unauthorized
}

// protect is the program's own wiring, pointed at the test server.
func protect(s *zitadeltest.Server, api *zitadeltest.API, next http.Handler) http.Handler {
	verifier, err := introspect.New(introspect.Config{
		Issuer: s.Issuer(), Auth: introspect.Basic(api.ClientID, api.ClientSecret), HTTPClient: s.Client(),
	})
	if err != nil {
		panic(err)
	}
	return middleware.New(verifier, middleware.Config{}).Require(middleware.RoleInOrg("viewer", s.OrgID()))(next)
}

func ExampleStart() {
	t := &exampleT{} // in a test, the *testing.T
	defer t.end()

	s := zitadeltest.Start(t, zitadeltest.Config{InMemory: true})
	bot := s.AddServiceUser("bot", zitadeltest.WithOrgRole("ORG_OWNER"))

	req, _ := http.NewRequest(http.MethodGet, s.Issuer()+"/management/v1/orgs/me", nil)
	req.Header.Set("Authorization", "Bearer "+bot.PAT())
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatalf("%v", err)
	}
	resp.Body.Close()
	fmt.Println(s.Issuer(), resp.Status)
	// Output: http://localhost 200 OK
}

func ExampleNew() {
	s, err := zitadeltest.New(zitadeltest.Config{Addr: "127.0.0.1:0"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	resp, err := s.Client().Get(s.Issuer() + "/.well-known/openid-configuration")
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	fmt.Println(resp.Status, resp.Header.Get("Cache-Control"))
	// Output: 200 OK no-store
}

func ExampleServer_Misbehave() {
	t := &exampleT{} // in a test, the *testing.T
	defer t.end()

	s := zitadeltest.Start(t, zitadeltest.Config{InMemory: true})
	s.Misbehave(zitadeltest.KeysEndpoint, 2, zitadeltest.Status(http.StatusServiceUnavailable, "Retry-After", "1"))
	for range 3 {
		resp, err := s.Client().Get(s.Issuer() + string(zitadeltest.KeysEndpoint))
		if err != nil {
			t.Fatalf("%v", err)
		}
		resp.Body.Close()
		fmt.Println(resp.Status)
	}
	fmt.Println(s.Calls(zitadeltest.KeysEndpoint), "calls")
	// Output:
	// 503 Service Unavailable
	// 503 Service Unavailable
	// 200 OK
	// 3 calls
}
