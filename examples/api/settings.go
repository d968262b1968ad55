package main

import (
	"errors"
	"fmt"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/introspect"
	"github.com/postern-go/postern/keyfile"
	"github.com/postern-go/postern/middleware"
)

// settings are what the environment says; see README.md.
type settings struct {
	addr     string
	issuer   string
	auth     introspect.Auth
	resource *middleware.Resource
}

func readSettings(getenv func(string) string) (settings, error) {
	s := settings{addr: getenv("ORDERS_ADDR"), issuer: getenv("ZITADEL_ISSUER")}
	if s.addr == "" {
		s.addr = "127.0.0.1:8080"
	}
	if url := getenv("ORDERS_URL"); url != "" {
		s.resource = &middleware.Resource{ID: url, Name: "orders", AuthorizationServers: []string{s.issuer}}
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

// newVerifier is where the API decides how it learns whose token it gets.
func newVerifier(s settings) (postern.Verifier, error) {
	return introspect.New(introspect.Config{Issuer: s.issuer, Auth: s.auth})
}

func newGate(v postern.Verifier, s settings) *middleware.Gate {
	return middleware.New(v, middleware.Config{Realm: "orders", Resource: s.resource})
}
