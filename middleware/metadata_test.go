package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/middleware"
)

func TestMetadata(t *testing.T) {
	for _, c := range []struct {
		rule     string
		resource middleware.Resource
		path     string
		url      string
		document string
	}{
		{
			"resource without a path (RFC 9728 §3)", middleware.Resource{ID: "https://api.example.com"},
			"/.well-known/oauth-protected-resource", "https://api.example.com/.well-known/oauth-protected-resource",
			`{"resource":"https://api.example.com","bearer_methods_supported":["header"]}`,
		},
		{
			"slash after the host is removed (RFC 9728 §3.1)", middleware.Resource{ID: "https://api.example.com/"},
			"/.well-known/oauth-protected-resource", "https://api.example.com/.well-known/oauth-protected-resource",
			`{"resource":"https://api.example.com/","bearer_methods_supported":["header"]}`,
		},
		{
			"path goes behind the well-known part (RFC 9728 §3.1)", middleware.Resource{ID: "https://api.example.com:8443/v1/orders"},
			"/.well-known/oauth-protected-resource/v1/orders", "https://api.example.com:8443/.well-known/oauth-protected-resource/v1/orders",
			`{"resource":"https://api.example.com:8443/v1/orders","bearer_methods_supported":["header"]}`,
		},
		{
			"loopback may be http", middleware.Resource{ID: "http://127.0.0.1:8080/mcp", AuthorizationServers: []string{"http://localhost:9000"}},
			"/.well-known/oauth-protected-resource/mcp", "http://127.0.0.1:8080/.well-known/oauth-protected-resource/mcp",
			`{"resource":"http://127.0.0.1:8080/mcp","authorization_servers":["http://localhost:9000"],"bearer_methods_supported":["header"]}`,
		},
		{
			"all fields (RFC 9728 §2)",
			middleware.Resource{
				ID: "https://api.example.com", AuthorizationServers: []string{"https://acme.zitadel.cloud"},
				Scopes: []string{"openid", "urn:zitadel:iam:org:project:id:1:aud"}, Name: "Orders & more", Documentation: "https://docs.example.com/?a=1",
			},
			"/.well-known/oauth-protected-resource", "https://api.example.com/.well-known/oauth-protected-resource",
			`{"resource":"https://api.example.com","authorization_servers":["https://acme.zitadel.cloud"],` +
				`"scopes_supported":["openid","urn:zitadel:iam:org:project:id:1:aud"],"bearer_methods_supported":["header"],` +
				`"resource_name":"Orders & more","resource_documentation":"https://docs.example.com/?a=1"}`,
		},
	} {
		t.Run(c.rule, func(t *testing.T) {
			require.NoError(t, c.resource.Validate())
			gate := middleware.New(answering(nil, nil), middleware.Config{Resource: &c.resource})
			mux := http.NewServeMux()
			mux.Handle(gate.Metadata())
			path, _ := gate.Metadata()
			assert.Equal(t, c.path, path)

			w := httptest.NewRecorder()
			mux.ServeHTTP(w, httptest.NewRequest("GET", c.path, nil))
			assert.Equal(t, 200, w.Code)
			assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
			assert.Equal(t, "*", w.Header().Get("Access-Control-Allow-Origin"))
			assert.Equal(t, c.document+"\n", w.Body.String())

			w = send(gate.Require(), without)
			assert.Equal(t, `Bearer realm="api", resource_metadata="`+c.url+`"`, w.Header().Get("WWW-Authenticate"), "RFC 9728 §5.1")
		})
	}
}

func TestMetadataMethods(t *testing.T) {
	gate := middleware.New(answering(nil, nil), middleware.Config{Resource: &middleware.Resource{ID: "https://api.example.com"}})
	path, h := gate.Metadata()
	for method, want := range map[string]int{"GET": 200, "HEAD": 200, "OPTIONS": 204, "POST": 405, "DELETE": 405} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		assert.Equal(t, want, w.Code, method)
		assert.Equal(t, method == "GET", w.Body.Len() > 0, method)
		assert.Equal(t, want == 204 || want == 405, w.Header().Get("Allow") != "", method)
	}
}

func TestMetadataIsCopied(t *testing.T) {
	resource := &middleware.Resource{ID: "https://api.example.com", AuthorizationServers: []string{"https://a.example.com"}}
	gate := middleware.New(answering(nil, nil), middleware.Config{Resource: resource})
	resource.ID, resource.AuthorizationServers[0] = "https://evil.example.com", "https://evil.example.com"
	path, h := gate.Metadata()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	assert.NotContains(t, w.Body.String(), "evil")
}

func TestResourceMistakesAreAllToldAtConstruction(t *testing.T) {
	for rule, resource := range map[string]middleware.Resource{
		"no ID":                        {},
		"no scheme":                    {ID: "api.example.com"},
		"no URL":                       {ID: "https://api.example.com:port"},
		"plain http to another host":   {ID: "http://api.example.com"},
		"another scheme":               {ID: "ftp://api.example.com"},
		"query":                        {ID: "https://api.example.com/?a=b"},
		"fragment":                     {ID: "https://api.example.com/#a"},
		"empty fragment":               {ID: "https://api.example.com#"},
		"empty query":                  {ID: "https://api.example.com?"},
		"user":                         {ID: "https://a:b@api.example.com"},
		"slash at the end of a path":   {ID: "https://api.example.com/orders/"},
		"control character":            {ID: "https://api.example.com/\x01"},
		"beyond ASCII":                 {ID: "https://api.example.com/größe"},
		"issuer over plain http":       {ID: "https://api.example.com", AuthorizationServers: []string{"http://zitadel.example.com"}},
		"empty issuer":                 {ID: "https://api.example.com", AuthorizationServers: []string{""}},
		"empty scope":                  {ID: "https://api.example.com", Scopes: []string{""}},
		"documentation that is no URL": {ID: "https://api.example.com", Documentation: "see the wiki"},
	} {
		t.Run(rule, func(t *testing.T) {
			assert.Error(t, resource.Validate())
			assert.Panics(t, func() { middleware.New(answering(nil, nil), middleware.Config{Resource: &resource}) })
		})
	}
	defer func() {
		err, _ := recover().(error)
		require.Error(t, err)
		for _, part := range []string{"ID: ", "AuthorizationServers: ", "Scopes: ", "Documentation: "} {
			assert.ErrorContains(t, err, part)
		}
	}()
	middleware.New(answering(nil, nil), middleware.Config{Resource: &middleware.Resource{
		ID: "api", AuthorizationServers: []string{"zitadel"}, Scopes: []string{""}, Documentation: "wiki",
	}})
}
