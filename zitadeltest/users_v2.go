package zitadeltest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

var userV2Routes = []route{
	{"POST /v2/users/new", authenticated, (*call).createUserV2},
	{"PATCH /v2/users/{user}", authenticated, (*call).changeUserV2},
	{"GET /v2/users/{user}", authenticated, (*call).readUserV2},
	{"POST /v2/users", authenticated, (*call).searchUsersV2},
	{"DELETE /v2/users/{user}", authenticated, (*call).deleteUserV2},
	{"POST /v2/users/{user}/lock", authenticated, lockUser.v2},
	{"POST /v2/users/{user}/unlock", authenticated, unlockUser.v2},
	{"POST /v2/users/{user}/deactivate", authenticated, deactivateUser.v2},
	{"POST /v2/users/{user}/reactivate", authenticated, reactivateUser.v2},
	{"POST /v2/users/{user}/metadata", authenticated, (*call).setMetadataV2},
	{"POST /v2/users/{user}/metadata/search", authenticated, (*call).searchMetadataV2},
	{"DELETE /v2/users/{user}/metadata", authenticated, (*call).deleteMetadataV2},
}

func (c *call) pathUser() *user { return c.state.user(c.r.PathValue("user")) }

func (c *call) createUserV2() (any, error) {
	m := c.message("CreateUserRequest")
	orgID, userName, id := m.text("organizationId"), m.text("username"), m.text("userId")
	machine := m.sub("machine")
	name, description, jwt := machine.text("name"), machine.text("description"), accessTokenType(machine)
	m.length("OrganizationId", orgID, 1, 200)
	entries := readMetadata(m, "Metadata", 0)
	switch {
	case m.has("human"):
		return nil, &apiError{code: codeUnimplemented, msg: "zitadeltest has service users only: send \"machine\" instead of \"human\""}
	case !m.has("machine"):
		m.invalid("UserType", "value is required")
	}
	machine.name = "CreateUserRequest_Machine"
	machine.length("Name", name, 1, 200)
	machine.optional("description", 1, 500)
	m.optional("userId", 1, 200)
	m.optional("username", 1, 200)
	if m.err != nil {
		return nil, m.err
	}
	if id == "" {
		id = newID()
	}
	if userName == "" {
		userName = id
	}
	o := c.state.org(orgID)
	if id != c.user.id {
		if err := c.permitOn(o, "user.write", "AUTH-AWfge"); err != nil {
			return nil, err
		}
	}
	if o == nil {
		return nil, failedPrecondition("COMMAND-QXPGs", "Errors.Org.NotFound")
	}
	for _, e := range entries {
		switch {
		case strings.TrimSpace(e.key) == "":
			return nil, invalidArgument("USER-Drght", "Errors.User.Metadata.KeyEmpty")
		case len(e.value) == 0:
			return nil, invalidArgument("USER-Dbgth", "Errors.User.Metadata.ValueEmpty")
		}
	}
	u, err := c.addUser(c.user.id, o, newUser{id: id, userName: userName, name: name, description: description, jwt: jwt})
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		c.setMetadata(c.user.id, u, strings.TrimSpace(e.key), e.value)
	}
	return object{"id": u.id, "creationDate": timestamp(u.shown().created)}, nil
}

func (c *call) changeUserV2() (any, error) {
	m := c.message("UpdateUserRequest")
	machine := m.sub("machine")
	machine.name = "UpdateUserRequest_Machine"
	userName, name, description, jwt := m.text("username"), machine.text("name"), machine.text("description"), accessTokenType(machine)
	entries := readMetadata(m, "Metadata", 0)
	machine.length("Name", name, 0, 200)
	machine.length("Description", description, 0, 500)
	m.optional("username", 1, 200)
	switch {
	case m.err != nil:
		return nil, m.err
	case m.has("human"):
		return nil, &apiError{code: codeUnimplemented, msg: "zitadeltest has service users only: send \"machine\" instead of \"human\""}
	case !m.has("machine"): // even if only the username is to change
		return nil, &apiError{code: codeUnimplemented, msg: "user type is not implemented", nameless: true}
	}
	u := c.pathUser()
	if u == nil {
		return nil, notFound("COMMAND-ugjs0upun6", "Errors.User.NotFound")
	}
	if err := c.permitSelf(u, "user.write"); err != nil {
		return nil, err
	}
	if !m.has("username") {
		userName = u.userName
	}
	if !machine.has("name") {
		name = u.name
	}
	if !machine.has("description") {
		description = u.description
	}
	if !machine.has("accessTokenType") {
		jwt = u.jwt
	}
	if other := c.userByLogin(userName); other != nil && other != u {
		return nil, alreadyExists("V3-DKcYh", "Errors.User.AlreadyExists") // and nothing is changed
	}
	last := u.shown()
	if userName != u.userName {
		u.userName = userName
		last = u.change(&c.state, c.user.id, "user.username.changed", object{"userName": userName})
	}
	if d, changed := c.changeUser(c.user.id, u, name, description, jwt); changed {
		last = d
	}
	if c.applyMetadata(u, entries) {
		last = u.metadataChange
	}
	return object{"changeDate": timestamp(last.changed)}, nil
}

func (c *call) readUserV2() (any, error) {
	u := c.pathUser()
	if u == nil {
		return nil, notFound("QUERY-Dfbg2", "Errors.User.NotFound")
	}
	if err := c.permitSelf(u, "user.read"); err != nil {
		return nil, err
	}
	return object{"details": u.shown().full(), "user": userV2Object(u)}, nil
}

func userV2Object(u *user) object {
	return object{
		"userId": u.id, "details": u.shown().full(), "state": string(u.state), "username": u.userName,
		"loginNames": []string{u.userName}, "preferredLoginName": u.userName, "machine": machineObject(u),
	}
}

var userV2Matchers = func() matchers[*user] {
	all := maps.Clone(userMatchers)
	all["metadataKeyFilter"] = func(q *message, u *user) bool {
		return slices.ContainsFunc(u.metadata, func(e metadata) bool { return textMatches(q, e.key, "key") })
	}
	all["metadataValueFilter"] = func(q *message, u *user) bool {
		want := q.bytes("value")
		same := q.enum("method", "BYTE_FILTER_METHOD_EQUALS", "BYTE_FILTER_METHOD_NOT_EQUALS") == "BYTE_FILTER_METHOD_EQUALS"
		return slices.ContainsFunc(u.metadata, func(e metadata) bool { return bytes.Equal(e.value, want) == same })
	}
	return all
}()

// searchUsersV2 shows those the caller may read, and counts them all.
func (c *call) searchUsersV2() (any, error) {
	m := c.message("ListUsersRequest")
	queries, err := readQueries(m, "queries", userV2Matchers)
	if err != nil {
		return nil, err
	}
	p, err := readPaging(m.sub("query"))
	if err != nil {
		return nil, err
	}
	all := slices.Clone(c.users)
	if err := c.sortUsers(all); err != nil {
		return nil, err
	}
	found, err := filter(m, queries, all, userV2Matchers)
	if err != nil {
		return nil, err
	}
	details := object{"timestamp": timestamp(c.clock())}
	if len(found) > 0 {
		details["totalResult"] = strconv.Itoa(len(found))
	}
	may := func(u *user) bool { return c.permitSelf(u, "user.read") == nil }
	return withResult(object{"details": details}, seen(cut(found, p), may), userV2Object), nil
}

func (c *call) deleteUserV2() (any, error) {
	u := c.pathUser()
	if u == nil {
		return nil, notFound("COMMAND-bd4ir1mblj", "Errors.User.NotFound")
	}
	if u != c.user || c.permitUser(u, "user.self.delete") != nil {
		if err := c.permitUser(u, "user.delete"); err != nil {
			return nil, err
		}
	}
	return object{"details": c.removeUser(c.user.id, u).change()}, nil
}

func (c *call) setMetadataV2() (any, error) {
	m := c.message("SetUserMetadataRequest")
	entries, err := readEntries(m, "Metadata", 0)
	if err != nil {
		return nil, err
	}
	u := c.pathUser()
	if u == nil {
		return nil, failedPrecondition("COMMAND-uXHNj", "Errors.User.NotFound")
	}
	if err := c.permitUser(u, "user.write"); err != nil {
		return nil, err
	}
	c.applyMetadata(u, entries)
	return object{"setDate": timestamp(u.lastMetadata().changed)}, nil
}

func (c *call) searchMetadataV2() (any, error) {
	var all []metadata
	u := c.pathUser()
	if u != nil {
		all = u.metadata
	}
	may := func(metadata) bool { return c.permitSelf(u, "user.read") == nil }
	return renamed("metadata")(searchV2(c, "ListUserMetadataRequest", "filters", all, metadataMatchers, may, func(e metadata) object {
		return object{
			"key": e.key, "value": e.value,
			"creationDate": timestamp(e.details.created), "changeDate": timestamp(e.details.changed),
		}
	}))
}

func (c *call) deleteMetadataV2() (any, error) {
	keys := c.r.URL.Query()["keys"]
	m := c.message("DeleteUserMetadataRequest")
	for i, key := range keys {
		m.length(fmt.Sprintf("Keys[%d]", i), key, 1, 200)
	}
	switch {
	case m.err != nil:
		return nil, m.err
	case len(keys) == 0:
		return nil, failedPrecondition("META-9mm2d", "Errors.Metadata.NoData")
	}
	u := c.pathUser()
	if u == nil {
		return nil, failedPrecondition("COMMAND-uXHNj", "Errors.User.NotFound")
	}
	if err := c.permitUser(u, "user.write"); err != nil {
		return nil, err
	}
	if err := u.hasMetadata(keys); err != nil {
		return nil, err
	}
	var d details
	for _, key := range keys {
		d = c.removeMetadata(c.user.id, u, key)
	}
	return object{"deletionDate": timestamp(d.changed)}, nil
}
