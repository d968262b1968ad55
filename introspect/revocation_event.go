package introspect

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/postern-go/postern/internal/strictjson"
)

// endings says for each event that ends tokens whose they are, and is the list of events to register for. An event does not
// name who is concerned in one place: its field userID is who caused it.
var endings = map[string]func(event) Eviction{
	"user.pat.removed": func(e event) Eviction {
		if e.tokenID == "" {
			return ofAggregate(e)
		}
		return Eviction{TokenID: e.tokenID}
	},
	"user.token.removed": ofAggregate,
	"user.locked":        ofAggregate,
	"user.deactivated":   ofAggregate,
	"user.removed":       ofAggregate,

	// The aggregate is the grant. Servers that do not say whose it was leave nothing but to evict everything.
	"user.grant.changed":         ofPayloadUser,
	"user.grant.removed":         ofPayloadUser,
	"user.grant.deactivated":     ofEveryone,
	"user.grant.reactivated":     ofEveryone,
	"user.grant.cascade.changed": ofEveryone,
	"user.grant.cascade.removed": ofEveryone,

	// The aggregate is the session, the part of jti before "-at_".
	"oidc_session.access_token.revoked":  ofSession,
	"oidc_session.refresh_token.revoked": ofSession,

	"session.terminated":              ofEveryone, // a login session: no token names it
	"project.role.removed":            ofEveryone,
	"project.deactivated":             ofEveryone,
	"project.removed":                 ofEveryone,
	"project.application.deactivated": ofEveryone,
	"project.application.removed":     ofEveryone,
	"org.deactivated":                 ofEveryone,
	"org.removed":                     ofEveryone,
}

func ofAggregate(e event) Eviction   { return Eviction{Subject: e.aggregateID} }
func ofPayloadUser(e event) Eviction { return Eviction{Subject: e.payloadUserID} }
func ofSession(e event) Eviction     { return Eviction{TokenID: e.aggregateID} }
func ofEveryone(event) Eviction      { return Eviction{} }

// event is what of an event decides whom it concerns.
type event struct{ kind, aggregateID, tokenID, payloadUserID string }

// concerns says which tokens the event ends, all where it does not name them, and false for an event that ends none.
func (e event) concerns() (Eviction, bool) {
	ending := endings[e.kind]
	if ending == nil {
		return Eviction{}, false
	}
	c := ending(e)
	c.All = c.TokenID == "" && c.Subject == ""
	return c, true
}

// parseEvent reads the body of an event. Names match exactly; one that stands twice, or also in another case, is an error.
func parseEvent(body []byte) (event, error) {
	fields, err := strictjson.Parse(string(body), "event_type", "aggregateID", "event_payload")
	if err != nil {
		return event{}, fmt.Errorf("event: %w", err)
	}
	var e event
	if e.kind, err = stringOf(fields, "event_type"); err != nil {
		return event{}, fmt.Errorf("event: %w", err)
	}
	if e.kind == "" {
		return event{}, errors.New("event: expected a name in event_type, got none")
	}
	if endings[e.kind] == nil { // what other events carry is not ours to judge
		return e, nil
	}
	if e.aggregateID, err = stringOf(fields, "aggregateID"); err != nil {
		return event{}, fmt.Errorf("event: %w", err)
	}
	payload, _ := fields.Get("event_payload")
	if e.tokenID, e.payloadUserID, err = parsePayload(payload); err != nil {
		return event{}, fmt.Errorf("event_payload: %w", err)
	}
	return e, nil
}

// parsePayload reads the payload of an event, which may be missing. Older servers send the object as a string in base64.
func parsePayload(payload string) (tokenID, userID string, err error) {
	if strings.HasPrefix(payload, `"`) {
		encoded, err := strictjson.String(payload)
		if err != nil {
			return "", "", err
		}
		decoded, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return "", "", errors.New("expected a JSON object, or one in base64, got another string")
		}
		payload = string(decoded)
	}
	if payload == "" || payload == "null" {
		return "", "", nil
	}
	fields, err := strictjson.Parse(payload, "tokenId", "userId")
	if err != nil {
		return "", "", err
	}
	if tokenID, err = stringOf(fields, "tokenId"); err != nil {
		return "", "", err
	}
	userID, err = stringOf(fields, "userId")
	return tokenID, userID, err
}

// stringOf reads a member that is a string, or is null or not there.
func stringOf(fields strictjson.Object, name string) (string, error) {
	value, ok := fields.Get(name)
	if !ok || value == "null" {
		return "", nil
	}
	s, err := strictjson.String(value)
	if err != nil {
		return "", fmt.Errorf("%q: %w", name, err)
	}
	return strings.Clone(s), nil // it is remembered, and the body, of which it is a part, need not be
}
