package clientcredentials_test

import (
	"fmt"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/clientcredentials"
	"github.com/postern-go/postern/zitadeltest"
)

func ExampleNew() {
	server, err := zitadeltest.New(zitadeltest.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	issuer := server.Issuer()
	secret := server.AddServiceUser("ci-bot", zitadeltest.WithOrgRole("ORG_OWNER")).ClientSecret()

	src, err := clientcredentials.New(clientcredentials.Config{Issuer: issuer, ClientID: "ci-bot", ClientSecret: secret})
	if err != nil {
		fmt.Println(err)
		return
	}
	client := postern.NewClient(src, issuer)
	resp, err := client.Get(issuer + "/management/v1/orgs/me")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 200 OK
}

// A secret that was read from a file often has a line break at its end.
func ExampleNew_lineBreak() {
	_, err := clientcredentials.New(clientcredentials.Config{
		Issuer: "https://my-instance.zitadel.cloud", ClientID: "ci-bot", ClientSecret: "hunter2\n",
	})
	fmt.Println(err)
	// Output: clientcredentials: ClientSecret: expected no line break at the end, got one: cut it off, as strings.TrimRight does
}
