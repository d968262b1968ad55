package middleware_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/middleware"
)

// tokens is a Verifier for the examples; programs use introspect.New or localjwt.New.
type tokens map[string]map[string]any

func (t tokens) Verify(_ context.Context, token string) (*postern.Identity, error) {
	claims, ok := t[token]
	if !ok {
		return nil, postern.ErrInvalidToken
	}
	return postern.NewIdentity(claims)
}

var known = tokens{
	"anna": {"sub": "anna", "urn:zitadel:iam:org:project:roles": map[string]any{"admin": map[string]string{"org1": "acme.example"}}},
	"bert": {"sub": "bert"},
}

func call(h http.Handler, method, path, token string) {
	r := httptest.NewRequest(method, path, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"), w.Body.String())
}

func ExampleNew() {
	gate := middleware.New(known, middleware.Config{})
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := postern.FromContext(r.Context())
		fmt.Fprint(w, "hello "+id.Subject())
	})

	mux := http.NewServeMux()
	mux.Handle("GET /hello", gate.Require()(hello))
	mux.Handle("GET /admin", gate.Require(middleware.RoleInOrg("admin", "org1"))(hello))

	call(mux, "GET", "/hello", "bert")
	call(mux, "GET", "/admin", "anna")
	// Output:
	// 200  hello bert
	// 200  hello anna
}

// Require without checks is the common mistake: any token that the server calls active passes, and with ZITADEL that is any
// personal access token of the instance. Say what a caller must have.
func ExampleGate_Require() {
	gate := middleware.New(known, middleware.Config{})
	remove := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "removed") })

	call(gate.Require()(remove), "DELETE", "/orders/7", "bert")                                      // too little
	call(gate.Require(middleware.RoleInOrg("admin", "org1"))(remove), "DELETE", "/orders/7", "bert") // enough
	// Output:
	// 200  removed
	// 403 Bearer realm="api", error="insufficient_scope", error_description="the token does not give access to this" {"error":"insufficient_scope","error_description":"the token does not give access to this"}
}

func ExampleGate_Optional() {
	gate := middleware.New(known, middleware.Config{})
	h := gate.Optional()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, ok := postern.FromContext(r.Context()); ok {
			fmt.Fprint(w, "hello "+id.Subject())
			return
		}
		fmt.Fprint(w, "hello stranger")
	}))
	call(h, "GET", "/", "")
	call(h, "GET", "/", "anna")
	// Output:
	// 200  hello stranger
	// 200  hello anna
}

func ExampleCheckFunc() {
	owner := middleware.CheckFunc("own orders", func(r *http.Request, id *postern.Identity) bool {
		return r.PathValue("user") == id.Subject()
	})
	mux := http.NewServeMux()
	gate := middleware.New(known, middleware.Config{
		ErrorPage: func(w http.ResponseWriter, _ *http.Request, refused middleware.Refusal) {
			fmt.Fprintf(w, "%d: %s", refused.Status, refused.Reason)
		},
	})
	mux.Handle("GET /users/{user}/orders", gate.Require(owner)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "orders") })))
	call(mux, "GET", "/users/anna/orders", "anna")
	call(mux, "GET", "/users/anna/orders", "bert")
	// Output:
	// 200  orders
	// 403 Bearer realm="api", error="insufficient_scope", error_description="the token does not give access to this" 403: check failed
}

func ExampleGate_Metadata() {
	gate := middleware.New(known, middleware.Config{Resource: &middleware.Resource{
		ID:                   "https://api.example.com/orders",
		AuthorizationServers: []string{"https://acme.zitadel.cloud"},
		Scopes:               []string{postern.ScopeProjectAudience("1234")},
	}})
	mux := http.NewServeMux()
	mux.Handle(gate.Metadata())
	mux.Handle("GET /orders", gate.Require()(http.NotFoundHandler()))

	call(mux, "GET", "/orders", "")
	call(mux, "GET", "/.well-known/oauth-protected-resource/orders", "")
	// Output:
	// 401 Bearer realm="api", resource_metadata="https://api.example.com/.well-known/oauth-protected-resource/orders" {"error":"unauthorized","error_description":"a bearer token is needed"}
	//
	// 200  {"resource":"https://api.example.com/orders","authorization_servers":["https://acme.zitadel.cloud"],"scopes_supported":["urn:zitadel:iam:org:project:id:1234:aud"],"bearer_methods_supported":["header"]}
}
