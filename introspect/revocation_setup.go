package introspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/internal/origin"
	"github.com/postern-go/postern/internal/zitadelapi"
)

// RevocationSetup says what SetupRevocation registers, and where.
type RevocationSetup struct {
	// Issuer is the server.
	Issuer string
	// Source is whose token makes the calls: somebody who may read and write Actions targets and executions, such as an
	// IAM_OWNER.
	Source postern.TokenSource
	// Endpoint is the URL under which ZITADEL reaches a RevocationHandler: https, or http to loopback or with AllowHTTP.
	Endpoint string
	// Name is the target's, by which it is found when SetupRevocation runs again. Empty means "postern-revocation".
	Name string

	// HTTPClient is copied, and the copy follows no redirects. Nil means a client tuned for one server.
	HTTPClient *http.Client
	// Header is added to every request, such as x-zitadel-instance-host behind a proxy.
	Header http.Header
	// AllowHTTP allows http to other hosts than loopback, for Issuer and for Endpoint.
	AllowHTTP bool
}

// RevocationTarget is an Actions v2 target that is registered for the events that end tokens.
type RevocationTarget struct {
	// ID is the target's.
	ID string
	// Created reports whether the target was not there before.
	Created bool
	// Events are the events that it is registered for, and Unknown those that the server does not know and so does not send.
	// Both are sorted.
	Events, Unknown []string

	signingKey func() string // behind a function so that printing a target does not print it
}

// SigningKey returns the key for RevocationConfig.SigningKeys: keep it where the API finds its secrets. It is empty when the target
// was there before and the server does not tell its key.
func (t *RevocationTarget) SigningKey() string {
	if t.signingKey == nil {
		return ""
	}
	return t.signingKey()
}

// SetupRevocation makes ZITADEL tell a RevocationHandler of every event that ends tokens: it creates an Actions v2 target, and adds
// it to the executions of these events, beside the targets that are there. Where there is none for an event but one for its group or
// for all events, the new one has that one's targets, too, as ZITADEL runs the closest execution only. It may run again: what is as it
// should be is left alone, and a target of that name that points elsewhere is pointed to Endpoint.
//
// The error names every mistake in cfg, or what the server refused. What was done until then stays, and running it again goes on
// from there.
func SetupRevocation(ctx context.Context, cfg RevocationSetup) (*RevocationTarget, error) {
	cfg.Name = cmp.Or(cfg.Name, "postern-revocation")
	api, err := zitadelapi.New(zitadelapi.Config{
		Issuer: cfg.Issuer, Source: cfg.Source, HTTPClient: cfg.HTTPClient, Header: cfg.Header, AllowHTTP: cfg.AllowHTTP,
	})
	errs := []error{err}
	if u, err := url.Parse(cfg.Endpoint); err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		errs = append(errs, errors.New(`Endpoint: expected the URL of the handler, such as "https://api.example.com/zitadel/events", without user or fragment`))
	} else if err := origin.Secure(u, cfg.AllowHTTP); err != nil {
		errs = append(errs, fmt.Errorf("Endpoint: %w", err))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("introspect: revocation setup: %w", err)
	}
	target, err := registerTarget(ctx, api, cfg)
	if err == nil {
		err = registerEvents(ctx, api, target)
	}
	if err != nil {
		return nil, fmt.Errorf("introspect: revocation setup: %w", err)
	}
	return target, nil
}

const targetsPath = "/v2/actions/targets"

type object = map[string]any

// registerTarget finds or creates the target.
func registerTarget(ctx context.Context, api *zitadelapi.Client, cfg RevocationSetup) (*RevocationTarget, error) {
	type found struct{ ID, Name, Endpoint, SigningKey string }
	var page struct{ Targets []found }
	filter := object{"targetNameFilter": object{"targetName": cfg.Name}} // equal is the default
	if err := api.Call(ctx, http.MethodPost, targetsPath+"/search", object{"filters": []object{filter}}, &page); err != nil {
		return nil, err
	}
	named := slices.DeleteFunc(page.Targets, func(t found) bool { return t.Name != cfg.Name || t.ID == "" })
	if len(named) == 0 {
		var created struct{ ID, SigningKey string }
		err := api.Call(ctx, http.MethodPost, targetsPath, object{
			"name": cfg.Name, "endpoint": cfg.Endpoint, "timeout": "5s", "restWebhook": object{"interruptOnError": false},
		}, &created)
		if err == nil && (created.ID == "" || created.SigningKey == "") {
			err = errors.New("expected the id and signing key of the created target, got none")
		}
		return &RevocationTarget{ID: created.ID, Created: true, signingKey: func() string { return created.SigningKey }}, err
	}
	target := named[max(0, slices.IndexFunc(named, func(t found) bool { return t.Endpoint == cfg.Endpoint }))]
	if target.Endpoint != cfg.Endpoint {
		if err := api.Call(ctx, http.MethodPost, targetsPath+"/"+url.PathEscape(target.ID), object{"endpoint": cfg.Endpoint}, nil); err != nil {
			return nil, err
		}
	}
	return &RevocationTarget{ID: target.ID, signingKey: func() string { return target.SigningKey }}, nil
}

// registerEvents adds the target to the execution of each event that ends tokens.
func registerEvents(ctx context.Context, api *zitadelapi.Client, target *RevocationTarget) error {
	registered, err := executions(ctx, api)
	if err != nil {
		return err
	}
	for _, event := range slices.Sorted(maps.Keys(endings)) {
		if targets := registered.of(event); !slices.Contains(targets, target.ID) {
			err := api.Call(ctx, http.MethodPut, "/v2/actions/executions", object{
				"condition": object{"event": object{"event": event}},
				"targets":   slices.Concat(targets, []string{target.ID}),
			}, nil)
			refusal, ok := errors.AsType[*postern.Error](err)
			if ok && (refusal.StatusCode == http.StatusNotFound || refusal.StatusCode == http.StatusBadRequest) {
				target.Unknown = append(target.Unknown, event)
				continue
			}
			if err != nil {
				return fmt.Errorf("registering for %s: %w", event, err)
			}
		}
		target.Events = append(target.Events, event)
	}
	if len(target.Events) == 0 {
		return errors.New("the server knows none of the events that end tokens: Actions v2 needs ZITADEL v3 or later, and in some versions its feature flag")
	}
	return nil
}

const (
	executionsPage = 100
	maxExecutions  = 10_000
)

// targetsOf has the targets of each execution: of an event, of a group, which ends in ".*", and of all events, which is "*".
type targetsOf map[string][]string

// of returns the targets of the execution that the server runs for an event.
func (t targetsOf) of(event string) []string {
	targets, ok := t[event]
	for end := strings.LastIndexByte(event, '.'); !ok && end > 0; end = strings.LastIndexByte(event[:end], '.') {
		targets, ok = t[event[:end]+".*"]
	}
	if !ok {
		targets = t["*"]
	}
	return targets
}

// executions returns what is registered.
func executions(ctx context.Context, api *zitadelapi.Client) (targetsOf, error) {
	targets := targetsOf{}
	for offset := 0; offset < maxExecutions; offset += executionsPage {
		var page struct {
			Executions []struct {
				Condition struct {
					Event struct {
						Event, Group string
						All          bool
					}
				}
				Targets []string
			}
		}
		err := api.Call(ctx, http.MethodPost, "/v2/actions/executions/search", object{
			"pagination": object{"offset": offset, "limit": executionsPage, "asc": true},
		}, &page)
		if err != nil {
			return nil, err
		}
		for _, e := range page.Executions {
			switch on := e.Condition.Event; {
			case on.Event != "":
				targets[on.Event] = e.Targets
			case on.Group != "":
				targets[strings.TrimSuffix(on.Group, ".*")+".*"] = e.Targets
			case on.All:
				targets["*"] = e.Targets
			}
		}
		if len(page.Executions) < executionsPage {
			return targets, nil
		}
	}
	return nil, fmt.Errorf("expected at most %d executions on the server, got more", maxExecutions)
}
