package zitadelapi

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/postern-go/postern"
)

// User is a service user, as far as callers here ask.
type User struct {
	ID, UserName, LoginName, Name, OrgID string
}

// Me returns who calls (auth v1, which every server has). It needs no role.
func (c *Client) Me(ctx context.Context) (User, error) {
	const path = "/auth/v1/users/me"
	var answer struct {
		User userV1 `json:"user"`
	}
	if err := c.Call(ctx, http.MethodGet, path, nil, &answer); err != nil {
		return User{}, err
	}
	if answer.User.ID == "" {
		return User{}, Unusable("GET "+path, "a user with an id")
	}
	return answer.User.user(), nil
}

// CreateServiceUser makes a service user in the caller's organisation, or the one of x-zitadel-orgid (management v1).
func (c *Client) CreateServiceUser(ctx context.Context, userName, name, description string) (id string, err error) {
	const path = "/management/v1/users/machine"
	in := map[string]string{
		"userName": userName, "name": name, "description": description, "accessTokenType": "ACCESS_TOKEN_TYPE_BEARER",
	}
	var answer struct {
		UserID string `json:"userId"`
	}
	if err := c.Call(ctx, http.MethodPost, path, in, &answer); err != nil {
		return "", err
	}
	if answer.UserID == "" {
		return "", Unusable("POST "+path, "a userId")
	}
	return answer.UserID, nil
}

// FindUser returns the service user of the caller's organisation with exactly that user name, or ok false when there is none. A
// person of that name is an error (management v1).
func (c *Client) FindUser(ctx context.Context, userName string) (u User, ok bool, err error) {
	in := map[string]any{"queries": []any{map[string]any{
		"userNameQuery": map[string]string{"userName": userName, "method": "TEXT_QUERY_METHOD_EQUALS"},
	}}}
	var answer struct {
		Result []userV1 `json:"result"`
	}
	if err := c.Call(ctx, http.MethodPost, "/management/v1/users/_search", in, &answer); err != nil {
		return User{}, false, err
	}
	for _, u := range answer.Result {
		switch {
		case u.UserName != userName:
		case u.Machine == nil:
			return User{}, false, fmt.Errorf("expected the user name of a service user, got that of a person: %s", u.ID)
		default:
			return u.user(), true, nil
		}
	}
	return User{}, false, nil
}

// Org is an organisation.
type Org struct{ ID, Name string }

// MyOrg returns the caller's organisation, or the one of x-zitadel-orgid (management v1). A caller without any role there gets
// a refusal that Denied recognises.
func (c *Client) MyOrg(ctx context.Context) (Org, error) {
	var answer struct {
		Org struct {
			ID   string `json:"id"`
			Name string `json:"name"`
		} `json:"org"`
	}
	err := c.Call(ctx, http.MethodGet, "/management/v1/orgs/me", nil, &answer)
	return Org(answer.Org), err
}

// AddOrgMember gives a user roles in the caller's organisation (management v1). A user that is a member already gets an error
// that AlreadyExists recognises.
func (c *Client) AddOrgMember(ctx context.Context, userID string, roles ...string) error {
	in := map[string]any{"userId": userID, "roles": roles}
	return c.Call(ctx, http.MethodPost, "/management/v1/orgs/me/members", in, nil)
}

// NewSecret makes a client secret for a service user and ends the one before. The client id is its login name. It asks the
// user service v2, where a service user needs no role for its own, and management v1 on older servers.
func (c *Client) NewSecret(ctx context.Context, userID string) (string, error) {
	path := "/v2/users/" + url.PathEscape(userID) + "/secret"
	var answer struct {
		ClientSecret string `json:"clientSecret"`
	}
	err := c.Call(ctx, http.MethodPost, path, struct{}{}, &answer)
	if Unimplemented(err) {
		path = "/management/v1/users/" + url.PathEscape(userID) + "/secret"
		err = c.Call(ctx, http.MethodPut, path, struct{}{}, &answer)
	}
	if err != nil {
		return "", err
	}
	if answer.ClientSecret == "" {
		return "", Unusable("POST "+path, "a clientSecret")
	}
	return answer.ClientSecret, nil
}

// Unusable is the error of an answer that came with success and says something else than it should.
func Unusable(call, want string) error {
	return unusable{call, want}
}

type unusable struct{ call, want string }

func (e unusable) Error() string { return e.call + ": expected " + e.want + " in the answer, got none" }

func (unusable) Unwrap() error { return postern.ErrUnavailable }

// userV1 is how auth v1 and management v1 write a user.
type userV1 struct {
	ID                 string `json:"id"`
	UserName           string `json:"userName"`
	PreferredLoginName string `json:"preferredLoginName"`
	Machine            *struct {
		Name string `json:"name"`
	} `json:"machine"` // nil for a person
	Details struct {
		ResourceOwner string `json:"resourceOwner"`
	} `json:"details"`
}

func (u userV1) user() User {
	user := User{ID: u.ID, UserName: u.UserName, LoginName: u.PreferredLoginName, OrgID: u.Details.ResourceOwner}
	if u.Machine != nil {
		user.Name = u.Machine.Name
	}
	return user
}
