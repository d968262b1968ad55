package main

import (
	"errors"
	"fmt"

	"github.com/postern-go/postern/introspect"
	"github.com/postern-go/postern/keyfile"
	"github.com/postern-go/postern/middleware"
)

// settings are what the environment says; see README.md.
type settings struct {
	addr       string
	issuer     string
	auth       introspect.Auth
	project    string // empty: no token is verified here, all are asked about
	signingKey string // empty: no events
	resource   *middleware.Resource
}

// variables are those without which it cannot serve.
var variables = []string{"ZITADEL_ISSUER", "ZITADEL_API_KEY_FILE", "ZITADEL_API_CLIENT_ID", "ZITADEL_API_CLIENT_SECRET"}

func readSettings(getenv func(string) string) (settings, error) {
	s := settings{
		addr: getenv("ORDERS_ADDR"), issuer: getenv("ZITADEL_ISSUER"), project: getenv("ZITADEL_PROJECT_ID"), signingKey: getenv("ZITADEL_SIGNING_KEY"),
	}
	if s.issuer == "" {
		return s, errors.New("expected ZITADEL_ISSUER, the URL of the ZITADEL that the other settings are for, got none")
	}
	if s.addr == "" {
		s.addr = "127.0.0.1:8080"
	}
	if url := getenv("ORDERS_URL"); url != "" {
		s.resource = &middleware.Resource{ID: url, Name: "orders", AuthorizationServers: []string{s.issuer}}
		if err := s.resource.Validate(); err != nil {
			return s, fmt.Errorf("ORDERS_URL: %w", err)
		}
	}
	file, id, secret := getenv("ZITADEL_API_KEY_FILE"), getenv("ZITADEL_API_CLIENT_ID"), getenv("ZITADEL_API_CLIENT_SECRET")
	switch {
	case file != "" && id+secret != "":
		return s, errors.New("expected ZITADEL_API_KEY_FILE, or ZITADEL_API_CLIENT_ID with ZITADEL_API_CLIENT_SECRET, got both; unset one")
	case file != "":
		key, err := keyfile.Open(file)
		if err != nil {
			return s, fmt.Errorf("ZITADEL_API_KEY_FILE: %w", err)
		}
		s.auth = introspect.PrivateKeyJWT(key)
	case id != "" && secret != "":
		s.auth = introspect.Basic(id, secret)
	default:
		return s, errors.New("expected ZITADEL_API_KEY_FILE, or ZITADEL_API_CLIENT_ID with ZITADEL_API_CLIENT_SECRET, of an API application in " +
			"your ZITADEL project, so that this API may ask whose token it gets")
	}
	return s, nil
}
