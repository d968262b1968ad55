package zitadeltest

import (
	"slices"
	"strings"
)

// ZITADEL's reserved scopes and claims.
const (
	scopeProjectID     = "urn:zitadel:iam:org:project:id:"
	scopeAudience      = ":aud"
	scopeRole          = "urn:zitadel:iam:org:project:role:"
	scopeProjectsRoles = "urn:zitadel:iam:org:projects:roles"
	scopeOrgID         = "urn:zitadel:iam:org:id:"
	scopeOrgDomain     = "urn:zitadel:iam:org:domain:primary:"
	scopeOrgRoles      = "urn:zitadel:iam:org:roles:id:"
	scopeIDP           = "urn:zitadel:iam:org:idp:id:"
	scopeMetadata      = "urn:zitadel:iam:user:metadata"
	scopeResourceOwner = "urn:zitadel:iam:user:resourceowner"

	claimProjectRoles = "urn:zitadel:iam:org:project:roles"
	claimOrgID        = "urn:zitadel:iam:org:id"
	claimOrgDomain    = "urn:zitadel:iam:org:domain:primary"
)

// scopeAllowed says which scopes besides OpenID's own a service user may ask for; the others are dropped.
func scopeAllowed(scope string) bool {
	for _, prefix := range []string{scopeProjectID, scopeRole, scopeOrgID, scopeOrgDomain, scopeOrgRoles, scopeIDP} {
		if strings.HasPrefix(scope, prefix) {
			return true
		}
	}
	return scope == scopeProjectsRoles || scope == scopeMetadata || scope == scopeResourceOwner
}

// ownOrgOnly drops the scopes that name another organisation than the user's.
func ownOrgOnly(scopes []string, o *org) []string {
	return slices.DeleteFunc(scopes, func(scope string) bool {
		if id, ok := strings.CutPrefix(scope, scopeOrgID); ok {
			return id != o.id
		}
		if domain, ok := strings.CutPrefix(scope, scopeOrgDomain); ok {
			return domain != o.domain
		}
		return false
	})
}

// audienceOf reads the projects that scopes put in the audience. "zitadel" means ZITADEL's own.
func (st *state) audienceOf(scopes []string) []string {
	var audience []string
	for _, scope := range scopes {
		id, ok := strings.CutPrefix(scope, scopeProjectID)
		if !ok {
			continue
		}
		if id, ok = strings.CutSuffix(id, scopeAudience); !ok {
			continue
		}
		if id == "zitadel" {
			id = st.zitadelProject
		}
		if !slices.Contains(audience, id) {
			audience = append(audience, id)
		}
	}
	return audience
}
