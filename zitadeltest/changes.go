package zitadeltest

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The changes both the REST API and the Go API make. Each records the events that ZITADEL records. Callers hold the mutex; by is
// the id of the user who asks.

func (st *state) addOrg(by, name string) (*org, error) {
	if slices.ContainsFunc(st.orgs, func(o *org) bool { return o.name == name }) {
		return nil, alreadyExists("V3-DKcYh", "Errors.Org.AlreadyExists")
	}
	o := &org{name: name, domain: domainOf(name), active: true, membersGone: map[string]details{}}
	o.aggregate = newAggregate("org", "v1", "")
	o.owner = o.id
	st.push(&o.aggregate, by, "org.added", object{"name": name})
	st.push(&o.aggregate, by, "org.domain.added", object{"domain": o.domain})
	st.push(&o.aggregate, by, "org.domain.verified", object{"domain": o.domain})
	st.push(&o.aggregate, by, "org.domain.primary.set", object{"domain": o.domain})
	st.orgs = append(st.orgs, o)
	return o, nil
}

// removeOrg takes everything along that the organisation owns, quietly as ZITADEL does: one event tells of all.
func (st *state) removeOrg(by string, o *org) details {
	d := st.push(&o.aggregate, by, "org.removed", nil)
	for _, u := range st.users {
		if u.org == o {
			st.forgetUser(u)
			st.usersGone[u.id] = o
		}
	}
	st.users = slices.DeleteFunc(st.users, func(u *user) bool { return u.org == o })
	st.projects = slices.DeleteFunc(st.projects, func(p *project) bool { return p.org == o })
	st.grants = slices.DeleteFunc(st.grants, func(g *grant) bool { return g.org == o || g.project.org == o })
	st.orgs = remove(st.orgs, o)
	return d
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

// newUser is what a service user is made of. Without an id it gets one.
type newUser struct {
	id, userName, name, description string
	jwt                             bool
}

func (st *state) addUser(by string, o *org, n newUser) (*user, error) {
	if n.id != "" && st.user(n.id) != nil {
		return nil, failedPrecondition("COMMAND-k2una", "Errors.User.AlreadyExisting")
	}
	if st.userByLogin(n.userName) != nil {
		return nil, alreadyExists("V3-DKcYh", "Errors.User.AlreadyExists")
	}
	u := &user{userName: n.userName, name: n.name, description: n.description, org: o, jwt: n.jwt, state: userActive}
	u.aggregate = newAggregate("user", "v2", o.id)
	if n.id != "" {
		u.id = n.id
	}
	payload := object{"userName": n.userName, "name": n.name}
	if n.description != "" {
		payload["description"] = n.description
	}
	if n.jwt {
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
	p.details = st.push(&u.aggregate, by, "user.pat.added", object{
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
	d := st.push(&p.user.aggregate, by, "user.pat.removed", object{"tokenId": p.id})
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
	k.details = st.push(&u.aggregate, by, "user.machine.key.added", object{
		"keyId": k.id, "type": 1, "expirationDate": expiry, "publicKey": publicPEM(public),
	})
	u.keys = append(u.keys, k)
	return k
}

func (st *state) removeUserKey(by string, u *user, k *machineKey) details {
	d := st.push(&u.aggregate, by, "user.machine.key.removed", object{"keyId": k.id})
	u.keys = remove(u.keys, k)
	return d
}

func (st *state) setSecret(by string, u *user) (string, details) {
	u.secret = newSecret(64)
	return u.secret, u.change(st, by, "user.machine.secret.set", object{"hashedSecret": hashed()})
}

func (st *state) removeSecret(by string, u *user) (details, error) {
	if u.secret == "" {
		return details{}, failedPrecondition("COMMAND-coi82n", "Errors.User.Machine.Secret.NotExisting")
	}
	u.secret = ""
	return u.change(st, by, "user.machine.secret.removed", nil), nil
}

// changeUser tells whether there was anything to change.
func (st *state) changeUser(by string, u *user, name, description string, jwt bool) (d details, changed bool) {
	if u.name == name && u.description == description && u.jwt == jwt {
		return u.shown(), false
	}
	payload := object{}
	if u.name != name {
		payload["name"] = name
	}
	if u.description != description {
		payload["description"] = description
	}
	if u.jwt != jwt {
		payload["accessTokenType"] = map[bool]int{true: 1}[jwt]
	}
	u.name, u.description, u.jwt = name, description, jwt
	return u.change(st, by, "user.machine.changed", payload), true
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

// removeUser ends the user's tokens, grants and memberships. The grants and memberships each tell of it.
func (st *state) removeUser(by string, u *user) details {
	d := st.push(&u.aggregate, by, "user.removed", nil)
	st.cascadeGrants(by, func(g *grant) bool { return g.user == u })
	for _, o := range st.orgs {
		if slices.ContainsFunc(o.members, func(m *member) bool { return m.user == u }) {
			st.push(&o.aggregate, by, "org.member.cascade.removed", object{"userId": u.id})
		}
	}
	st.forgetUser(u)
	st.users = remove(st.users, u)
	st.usersGone[u.id] = u.org
	return d
}

// forgetUser drops what hangs on a user.
func (st *state) forgetUser(u *user) {
	st.endTokens(u)
	st.grants = slices.DeleteFunc(st.grants, func(g *grant) bool { return g.user == u })
	mine := func(m *member) bool { return m.user == u }
	st.members = slices.DeleteFunc(st.members, mine)
	for _, o := range st.orgs {
		o.members = slices.DeleteFunc(o.members, mine)
	}
}

func (st *state) cascadeGrants(by string, gone func(*grant) bool) {
	for _, g := range st.grants {
		if gone(g) {
			st.push(&g.aggregate, by, "user.grant.cascade.removed", nil)
		}
	}
	st.grants = slices.DeleteFunc(st.grants, gone)
}

func (st *state) addProject(by string, o *org, settings projectSettings) (*project, error) {
	if st.projectNamed(o, settings.name) {
		return nil, alreadyExists("V3-DKcYh", "Errors.Project.AlreadyExists")
	}
	if settings.labeling == "" {
		settings.labeling = privateLabelings[0]
	}
	p := &project{projectSettings: settings, org: o, active: true, rolesGone: map[string]details{}}
	p.aggregate = newAggregate("project", "v1", o.id)
	p.change(st, by, "project.added", settings.changesOf(projectSettings{labeling: privateLabelings[0]}))
	st.projects = append(st.projects, p)
	return p, nil
}

// changesOf are the settings that differ from others, as events tell them.
func (s projectSettings) changesOf(old projectSettings) object {
	out := object{}
	if s.name != old.name {
		out["name"] = s.name
	}
	for _, flag := range []struct {
		name     string
		now, was bool
	}{
		{"projectRoleAssertion", s.roleAssertion, old.roleAssertion},
		{"projectRoleCheck", s.roleCheck, old.roleCheck},
		{"hasProjectCheck", s.projectCheck, old.projectCheck},
	} {
		if flag.now != flag.was {
			out[flag.name] = flag.now
		}
	}
	if s.labeling != old.labeling {
		out["privateLabelingSetting"] = slices.Index(privateLabelings, s.labeling)
	}
	return out
}

func (p *project) change(st *state, by, event string, payload any) details {
	d := st.push(&p.aggregate, by, event, payload)
	p.aggregateView.details = details{created: p.created, changed: d.changed, seq: d.seq, owner: d.owner}
	return d
}

func (st *state) removeProject(by string, p *project) details {
	d := st.push(&p.aggregate, by, "project.removed", nil)
	st.cascadeGrants(by, func(g *grant) bool { return g.project == p })
	st.projects = remove(st.projects, p)
	st.projectsGone[p.id] = p.org.id
	return d
}

// removeRole takes the role from the grants that have it.
func (st *state) removeRole(by string, p *project, r *role) details {
	d := st.push(&p.aggregate, by, "project.role.removed", object{"key": r.key})
	p.roles = remove(p.roles, r)
	for _, g := range st.grants {
		if g.project == p && slices.Contains(g.roles, r.key) {
			g.roles = slices.DeleteFunc(slices.Clone(g.roles), func(key string) bool { return key == r.key })
			payload := object{}
			if len(g.roles) > 0 {
				payload["roleKeys"] = g.roles
			}
			st.push(&g.aggregate, by, "user.grant.cascade.changed", payload)
		}
	}
	return d
}

func (p *project) hasRoles(keys []string) error {
	for _, key := range keys {
		if p.role(key) == nil {
			return failedPrecondition("COMMAND-mm9F4", "Errors.Project.Role.NotFound")
		}
	}
	return nil
}

func (st *state) addRole(by string, p *project, key, display, group string) (*role, error) {
	if p.role(key) != nil {
		return nil, alreadyExists("V3-DKcYh", "Errors.Project.Role.AlreadyExists")
	}
	r := &role{key: key, display: display, group: group}
	payload := object{"key": key}
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
	if p.appNamed(name) {
		return nil, alreadyExists("V3-DKcYh", "Errors.Project.App.AlreadyExists")
	}
	a := &app{id: newID(), clientID: newID(), name: name, project: p, active: true, keyAuth: keyAuth}
	st.push(&p.aggregate, by, "project.application.added", object{"appId": a.id, "name": name})
	payload := object{"appId": a.id, "clientId": a.clientID}
	if keyAuth {
		payload["authMethodType"] = 1
	} else {
		a.secret = newSecret(64)
		payload["hashedSecret"] = hashed()
	}
	a.details = st.push(&p.aggregate, by, "project.application.config.api.added", payload)
	p.apps = append(p.apps, a)
	return a, nil
}

func (st *state) addAppKey(by string, a *app, public crypto.PublicKey, expiry time.Time) *machineKey {
	k := &machineKey{id: newID(), public: public, expiry: expiry}
	k.details = st.push(&a.project.aggregate, by, "project.application.oidc.key.added", object{
		"applicationId": a.id, "clientId": a.clientID, "keyId": k.id, "type": 1, "expirationDate": expiry,
		"publicKey": publicPEM(public),
	})
	a.keys = append(a.keys, k)
	return k
}

func (st *state) addGrant(by string, u *user, p *project, o *org, roles []string) (*grant, error) {
	if err := p.hasRoles(roles); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(st.grants, func(g *grant) bool { return g.user == u && g.project == p && g.org == o }) {
		return nil, alreadyExists("V3-DKcYh", "Errors.UserGrant.AlreadyExists")
	}
	g := &grant{user: u, project: p, org: o, roles: slices.Clone(roles), active: true}
	g.aggregate = newAggregate("usergrant", "v1", o.id)
	payload := object{"userId": u.id, "projectId": p.id}
	if len(roles) > 0 {
		payload["roleKeys"] = roles
	}
	st.push(&g.aggregate, by, "user.grant.added", payload)
	st.grants = append(st.grants, g)
	return g, nil
}

func (st *state) addOrgMember(by string, o *org, u *user, roles []string) (details, error) {
	if slices.ContainsFunc(o.members, func(m *member) bool { return m.user == u }) {
		return details{}, alreadyExists("ORG-poWwe", "Errors.Org.Member.AlreadyExists")
	}
	m := &member{user: u, roles: slices.Clone(roles)}
	m.details = st.push(&o.aggregate, by, "org.member.added", object{"userId": u.id, "roles": roles})
	o.members = append(o.members, m)
	return m.details, nil
}

// setMetadata records nothing when the entry has the value already.
func (st *state) setMetadata(by string, u *user, key string, value []byte) details {
	if i := u.metadataIndex(key); i >= 0 && bytes.Equal(u.metadata[i].value, value) {
		return u.metadata[i].details
	}
	d := st.push(&u.aggregate, by, "user.metadata.set", object{"key": key, "value": value})
	u.metadataChange = d
	if i := u.metadataIndex(key); i >= 0 {
		d.created = u.metadata[i].details.created
		u.metadata[i] = metadata{aggregateView{d}, key, value}
		return d
	}
	u.metadata = append(u.metadata, metadata{aggregateView{d}, key, value})
	return d
}

func (st *state) removeMetadata(by string, u *user, key string) details {
	if i := u.metadataIndex(key); i >= 0 { // a list of keys may name one twice
		u.metadata = slices.Delete(u.metadata, i, i+1)
	}
	u.metadataChange = st.push(&u.aggregate, by, "user.metadata.removed", object{"key": key})
	return u.metadataChange
}

// pushApp records a change of an application, on the project that owns it.
func (st *state) pushApp(by string, a *app, event string, payload any) details {
	d := st.push(&a.project.aggregate, by, event, payload)
	a.details.changed, a.details.seq = d.changed, d.seq
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
