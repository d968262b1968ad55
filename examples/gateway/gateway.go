package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/middleware"
)

// newGateway stands between callers and the warehouse. In: it checks the caller's token. Out: it calls the warehouse with a token
// of its own, so the caller's token goes no further and the warehouse need not know any caller.
func newGateway(verifier postern.Verifier, source postern.TokenSource, warehouse *url.URL) http.Handler {
	gate := middleware.New(verifier, middleware.Config{
		Realm: "gateway",
		// The caller's token ends here. Forgetting this leaks nothing: postern.Transport refuses a request that has one.
		HideAuthorization: true,
	})
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(warehouse)
			id, _ := postern.FromContext(r.In.Context())
			r.Out.Header.Set(onBehalfOf, id.Subject()) // set, so that what a caller wrote there is gone
		},
		Transport:      &postern.Transport{Source: source, Origins: []string{warehouse.String()}},
		ModifyResponse: ownRefusals,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			slog.Error("call to the warehouse", "error", err)
			http.Error(w, "the warehouse cannot be reached", http.StatusBadGateway)
		},
	}
	return gate.Require(middleware.Role("buyer"))(proxy)
}

// onBehalfOf tells the warehouse whom the gateway calls for. It believes that of the gateway, and of nobody else.
const onBehalfOf = "X-On-Behalf-Of"

// ownRefusals keeps a refusal of the gateway's own token from the caller, who would think it is theirs and throw a good one away.
func ownRefusals(r *http.Response) error {
	if r.StatusCode == http.StatusUnauthorized || r.StatusCode == http.StatusForbidden {
		return fmt.Errorf("it answered %s to the gateway's own token", r.Status)
	}
	return nil
}
