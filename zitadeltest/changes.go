package zitadeltest

import (
	"crypto"
	"crypto/rsa"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The changes both the REST API and the Go API make. Each records the events that ZITADEL records. Callers hold the mutex; by is
// the id of the user who asks.

func (st *state) addOrg(by, name string) *org {
	o := &org{name: name, domain: domainOf(name), active: true}
	o.aggregate = newAggregate("org", "v1", "")
	o.owner = o.id
	st.push(&o.aggregate, by, "org.added", map[string]any{"name": name})
	st.push(&o.aggregate, by, "org.domain.added", map[string]any{"domain": o.domain})
	st.push(&o.aggregate, by, "org.domain.verified", map[string]any{"domain": o.domain})
	st.push(&o.aggregate, by, "org.domain.primary.set", map[string]any{"domain": o.domain})
	st.orgs = append(st.orgs, o)
	return o
}

// domainOf makes an organisation's first domain of its name: "Acme Inc" is acme-inc.localhost.
func domainOf(name string) string {
	label := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		case r == ' ', r == '_', r == '.':
			return '-'
		}
		return -1
	}, name)
	return strings.Trim(label, "-") + ".localhost"
}

func newAggregate(kind, version, owner string) aggregate {
	return aggregate{id: newID(), kind: kind, version: version, details: details{owner: owner}}
}

func (st *state) addUser(by string, o *org, userName, name, description string, jwt bool) (*user, error) {
	if st.userByLogin(userName) != nil {
		return nil, alreadyExists("V3-DKcYh", "Errors.User.AlreadyExists")
	}
	u := &user{userName: userName, name: name, description: description, org: o, jwt: jwt, state: userActive}
	u.aggregate = newAggregate("user", "v2", o.id)
	payload := map[string]any{"userName": userName, "name": name}
	if description != "" {
		payload["description"] = description
	}
	if jwt {
		payload["accessTokenType"] = 1
	}
	u.change(st, by, "user.machine.added", payload)
	st.users = append(st.users, u)
	return u, nil
}

// change records an event that shows in the user's own details. Others, like a key added, do not.
func (u *user) change(st *state, by, event string, payload any) details {
	d := st.push(&u.aggregate, by, event, payload)
	u.aggregateView.details = details{created: u.created, changed: d.changed, seq: d.seq, owner: d.owner}
	return d
}

func (st *state) addPAT(by string, u *user, expiry time.Time) (*pat, string) {
	p := &pat{id: newID(), user: u, expiry: expiry, scopes: []string{
		"openid", "profile", "urn:zitadel:iam:user:metadata", "urn:zitadel:iam:user:resourceowner",
	}}
	p.details = st.push(&u.aggregate, by, "user.pat.added", map[string]any{
		"tokenId": p.id, "expiration": expiry, "scopes": p.scopes,
	})
	u.pats = append(u.pats, p)
	st.pats[p.id] = p
	token, err := st.s.patJWE.Encrypt(p.id + ":" + u.id)
	if err != nil {
		panic("zitadeltest: " + err.Error()) // the key has the right length
	}
	return p, token
}

func (st *state) removePAT(by string, p *pat) details {
	d := st.push(&p.user.aggregate, by, "user.pat.removed", map[string]any{"tokenId": p.id})
	st.dropPAT(p)
	return d
}

func (st *state) dropPAT(p *pat) {
	p.user.pats = remove(p.user.pats, p)
	delete(st.pats, p.id)
}

// newMachineKey takes the next key of the process; see keys.go.
func (st *state) newMachineKey() *rsa.PrivateKey {
	key := machinePool.at(st.machineMade)
	st.machineMade++
	return key
}

func (st *state) addUserKey(by string, u *user, public crypto.PublicKey, expiry time.Time) *machineKey {
	k := &machineKey{id: newID(), public: public, expiry: expiry}
	k.details = st.push(&u.aggregate, by, "user.machine.key.added", map[string]any{
		"keyId": k.id, "type": 1, "expirationDate": expiry,
	})
	u.keys = append(u.keys, k)
	return k
}

func (st *state) removeUserKey(by string, u *user, k *machineKey) details {
	d := st.push(&u.aggregate, by, "user.machine.key.removed", map[string]any{"keyId": k.id})
	u.keys = remove(u.keys, k)
	return d
}

func (st *state) setSecret(by string, u *user) (string, details) {
	u.secret = newSecret(64)
	return u.secret, u.change(st, by, "user.machine.secret.set", nil)
}

// setUserState locks, unlocks, deactivates and reactivates. Locking and deactivating end tokens and delete PATs for good.
func (st *state) setUserState(by string, u *user, to userState, event string) details {
	d := u.change(st, by, event, nil)
	u.state = to
	if to != userActive {
		st.endTokens(u)
	}
	return d
}

func (st *state) endTokens(u *user) {
	for _, p := range slices.Clone(u.pats) {
		st.dropPAT(p)
	}
	for id, t := range st.tokens {
		if t.user == u {
			delete(st.tokens, id)
		}
	}
}

func (st *state) removeUser(by string, u *user) details {
	d := st.push(&u.aggregate, by, "user.removed", nil)
	st.endTokens(u)
	st.users = remove(st.users, u)
	st.grants = slices.DeleteFunc(st.grants, func(g *grant) bool { return g.user == u })
	mine := func(m *member) bool { return m.user == u }
	st.members = slices.DeleteFunc(st.members, mine)
	for _, o := range st.orgs {
		o.members = slices.DeleteFunc(o.members, mine)
	}
	for _, p := range st.projects {
		p.members = slices.DeleteFunc(p.members, mine)
	}
	return d
}

func (st *state) addProject(by string, o *org, name string) (*project, error) {
	if slices.ContainsFunc(st.projects, func(p *project) bool { return p.org == o && p.name == name }) {
		return nil, alreadyExists("V3-DKcYh", "Errors.Project.AlreadyExists")
	}
	p := &project{name: name, org: o, active: true}
	p.aggregate = newAggregate("project", "v1", o.id)
	p.change(st, by, "project.added", map[string]any{"name": name})
	st.projects = append(st.projects, p)
	return p, nil
}

func (p *project) change(st *state, by, event string, payload any) details {
	d := st.push(&p.aggregate, by, event, payload)
	p.aggregateView.details = details{created: p.created, changed: d.changed, seq: d.seq, owner: d.owner}
	return d
}

func (st *state) addRole(by string, p *project, key, display, group string) (*role, error) {
	if p.role(key) != nil {
		return nil, alreadyExists("V3-DKcYh", "Errors.Project.Role.AlreadyExists")
	}
	r := &role{key: key, display: display, group: group}
	payload := map[string]any{"key": key}
	if display != "" {
		payload["displayName"] = display
	}
	if group != "" {
		payload["group"] = group
	}
	r.details = st.push(&p.aggregate, by, "project.role.added", payload)
	p.roles = append(p.roles, r)
	return r, nil
}

func (st *state) addAPI(by string, p *project, name string, keyAuth bool) (*app, error) {
	if slices.ContainsFunc(p.apps, func(a *app) bool { return a.name == name }) {
		return nil, alreadyExists("V3-DKcYh", "Errors.Project.App.AlreadyExists")
	}
	a := &app{id: newID(), clientID: newID(), name: name, project: p, active: true, keyAuth: keyAuth}
	st.push(&p.aggregate, by, "project.application.added", map[string]any{"appId": a.id, "name": name})
	payload := map[string]any{"appId": a.id, "clientId": a.clientID}
	if keyAuth {
		payload["authMethodType"] = 1
	} else {
		a.secret = newSecret(64)
	}
	a.details = st.push(&p.aggregate, by, "project.application.config.api.added", payload)
	p.apps = append(p.apps, a)
	return a, nil
}

func (st *state) addAppKey(by string, a *app, public crypto.PublicKey, expiry time.Time) *machineKey {
	k := &machineKey{id: newID(), public: public, expiry: expiry}
	k.details = st.push(&a.project.aggregate, by, "project.application.oidc.key.added", map[string]any{
		"applicationId": a.id, "clientId": a.clientID, "keyId": k.id, "type": 1, "expirationDate": expiry,
	})
	a.keys = append(a.keys, k)
	return k
}

func (st *state) addGrant(by string, u *user, p *project, o *org, roles []string) (*grant, error) {
	for _, key := range roles {
		if p.role(key) == nil {
			return nil, failedPrecondition("COMMAND-mm9F4", "Errors.Project.Role.NotFound")
		}
	}
	if slices.ContainsFunc(st.grants, func(g *grant) bool { return g.user == u && g.project == p && g.org == o }) {
		return nil, alreadyExists("V3-DKcYh", "Errors.UserGrant.AlreadyExists")
	}
	g := &grant{user: u, project: p, org: o, roles: slices.Clone(roles), active: true}
	g.aggregate = newAggregate("usergrant", "v1", o.id)
	st.push(&g.aggregate, by, "user.grant.added", map[string]any{
		"userId": u.id, "projectId": p.id, "roleKeys": roles,
	})
	st.grants = append(st.grants, g)
	return g, nil
}

func (st *state) addOrgMember(by string, o *org, u *user, roles []string) (details, error) {
	if slices.ContainsFunc(o.members, func(m *member) bool { return m.user == u }) {
		return details{}, alreadyExists("V3-DKcYh", "Errors.Member.AlreadyExists")
	}
	m := &member{user: u, roles: slices.Clone(roles)}
	m.details = st.push(&o.aggregate, by, "org.member.added", map[string]any{"userId": u.id, "roles": roles})
	o.members = append(o.members, m)
	return m.details, nil
}

func (st *state) setMetadata(by string, u *user, key string, value []byte) details {
	d := st.push(&u.aggregate, by, "user.metadata.set", map[string]any{"key": key, "value": value})
	if i := slices.IndexFunc(u.metadata, func(m metadata) bool { return m.key == key }); i >= 0 {
		d.created = u.metadata[i].details.created
		u.metadata[i] = metadata{aggregateView{d}, key, value}
		return d
	}
	u.metadata = append(u.metadata, metadata{aggregateView{d}, key, value})
	return d
}

// newUserKeyFile makes a key for a user and the file that holds it.
func (st *state) newUserKeyFile(by string, u *user, expiry time.Time) (*machineKey, []byte) {
	private := st.newMachineKey()
	k := st.addUserKey(by, u, private.Public(), expiry)
	return k, encodeKeyFile(keyFile{
		Type: "serviceaccount", KeyID: k.id, UserID: u.id, Expiration: expiry.UTC().Format(time.RFC3339),
	}, private)
}

func (st *state) newAppKeyFile(by string, a *app, expiry time.Time) (*machineKey, []byte) {
	private := st.newMachineKey()
	k := st.addAppKey(by, a, private.Public(), expiry)
	return k, encodeKeyFile(keyFile{Type: "application", KeyID: k.id, AppID: a.id, ClientID: a.clientID}, private)
}

// newTokenID names a token as ZITADEL does: the session, and the access token in it.
func newTokenID() string { return fmt.Sprintf("V2_%s-at_%s", newID(), newID()) }
