package zitadeltest

import (
	"fmt"
	"slices"
	"strings"
)

// permit asks whether the caller's memberships on the organisation called for, or the instance, include a permission.
func (c *call) permit(perm string) error {
	return c.permitOn(c.org, perm, "AUTH-5mWD2")
}

// permitSelf lets a user do something to itself, and to others with a permission on their organisation. It is the rule of the v2 user
// service for a user's data and credentials.
func (c *call) permitSelf(u *user, perm string) error {
	if u == c.user {
		return nil
	}
	return c.permitUser(u, perm)
}

// permitUser is the rule of the v2 user service for a user's state and metadata: even one's own need a permission.
func (c *call) permitUser(u *user, perm string) error { return c.permitOn(u.org, perm, "AUTH-AWfge") }

func (c *call) permitOn(o *org, perm, id string) error {
	roles := c.memberRoles(c.user, o)
	if len(roles) == 0 {
		return notFound("AUTHZ-cdgFk", "membership not found")
	}
	if slices.ContainsFunc(roles, func(role string) bool { return roleAllows(role, perm) }) {
		return nil
	}
	return permissionDenied(id, "No matching permissions found")
}

// memberRoles are a user's roles on the instance and on an organisation. Without one, those on the instance count alone.
func (st *state) memberRoles(u *user, o *org) []string {
	members := slices.Clone(st.members)
	if o != nil {
		members = append(members, o.members...)
	}
	var roles []string
	for _, m := range members {
		if m.user == u {
			roles = append(roles, m.roles...)
		}
	}
	return roles
}

func roleAllows(role, perm string) bool {
	return slices.Contains(strings.Fields(rolePermissions[role]), perm)
}

// rolePermissions is ZITADEL's default mapping, cut to the permissions that the calls of this server ask for.
var rolePermissions = map[string]string{
	"IAM_OWNER": "iam.read org.read org.create org.write org.delete org.member.read org.member.write org.member.delete" +
		" user.read user.write user.delete user.grant.read user.grant.write user.grant.delete" +
		" project.read project.create project.write project.delete project.role.read project.role.write project.role.delete" +
		" project.app.read project.app.write project.app.delete" +
		" action.target.read action.target.write action.target.delete action.execution.read action.execution.write" +
		" session.write session.delete",
	"IAM_OWNER_VIEWER": "iam.read org.read org.member.read user.read user.grant.read project.read project.role.read" +
		" project.app.read action.target.read action.execution.read",
	"IAM_ORG_MANAGER": "org.read org.create org.write org.delete org.member.read org.member.write org.member.delete" +
		" user.read user.write user.delete user.grant.read user.grant.write user.grant.delete" +
		" project.read project.create project.write project.delete project.role.read project.role.write project.role.delete" +
		" project.app.read project.app.write project.app.delete",
	"IAM_USER_MANAGER": "org.read org.member.read org.member.delete user.read user.write user.delete" +
		" user.grant.read user.grant.write user.grant.delete project.read project.role.read project.app.read",
	"IAM_ADMIN_IMPERSONATOR":    "",
	"IAM_END_USER_IMPERSONATOR": "",
	"IAM_LOGIN_CLIENT": "iam.read org.read org.member.read org.member.write user.read user.write user.grant.read user.grant.write" +
		" project.read project.role.read project.app.read",
	"ORG_OWNER": "org.read org.write org.delete org.member.read org.member.write org.member.delete" +
		" user.read user.write user.delete user.grant.read user.grant.write user.grant.delete" +
		" project.read project.create project.write project.delete project.role.read project.role.write project.role.delete" +
		" project.app.read project.app.write",
	"ORG_USER_MANAGER": "org.read user.read user.write user.delete user.grant.read user.grant.write user.grant.delete" +
		" project.read project.role.read",
	"ORG_OWNER_VIEWER":           "org.read org.member.read user.read user.grant.read project.read project.role.read project.app.read",
	"ORG_SETTINGS_MANAGER":       "org.read org.write org.member.read",
	"ORG_USER_PERMISSION_EDITOR": "org.read org.member.read user.read user.grant.read user.grant.write user.grant.delete project.read project.role.read project.app.read",
	"ORG_PROJECT_PERMISSION_EDITOR": "org.read org.member.read user.read user.grant.read user.grant.write user.grant.delete" +
		" project.read project.role.read project.app.read",
	"ORG_PROJECT_CREATOR":       "project.read project.create",
	"ORG_ADMIN_IMPERSONATOR":    "",
	"ORG_END_USER_IMPERSONATOR": "",
	"ORG_USER_SELF_MANAGER":     "user.self.delete",
	"SELF_MANAGEMENT_GLOBAL":    "user.self.delete",
}

// checkOrgRoles accepts the roles that a member of an organisation may begin with.
func checkOrgRoles(roles []string) error {
	err := checkRoles("ORG_", roles)
	if err != nil && checkRoles("SELF_MANAGEMENT_GLOBAL", roles) == nil {
		return nil
	}
	return err
}

func checkRoles(prefix string, roles []string) error {
	for _, role := range roles {
		if _, known := rolePermissions[role]; !known || !strings.HasPrefix(role, prefix) {
			return fmt.Errorf("ZITADEL knows no role %q of an organisation", role)
		}
	}
	return nil
}
