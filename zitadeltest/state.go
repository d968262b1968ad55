package zitadeltest

import (
	"slices"
	"strings"
	"time"
)

// state is what the server knows. The Server's mutex guards it.
type state struct {
	s *Server

	instanceID     string
	zitadelProject string // ZITADEL's own project: the audience of its APIs
	admin          *user
	adminPAT       string

	orgs         []*org
	projects     []*project
	projectsGone map[string]string // the organisation of each removed one
	users        []*user
	usersGone    map[string]*org // the organisation of each removed one
	grants       []*grant
	members      []*member // of the instance: IAM_OWNER and its kin
	tokens       map[string]*accessToken
	pats         map[string]*pat

	targets     []*target
	targetsGone map[string]time.Time // deleted ones
	executions  []*execution
	sessions    []*aggregate

	signing     []signingKey // the last one signs
	signingMade int
	machineMade int

	skew time.Duration
}

// details is what answers say of an object's last change.
type details struct {
	created, changed time.Time
	seq              uint64
	owner            string
}

// aggregateView is the change that an object of an aggregate last saw.
type aggregateView struct{ details details }

func (v *aggregateView) shown() details { return v.details }

// aggregate is what events are recorded on.
type aggregate struct {
	id, kind, version string
	details
}

type org struct {
	aggregate
	name, domain string
	active       bool
	members      []*member
	membersGone  map[string]details // by user
}

type project struct {
	aggregate
	aggregateView
	projectSettings
	org    *org
	active bool
	roles  []*role
	apps   []*app

	rolesGone map[string]details // by key
}

type projectSettings struct {
	name          string
	roleAssertion bool
	roleCheck     bool
	projectCheck  bool
	labeling      string
}

type role struct {
	aggregateView
	key, display, group string
}

type app struct {
	aggregateView
	id, clientID, name string
	project            *project
	active             bool
	keyAuth            bool // private_key_jwt, else Basic
	secret             string
	keys               []*machineKey
}

type userState string

const (
	userActive   userState = "USER_STATE_ACTIVE"
	userInactive userState = "USER_STATE_INACTIVE"
	userLocked   userState = "USER_STATE_LOCKED"
)

type user struct {
	aggregate
	aggregateView
	name, userName, description string
	org                         *org
	state                       userState
	jwt                         bool
	secret                      string
	pats                        []*pat
	keys                        []*machineKey
	metadata                    []metadata
	metadataChange              details // the last one of all
}

type pat struct {
	aggregateView
	id     string
	user   *user
	scopes []string
	expiry time.Time
}

type metadata struct {
	aggregateView
	key   string
	value []byte
}

// member is a user's administrative roles on an organisation or the instance.
type member struct {
	aggregateView
	user  *user
	roles []string
}

// grant gives a user roles of a project.
type grant struct {
	aggregate
	user    *user
	project *project
	org     *org
	roles   []string
	active  bool
}

// accessToken is what the two grants issue.
type accessToken struct {
	id       string
	user     *user
	clientID string
	audience []string
	scopes   []string
	amr      []string
	created  time.Time
	expiry   time.Time
}

func (st *state) init(s *Server) {
	st.s = s
	st.instanceID, st.zitadelProject = newID(), newID()
	st.tokens, st.pats, st.targetsGone = map[string]*accessToken{}, map[string]*pat{}, map[string]time.Time{}
	st.projectsGone, st.usersGone = map[string]string{}, map[string]*org{}
	for range 2 { // as many as a fresh ZITADEL publishes
		st.addSigningKey()
	}

	first, _ := st.addOrg("", "ZITADEL")
	admin, _ := st.addUser("", first, newUser{userName: "zitadel-admin-sa", name: "Admin"})
	st.admin = admin
	st.members = append(st.members, &member{user: admin, roles: []string{"IAM_OWNER"}})
	_, st.adminPAT = st.addPAT("", admin, noExpiry)
}

func (st *state) addSigningKey() {
	st.signing = append(st.signing, signingKey{kid: newID(), index: st.signingMade})
	st.signingMade++
}

// clock is the server's time, in the microseconds its database keeps.
func (st *state) clock() time.Time {
	return st.s.now().Add(st.skew).UTC().Truncate(time.Microsecond)
}

// push records an event on an aggregate, caused by a user, and tells the webhooks that asked for it.
func (st *state) push(a *aggregate, by, event string, payload any) details {
	now := st.clock()
	if a.seq == 0 {
		a.created = now
	}
	a.seq++
	a.changed = now
	st.s.hooks.deliver(st, a, by, event, payload)
	return details{created: now, changed: now, seq: a.seq, owner: a.owner}
}

func (st *state) org(id string) *org {
	return find(st.orgs, func(o *org) bool { return o.id == id })
}

func (st *state) project(id string) *project {
	return find(st.projects, func(p *project) bool { return p.id == id })
}

func (st *state) user(id string) *user {
	return find(st.users, func(u *user) bool { return u.id == id })
}

// userByLogin compares as login names are compared: without case.
func (st *state) userByLogin(name string) *user {
	return find(st.users, func(u *user) bool { return strings.EqualFold(u.userName, name) })
}

func (st *state) grant(id string) *grant {
	return find(st.grants, func(g *grant) bool { return g.id == id })
}

func (p *project) app(id string) *app {
	return find(p.apps, func(a *app) bool { return a.id == id })
}

func (p *project) appNamed(name string) bool {
	return slices.ContainsFunc(p.apps, func(a *app) bool { return a.name == name })
}

func (st *state) projectNamed(o *org, name string) bool {
	return slices.ContainsFunc(st.projects, func(p *project) bool { return p.org == o && p.name == name })
}

func (u *user) metadataIndex(key string) int {
	return slices.IndexFunc(u.metadata, func(m metadata) bool { return m.key == key })
}

func (p *project) role(key string) *role {
	return find(p.roles, func(r *role) bool { return r.key == key })
}

// client finds the API application that may authenticate with an id: it, its project and its organisation are active.
func (st *state) client(id string) *app {
	for _, p := range st.projects {
		for _, a := range p.apps {
			if a.clientID == id && a.active && p.active && p.org.active {
				return a
			}
		}
	}
	return nil
}

func find[T any](list []*T, match func(*T) bool) *T {
	if i := slices.IndexFunc(list, match); i >= 0 {
		return list[i]
	}
	return nil
}

func remove[T any](list []*T, gone *T) []*T {
	return slices.DeleteFunc(list, func(x *T) bool { return x == gone })
}
