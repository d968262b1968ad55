// Command pat prints the organisation of a service user, who proves itself by a personal access token.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/pat"
)

func main() {
	if err := run(os.Getenv("ZITADEL_ISSUER"), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(issuer string, out io.Writer) error {
	src, err := pat.FromEnv("ZITADEL_PAT")
	if err != nil {
		return err
	}
	resp, err := postern.NewClient(src, issuer).Get(issuer + "/management/v1/orgs/me")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err = io.Copy(out, resp.Body); err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the API answered %s", resp.Status)
	}
	return err
}
