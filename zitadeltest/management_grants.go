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
		return nil, failedPrecondition("COMMAND-4f8sg", "Errors.User.NotFound")
	}
	p := c.orgProject(projectID)
	switch {
	case p == nil && c.projectsGone[projectID] == c.org.id:
		return nil, failedPrecondition("COMMAND-3n77S", "Errors.Project.NotFound")
	case p == nil: // it might be another organisation's, which would have to grant it to this one
		return nil, failedPrecondition("COMMAND-4m9ff", "Errors.Project.Grant.NotFound")
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
		"userIdQuery":      func(q *message, g *grant) bool { return g.user.id == q.text("userId") },
		"inUserIdsQuery":   func(q *message, g *grant) bool { return slices.Contains(q.texts("inUserIds"), g.user.id) },
		"projectIdQuery":   func(q *message, g *grant) bool { return g.project.id == q.text("projectId") },
		"projectNameQuery": func(q *message, g *grant) bool { return textMatches(q, g.project.name, "projectName") },
		"orgNameQuery":     func(q *message, g *grant) bool { return textMatches(q, g.org.name, "orgName") },
		"orgDomainQuery":   func(q *message, g *grant) bool { return textMatches(q, g.org.domain, "orgDomain") },
		"userNameQuery":    func(q *message, g *grant) bool { return textMatches(q, g.user.userName, "userName") },
		"roleKeyQuery": func(q *message, g *grant) bool {
			return slices.ContainsFunc(g.roles, func(key string) bool { return textMatches(q, key, "roleKey") })
		},
		"userTypeQuery":    func(q *message, _ *grant) bool { return isMachine(q) },
		"withGrantedQuery": func(*message, *grant) bool { return true },

		// What only people have, or the grant of a project to another organisation.
		"firstNameQuery": ofPeople[*grant], "lastNameQuery": ofPeople[*grant], "displayNameQuery": ofPeople[*grant],
		"emailQuery": ofPeople[*grant], "projectGrantIdQuery": ofPeople[*grant],
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
		"grantedOrgId": g.user.org.id, "grantedOrgName": g.user.org.name, "grantedOrgDomain": g.user.org.domain,
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
	if g == nil { // whose it is does not matter
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
	g := c.state.grant(c.r.PathValue("grant")) // of whatever organisation
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
	if !g.active { // is no mistake
		return object{"details": g.aggregate.details.change()}, nil
	}
	g.active = false
	return object{"details": c.push(&g.aggregate, c.user.id, "user.grant.deactivated", nil).change()}, nil
}

func (c *call) reactivateGrant() (any, error) {
	g := c.orgGrant()
	if g == nil {
		return nil, notFound("COMMAND-Lp0gs", "Errors.UserGrant.NotFound")
	}
	if g.active { // is no mistake
		return object{"details": g.aggregate.details.change()}, nil
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
