package pat_test

import (
	"fmt"
	"os"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/pat"
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
	token := server.AddServiceUser("bot", zitadeltest.WithOrgRole("ORG_OWNER")).PAT()

	src, err := pat.New(token)
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

// A token that was copied together with the word before it is refused, and not shown.
func ExampleNew_mistake() {
	_, err := pat.New("Bearer dEnN0hunter2")
	fmt.Println(err)
	// Output: pat: expected a token, got the word Bearer before it: leave it out
}

func ExampleFromFile() {
	_, err := pat.FromFile("/nowhere/token")
	fmt.Println(err)
	// Output: pat: /nowhere/token: expected a file, got none (no such file or directory): check the path
}

func ExampleFromEnv() {
	os.Setenv("EXAMPLE_PAT", "dEnN0hunter2")
	src, err := pat.FromEnv("EXAMPLE_PAT")
	fmt.Println(src, err)
	// Output: pat.Source <nil>
}
