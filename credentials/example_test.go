package credentials_test

import (
	"fmt"
	"os"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/credentials"
	"github.com/postern-go/postern/introspect"
	"github.com/postern-go/postern/zitadeltest"
)

func ExampleFromEnv() {
	server, err := zitadeltest.New(zitadeltest.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	os.Setenv("ZITADEL_ISSUER", server.Issuer())
	os.Setenv("ZITADEL_PAT", server.AddServiceUser("bot", zitadeltest.WithOrgRole("ORG_OWNER")).PAT())
	defer os.Unsetenv("ZITADEL_ISSUER")
	defer os.Unsetenv("ZITADEL_PAT")

	src, err := credentials.FromEnv()
	if err != nil {
		fmt.Println(err)
		return
	}
	client := postern.NewClient(src, src.Issuer())
	resp, err := client.Get(src.Issuer() + "/management/v1/orgs/me")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(src.Method(), resp.Status)
	// Output: ZITADEL_PAT 200 OK
}

// What is set is listed by name.
func ExampleFromEnv_mistake() {
	os.Setenv("ZITADEL_ISSUER", "https://acme.zitadel.cloud")
	os.Setenv("ZITADEL_CLIENT_ID", "bot")
	defer os.Unsetenv("ZITADEL_ISSUER")
	defer os.Unsetenv("ZITADEL_CLIENT_ID")

	_, err := credentials.FromEnv()
	fmt.Println(err)
	// Output: credentials: expected ZITADEL_CLIENT_SECRET or ZITADEL_CLIENT_SECRET_FILE with ZITADEL_CLIENT_ID, got neither: set are ZITADEL_CLIENT_ID
}

func ExampleAPIFromEnv() {
	server, err := zitadeltest.New(zitadeltest.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	api := server.AddProject("shop").AddAPI("orders")
	os.Setenv("ZITADEL_ISSUER", server.Issuer())
	os.Setenv("ZITADEL_API_CLIENT_ID", api.ClientID)
	os.Setenv("ZITADEL_API_CLIENT_SECRET", api.ClientSecret)
	defer os.Unsetenv("ZITADEL_ISSUER")
	defer os.Unsetenv("ZITADEL_API_CLIENT_ID")
	defer os.Unsetenv("ZITADEL_API_CLIENT_SECRET")

	cfg, err := credentials.APIFromEnv()
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = introspect.New(cfg)
	fmt.Println(err)
	// Output: <nil>
}
