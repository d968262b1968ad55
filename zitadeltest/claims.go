package zitadeltest

import (
	"encoding/base64"
	"slices"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// claimsFor is what one kind of answer tells of a user.
type claimsFor struct {
	scopes  []string
	project string // the introspecting API's; empty elsewhere
	profile bool   // names and e-mail too: userinfo and introspection, not the tokens themselves
	ownOnly bool   // roles of project alone, whatever the scopes: introspection
}

// userInfo collects the claims of a user as ZITADEL's scopes ask for them.
func (st *state) userInfo(u *user, want claimsFor) *oidc.UserInfo {
	info := &oidc.UserInfo{Subject: u.id}
	for _, scope := range want.scopes {
		switch scope {
		case oidc.ScopeProfile:
			if want.profile {
				info.UserInfoProfile = oidc.UserInfoProfile{
					Name:              u.name,
					PreferredUsername: u.userName,
					UpdatedAt:         oidc.FromTime(u.aggregateView.details.changed),
				}
			}
		case scopeMetadata:
			if len(u.metadata) > 0 {
				values := map[string]string{}
				for _, m := range u.metadata {
					values[m.key] = base64.RawURLEncoding.EncodeToString(m.value)
				}
				info.AppendClaims(scopeMetadata, values)
			}
		case scopeResourceOwner:
			ownerClaims(info, u.org)
		default:
			if domain, ok := strings.CutPrefix(scope, scopeOrgDomain); ok {
				info.AppendClaims(claimOrgDomain, domain)
			}
			if id, ok := strings.CutPrefix(scope, scopeOrgID); ok {
				info.AppendClaims(claimOrgID, id)
				ownerClaims(info, u.org)
			}
		}
	}
	st.roleClaims(info, u, want)
	return info
}

func ownerClaims(info *oidc.UserInfo, o *org) {
	info.AppendClaims(scopeResourceOwner+":id", o.id)
	info.AppendClaims(scopeResourceOwner+":name", o.name)
	info.AppendClaims(scopeResourceOwner+":primary_domain", o.domain)
}

// roleClaims adds the roles: of the introspecting API's project, or of the projects in the audience when the scopes ask for roles.
// When scopes name roles, no others are told.
func (st *state) roleClaims(info *oidc.UserInfo, u *user, want claimsFor) {
	var requested, orgs, projects []string
	for _, scope := range want.scopes {
		if role, ok := strings.CutPrefix(scope, scopeRole); ok {
			requested = append(requested, role)
		}
		if id, ok := strings.CutPrefix(scope, scopeOrgRoles); ok {
			orgs = append(orgs, id)
		}
	}
	if !want.ownOnly && (len(requested) > 0 || slices.Contains(want.scopes, scopeProjectsRoles)) {
		projects = st.audienceOf(want.scopes)
	}
	if want.project != "" && !slices.Contains(projects, want.project) {
		projects = append(projects, want.project)
	}

	claims := map[string]map[string]map[string]string{} // project, role, organisation: its domain
	for _, g := range st.grants {
		if g.user != u || !g.active || !g.project.active || !slices.Contains(projects, g.project.id) {
			continue
		}
		if len(orgs) > 0 && !slices.Contains(orgs, g.org.id) {
			continue
		}
		for _, role := range g.roles {
			if len(requested) > 0 && !slices.Contains(requested, role) {
				continue
			}
			of := claims[g.project.id]
			if of == nil {
				of = map[string]map[string]string{}
				claims[g.project.id] = of
			}
			if of[role] == nil {
				of[role] = map[string]string{}
			}
			of[role][g.org.id] = g.org.domain
		}
	}
	for id, roles := range claims {
		info.AppendClaims("urn:zitadel:iam:org:project:"+id+":roles", roles)
		if id == want.project {
			info.AppendClaims(claimProjectRoles, roles)
		}
	}
}
