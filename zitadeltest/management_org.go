package zitadeltest

import "strconv"

var managementRoutes = []route{
	{"GET /management/v1/orgs/me", "org.read", (*call).myOrg},
}

var authRoutes = []route{
	{"GET /auth/v1/users/me", authenticated, (*call).myUser},
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

func (c *call) myUser() (any, error) { return object{"user": userObject(c.user)}, nil }

func userObject(u *user) object {
	machine := object{"name": u.name}
	if u.description != "" {
		machine["description"] = u.description
	}
	if u.secret != "" {
		machine["hasSecret"] = true
	}
	if u.jwt {
		machine["accessTokenType"] = "ACCESS_TOKEN_TYPE_JWT"
	}
	return object{
		"id": u.id, "details": u.aggregateView.details.full(), "state": string(u.state), "userName": u.userName,
		"loginNames": []string{u.userName}, "preferredLoginName": u.userName, "machine": machine,
	}
}

func (d details) full() object {
	o := d.made()
	o["changeDate"] = timestamp(d.changed)
	return o
}

// made is what creating something answers.
func (d details) made() object {
	return object{"sequence": strconv.FormatUint(d.seq, 10), "creationDate": timestamp(d.created), "resourceOwner": d.owner}
}

// changedDetails is what changing something answers.
func (d details) change() object {
	return object{"sequence": strconv.FormatUint(d.seq, 10), "changeDate": timestamp(d.changed), "resourceOwner": d.owner}
}
