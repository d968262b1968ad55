package zitadeltest

import "slices"

var grantRoutes = []route{
	{"POST /management/v1/users/{user}/grants", "user.grant.write", (*call).createGrant},
	{"POST /management/v1/users/grants/_search", "user.grant.read", (*call).searchGrants},
	{"GET /management/v1/users/{user}/grants/{grant}", "user.grant.read", (*call).readGrant},
	{"PUT /management/v1/users/{user}/grants/{grant}", "user.grant.write", (*call).changeGrant},
	{"POST /management/v1/users/{user}/grants/{grant}/_deactivate", "user.grant.write", (*call).deactivateGrant},
	{"POST /management/v1/users/{user}/grants/{grant}/_reactivate", "user.grant.write", (*call).reactivateGrant},
	{"DELETE /management/v1/users/{user}/grants/{grant}", "user.grant.delete", (*call).deleteGrant},
}

func (c *call) createGrant() (any, error) {
	m := c.message("AddUserGrantRequest")
	projectID, roles := m.text("projectId"), m.texts("roleKeys")
	m.length("ProjectId", projectID, 1, 200)
	if m.err != nil {
		return nil, m.err
	}
	u := c.state.user(c.r.PathValue("user"))
	if u == nil {
		return nil, failedPrecondition("COMMAND-uXHNj", "Errors.User.NotFound")
	}
	p := c.orgProject(projectID)
	if p == nil {
		return nil, failedPrecondition("COMMAND-3n77S", "Errors.Project.NotFound")
	}
	g, err := c.addGrant(c.user.id, u, p, c.org, roles)
	if err != nil {
		return nil, err
	}
	return object{"userGrantId": g.id, "details": g.aggregate.details.made()}, nil
}

func (c *call) searchGrants() (any, error) {
	mine := slices.DeleteFunc(slices.Clone(c.grants), func(g *grant) bool { return g.org != c.org })
	return searchV1(c, "ListUserGrantRequest", mine, matchers[*grant]{
		"userIdQuery":    func(q *message, g *grant) bool { return g.user.id == q.text("userId") },
		"projectIdQuery": func(q *message, g *grant) bool { return g.project.id == q.text("projectId") },
		"userNameQuery":  func(q *message, g *grant) bool { return textMatches(q, g.user.userName, "userName") },
		"roleKeyQuery": func(q *message, g *grant) bool {
			return slices.ContainsFunc(g.roles, func(key string) bool { return textMatches(q, key, "roleKey") })
		},
		"withGrantedQuery": func(*message, *grant) bool { return true },
	}, grantObject)
}

func grantObject(g *grant) object {
	state := "USER_GRANT_STATE_ACTIVE"
	if !g.active {
		state = "USER_GRANT_STATE_INACTIVE"
	}
	o := object{
		"id": g.id, "details": g.aggregate.details.full(), "state": state,
		"userId": g.user.id, "userName": g.user.userName, "preferredLoginName": g.user.userName, "userType": "TYPE_MACHINE",
		"orgId": g.org.id, "orgName": g.org.name, "orgDomain": g.org.domain,
		"projectId": g.project.id, "projectName": g.project.name,
	}
	if len(g.roles) > 0 {
		o["roleKeys"] = g.roles
	}
	return o // no displayName: only people have one here
}

// orgGrant finds the grant of the path in the organisation called for.
func (c *call) orgGrant() *grant {
	if g := c.state.grant(c.r.PathValue("grant")); g != nil && g.org == c.org {
		return g
	}
	return nil
}

func (c *call) readGrant() (any, error) {
	g := c.orgGrant()
	if g == nil || g.user.id != c.r.PathValue("user") {
		return nil, notFound("QUERY-wIPkA", "Errors.UserGrant.NotFound")
	}
	return object{"userGrant": grantObject(g)}, nil
}

func (c *call) changeGrant() (any, error) {
	m := c.message("UpdateUserGrantRequest")
	roles := m.texts("roleKeys")
	if m.err != nil {
		return nil, m.err
	}
	g := c.orgGrant()
	if g == nil {
		return nil, notFound("COMMAND-3M9sd", "Errors.UserGrant.NotFound")
	}
	if slices.Equal(g.roles, roles) {
		return nil, failedPrecondition("COMMAND-Rs8fy", "Errors.UserGrant.NotChanged")
	}
	if err := g.project.hasRoles(roles); err != nil {
		return nil, err
	}
	g.roles = roles
	return object{"details": c.push(&g.aggregate, c.user.id, "user.grant.changed",
		object{"userId": g.user.id, "roleKeys": roles}).change()}, nil
}

func (c *call) deactivateGrant() (any, error) {
	g := c.orgGrant()
	if g == nil {
		return nil, notFound("COMMAND-3M9sd", "Errors.UserGrant.NotFound")
	}
	if !g.active {
		return nil, failedPrecondition("COMMAND-1S9gx", "Errors.UserGrant.NotActive")
	}
	g.active = false
	return object{"details": c.push(&g.aggregate, c.user.id, "user.grant.deactivated", nil).change()}, nil
}

func (c *call) reactivateGrant() (any, error) {
	g := c.orgGrant()
	if g == nil {
		return nil, notFound("COMMAND-Lp0gs", "Errors.UserGrant.NotFound")
	}
	if g.active {
		return nil, failedPrecondition("COMMAND-1ML0v", "Errors.UserGrant.NotInactive")
	}
	g.active = true
	return object{"details": c.push(&g.aggregate, c.user.id, "user.grant.reactivated", nil).change()}, nil
}

func (c *call) deleteGrant() (any, error) {
	g := c.orgGrant()
	if g == nil {
		return nil, notFound("COMMAND-1My0t", "Errors.UserGrant.NotFound")
	}
	c.grants = remove(c.grants, g)
	return object{"details": c.push(&g.aggregate, c.user.id, "user.grant.removed",
		object{"userId": g.user.id, "projectId": g.project.id}).change()}, nil
}
