package main

import (
	"net/http"
	"time"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/introspect"
	"github.com/postern-go/postern/localjwt"
	"github.com/postern-go/postern/middleware"
)

// verifier says whose token it is, and can be told of tokens that have ended.
type verifier interface {
	postern.Verifier
	introspect.Evictor
}

// newVerifier is where the API decides how it learns whose token it gets: JWTs by their signature, when it knows its project, and
// everything else by asking ZITADEL.
func newVerifier(s settings) (verifier, error) {
	asking, err := introspect.New(introspect.Config{Issuer: s.issuer, Auth: s.auth})
	if err != nil {
		return nil, err
	}
	if s.project == "" {
		return asking, nil
	}
	return localjwt.New(localjwt.Config{
		Issuer: s.issuer, Audience: []string{s.project}, ProjectID: s.project,
		Introspection: asking, Recheck: time.Minute, // a revoked JWT ends within that, and at once with events
	})
}

// newAPI puts everything together.
func newAPI(s settings) (*http.ServeMux, verifier, error) {
	v, err := newVerifier(s)
	if err != nil {
		return nil, nil, err
	}
	gate := middleware.New(v, middleware.Config{Realm: "orders", Resource: s.resource})
	mux := http.NewServeMux()
	mux.Handle("/", routes(gate))
	if s.resource != nil {
		mux.Handle(gate.Metadata())
	}
	if s.signingKey != "" {
		h, err := newEvents(v, s.signingKey)
		if err != nil {
			return nil, nil, err
		}
		mux.Handle(eventsPath, h)
	}
	return mux, v, nil
}

// eventsPath is where ZITADEL tells of tokens that have ended. The events are signed, so the gate does not stand in front.
const eventsPath = "POST /zitadel/events"

func newEvents(v verifier, signingKey string) (http.Handler, error) {
	return introspect.NewRevocationHandler(v, introspect.RevocationConfig{SigningKeys: []string{signingKey}})
}
