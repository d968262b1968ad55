package zitadeltest

import "slices"

var projectRoutes = []route{
	{"POST /management/v1/projects", "project.create", (*call).createProject},
	{"POST /management/v1/projects/_search", "project.read", (*call).searchProjects},
	{"GET /management/v1/projects/{project}", "project.read", (*call).readProject},
	{"PUT /management/v1/projects/{project}", "project.write", (*call).changeProject},
	{"POST /management/v1/projects/{project}/_deactivate", "project.write", (*call).deactivateProject},
	{"POST /management/v1/projects/{project}/_reactivate", "project.write", (*call).reactivateProject},
	{"DELETE /management/v1/projects/{project}", "project.delete", (*call).deleteProject},
	{"POST /management/v1/projects/{project}/roles", "project.role.write", (*call).createRole},
	{"POST /management/v1/projects/{project}/roles/_bulk", "project.role.write", (*call).createRoles},
	{"POST /management/v1/projects/{project}/roles/_search", "project.role.read", (*call).searchRoles},
	{"PUT /management/v1/projects/{project}/roles/{role}", "project.role.write", (*call).changeRole},
	{"DELETE /management/v1/projects/{project}/roles/{role}", "project.role.delete", (*call).deleteRole},
}

// orgProject finds a project of the organisation called for.
func (c *call) orgProject(id string) *project {
	if p := c.state.project(id); p != nil && p.org == c.org {
		return p
	}
	return nil
}

func (c *call) pathProject() *project { return c.orgProject(c.r.PathValue("project")) }

func readSettings(m *message) projectSettings {
	name := m.text("name")
	s := projectSettings{
		name: name, roleAssertion: m.flag("projectRoleAssertion"), roleCheck: m.flag("projectRoleCheck"),
		projectCheck: m.flag("hasProjectCheck"), labeling: m.enum("privateLabelingSetting", privateLabelings...),
	}
	m.length("Name", name, 1, 200)
	return s
}

var privateLabelings = []string{
	"PRIVATE_LABELING_SETTING_UNSPECIFIED", "PRIVATE_LABELING_SETTING_ENFORCE_PROJECT_RESOURCE_OWNER_POLICY",
	"PRIVATE_LABELING_SETTING_ALLOW_LOGIN_USER_RESOURCE_OWNER_POLICY",
}

func (c *call) createProject() (any, error) {
	m := c.message("AddProjectRequest")
	settings := readSettings(m)
	if m.err != nil {
		return nil, m.err
	}
	p, err := c.addProject(c.user.id, c.org, settings)
	if err != nil {
		return nil, err
	}
	return object{"id": p.id, "details": p.shown().made()}, nil
}

func (c *call) searchProjects() (any, error) {
	mine := slices.DeleteFunc(slices.Clone(c.projects), func(p *project) bool { return p.org != c.org })
	return searchV1(c, "ListProjectsRequest", mine, matchers[*project]{
		"nameQuery":                 func(q *message, p *project) bool { return textMatches(q, p.name, "name") },
		"projectResourceOwnerQuery": func(q *message, p *project) bool { return p.org.id == q.text("resourceOwner") },
	}, projectObject)
}

func projectObject(p *project) object {
	state := "PROJECT_STATE_ACTIVE"
	if !p.active {
		state = "PROJECT_STATE_INACTIVE"
	}
	o := object{"id": p.id, "details": p.shown().full(), "name": p.name, "state": state}
	for field, on := range map[string]bool{
		"projectRoleAssertion": p.roleAssertion, "projectRoleCheck": p.roleCheck, "hasProjectCheck": p.projectCheck,
	} {
		if on {
			o[field] = true
		}
	}
	if p.labeling != privateLabelings[0] {
		o["privateLabelingSetting"] = p.labeling
	}
	return o
}

func (c *call) readProject() (any, error) {
	p := c.state.project(c.r.PathValue("project"))
	switch {
	case p == nil:
		return nil, notFound("QUERY-fk2fs", "Errors.Project.NotFound")
	case p.org != c.org:
		return nil, notFound("MANAG-SFf2a", "Errors.Project.NotFound")
	}
	return object{"project": projectObject(p)}, nil
}

func (c *call) changeProject() (any, error) {
	m := c.message("UpdateProjectRequest")
	settings := readSettings(m)
	if m.err != nil {
		return nil, m.err
	}
	p := c.pathProject()
	if p == nil {
		return nil, notFound("COMMAND-3M9sd", "Errors.Project.NotFound")
	}
	if p.projectSettings == settings { // is no mistake
		return object{"details": p.shown().change()}, nil
	}
	if settings.name != p.name && c.projectNamed(c.org, settings.name) {
		return nil, alreadyExists("V3-DKcYh", "Errors.Project.AlreadyExists")
	}
	payload := settings.changesOf(p.projectSettings)
	p.projectSettings = settings
	return object{"details": p.change(&c.state, c.user.id, "project.changed", payload).change()}, nil
}

func (c *call) deactivateProject() (any, error) {
	p := c.pathProject()
	if p == nil {
		return nil, notFound("COMMAND-112M9", "Errors.Project.NotFound")
	}
	if !p.active {
		return nil, failedPrecondition("COMMAND-mki55", "Errors.Project.NotActive")
	}
	p.active = false
	return object{"details": p.change(&c.state, c.user.id, "project.deactivated", nil).change()}, nil
}

func (c *call) reactivateProject() (any, error) {
	p := c.pathProject()
	if p == nil {
		return nil, notFound("COMMAND-3M9sd", "Errors.Project.NotFound")
	}
	if p.active {
		return nil, failedPrecondition("COMMAND-5M9bs", "Errors.Project.NotInactive")
	}
	p.active = true
	return object{"details": p.change(&c.state, c.user.id, "project.reactivated", nil).change()}, nil
}

func (c *call) deleteProject() (any, error) {
	p := c.pathProject()
	if p == nil {
		return nil, notFound("COMMAND-3M9sd", "Errors.Project.NotFound")
	}
	return object{"details": c.removeProject(c.user.id, p).change()}, nil
}

// roleRequest reads one role of a message.
func roleRequest(m *message, key string) (role, error) {
	r := role{key: m.text(key), display: m.text("displayName"), group: m.text("group")}
	m.length(title(key), r.key, 1, 200)
	m.length("DisplayName", r.display, 1, 200)
	m.length("Group", r.group, 0, 200)
	return r, m.err
}

func (c *call) createRole() (any, error) {
	r, err := roleRequest(c.message("AddProjectRoleRequest"), "roleKey")
	if err != nil {
		return nil, err
	}
	return c.makeRoles([]role{r})
}

func (c *call) createRoles() (any, error) {
	m := c.message("BulkAddProjectRolesRequest")
	list := m.messages("roles")
	if m.err != nil {
		return nil, m.err
	}
	roles := make([]role, len(list))
	for i, sub := range list {
		sub.name = "BulkAddProjectRolesRequest_Role"
		var err error
		if roles[i], err = roleRequest(sub, "key"); err != nil {
			return nil, err
		}
	}
	return c.makeRoles(roles)
}

func (c *call) makeRoles(roles []role) (any, error) {
	p := c.pathProject()
	if p == nil {
		return nil, failedPrecondition("COMMAND-EbFMN", "Errors.Project.NotFound")
	}
	for i, r := range roles { // all or none
		twice := slices.ContainsFunc(roles[:i], func(o role) bool { return o.key == r.key })
		if twice || p.role(r.key) != nil {
			return nil, alreadyExists("V3-DKcYh", "Errors.Project.Role.AlreadyExists")
		}
	}
	d := details{owner: p.org.id}
	for _, r := range roles {
		added, err := c.addRole(c.user.id, p, r.key, r.display, r.group)
		if err != nil {
			return nil, err
		}
		d = added.details
	}
	return object{"details": d.made()}, nil
}

func (c *call) searchRoles() (any, error) {
	var roles []*role
	if p := c.pathProject(); p != nil {
		roles = p.roles
	}
	return searchV1(c, "ListProjectRolesRequest", roles, matchers[*role]{
		"keyQuery":         func(q *message, r *role) bool { return textMatches(q, r.key, "key") },
		"displayNameQuery": func(q *message, r *role) bool { return textMatches(q, r.display, "displayName") },
	}, func(r *role) object {
		o := object{"key": r.key, "details": r.details.full(), "displayName": r.display}
		if r.group != "" {
			o["group"] = r.group
		}
		return o
	})
}

func (c *call) changeRole() (any, error) {
	m := c.message("UpdateProjectRoleRequest")
	display, group := m.text("displayName"), m.text("group")
	m.length("DisplayName", display, 1, 200)
	m.length("Group", group, 0, 200)
	if m.err != nil {
		return nil, m.err
	}
	p := c.pathProject()
	if p == nil {
		return nil, failedPrecondition("COMMAND-EbFMN", "Errors.Project.NotFound")
	}
	r := p.role(c.r.PathValue("role"))
	if r == nil {
		return nil, notFound("COMMAND-vv8M9", "Errors.Project.Role.NotExisting")
	}
	if r.display == display && r.group == group { // is no mistake
		return object{"details": r.details.change()}, nil
	}
	payload := object{"key": r.key}
	if r.display != display {
		payload["displayName"] = display
	}
	if r.group != group {
		payload["group"] = group
	}
	r.display, r.group = display, group
	d := c.push(&p.aggregate, c.user.id, "project.role.changed", payload)
	r.details.changed, r.details.seq = d.changed, d.seq
	return object{"details": d.change()}, nil
}

// deleteRole finds no mistake in removing a role that is not there, and tells again when it was removed.
func (c *call) deleteRole() (any, error) {
	if p := c.pathProject(); p != nil {
		key := c.r.PathValue("role")
		if r := p.role(key); r != nil {
			p.rolesGone[key] = c.removeRole(c.user.id, p, r)
		}
		if gone, ok := p.rolesGone[key]; ok {
			return object{"details": gone.change()}, nil
		}
	}
	return object{"details": details{owner: c.org.id}.change()}, nil
}
