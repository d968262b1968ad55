package postern

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/postern-go/postern/internal/strictjson"
)

// Identity is who a token speaks for and what it may do, as the identity server said. It cannot be changed: one value serves
// many requests at once. The methods return the zero value for what the server did not say.
type Identity struct {
	raw                                                        string // the answer; the strings below are parts of it
	subject, username, clientID, orgID, orgDomain, issuer, jti string
	scope                                                      string
	audience                                                   []string
	roles                                                      []grant
	metadata                                                   []strictjson.Member
	expiry, issuedAt                                           time.Time
	stale                                                      bool
}

// grant is one role in one project, given by one organisation. An empty project is the introspecting API's own.
type grant struct{ project, role, org string }

const (
	ownRolesClaim     = "urn:zitadel:iam:org:project:roles"
	projectClaim      = "urn:zitadel:iam:org:project:"
	projectRolesClaim = projectClaim + "*:roles"
	metadataClaim     = "urn:zitadel:iam:user:metadata"
	orgIDClaim        = "urn:zitadel:iam:user:resourceowner:id"
	orgDomainClaim    = "urn:zitadel:iam:user:resourceowner:primary_domain"
)

// NewIdentity makes an Identity of claims as ZITADEL gives them, for tests of handlers and for Verifiers of your own:
//
//	postern.NewIdentity(map[string]any{
//		"sub": "123",
//		"urn:zitadel:iam:org:project:roles": map[string]any{"admin": map[string]string{"org1": "acme.example"}},
//	})
//
// It returns an error for claims that are not JSON, or of another type than the claim has. It decides nothing: an expired
// Identity is made as readily as any other.
func NewIdentity(claims map[string]any) (*Identity, error) {
	if claims == nil {
		claims = map[string]any{} // and not JSON's null
	}
	raw, err := json.Marshal(claims)
	if err != nil {
		return nil, fmt.Errorf("postern: identity: expected claims that JSON can carry: %w", err)
	}
	return ParseIdentity(raw, "")
}

// ParseIdentity makes an Identity of a JSON object: an introspection answer (RFC 7662 §2.2) or the claims of a JWT. HasRole
// asks the claim urn:zitadel:iam:org:project:roles, and where there is none, the claim of projectID, which may be empty. In the JWT
// of a user the former is about the project of the client that asked for the token: leave it out first, as package localjwt does.
//
// Names match exactly. It returns an error when a claim that an Identity reads stands twice or in another case, or has a type
// that is not its own. It decides nothing: "active", "exp" and the like are for the Verifier to judge.
func ParseIdentity(claims []byte, projectID string) (*Identity, error) {
	id, err := parseIdentity(string(claims), projectID)
	if err != nil {
		return nil, fmt.Errorf("postern: identity: %w", err)
	}
	return id, nil
}

// Subject returns the user's id (sub): decide on this, never on a name.
func (id *Identity) Subject() string { return id.subject }

// Username returns the login name (username). It can change, and JWT access tokens have none.
func (id *Identity) Username() string { return id.username }

// ClientID returns the client that asked for the token (client_id). Personal access tokens have none.
func (id *Identity) ClientID() string { return id.clientID }

// OrgID returns the id of the organisation that the user belongs to (urn:zitadel:iam:user:resourceowner:id), when the
// token was asked for with ScopeResourceOwner. It is not the organisation that granted a role: see HasRoleInOrg.
func (id *Identity) OrgID() string { return id.orgID }

// OrgDomain returns the primary domain of the user's organisation, under the same condition as OrgID. It can change.
func (id *Identity) OrgDomain() string { return id.orgDomain }

// Issuer returns who issued the token (iss).
func (id *Identity) Issuer() string { return id.issuer }

// TokenID returns the token's own id (jti); for a personal access token it is the tokenId under which ZITADEL lists it.
func (id *Identity) TokenID() string { return id.jti }

// Scopes yields the token's scopes. For a personal access token ZITADEL adds a scope for every role that the project
// defines, granted or not: decide about roles with HasRole and its kin.
func (id *Identity) Scopes() iter.Seq[string] { return strings.FieldsSeq(id.scope) }

// HasScope reports whether the token has that scope. See Scopes about roles.
func (id *Identity) HasScope(scope string) bool {
	for s := range id.Scopes() {
		if s == scope {
			return true
		}
	}
	return false
}

// Audience yields whom the token is meant for (aud): client and project ids. To a personal access token ZITADEL adds the
// client and project of whichever API asks.
func (id *Identity) Audience() iter.Seq[string] { return slices.Values(id.audience) }

// HasAudience reports whether the token is meant for that client or project id.
func (id *Identity) HasAudience(audience string) bool { return slices.Contains(id.audience, audience) }

// Expiry returns when the token ends (exp), and the zero time when the server gave no end. ZITADEL gives tokens without
// an end the year 9999.
func (id *Identity) Expiry() time.Time { return id.expiry }

// IssuedAt returns when the token was issued (iat), or the zero time.
func (id *Identity) IssuedAt() time.Time { return id.issuedAt }

// Stale reports whether the token was let in on an older answer because the identity server could not be asked; see
// introspect.Config.MaxStale. A handler may refuse what is too grave for that.
func (id *Identity) Stale() bool { return id.stale }

// AsStale returns a copy that is Stale, for Verifiers and for tests of handlers that treat such callers differently.
func (id *Identity) AsStale() *Identity {
	stale := *id
	stale.stale = true
	return &stale
}

// HasRole reports whether the user has the role in the introspecting API's own project, whichever organisation granted it.
// An API that serves several organisations must ask HasRoleInOrg.
func (id *Identity) HasRole(role string) bool {
	return slices.ContainsFunc(id.roles, func(g grant) bool { return g.project == "" && g.role == role })
}

// HasRoleInOrg reports whether the organisation with that id granted the user the role in the introspecting API's own
// project.
func (id *Identity) HasRoleInOrg(role, orgID string) bool {
	return slices.Contains(id.roles, grant{role: role, org: orgID})
}

// HasProjectRole reports whether the user has the role in the project with that id, as far as the answer tells:
// introspection tells of the API's own project only.
func (id *Identity) HasProjectRole(projectID, role string) bool {
	return projectID != "" && slices.ContainsFunc(id.roles, func(g grant) bool { return g.project == projectID && g.role == role })
}

// Metadata returns the user's metadata value under key, decoded, when the token was asked for with ScopeUserMetadata.
func (id *Identity) Metadata(key string) (string, bool) {
	for _, m := range id.metadata {
		if m.Name == key {
			value, err := base64.RawURLEncoding.DecodeString(m.Value)
			return string(value), err == nil
		}
	}
	return "", false
}

// Claims unmarshals the whole answer into dst, as json.Unmarshal does, for claims that have no method here.
func (id *Identity) Claims(dst any) error {
	if err := json.Unmarshal([]byte(id.raw), dst); err != nil {
		return fmt.Errorf("postern: claims into %T: %w", dst, err)
	}
	return nil
}

// String names the user by id only: the claims are personal data and do not belong in logs.
func (id *Identity) String() string { return "postern.Identity(" + id.subject + ")" }

// GoString returns what String does.
func (id *Identity) GoString() string { return id.String() }

func parseIdentity(raw, projectID string) (*Identity, error) {
	object, err := strictjson.Parse(raw, "sub", "username", "client_id", "iss", "jti", "scope", "aud", "exp", "iat",
		orgIDClaim, orgDomainClaim, metadataClaim, ownRolesClaim, projectRolesClaim)
	if err != nil {
		return nil, err
	}
	id := &Identity{raw: raw}
	into := map[string]*string{
		"sub": &id.subject, "username": &id.username, "client_id": &id.clientID, "iss": &id.issuer, "jti": &id.jti,
		"scope": &id.scope, orgIDClaim: &id.orgID, orgDomainClaim: &id.orgDomain,
	}
	var errs []error
	for _, m := range object {
		var err error
		switch m.Name {
		case "aud":
			id.audience, err = strictjson.Strings(m.Value)
		case "exp":
			id.expiry, err = strictjson.Time(m.Value)
		case "iat":
			id.issuedAt, err = strictjson.Time(m.Value)
		case metadataClaim:
			id.metadata, err = stringMembers(m.Value)
		default:
			if dst := into[m.Name]; dst != nil {
				*dst, err = strictjson.String(m.Value)
			} else if project, ok := roleClaim(m.Name); ok {
				err = id.addRoles(project, m.Value)
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("claim %q: %w", m.Name, err))
		}
	}
	if _, ok := object.Get(ownRolesClaim); !ok && projectID != "" {
		for _, g := range id.roles {
			if g.project == projectID {
				id.roles = append(id.roles, grant{role: g.role, org: g.org})
			}
		}
	}
	return id, errors.Join(errs...)
}

// roleClaim tells which project the claim's roles belong to: "" is the introspecting API's own.
func roleClaim(name string) (project string, ok bool) {
	if name == ownRolesClaim {
		return "", true
	}
	rest, ok := strings.CutPrefix(name, projectClaim)
	if !ok {
		return "", false
	}
	project, ok = strings.CutSuffix(rest, ":roles")
	return project, ok && project != "" && !strings.Contains(project, ":")
}

// addRoles reads {"role":{"orgID":"org.domain"}}.
func (id *Identity) addRoles(project, value string) error {
	roles, err := strictjson.Parse(value)
	if err != nil {
		return err
	}
	seen := make(map[string]bool, len(roles))
	for _, role := range roles {
		if seen[role.Name] {
			return errors.New("expected each role once, got one twice")
		}
		seen[role.Name] = true
		orgs, err := strictjson.Parse(role.Value)
		if err != nil {
			return err
		}
		for _, org := range orgs {
			id.roles = append(id.roles, grant{project: project, role: role.Name, org: org.Name})
		}
	}
	return nil
}

// stringMembers reads an object whose values are strings.
func stringMembers(value string) ([]strictjson.Member, error) {
	object, err := strictjson.Parse(value)
	if err != nil {
		return nil, err
	}
	for i, m := range object {
		if object[i].Value, err = strictjson.String(m.Value); err != nil {
			return nil, err
		}
	}
	return object, nil
}
