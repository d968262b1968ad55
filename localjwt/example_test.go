package localjwt_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/introspect"
	"github.com/postern-go/postern/localjwt"
	"github.com/postern-go/postern/middleware"
	"github.com/postern-go/postern/zitadeltest"
)

// A server of zitadeltest stands for ZITADEL here; with a real one Issuer is its URL, and HTTPClient is left out.
func ExampleNew() {
	zitadel, err := zitadeltest.New(zitadeltest.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer zitadel.Close()
	orders := zitadel.AddProject("orders", "viewer", "admin")
	bot := zitadel.AddServiceUser("bot", zitadeltest.JWTTokens(), zitadeltest.WithProjectRole(orders, "viewer"))
	token := zitadel.IssueToken(bot, "openid", postern.ScopeProjectAudience(orders.ID), postern.ScopeProjectsRoles)

	v, err := localjwt.New(localjwt.Config{
		Issuer:     zitadel.Issuer(),
		Audience:   []string{orders.ID},
		ProjectID:  orders.ID,
		HTTPClient: zitadel.Client(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 1000 {
		id, err := v.Verify(context.Background(), token)
		if err != nil || !id.HasRole("viewer") || id.HasRole("admin") {
			fmt.Println("unexpected:", err)
		}
	}
	fmt.Println("calls for 1000 requests:", zitadel.Calls(zitadeltest.KeysEndpoint), "for keys,", zitadel.Calls(zitadeltest.IntrospectionEndpoint), "for tokens")
	// Output:
	// calls for 1000 requests: 1 for keys, 0 for tokens
}

// The mistake met most often: a token that was not asked for with the API's project in its audience.
func ExampleNew_withoutAudience() {
	zitadel, err := zitadeltest.New(zitadeltest.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer zitadel.Close()
	bot := zitadel.AddServiceUser("bot", zitadeltest.JWTTokens())
	token := zitadel.IssueToken(bot, "openid") // add postern.ScopeProjectAudience("400709185869712422")

	v, err := localjwt.New(localjwt.Config{
		Issuer: zitadel.Issuer(), Audience: []string{"400709185869712422"}, HTTPClient: zitadel.Client(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = v.Verify(context.Background(), token)
	_, cure, _ := strings.Cut(err.Error(), "; ")
	fmt.Println(errors.Is(err, postern.ErrInvalidToken), cure)
	// Output:
	// true ask for the token with postern.ScopeProjectAudience
}

// With Introspection one verifier takes every token of the issuer, and learns of revocation.
func ExampleConfig_introspection() {
	zitadel, err := zitadeltest.New(zitadeltest.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer zitadel.Close()
	orders := zitadel.AddProject("orders")
	api := orders.AddAPI("orders-api")
	bot := zitadel.AddServiceUser("bot", zitadeltest.JWTTokens())
	pat, jwt := bot.PAT(), zitadel.IssueToken(bot, "openid", postern.ScopeProjectAudience(orders.ID))

	introspection, err := introspect.New(introspect.Config{
		Issuer: zitadel.Issuer(), Auth: introspect.Basic(api.ClientID, api.ClientSecret), HTTPClient: zitadel.Client(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	v, err := localjwt.New(localjwt.Config{
		Issuer: zitadel.Issuer(), Audience: []string{orders.ID}, ProjectID: orders.ID, HTTPClient: zitadel.Client(),
		Introspection: introspection,
		Recheck:       time.Minute, // so late, at most, is a revoked JWT in use refused
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, token := range []string{pat, jwt} {
		id, err := v.Verify(context.Background(), token)
		fmt.Println(id.Subject() == bot.ID, err)
	}

	zitadel.Revoke(jwt)
	v.EvictSubject(bot.ID) // as introspect.NewRevocationHandler does for ZITADEL's events: then it is no minute
	_, err = v.Verify(context.Background(), jwt)
	fmt.Println(errors.Is(err, postern.ErrInvalidToken))
	// Output:
	// true <nil>
	// true <nil>
	// true
}

// An API behind two instances: each JWT goes to the verifier of its issuer, and opaque tokens by the host of the request.
func ExampleNewIssuers() {
	var verifiers []*localjwt.Verifier
	hosts := make(map[string]postern.Verifier)
	tokens := make(map[string]string)
	for _, host := range []string{"acme.api.example.com", "globex.api.example.com"} {
		zitadel, err := zitadeltest.New(zitadeltest.Config{})
		if err != nil {
			fmt.Println(err)
			return
		}
		defer zitadel.Close()
		orders := zitadel.AddProject("orders")
		api := orders.AddAPI("orders-api")
		introspection, err := introspect.New(introspect.Config{
			Issuer: zitadel.Issuer(), Auth: introspect.Basic(api.ClientID, api.ClientSecret), HTTPClient: zitadel.Client(),
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		v, err := localjwt.New(localjwt.Config{
			Issuer: zitadel.Issuer(), Audience: []string{orders.ID}, HTTPClient: zitadel.Client(), Introspection: introspection,
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		verifiers, hosts[host] = append(verifiers, v), v
		tokens[host] = zitadel.AddServiceUser("bot").PAT()
	}
	all, err := localjwt.NewIssuers(localjwt.IssuersConfig{Verifiers: verifiers, Hosts: hosts})
	if err != nil {
		fmt.Println(err)
		return
	}

	gate := middleware.New(all, middleware.Config{})
	orders := gate.Require()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := postern.FromContext(r.Context())
		fmt.Fprintln(w, id.Issuer(), id.Subject()) // both: user ids are unique within one instance only
	}))
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		orders.ServeHTTP(w, r.WithContext(localjwt.WithHost(r.Context(), r.Host)))
	})
	for _, host := range []string{"acme.api.example.com", "globex.api.example.com"} {
		r := httptest.NewRequest(http.MethodGet, "https://"+host+"/", nil)
		r.Header.Set("Authorization", "Bearer "+tokens["acme.api.example.com"])
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Println(host, w.Code)
	}
	// Output:
	// acme.api.example.com 200
	// globex.api.example.com 401
}
