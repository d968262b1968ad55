package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/postern-go/postern"
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

// subscribe makes ZITADEL call the API when tokens end, as an administrator does once: a target, which has the key that events are
// signed with, and the events that go there.
func subscribe(ctx context.Context, zitadel *zitadeltest.Server, v verifier, mux *http.ServeMux, apiURL string) (events, error) {
	source, err := pat.New(zitadel.AdminPAT())
	if err != nil {
		return nil, err
	}
	admin := postern.NewClient(source, zitadel.Issuer())
	_, path, _ := strings.Cut(eventsPath, " ")

	var target struct{ ID, SigningKey string }
	err = send(ctx, admin, http.MethodPost, zitadel.Issuer()+"/v2/actions/targets", &target, map[string]any{
		"name": "orders-api", "endpoint": apiURL + path, "timeout": "5s", "restWebhook": map[string]any{"interruptOnError": false},
	})
	if err != nil {
		return nil, err
	}
	for _, event := range []string{"user.pat.removed", "oidc_session.access_token.revoked"} {
		err := send(ctx, admin, http.MethodPut, zitadel.Issuer()+"/v2/actions/executions", nil, map[string]any{
			"condition": map[string]any{"event": map[string]any{"event": event}}, "targets": []string{target.ID},
		})
		if err != nil {
			return nil, err
		}
	}

	h, err := newEvents(v, target.SigningKey)
	if err != nil {
		return nil, err
	}
	told := make(events, 1)
	mux.Handle(eventsPath, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r)
		told <- struct{}{}
	}))
	return told, nil
}

func send(ctx context.Context, client *http.Client, method, url string, into, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(b))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", method, url, resp.Status)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(into)
}
