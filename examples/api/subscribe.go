package main

import (
	"context"
	"net/http"
	"strings"

	"github.com/postern-go/postern/introspect"
	"github.com/postern-go/postern/pat"
	"github.com/postern-go/postern/zitadeltest"
)

// events tells when ZITADEL has told the API of a token that ended.
type events chan struct{}

func (e events) wait(ctx context.Context) error {
	select {
	case <-e:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// subscribe makes ZITADEL call the API when tokens end, as an administrator does once.
func subscribe(ctx context.Context, zitadel *zitadeltest.Server, v verifier, mux *http.ServeMux, apiURL string) (events, error) {
	admin, err := pat.New(zitadel.AdminPAT())
	if err != nil {
		return nil, err
	}
	_, path, _ := strings.Cut(eventsPath, " ")
	target, err := introspect.SetupRevocation(ctx, introspect.RevocationSetup{
		Issuer: zitadel.Issuer(), Source: admin, Name: "orders-api", Endpoint: apiURL + path,
	})
	if err != nil {
		return nil, err
	}
	h, err := newEvents(v, target.SigningKey())
	if err != nil {
		return nil, err
	}
	told := make(events, 1)
	mux.Handle(eventsPath, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r)
		select {
		case told <- struct{}{}:
		case <-r.Context().Done():
		}
	}))
	return told, nil
}
