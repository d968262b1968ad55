package jwtprofile_test

import (
	"fmt"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/jwtprofile"
	"github.com/postern-go/postern/keyfile"
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
	keyJSON := server.AddServiceUser("bot", zitadeltest.WithOrgRole("ORG_OWNER")).KeyJSON()

	key, err := keyfile.Parse(keyJSON) // or keyfile.Read("key.json")
	if err != nil {
		fmt.Println(err)
		return
	}
	src, err := jwtprofile.New(jwtprofile.Config{Issuer: issuer, Key: key})
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

// A key file of an API application looks much the same and is refused before anything is sent.
func ExampleNew_wrongKey() {
	key, err := keyfile.Read("../keyfile/testdata/application.json")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = jwtprofile.New(jwtprofile.Config{Issuer: "https://my-instance.zitadel.cloud", Key: key})
	fmt.Println(err)
	// Output: jwtprofile: Key: expected a service user's key (type "serviceaccount"), got an API application's: add a key to the service user in ZITADEL and use that file
}
