package zitadeltest

import (
	"fmt"
	"slices"
	"strings"
)

// permit asks whether the caller's memberships on the organisation called for, or the instance, include a permission.
func (c *call) permit(perm string) error {
	roles := c.memberRoles(c.user, c.org)
	if len(roles) == 0 {
		return notFound("AUTHZ-cdgFk", "membership not found")
	}
	if slices.ContainsFunc(roles, func(role string) bool { return roleAllows(role, perm) }) {
		return nil
	}
	return permissionDenied("AUTH-5mWD2", "No matching permissions found")
}

func (st *state) memberRoles(u *user, o *org) []string {
	var roles []string
	for _, members := range [][]*member{st.members, o.members} {
		for _, m := range members {
			if m.user == u {
				roles = append(roles, m.roles...)
			}
		}
	}
	return roles
}

func roleAllows(role, perm string) bool {
	return role == "IAM_OWNER" || role == "ORG_OWNER"
}

var knownRoles = []string{"IAM_OWNER", "ORG_OWNER", "ORG_USER_MANAGER", "ORG_OWNER_VIEWER"}

func checkRoles(prefix string, roles []string) error {
	for _, role := range roles {
		if !strings.HasPrefix(role, prefix) || !slices.Contains(knownRoles, role) {
			return fmt.Errorf("ZITADEL knows no role %q", role)
		}
	}
	return nil
}
