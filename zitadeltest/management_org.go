package zitadeltest

import (
	"slices"
	"strconv"
	"time"
)

var orgRoutes = []route{
	{"GET /management/v1/healthz", "", func(*call) (any, error) { return object{}, nil }},
	{"GET /auth/v1/healthz", "", func(*call) (any, error) { return object{}, nil }},
	{"GET /admin/v1/healthz", "", func(*call) (any, error) { return object{}, nil }},
	{"GET /auth/v1/users/me", authenticated, (*call).myUser},
	{"GET /management/v1/iam", authenticated, (*call).iam},
	{"GET /management/v1/orgs/me", "org.read", (*call).myOrg},
	{"POST /management/v1/orgs", "org.create", (*call).createOrg},
	{"POST /management/v1/orgs/me/_deactivate", "org.write", (*call).deactivateOrg},
	{"POST /management/v1/orgs/me/_reactivate", "org.write", (*call).reactivateOrg},
	{"DELETE /management/v1/orgs/me", "org.delete", (*call).deleteOrg},
	{"POST /management/v1/orgs/me/members", "org.member.write", (*call).createMember},
	{"POST /management/v1/orgs/me/members/_search", "org.member.read", (*call).searchMembers},
	{"PUT /management/v1/orgs/me/members/{user}", "org.member.write", (*call).changeMember},
	{"DELETE /management/v1/orgs/me/members/{user}", "org.member.delete", (*call).deleteMember},
}

func (c *call) iam() (any, error) {
	first := c.orgs[0].id
	return object{"globalOrgId": first, "defaultOrgId": first, "iamProjectId": c.zitadelProject}, nil
}

func (c *call) myOrg() (any, error) { return object{"org": orgObject(c.org)}, nil }

func orgObject(o *org) object {
	state := "ORG_STATE_ACTIVE"
	if !o.active {
		state = "ORG_STATE_INACTIVE"
	}
	return object{
		"id": o.id, "name": o.name, "primaryDomain": o.domain, "state": state, "details": o.aggregate.details.full(),
	}
}

func (c *call) createOrg() (any, error) {
	m := c.message("AddOrgRequest")
	name := m.text("name")
	m.length("Name", name, 1, 200)
	if m.err != nil {
		return nil, m.err
	}
	o, err := c.addOrg(c.user.id, name)
	if err != nil {
		return nil, err
	}
	if _, err := c.addOrgMember(c.user.id, o, c.user, []string{"ORG_OWNER"}); err != nil {
		return nil, err
	}
	return object{"id": o.id, "details": o.aggregate.details.made()}, nil
}

func (c *call) deactivateOrg() (any, error) {
	if !c.org.active {
		return nil, failedPrecondition("EVENT-Dbs2g", "Errors.Org.AlreadyDeactivated")
	}
	return c.setOrgActive(false, "org.deactivated")
}

func (c *call) reactivateOrg() (any, error) {
	if c.org.active {
		return nil, failedPrecondition("EVENT-bfnrh", "Errors.Org.AlreadyActive")
	}
	return c.setOrgActive(true, "org.reactivated")
}

func (c *call) setOrgActive(active bool, event string) (any, error) {
	c.org.active = active
	return object{"details": c.push(&c.org.aggregate, c.user.id, event, nil).change()}, nil
}

func (c *call) deleteOrg() (any, error) {
	if c.org == c.orgs[0] {
		return nil, failedPrecondition("COMMA-wG9p1", "Errors.Org.DefaultOrgNotDeletable")
	}
	return object{"details": c.removeOrg(c.user.id, c.org).change()}, nil
}

func (c *call) createMember() (any, error) {
	m := c.message("AddOrgMemberRequest")
	id, roles := m.text("userId"), m.texts("roles")
	m.length("UserId", id, 1, 200)
	if m.err != nil {
		return nil, m.err
	}
	if len(roles) == 0 {
		return nil, invalidArgument("ORG-4Mlfs", "Errors.Invalid.Argument")
	}
	if checkOrgRoles(roles) != nil {
		return nil, invalidArgument("Org-4N8es", "Errors.Org.MemberInvalid")
	}
	u := c.state.user(id)
	if u == nil {
		return nil, failedPrecondition("ORG-GoXOn", "Errors.User.NotFound")
	}
	d, err := c.addOrgMember(c.user.id, c.org, u, roles)
	if err != nil {
		return nil, err
	}
	return object{"details": d.made()}, nil
}

func (c *call) changeMember() (any, error) {
	m := c.message("UpdateOrgMemberRequest")
	roles := m.texts("roles")
	if m.err != nil {
		return nil, m.err
	}
	if len(roles) == 0 {
		return nil, invalidArgument("Org-LiaZi", "Errors.Org.MemberInvalid")
	}
	if checkRoles("ORG_", roles) != nil {
		return nil, invalidArgument("IAM-m9fG8", "Errors.Org.MemberInvalid")
	}
	who := c.member()
	if who == nil {
		return nil, notFound("Org-D8JxR", "Errors.NotFound")
	}
	if slices.Equal(who.roles, roles) { // is no mistake
		return object{"details": who.details.change()}, nil
	}
	who.roles = roles
	d := c.push(&c.org.aggregate, c.user.id, "org.member.changed", object{"userId": who.user.id, "roles": roles})
	who.details.changed, who.details.seq = d.changed, d.seq
	return object{"details": d.change()}, nil
}

// deleteMember finds no mistake in removing who is no member, and tells again when it was removed.
func (c *call) deleteMember() (any, error) {
	id := c.r.PathValue("user")
	if who := c.member(); who != nil {
		c.org.members = remove(c.org.members, who)
		c.org.membersGone[id] = c.push(&c.org.aggregate, c.user.id, "org.member.removed", object{"userId": id})
	}
	if gone, ok := c.org.membersGone[id]; ok {
		return object{"details": gone.change()}, nil
	}
	return object{"details": details{owner: c.org.id}.change()}, nil
}

func (c *call) member() *member {
	return find(c.org.members, func(m *member) bool { return m.user.id == c.r.PathValue("user") })
}

func (c *call) searchMembers() (any, error) {
	return searchV1(c, "ListOrgMembersRequest", c.org.members, matchers[*member]{
		"userIdQuery": func(q *message, m *member) bool { return m.user.id == q.text("userId") },
	}, func(m *member) object {
		return object{
			"userId": m.user.id, "details": m.details.full(), "roles": m.roles, "preferredLoginName": m.user.userName,
			"displayName": m.user.name, "userType": "TYPE_MACHINE", "userResourceOwner": m.user.org.id,
		}
	})
}

func (c *call) myUser() (any, error) { return object{"user": userObject(c.user)}, nil }

// full is what reading something tells of its changes.
func (d details) full() object {
	o := d.made()
	o["changeDate"] = timestamp(d.changed)
	return o
}

// made is what creating something answers.
func (d details) made() object { return d.told("creationDate", d.created) }

// change is what changing something answers.
func (d details) change() object { return d.told("changeDate", d.changed) }

// told leaves out what is empty, as protobuf's JSON does: where nothing was there to change, all but the owner.
func (d details) told(name string, when time.Time) object {
	o := object{}
	if d.seq > 0 {
		o["sequence"] = strconv.FormatUint(d.seq, 10)
	}
	if !when.IsZero() {
		o[name] = timestamp(when)
	}
	if d.owner != "" {
		o["resourceOwner"] = d.owner
	}
	return o
}
