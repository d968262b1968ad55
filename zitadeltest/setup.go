package zitadeltest

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Org is an organisation of the server.
type Org struct {
	ID   string
	Name string
	// Domain is the primary domain, which role claims and introspection name, like "acme.localhost".
	Domain string
}

// Project is a project of the server, in its first organisation.
type Project struct {
	ID string

	s *Server
	p *project
}

// API is an application of a project that may introspect tokens. It has two ways to authenticate, as if it were two
// applications under one name: KeyJSON for private_key_jwt, ClientSecret for Basic.
type API struct {
	// AppID and ClientID are those of the application that authenticates with a secret. The key file names its own.
	AppID, ClientID string
	// ClientSecret goes with ClientID in Basic authentication.
	ClientSecret string

	s     *Server
	basic *app
	keyed *app
}

// Format prints the application's client id for every verb and flag, and not its secret.
func (a API) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "zitadeltest.API(%s)", a.ClientID) }

// User is a service user of the server.
type User struct {
	ID string
	// LoginName is the client_id of the client credentials grant.
	LoginName string

	s *Server
	u *user
}

// OrgID is the id of the server's first organisation, in which everything is made that names no other.
func (s *Server) OrgID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.orgs[0].id
}

// AdminPAT is a personal access token of the instance's administrator (IAM_OWNER), for the REST APIs.
func (s *Server) AdminPAT() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.adminPAT
}

// ProjectID is the id of ZITADEL's own project, which the scope urn:zitadel:iam:org:project:id:zitadel:aud puts in the audience.
func (s *Server) ProjectID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.zitadelProject
}

// AddOrg makes a further organisation.
func (s *Server) AddOrg(name string) *Org {
	s.helper()()
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.addOrg(s.admin.id, name)
	s.must(err)
	return &Org{ID: o.id, Name: o.name, Domain: o.domain}
}

// AddProject makes a project with roles. A name or role that is there already ends the test, as every mistake in setting up does (a
// server made by [New] has no test to end and panics).
func (s *Server) AddProject(name string, roles ...string) *Project {
	s.helper()()
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.addProject(s.admin.id, s.orgs[0], projectSettings{name: name})
	for _, key := range roles {
		if err == nil {
			_, err = s.addRole(s.admin.id, p, key, key, "")
		}
	}
	s.must(err)
	return &Project{ID: p.id, s: s, p: p}
}

// AddAPI makes an API application of the project, ready to introspect with a secret or a key.
func (p *Project) AddAPI(name string) *API {
	s := p.s
	s.helper()()
	s.mu.Lock()
	defer s.mu.Unlock()
	basic, err := s.addAPI(s.admin.id, p.p, name, false)
	s.must(err)
	keyed, err := s.addAPI(s.admin.id, p.p, name+" (key)", true)
	s.must(err)
	return &API{
		AppID: basic.id, ClientID: basic.clientID, ClientSecret: basic.secret,
		s: s, basic: basic, keyed: keyed,
	}
}

// KeyJSON makes a key for the application and returns its key file, {"type":"application",…}. Each call makes another.
func (a *API) KeyJSON() []byte {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	_, file := a.s.newAppKeyFile(a.s.admin.id, a.keyed, noExpiry)
	return file
}

// UserOption is a choice for [Server.AddServiceUser].
type UserOption func(*userOptions)

type userOptions struct {
	org      string
	jwt      bool
	orgRoles []string
	roles    []projectRoles
	metadata [][2]string
}

type projectRoles struct {
	project *Project
	roles   []string
}

// InOrg puts the user into another organisation than the first.
func InOrg(o *Org) UserOption { return func(u *userOptions) { u.org = o.ID } }

// JWTTokens gives the user JWT access tokens. Without it they are opaque, as is ZITADEL's default.
func JWTTokens() UserOption { return func(u *userOptions) { u.jwt = true } }

// WithOrgRole gives the user administrative roles on its organisation, like "ORG_OWNER". Without any the user may not call the
// management API.
func WithOrgRole(roles ...string) UserOption {
	return func(u *userOptions) { u.orgRoles = append(u.orgRoles, roles...) }
}

// WithProjectRole grants the user roles of a project, in the user's organisation.
func WithProjectRole(p *Project, roles ...string) UserOption {
	return func(u *userOptions) { u.roles = append(u.roles, projectRoles{p, roles}) }
}

// WithMetadata sets a metadata entry of the user, which the scope urn:zitadel:iam:user:metadata shows.
func WithMetadata(key, value string) UserOption {
	return func(u *userOptions) { u.metadata = append(u.metadata, [2]string{key, value}) }
}

// AddServiceUser makes a service user with this name, which is its login name too. It has no credential until asked for one.
func (s *Server) AddServiceUser(name string, opts ...UserOption) *User {
	s.helper()()
	s.mu.Lock()
	defer s.mu.Unlock()
	var o userOptions
	for _, opt := range opts {
		opt(&o)
	}
	in := s.orgs[0]
	if o.org != "" {
		in = s.org(o.org)
	}
	if in == nil {
		s.must(fmt.Errorf("AddServiceUser(%q): InOrg names an organisation of another server", name))
	}
	u, err := s.addUser(s.admin.id, in, newUser{userName: name, name: name, jwt: o.jwt})
	s.must(err)
	if len(o.orgRoles) > 0 {
		s.must(checkOrgRoles(o.orgRoles))
		_, err := s.addOrgMember(s.admin.id, in, u, o.orgRoles)
		s.must(err)
	}
	for _, r := range o.roles {
		if r.project.s != s {
			s.must(fmt.Errorf("AddServiceUser(%q): WithProjectRole names a project of another server", name))
		}
		_, err := s.addGrant(s.admin.id, u, r.project.p, in, r.roles)
		s.must(err)
	}
	for _, m := range o.metadata {
		s.setMetadata(s.admin.id, u, m[0], []byte(m[1]))
	}
	return &User{ID: u.id, LoginName: u.userName, s: s, u: u}
}

// PAT makes a personal access token that ends at a time, or never when none is given. Each call makes another.
func (u *User) PAT(expires ...time.Time) string {
	_, token := u.s.makePAT(u, expires)
	return token
}

// PATWithID is PAT, and tells the token's id, which introspection calls jti.
func (u *User) PATWithID(expires ...time.Time) (id, token string) {
	return u.s.makePAT(u, expires)
}

func (s *Server) makePAT(u *User, expires []time.Time) (id, token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, token := s.addPAT(s.admin.id, u.u, orNoExpiry(expires))
	return p.id, token
}

// KeyJSON makes a machine key that ends at a time, or never when none is given, and returns its key file,
// {"type":"serviceaccount",…}. Each call makes another.
func (u *User) KeyJSON(expires ...time.Time) []byte {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	_, file := u.s.newUserKeyFile(u.s.admin.id, u.u, orNoExpiry(expires))
	return file
}

// ClientSecret makes a secret for the client credentials grant; the client_id is the user's LoginName. The secret before it is
// no longer good.
func (u *User) ClientSecret() string {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	secret, _ := u.s.setSecret(u.s.admin.id, u.u)
	return secret
}

func orNoExpiry(expires []time.Time) time.Time {
	if len(expires) == 0 || expires[0].IsZero() {
		return noExpiry
	}
	return expires[0].UTC()
}

// IssueToken returns an access token as the client credentials grant issues it, opaque or a JWT as the user is set. Without scopes
// it asks for openid alone.
func (s *Server) IssueToken(u *User, scopes ...string) string {
	s.helper()()
	if len(scopes) == 0 {
		scopes = []string{"openid"}
	}
	if u.s != s {
		s.must(fmt.Errorf("IssueToken: %q is a user of another server", u.LoginName))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	resp, err := s.issue(u.u, slices.Clone(scopes), passwordGrant)
	s.must(err)
	return resp.AccessToken
}

// Revoke ends a token, be it an access token of either kind or a personal access token, which is removed as the API removes it. An
// unknown token ends the test.
func (s *Server) Revoke(token string) {
	s.helper()()
	s.mu.Lock()
	defer s.mu.Unlock()
	id, _, err := s.tokenID(token)
	s.must(err)
	switch p, t := s.pats[id], s.tokens[id]; {
	case p != nil:
		s.removePAT(s.admin.id, p)
	case t != nil:
		delete(s.tokens, id)
		session, _, _ := strings.Cut(id, "-")
		a := aggregate{id: session, kind: "oidc_session", version: "v1", details: details{seq: 2, owner: t.user.org.id}}
		s.push(&a, s.admin.id, "oidc_session.access_token.revoked", nil)
	default:
		s.must(fmt.Errorf("Revoke: no such token"))
	}
}

// helper returns the Helper of the test, so that a failure names the line of the test.
func (s *Server) helper() func() {
	if s.t == nil {
		return func() {}
	}
	return s.t.Helper
}
