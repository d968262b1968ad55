package zitadeltest

import (
	"cmp"
	"slices"
	"strings"
)

var userRoutes = []route{
	{"POST /management/v1/users/machine", "user.write", (*call).createMachine},
	{"PUT /management/v1/users/{user}/machine", "user.write", (*call).changeMachine},
	{"PUT /management/v1/users/{user}/username", "user.write", (*call).changeUsername},
	{"GET /management/v1/users/{user}", "user.read", (*call).readUser},
	{"POST /management/v1/users/_search", "user.read", (*call).searchUsers},
	{"POST /management/v1/users/{user}/_lock", "user.write", lockUser.v1},
	{"POST /management/v1/users/{user}/_unlock", "user.write", unlockUser.v1},
	{"POST /management/v1/users/{user}/_deactivate", "user.write", deactivateUser.v1},
	{"POST /management/v1/users/{user}/_reactivate", "user.write", reactivateUser.v1},
	{"DELETE /management/v1/users/{user}", "user.delete", (*call).deleteUser},
}

// orgUser finds the user of the path in the organisation called for.
func (c *call) orgUser() *user {
	if u := c.state.user(c.r.PathValue("user")); u != nil && u.org == c.org {
		return u
	}
	return nil
}

// visibleUser is orgUser for those who look before they ask whose the user is.
func (c *call) visibleUser() (*user, error) {
	switch u := c.pathUser(); {
	case u == nil:
		return nil, notFound("QUERY-Dfbg2", "Errors.User.NotFound")
	case u.org != c.org:
		return nil, notFound("MANAG-fpo4B", "Errors.User.NotFound")
	default:
		return u, nil
	}
}

func accessTokenType(m *message) (jwt bool) {
	return m.enum("accessTokenType", "ACCESS_TOKEN_TYPE_BEARER", "ACCESS_TOKEN_TYPE_JWT") == "ACCESS_TOKEN_TYPE_JWT"
}

func (c *call) createMachine() (any, error) {
	m := c.message("AddMachineUserRequest")
	userName, name, description, jwt := m.text("userName"), m.text("name"), m.text("description"), accessTokenType(m)
	m.length("UserName", userName, 1, 200)
	m.length("Name", name, 1, 200)
	m.length("Description", description, 0, 500)
	if m.err != nil {
		return nil, m.err
	}
	u, err := c.addUser(c.user.id, c.org, newUser{userName: userName, name: name, description: description, jwt: jwt, id: m.text("userId")})
	if err != nil {
		return nil, err
	}
	return object{"userId": u.id, "details": u.shown().change()}, nil
}

func (c *call) changeMachine() (any, error) {
	m := c.message("UpdateMachineRequest")
	name, description, jwt := m.text("name"), m.text("description"), accessTokenType(m)
	m.length("Description", description, 0, 500)
	m.length("Name", name, 1, 200)
	if m.err != nil {
		return nil, m.err
	}
	u := c.orgUser()
	if u == nil {
		return nil, notFound("COMMAND-5M0od", "Errors.User.NotFound")
	}
	d, changed := c.changeUser(c.user.id, u, name, description, jwt)
	if !changed {
		return nil, failedPrecondition("COMMAND-2n8vs", "Errors.User.NotChanged")
	}
	return object{"details": d.change()}, nil
}

func (c *call) changeUsername() (any, error) {
	m := c.message("UpdateUserNameRequest")
	name := m.text("userName")
	m.length("UserName", name, 1, 200)
	if m.err != nil {
		return nil, m.err
	}
	u := c.orgUser()
	if u == nil {
		return nil, notFound("COMMAND-5N9ds", "Errors.User.NotFound")
	}
	if u.userName == name {
		return nil, failedPrecondition("COMMAND-6m9gs", "Errors.User.UsernameNotChanged")
	}
	if c.userByLogin(name) != nil {
		return nil, alreadyExists("V3-DKcYh", "Errors.User.AlreadyExists")
	}
	u.userName = name
	return object{"details": u.change(&c.state, c.user.id, "user.username.changed", object{"userName": name}).change()}, nil
}

func (c *call) readUser() (any, error) {
	u, err := c.visibleUser()
	if err != nil {
		return nil, err
	}
	return object{"user": userObject(u)}, nil
}

func (c *call) searchUsers() (any, error) {
	mine := slices.DeleteFunc(slices.Clone(c.users), func(u *user) bool { return u.org != c.org })
	if err := c.sortUsers(mine); err != nil {
		return nil, err
	}
	return searchV1(c, "ListUsersRequest", mine, userMatchers, userObject)
}

// sortUsers puts users into the order that a search asks for: by their ids and downwards unless it says otherwise.
func (c *call) sortUsers(users []*user) error {
	m := c.message("ListUsersRequest")
	column := m.enum("sortingColumn", "USER_FIELD_NAME_UNSPECIFIED", "USER_FIELD_NAME_USER_NAME", "USER_FIELD_NAME_FIRST_NAME",
		"USER_FIELD_NAME_LAST_NAME", "USER_FIELD_NAME_NICK_NAME", "USER_FIELD_NAME_DISPLAY_NAME", "USER_FIELD_NAME_EMAIL",
		"USER_FIELD_NAME_STATE", "USER_FIELD_NAME_TYPE", "USER_FIELD_NAME_CREATION_DATE")
	asc := m.sub("query").flag("asc")
	slices.SortStableFunc(users, func(a, b *user) int {
		order := 0
		switch column {
		case "USER_FIELD_NAME_UNSPECIFIED":
			order = cmp.Compare(a.id, b.id)
		case "USER_FIELD_NAME_USER_NAME":
			order = cmp.Compare(strings.ToLower(a.userName), strings.ToLower(b.userName))
		case "USER_FIELD_NAME_STATE":
			order = cmp.Compare(userStates[a.state], userStates[b.state])
		case "USER_FIELD_NAME_CREATION_DATE":
			order = a.shown().created.Compare(b.shown().created)
		}
		if !asc {
			return -order
		}
		return order
	})
	return m.err
}

// userStates are the states' numbers in the database, by which it sorts.
var userStates = map[userState]int{userActive: 1, userInactive: 2, userLocked: 4}

var userMatchers = matchers[*user]{
	"userNameQuery":  func(q *message, u *user) bool { return textMatches(q, u.userName, "userName") },
	"loginNameQuery": func(q *message, u *user) bool { return textMatches(q, u.userName, "loginName") },
	"inUserIdsQuery": func(q *message, u *user) bool { return slices.Contains(q.texts("userIds"), u.id) },
	"typeQuery":      func(q *message, _ *user) bool { return isMachine(q) },
	"stateQuery": func(q *message, u *user) bool {
		return userState(q.enum("state", "USER_STATE_UNSPECIFIED", string(userActive), string(userInactive),
			"USER_STATE_DELETED", string(userLocked), "USER_STATE_SUSPEND", "USER_STATE_INITIAL")) == u.state
	},
	"organizationIdQuery": func(q *message, u *user) bool { return u.org.id == q.text("organizationId") },

	// What only people have. ZITADEL counts the name of a service user as no display name.
	"firstNameQuery": ofPeople[*user], "lastNameQuery": ofPeople[*user], "nickNameQuery": ofPeople[*user],
	"displayNameQuery": ofPeople[*user], "emailQuery": ofPeople[*user], "phoneQuery": ofPeople[*user], "inUserEmailsQuery": ofPeople[*user],
}

func ofPeople[T any](*message, T) bool { return false }

func isMachine(q *message) bool {
	return q.enum("type", "TYPE_UNSPECIFIED", "TYPE_HUMAN", "TYPE_MACHINE") == "TYPE_MACHINE"
}

func userObject(u *user) object {
	return object{
		"id": u.id, "details": u.shown().full(), "state": string(u.state), "userName": u.userName,
		"loginNames": []string{u.userName}, "preferredLoginName": u.userName, "machine": machineObject(u),
	}
}

func machineObject(u *user) object {
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
	return machine
}

// stateChange is one of the four ways to change a user's state. The two APIs name the same mistakes by different ids.
type stateChange struct {
	to                     userState
	from                   []userState
	event                  string
	wrong                  string // what is told when the user is not in a state of from
	idUnknown, idWrong     string
	idUnknownV2, idWrongV2 string
}

var (
	lockUser = stateChange{
		to: userLocked, from: []userState{userActive}, event: "user.locked", wrong: "Errors.User.ShouldBeActiveOrInitial",
		idUnknown: "COMMAND-5M9fs", idWrong: "COMMAND-3NN8v", idUnknownV2: "COMMAND-450yxuqrh1", idWrongV2: "COMMAND-lgws8wtsqf",
	}
	unlockUser = stateChange{
		to: userActive, from: []userState{userLocked}, event: "user.unlocked", wrong: "Errors.User.NotLocked",
		idUnknown: "COMMAND-M0dos", idWrong: "COMMAND-4M0ds", idUnknownV2: "COMMAND-x377t913pw", idWrongV2: "COMMAND-olb9vb0oca",
	}
	deactivateUser = stateChange{
		to: userInactive, from: []userState{userActive, userLocked}, event: "user.deactivated", wrong: "Errors.User.AlreadyInactive",
		idUnknown: "COMMAND-3M9ds", idWrong: "COMMAND-5M0sf", idUnknownV2: "COMMAND-5gp2p62iin", idWrongV2: "COMMAND-5gunjw0cd7",
	}
	reactivateUser = stateChange{
		to: userActive, from: []userState{userInactive}, event: "user.reactivated", wrong: "Errors.User.NotInactive",
		idUnknown: "COMMAND-4M0sd", idWrong: "COMMAND-6M0sf", idUnknownV2: "COMMAND-9hy5kzbuk6", idWrongV2: "COMMAND-s5qqcz97hf",
	}
)

func (s stateChange) v1(c *call) (any, error) {
	u := c.orgUser()
	if u == nil {
		return nil, notFound(s.idUnknown, "Errors.User.NotFound")
	}
	if !slices.Contains(s.from, u.state) {
		return nil, failedPrecondition(s.idWrong, s.wrong)
	}
	return object{"details": c.setUserState(c.user.id, u, s.to, s.event).change()}, nil
}

func (s stateChange) v2(c *call) (any, error) {
	u := c.state.user(c.r.PathValue("user"))
	if u == nil {
		return nil, notFound(s.idUnknownV2, "Errors.User.NotFound")
	}
	if !slices.Contains(s.from, u.state) {
		return nil, failedPrecondition(s.idWrongV2, s.wrong)
	}
	if err := c.permitUser(u, "user.write"); err != nil {
		return nil, err
	}
	return object{"details": c.setUserState(c.user.id, u, s.to, s.event).change()}, nil
}

func (c *call) deleteUser() (any, error) {
	u := c.orgUser()
	if u == nil {
		return nil, notFound("COMMAND-m9od", "Errors.User.NotFound")
	}
	return object{"details": c.removeUser(c.user.id, u).change()}, nil
}
