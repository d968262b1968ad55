// Command clientcredentials prints the organisation of a service user, who proves itself by client id and secret of a service user.
package main

import (
	"io"
	"log"
	"os"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/clientcredentials"
)

func main() {
	if err := run(os.Getenv("ZITADEL_ISSUER"), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(issuer string, out io.Writer) error {
	src, err := clientcredentials.New(clientcredentials.Config{
		Issuer: issuer, ClientID: os.Getenv("ZITADEL_CLIENT_ID"), ClientSecret: os.Getenv("ZITADEL_CLIENT_SECRET"),
	})
	if err != nil {
		return err
	}
	resp, err := postern.NewClient(src, issuer).Get(issuer + "/management/v1/orgs/me")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(out, resp.Body)
	return err
}
