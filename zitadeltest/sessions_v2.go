package zitadeltest

import "slices"

// Login sessions exist here for their events alone: service users have none.
var sessionRoutes = []route{
	{"POST /v2/sessions", "session.write", (*call).createSession},
	{"DELETE /v2/sessions/{session}", "session.delete", (*call).deleteSession},
}

func (c *call) createSession() (any, error) {
	a := newAggregate("session", "v1", c.instanceID)
	d := c.push(&a, c.user.id, "session.added", nil)
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
