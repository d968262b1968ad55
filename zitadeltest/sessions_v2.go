package zitadeltest

import "slices"

// Login sessions exist here for their events alone: service users have none.
var sessionRoutes = []route{
	{"POST /v2/sessions", "session.write", (*call).createSession},
	{"DELETE /v2/sessions/{session}", "session.delete", (*call).deleteSession},
}

func (c *call) createSession() (any, error) {
	m := c.message("CreateSessionRequest")
	checked := m.sub("checks").sub("user")
	if m.err != nil {
		return nil, m.err
	}
	a := newAggregate("session", "v1", c.instanceID)
	c.push(&a, c.user.id, "session.added", nil)
	if id := checked.text("userId"); id != "" {
		c.push(&a, c.user.id, "session.user.checked", object{"userID": id})
	} else if u := c.userByLogin(checked.text("loginName")); u != nil {
		c.push(&a, c.user.id, "session.user.checked", object{"userID": u.id})
	}
	d := c.push(&a, c.user.id, "session.token.set", object{"tokenID": newID()})
	c.sessions = append(c.sessions, &a)
	return object{"details": d.change(), "sessionId": a.id, "sessionToken": newSecret(64)}, nil
}

func (c *call) deleteSession() (any, error) {
	i := slices.IndexFunc(c.sessions, func(a *aggregate) bool { return a.id == c.r.PathValue("session") })
	if i < 0 { // deleting twice is no mistake
		return object{"details": object{"resourceOwner": c.instanceID}}, nil
	}
	a := c.sessions[i]
	c.sessions = slices.Delete(c.sessions, i, i+1)
	return object{"details": c.push(a, c.user.id, "session.terminated", object{"triggerOrigin": c.issuer}).change()}, nil
}
