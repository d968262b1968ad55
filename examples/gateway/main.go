// Command gateway is one process that is both ways at once: it checks its callers' tokens, and calls on with a token of its own. It
// starts a ZITADEL, a warehouse API and the gateway, and prints what the warehouse sees. See README.md.
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/introspect"
	"github.com/postern-go/postern/jwtprofile"
	"github.com/postern-go/postern/keyfile"
	"github.com/postern-go/postern/middleware"
	"github.com/postern-go/postern/zitadeltest"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "gateway:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	zitadel, err := zitadeltest.New(zitadeltest.Config{})
	if err != nil {
		return err
	}
	defer zitadel.Close()
	issuer := zitadel.Issuer()

	// The warehouse: an API of another project, which lets in who has the role client there.
	stock := zitadel.AddProject("stock", "client")
	verifier, err := newVerifier(issuer, stock.AddAPI("warehouse").KeyJSON())
	if err != nil {
		return err
	}
	warehouse := httptest.NewServer(middleware.New(verifier, middleware.Config{Realm: "warehouse"}).Require(middleware.Role("client"))(http.HandlerFunc(count)))
	defer warehouse.Close()

	// The gateway: an API of the project shop for those who call it, and a service user with the role client for the warehouse.
	shop := zitadel.AddProject("shop", "buyer")
	verifier, err = newVerifier(issuer, shop.AddAPI("gateway").KeyJSON())
	if err != nil {
		return err
	}
	us := zitadel.AddServiceUser("gateway", zitadeltest.WithProjectRole(stock, "client"))
	key, err := keyfile.Parse(us.KeyJSON())
	if err != nil {
		return err
	}
	source, err := jwtprofile.New(jwtprofile.Config{Issuer: issuer, Key: key, Scopes: []string{"openid", postern.ScopeProjectAudience(stock.ID)}})
	if err != nil {
		return err
	}
	upstream, err := url.Parse(warehouse.URL)
	if err != nil {
		return err
	}
	gateway := httptest.NewServer(newGateway(verifier, source, upstream))
	defer gateway.Close()

	anna := zitadel.AddServiceUser("anna", zitadeltest.WithProjectRole(shop, "buyer"))
	guest := zitadel.AddServiceUser("guest")
	names := strings.NewReplacer(us.ID, "gateway", anna.ID, "anna")
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CALLER\tCALLS\tSTATUS\tANSWER")
	for _, c := range []struct{ name, token, at, url string }{
		{"nobody", "", "gateway", gateway.URL},
		{"guest", guest.PAT(), "gateway", gateway.URL},
		{"anna", anna.PAT(), "gateway", gateway.URL},
		{"anna", anna.PAT(), "warehouse, past the gateway", warehouse.URL},
	} {
		status, answer, err := get(ctx, c.url+"/stock/anvil", c.token)
		if err != nil {
			return err
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", c.name, c.at, status, names.Replace(answer))
	}
	return t.Flush()
}

func newVerifier(issuer string, keyJSON []byte) (postern.Verifier, error) {
	key, err := keyfile.Parse(keyJSON)
	if err != nil {
		return nil, err
	}
	return introspect.New(introspect.Config{Issuer: issuer, Auth: introspect.PrivateKeyJWT(key)})
}

// count is the warehouse's only handler: it says what there is, and what it knows of who asks.
func count(w http.ResponseWriter, r *http.Request) {
	id, _ := postern.FromContext(r.Context())
	fmt.Fprintf(w, "7 pieces, asked by %s on behalf of %s", id.Subject(), r.Header.Get(onBehalfOf))
}

func get(ctx context.Context, url, token string) (status, body string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", "", err
	}
	r.Header.Set(onBehalfOf, "somebody else") // which nobody may claim
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if resp.StatusCode != http.StatusOK {
		answer = []byte(resp.Header.Get("WWW-Authenticate"))
	}
	return resp.Status, string(answer), err
}
