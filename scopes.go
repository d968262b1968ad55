package postern

// Reserved scopes: what a token request says to get a ZITADEL-specific audience or claim into the token. ZITADEL drops
// scopes that it does not know, or that name another organisation, without a word.
const (
	// ScopeZITADELAPI puts ZITADEL's own project into the audience: a token needs it to call ZITADEL's APIs. Personal access
	// tokens need no scope for that.
	ScopeZITADELAPI = "urn:zitadel:iam:org:project:id:zitadel:aud"
	// ScopeProjectsRoles adds the roles of every project in the audience to the token's claims.
	ScopeProjectsRoles = "urn:zitadel:iam:org:projects:roles"
	// ScopeUserMetadata adds the user's metadata.
	ScopeUserMetadata = "urn:zitadel:iam:user:metadata"
	// ScopeResourceOwner adds id, name and primary domain of the user's organisation.
	ScopeResourceOwner = "urn:zitadel:iam:user:resourceowner"
)

// ScopeProjectAudience puts a project into the audience: a token needs it for an API of that project, whether the API
// introspects tokens or verifies them itself.
func ScopeProjectAudience(projectID string) string {
	return "urn:zitadel:iam:org:project:id:" + projectID + ":aud"
}

// ScopeProjectRole asks for one role of the client's own project in the token's claims.
func ScopeProjectRole(role string) string {
	return projectRoleScope + role
}

// ScopeOrg asks for a token of that organisation only.
func ScopeOrg(orgID string) string {
	return "urn:zitadel:iam:org:id:" + orgID
}

// ScopeOrgRoles limits the roles in the token's claims to those that organisation granted.
func ScopeOrgRoles(orgID string) string {
	return "urn:zitadel:iam:org:roles:id:" + orgID
}

const projectRoleScope = "urn:zitadel:iam:org:project:role:"
