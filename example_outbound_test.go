package postern_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"golang.org/x/oauth2"

	"github.com/postern-go/postern"
)

// startAPI is a server that says what it was sent.
func startAPI() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s with %q", r.URL.Path, r.Header.Get("Authorization"))
	}))
}

func ExampleNewClient() {
	api := startAPI()
	defer api.Close()

	// Package pat, jwtprofile or clientcredentials gives the source for ZITADEL.
	src := postern.FromOAuth2(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "example-token"}))
	client := postern.NewClient(src, api.URL)

	resp, err := client.Get(api.URL + "/orgs/me")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Println(string(body))
	// Output: /orgs/me with "Bearer example-token"
}

// A Transport of its own, for a client that has a timeout and its own base. Requests to origins that are not named are
// refused: the common mistake is to forget one.
func ExampleTransport() {
	src := postern.FromOAuth2(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "example-token"}))
	client := &http.Client{
		Timeout: 10 * time.Second,
		Transport: &postern.Transport{
			Source:  src,
			Origins: []string{"https://api.example.com", "https://*.tenants.example.com"},
			Base:    http.DefaultTransport,
		},
	}
	_, err := client.Get("https://login.example.com/")
	fmt.Println(err)
	// Output:
	// Get "https://login.example.com/": postern: request to "https://login.example.com" refused: its origin is not among Origins ["https://api.example.com" "https://*.tenants.example.com"]; add it if the token may go there
}

// vault is a source of one's own: each call fetches a token, and takes its time.
type vault struct{ fetched int }

func (v *vault) TokenCtx(ctx context.Context) (*oauth2.Token, error) {
	v.fetched++
	return &oauth2.Token{AccessToken: fmt.Sprint("token-", v.fetched), Expiry: time.Now().Add(time.Hour)}, nil
}

func (v *vault) Token() (*oauth2.Token, error) { return v.TokenCtx(context.Background()) }

// Reuse keeps the token of a source of one's own, renews it in the background before it ends, and drops it when a server
// has refused it.
func ExampleReuse() {
	src := postern.Reuse(&vault{}, postern.ReuseConfig{FetchTimeout: 5 * time.Second})

	for range 3 {
		token, err := src.TokenCtx(context.Background())
		fmt.Println(token.AccessToken, err)
	}
	src.(postern.Invalidator).Invalidate("token-1")
	token, err := src.TokenCtx(context.Background())
	fmt.Println(token.AccessToken, err)
	// Output:
	// token-1 <nil>
	// token-1 <nil>
	// token-1 <nil>
	// token-2 <nil>
}

// hanging is a source whose server does not answer.
type hanging struct{ until chan struct{} }

func (h hanging) Token() (*oauth2.Token, error) {
	<-h.until
	return &oauth2.Token{AccessToken: "late"}, nil
}

// FromOAuth2 lets callers leave when their context ends, which an oauth2.TokenSource alone does not.
func ExampleFromOAuth2() {
	src := hanging{make(chan struct{})}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()

	_, err := postern.FromOAuth2(src).TokenCtx(ctx)
	fmt.Println(err)
	close(src.until)
	// Output: postern: waiting for a token: context deadline exceeded
}
