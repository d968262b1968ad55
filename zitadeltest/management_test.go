package zitadeltest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/zitadeltest"
)

// managed is a server with one of each, and a way to name them in paths: {user}, {project} and so on.
type managed struct {
	world
	ids map[string]string
}

func newManaged(t *testing.T) managed {
	t.Helper()
	w := newWorld(t)
	m := managed{w, map[string]string{"user": w.bot.ID, "project": w.project.ID, "app": w.api.AppID, "role": "viewer", "unknown": "1"}}
	m.ids["pat"], _ = w.bot.PATWithID()
	m.ids["key"] = readKey(t, w.bot.KeyJSON()).KeyID
	api := readKey(t, w.api.KeyJSON())
	m.ids["keyapp"], m.ids["appkey"] = api.AppID, api.KeyID
	grants := admin(t, w.Server, "POST", "/management/v1/users/grants/_search", object{}).body["result"].([]any)
	m.ids["grant"] = grants[0].(object)["id"].(string)
	m.ids["member"] = w.AddServiceUser("member", zitadeltest.WithOrgRole("ORG_OWNER")).ID
	return m
}

func (m managed) path(path string) string {
	for name, id := range m.ids {
		path = strings.ReplaceAll(path, "{"+name+"}", id)
	}
	return path
}

func (m managed) call(t *testing.T, method, path string, value any) answer {
	t.Helper()
	if text, ok := value.(string); ok {
		return ask(t, m.Server, method, m.path(path), bearer(m.AdminPAT()), body("application/json", text))
	}
	return ask(t, m.Server, method, m.path(path), bearer(m.AdminPAT()), send(t, value))
}

const (
	v1      = "/management/v1"
	tooLong = "value length must be between 1 and 200 runes, inclusive"
	within  = "embedded message failed validation | caused by: "
)

// Each call of the management API and the v2 user service, refused as the real server refuses it. The order of the checks is the
// server's: rules of the message first, then what is there.
func TestRefusals(t *testing.T) {
	long := strings.Repeat("x", 201)
	past := object{"type": "KEY_TYPE_JSON", "expirationDate": "2020-01-01T00:00:00Z"}
	for _, c := range []struct {
		method, path string
		body         any
		status, code int
		message      string
	}{
		// 400, code 3: rules of the message
		{"POST", v1 + "/users/machine", object{"userName": "x"}, 400, 3, "invalid AddMachineUserRequest.Name: " + tooLong},
		{"POST", v1 + "/users/machine", object{"userName": long, "name": "x"}, 400, 3, "invalid AddMachineUserRequest.UserName: " + tooLong},
		{"POST", v1 + "/users/machine", object{"userName": "x", "name": "x", "description": strings.Repeat("y", 501)}, 400, 3, "invalid AddMachineUserRequest.Description: value length must be at most 500 runes"},
		{"POST", v1 + "/users/machine", object{"userName": "x", "name": "x", "accessTokenType": 7}, 400, 3, "invalid AddMachineUserRequest.AccessTokenType: value must be one of the defined enum values"},
		{"PUT", v1 + "/users/{user}/machine", object{}, 400, 3, "invalid UpdateMachineRequest.Name: " + tooLong},
		{"PUT", v1 + "/users/{user}/username", object{}, 400, 3, "invalid UpdateUserNameRequest.UserName: " + tooLong},
		{"POST", v1 + "/users/{user}/keys", object{}, 400, 3, "invalid AddMachineKeyRequest.Type: value must not be in list [0]"},
		{"POST", v1 + "/users/{user}/keys", past, 400, 3, "Errors.AuthNKey.ExpireBeforeNow (DOMAIN-dv3t5)"},
		{"POST", v1 + "/users/{user}/keys", object{"type": 1, "publicKey": "bm8ga2V5"}, 400, 3, "Public key is not a valid RSA public key in PKIX format with PEM encoding (COMMAND-5F3h1)"},
		{"POST", v1 + "/users/{user}/pats", object{"expirationDate": "2020-01-01T00:00:00Z"}, 400, 3, "Errors.AuthNKey.ExpireBeforeNow (DOMAIN-dv3t5)"},
		{"POST", v1 + "/users/{user}/metadata/k", object{}, 400, 3, "invalid SetUserMetadataRequest.Value: value length must be between 1 and 500000 bytes, inclusive"},
		{"POST", v1 + "/users/{user}/metadata/_bulk", object{"metadata": []object{{"key": "", "value": "eA=="}}}, 400, 3, "invalid BulkSetUserMetadataRequest.Metadata[0]: " + within + "invalid BulkSetUserMetadataRequest_Metadata.Key: " + tooLong},
		{"POST", v1 + "/users/{user}/grants", object{}, 400, 3, "invalid AddUserGrantRequest.ProjectId: " + tooLong},
		{"POST", v1 + "/projects", object{}, 400, 3, "invalid AddProjectRequest.Name: " + tooLong},
		{"POST", v1 + "/projects", object{"name": "x", "privateLabelingSetting": 9}, 400, 3, "invalid AddProjectRequest.PrivateLabelingSetting: value must be one of the defined enum values"},
		{"PUT", v1 + "/projects/{project}", object{}, 400, 3, "invalid UpdateProjectRequest.Name: " + tooLong},
		{"POST", v1 + "/projects/{project}/roles", object{"roleKey": "r"}, 400, 3, "invalid AddProjectRoleRequest.DisplayName: " + tooLong},
		{"POST", v1 + "/projects/{project}/roles", object{"displayName": "r"}, 400, 3, "invalid AddProjectRoleRequest.RoleKey: " + tooLong},
		{"POST", v1 + "/projects/{project}/roles/_bulk", object{"roles": []object{{"key": "r"}}}, 400, 3, "invalid BulkAddProjectRolesRequest.Roles[0]: " + within + "invalid BulkAddProjectRolesRequest_Role.DisplayName: " + tooLong},
		{"PUT", v1 + "/projects/{project}/roles/viewer", object{}, 400, 3, "invalid UpdateProjectRoleRequest.DisplayName: " + tooLong},
		{"POST", v1 + "/projects/{project}/apps/api", object{}, 400, 3, "invalid AddAPIAppRequest.Name: " + tooLong},
		{"PUT", v1 + "/projects/{project}/apps/{app}", object{}, 400, 3, "invalid UpdateAppRequest.Name: " + tooLong},
		{"POST", v1 + "/projects/{project}/apps/{keyapp}/keys", object{}, 400, 3, "invalid AddAppKeyRequest.Type: value must not be in list [0]"},
		{"POST", v1 + "/projects/{project}/apps/{keyapp}/keys", past, 400, 3, "Errors.AuthNKey.ExpireBeforeNow (DOMAIN-dv3t5)"},
		{"POST", v1 + "/orgs", object{}, 400, 3, "invalid AddOrgRequest.Name: " + tooLong},
		{"POST", v1 + "/orgs/me/members", object{}, 400, 3, "invalid AddOrgMemberRequest.UserId: " + tooLong},
		{"POST", v1 + "/orgs/me/members", object{"userId": "1"}, 400, 3, "Errors.Invalid.Argument (ORG-4Mlfs)"},
		{"POST", v1 + "/orgs/me/members", object{"userId": "1", "roles": []string{"ORG_OWNER", "SELF_MANAGEMENT_GLOBAL"}}, 400, 3, "Errors.Org.MemberInvalid (Org-4N8es)"},
		{"PUT", v1 + "/orgs/me/members/{member}", object{"roles": []string{"SELF_MANAGEMENT_GLOBAL"}}, 400, 3, "Errors.Org.MemberInvalid (IAM-m9fG8)"},
		{"POST", v1 + "/orgs/me/members", object{"userId": "1", "roles": []string{"BOSS"}}, 400, 3, "Errors.Org.MemberInvalid (Org-4N8es)"},
		{"PUT", v1 + "/orgs/me/members/{member}", object{}, 400, 3, "Errors.Org.MemberInvalid (Org-LiaZi)"},
		{"PUT", v1 + "/orgs/me/members/{member}", object{"roles": []string{"IAM_OWNER"}}, 400, 3, "Errors.Org.MemberInvalid (IAM-m9fG8)"},
		{"POST", v1 + "/users/_search", object{"query": object{"limit": 1001}}, 400, 3, "Limit exceeded (QUERY-4M0fs)"},
		{"POST", v1 + "/users/_search", object{"queries": []object{{"typeQuery": object{"type": 2}}, {"madeUpQuery": object{}}}}, 400, 3, "invalid ListUsersRequest.Queries[1]: " + within + "invalid SearchQuery.Query: value is required"},
		{"POST", v1 + "/users/{user}/metadata/_search", object{"queries": []object{{}}}, 400, 3, "invalid ListUserMetadataRequest.Queries[0]: " + within + "invalid MetadataQuery.Query: value is required"},
		{"POST", v1 + "/projects/{project}/apps/_search", object{"queries": []object{{}}}, 400, 3, "invalid ListAppsRequest.Queries[0]: " + within + "invalid AppQuery.Query: value is required"},
		{"POST", "/v2/users/pats/search", object{"filters": []object{{}}}, 400, 3, "invalid ListPersonalAccessTokensRequest.Filters[0]: " + within + "invalid PersonalAccessTokensSearchFilter.Filter: value is required"},
		{"POST", "/v2/users/keys/search", object{"filters": []object{{"changedDateFilter": object{"timestamp": "2020-01-01T00:00:00Z"}}}}, 400, 3, "invalid ListKeysRequest.Filters[0]: " + within + "invalid KeysSearchFilter.Filter: value is required"},
		{"POST", "/v2/users/{user}/metadata/search", object{"filters": []object{{}}}, 400, 3, "invalid ListUserMetadataRequest.Filters[0]: " + within + "invalid MetadataSearchFilter.Filter: value is required"},
		{"POST", "/v2/users/{user}/metadata", object{"metadata": []object{{"key": "k", "value": "eA=="}, {"value": "eA=="}}}, 400, 3, "invalid SetUserMetadataRequest.Metadata[1]: " + within + "invalid Metadata.Key: " + tooLong},
		{"PATCH", "/v2/users/{user}", object{"machine": object{"name": long}}, 400, 3, "invalid UpdateUserRequest.Machine: " + within + "invalid UpdateUserRequest_Machine.Name: value length must be at most 200 runes"},
		{"PATCH", "/v2/users/{user}", object{"username": ""}, 400, 3, "invalid UpdateUserRequest.Username: " + tooLong},
		{"POST", "/v2/users/{user}/keys", object{}, 400, 3, "invalid AddKeyRequest.ExpirationDate: value is required"},
		{"DELETE", "/v2/users/{user}/metadata?keys=k&keys=", nil, 400, 3, "invalid DeleteUserMetadataRequest.Keys[1]: " + tooLong},
		{"POST", "/v2/users/new", object{"machine": object{"name": "x"}}, 400, 3, "invalid CreateUserRequest.OrganizationId: " + tooLong},
		{"POST", "/v2/users/new", object{"organizationId": "1"}, 400, 3, "invalid CreateUserRequest.UserType: value is required"},
		{"POST", "/v2/users/new", object{"organizationId": "1", "machine": object{"name": "x", "description": ""}}, 400, 3, "invalid CreateUserRequest.Machine: " + within + "invalid CreateUserRequest_Machine.Description: value length must be between 1 and 500 runes, inclusive"},
		{"POST", "/v2/users/new", object{"organizationId": "1", "machine": object{"name": "x"}, "userId": "", "username": ""}, 400, 3, "invalid CreateUserRequest.UserId: " + tooLong},
		{"POST", "/v2/users/new", object{"organizationId": "1", "machine": object{"name": "x"}, "username": ""}, 400, 3, "invalid CreateUserRequest.Username: " + tooLong},
		{"POST", "/v2/users/new", object{"organizationId": "1", "metadata": []object{{"key": ""}}}, 400, 3, "invalid CreateUserRequest.Metadata[0]: " + within + "invalid Metadata.Key: " + tooLong},
		{"POST", "/v2/users/new", object{"organizationId": "1", "machine": object{}}, 400, 3, "invalid CreateUserRequest.Machine: " + within + "invalid CreateUserRequest_Machine.Name: " + tooLong},

		// 400, code 3: what is no such message
		{"POST", v1 + "/projects", `{"name": 5}`, 400, 3, "proto: (line 1:10): invalid value for string field name: 5"},
		{"POST", v1 + "/projects", "{\n \"name\": true}", 400, 3, "proto: (line 2:10): invalid value for string field name: true"},
		{"POST", v1 + "/projects", `[]`, 400, 3, "proto: syntax error (line 1:1): unexpected token ["},
		{"POST", v1 + "/projects", `{"name":"x"`, 400, 3, "unexpected EOF"},
		{"POST", v1 + "/projects", `{name}`, 400, 3, "invalid character 'n' looking for beginning of object key string"},
		{"POST", v1 + "/users/{user}/pats", `{"expirationDate":"soon"}`, 400, 3, `proto: (line 1:19): invalid google.protobuf.Timestamp value "soon"`},
		{"POST", v1 + "/users/{user}/pats", `{"expirationDate":5}`, 400, 3, `proto: syntax error (line 1:19): unexpected token 5`},
		{"POST", v1 + "/projects", `{"name":"x", "name":"y"}`, 400, 3, `proto: (line 1:14): duplicate field "name"`},
		{"POST", v1 + "/users/machine", "{\"userName\":\"x\",\n\"user_name\":\"y\"}", 400, 3, `proto: (line 2:1): duplicate field "user_name"`},
		{"POST", v1 + "/users/{user}/keys", `{"type":"PEM"}`, 400, 3, `proto: (line 1:9): invalid value for enum field type: "PEM"`},
		{"POST", v1 + "/users/{user}/metadata/k", `{"value":"%"}`, 400, 3, `proto: (line 1:10): invalid value for bytes field value: "%"`},
		{"POST", v1 + "/orgs/me/members", `{"userId":"x","roles":["a",1]}`, 400, 3, "proto: (line 1:28): invalid value for string field roles: 1"},
		{"POST", "/v2/users/new", `{"machine":{"name":1}}`, 400, 3, "proto: (line 1:20): invalid value for string field name: 1"},
		{"POST", v1 + "/users/{user}/metadata/_bulk", "{\"metadata\":[\n {\"key\":\"k\"},\n 7]}", 400, 3, "proto: syntax error (line 3:2): unexpected token 7"},
		{"POST", v1 + "/orgs/me/members", `{"roles":"x"}`, 400, 3, `proto: syntax error (line 1:10): unexpected token "x"`},

		// 400, code 9: what does not fit
		{"POST", v1 + "/users/{unknown}/pats", object{}, 400, 9, "User could not be found (COMMAND-Dggw2)"},
		{"POST", v1 + "/users/{unknown}/keys", object{"type": 1}, 400, 9, "User could not be found (COMMAND-bnipwm1)"},
		{"DELETE", v1 + "/users/{unknown}/secret", nil, 400, 9, "Errors.User.NotExisting (COMMAND-x7s802)"},
		{"DELETE", v1 + "/users/{user}/secret", nil, 400, 9, "Secret doesn't exist (COMMAND-coi82n)"},
		{"POST", v1 + "/users/{user}/_unlock", nil, 400, 9, "User is not locked (COMMAND-4M0ds)"},
		{"POST", v1 + "/users/{user}/_reactivate", nil, 400, 9, "User is not inactive (COMMAND-6M0sf)"},
		{"POST", "/v2/users/{user}/unlock", nil, 400, 9, "User is not locked (COMMAND-olb9vb0oca)"},
		{"PUT", v1 + "/users/{user}/machine", object{"name": "bot"}, 400, 9, "Errors.User.NotChanged (COMMAND-2n8vs)"},
		{"PUT", v1 + "/users/{user}/username", object{"userName": "bot"}, 400, 9, "Username not changed (COMMAND-6m9gs)"},
		{"POST", v1 + "/users/{unknown}/metadata/k", object{"value": "eA=="}, 400, 9, "User could not be found (COMMAND-uXHNj)"},
		{"POST", v1 + "/users/{user}/metadata/_bulk", object{}, 400, 9, "Metadata list is empty (META-9mm2d)"},
		{"DELETE", v1 + "/users/{user}/metadata/_bulk", object{"keys": []string{""}}, 400, 3, "Metadata is invalid (COMMAND-m29ds)"},
		{"DELETE", v1 + "/users/{user}/metadata/_bulk", object{}, 400, 9, "Metadata list is empty (META-9mm2d)"},
		{"DELETE", "/v2/users/{unknown}/metadata", nil, 400, 9, "Metadata list is empty (META-9mm2d)"},
		{"POST", "/v2/users/{unknown}/metadata", object{}, 400, 9, "Metadata list is empty (META-9mm2d)"},
		{"POST", v1 + "/users/{unknown}/grants", object{"projectId": "1"}, 400, 9, "User could not be found (COMMAND-4f8sg)"},
		{"POST", v1 + "/users/{user}/grants", object{"projectId": "1"}, 400, 9, "Project Grant not found (COMMAND-4m9ff)"},
		{"PUT", v1 + "/users/{user}/grants/{grant}", object{"roleKeys": []string{"viewer"}}, 400, 9, "User grant has not been changed (COMMAND-Rs8fy)"},
		{"PUT", v1 + "/users/{user}/grants/{grant}", object{"roleKeys": []string{"boss"}}, 400, 9, "Errors.Project.Role.NotFound (COMMAND-mm9F4)"},
		{"POST", v1 + "/projects/{project}/_reactivate", nil, 400, 9, "Project is not deactivated (COMMAND-5M9bs)"},
		{"POST", v1 + "/projects/{unknown}/roles", object{"roleKey": "r", "displayName": "r"}, 400, 9, "Project not found (COMMAND-EbFMN)"},
		{"PUT", v1 + "/projects/{unknown}/roles/r", object{"displayName": "r"}, 400, 9, "Project not found (COMMAND-EbFMN)"},
		{"POST", v1 + "/projects/{unknown}/apps/api", object{"name": "x"}, 400, 9, "Project not found (COMMAND-EbFMN)"},
		{"PUT", v1 + "/projects/{project}/apps/{app}/api_config", object{}, 400, 9, "No changes (COMMAND-1m88i)"},
		{"PUT", v1 + "/projects/{project}/apps/{app}", object{"name": "api"}, 400, 9, "No changes (COMMAND-2m8vx)"},
		{"POST", v1 + "/projects/{project}/apps/{app}/_reactivate", nil, 400, 9, "Application is not inactive (COMMAND-1n8cM)"},
		{"POST", v1 + "/projects/{project}/apps/{unknown}/keys", object{"type": 1}, 400, 9, "Application not found (COMMAND-sak25)"},
		{"POST", v1 + "/projects/{project}/apps/{app}/keys", object{"type": 1}, 400, 9, "Chosen Auth Method does not require a key (COMMAND-Dff54)"},
		{"POST", v1 + "/orgs/me/_reactivate", nil, 400, 9, "Organisation is already active (EVENT-bfnrh)"},
		{"DELETE", v1 + "/orgs/me", nil, 400, 9, "Default Organisation must not be deleted (COMMA-wG9p1)"},
		{"POST", v1 + "/orgs/me/members", object{"userId": "1", "roles": []string{"ORG_OWNER"}}, 400, 9, "User could not be found (ORG-GoXOn)"},
		{"POST", "/v2/users/{unknown}/secret", nil, 400, 9, "Errors.User.NotExisting (COMMAND-x8910n)"},
		{"DELETE", "/v2/users/{user}/secret", nil, 400, 9, "Secret doesn't exist (COMMAND-coi82n)"},
		{"POST", "/v2/users/new", object{"organizationId": "1", "machine": object{"name": "x"}}, 400, 9, "Organisation not found (COMMAND-QXPGs)"},

		// 404, code 5: what is not there
		{"GET", v1 + "/users/{unknown}", nil, 404, 5, "User could not be found (QUERY-Dfbg2)"},
		{"PUT", v1 + "/users/{unknown}/machine", object{"name": "x"}, 404, 5, "User could not be found (COMMAND-5M0od)"},
		{"PUT", v1 + "/users/{unknown}/username", object{"userName": "x"}, 404, 5, "User could not be found (COMMAND-5N9ds)"},
		{"POST", v1 + "/users/{unknown}/_lock", nil, 404, 5, "User could not be found (COMMAND-5M9fs)"},
		{"POST", v1 + "/users/{unknown}/_deactivate", nil, 404, 5, "User could not be found (COMMAND-3M9ds)"},
		{"DELETE", v1 + "/users/{unknown}", nil, 404, 5, "User could not be found (COMMAND-m9od)"},
		{"PUT", v1 + "/users/{unknown}/secret", nil, 404, 5, "User could not be found (QUERY-Dfbg2)"},
		{"GET", v1 + "/users/{user}/pats/{unknown}", nil, 404, 5, "Errors.PersonalAccessToken.NotFound (QUERY-fRunu)"},
		{"DELETE", v1 + "/users/{user}/pats/{unknown}", nil, 404, 5, "Personal Access Token not found (COMMAND-4m77G)"},
		{"DELETE", v1 + "/users/{member}/pats/{pat}", nil, 404, 5, "Personal Access Token not found (COMMAND-4m77G)"},
		{"GET", v1 + "/users/{user}/keys/{unknown}", nil, 404, 5, "Errors.AuthNKey.NotFound (QUERY-Dgr3g)"},
		{"DELETE", v1 + "/users/{user}/keys/{unknown}", nil, 404, 5, "Machine key not found (COMMAND-4m77G)"},
		{"GET", v1 + "/users/{user}/metadata/k", nil, 404, 5, "Metadata not found (QUERY-Rgh32)"},
		{"DELETE", v1 + "/users/{user}/metadata/k", nil, 404, 5, "Metadata not found (META-ncnw3)"},
		{"DELETE", v1 + "/users/{user}/metadata/_bulk", object{"keys": []string{"k"}}, 404, 5, "One or more keys do not exist (META-2nnds)"},
		{"DELETE", "/v2/users/{user}/metadata?keys=k", nil, 404, 5, "One or more keys do not exist (META-2nnds)"},
		{"GET", v1 + "/users/{user}/grants/{unknown}", nil, 404, 5, "User grant not found (QUERY-wIPkA)"},
		{"PUT", v1 + "/users/{user}/grants/{unknown}", object{}, 404, 5, "User grant not found (COMMAND-3M9sd)"},
		{"POST", v1 + "/users/{user}/grants/{unknown}/_deactivate", nil, 404, 5, "User grant not found (COMMAND-3M9sd)"},
		{"POST", v1 + "/users/{user}/grants/{unknown}/_reactivate", nil, 404, 5, "User grant not found (COMMAND-Lp0gs)"},
		{"DELETE", v1 + "/users/{user}/grants/{unknown}", nil, 404, 5, "User grant not found (COMMAND-1My0t)"},
		{"GET", v1 + "/projects/{unknown}", nil, 404, 5, "Project not found (QUERY-fk2fs)"},
		{"PUT", v1 + "/projects/{unknown}", object{"name": "x"}, 404, 5, "Project not found (COMMAND-3M9sd)"},
		{"POST", v1 + "/projects/{unknown}/_deactivate", nil, 404, 5, "Project not found (COMMAND-112M9)"},
		{"POST", v1 + "/projects/{unknown}/_reactivate", nil, 404, 5, "Project not found (COMMAND-3M9sd)"},
		{"DELETE", v1 + "/projects/{unknown}", nil, 404, 5, "Project not found (COMMAND-3M9sd)"},
		{"PUT", v1 + "/projects/{project}/roles/boss", object{"displayName": "x"}, 404, 5, "Role doesn't exist (COMMAND-vv8M9)"},
		{"GET", v1 + "/projects/{project}/apps/{unknown}", nil, 404, 5, "Errors.App.NotExisting (QUERY-pCP8P)"},
		{"PUT", v1 + "/projects/{project}/apps/{unknown}/api_config", object{}, 404, 5, "Application doesn't exist (COMMAND-2n8uU)"},
		{"PUT", v1 + "/projects/{project}/apps/{unknown}", object{"name": "x"}, 404, 5, "Application doesn't exist (COMMAND-28di9)"},
		{"POST", v1 + "/projects/{project}/apps/{unknown}/_deactivate", nil, 404, 5, "Application doesn't exist (COMMAND-ov9d3)"},
		{"POST", v1 + "/projects/{project}/apps/{unknown}/_reactivate", nil, 404, 5, "Application doesn't exist (COMMAND-ov9d3)"},
		{"POST", v1 + "/projects/{project}/apps/{unknown}/api_config/_generate_client_secret", nil, 404, 5, "Application doesn't exist (COMMAND-2g66f)"},
		{"DELETE", v1 + "/projects/{project}/apps/{unknown}", nil, 404, 5, "Application doesn't exist (COMMAND-0po9s)"},
		{"GET", v1 + "/projects/{project}/apps/{keyapp}/keys/{unknown}", nil, 404, 5, "Errors.AuthNKey.NotFound (QUERY-Dgr3g)"},
		{"DELETE", v1 + "/projects/{project}/apps/{keyapp}/keys/{unknown}", nil, 404, 5, "Application key not found (COMMAND-4m77G)"},
		{"PUT", v1 + "/orgs/me/members/{unknown}", object{"roles": []string{"ORG_OWNER"}}, 404, 5, "Errors.NotFound (Org-D8JxR)"},
		{"GET", "/v2/users/{unknown}", nil, 404, 5, "User could not be found (QUERY-Dfbg2)"},
		{"PATCH", "/v2/users/{unknown}", object{"machine": object{}}, 404, 5, "User could not be found (COMMAND-ugjs0upun6)"},
		{"DELETE", "/v2/users/{unknown}", nil, 404, 5, "User could not be found (COMMAND-bd4ir1mblj)"},
		{"POST", "/v2/users/{unknown}/lock", nil, 404, 5, "User could not be found (COMMAND-450yxuqrh1)"},
		{"DELETE", "/v2/users/{user}/pats/{unknown}", nil, 404, 5, "Personal Access Token not found (COMMAND-4m77G)"},
		{"DELETE", "/v2/users/{unknown}/pats/{pat}", nil, 404, 5, "Errors.NotFound (COMMAND-4g3xq)"},
		{"DELETE", "/v2/users/{unknown}/keys/{key}", nil, 404, 5, "Errors.NotFound (COMMAND-4g3xq)"},
		{"DELETE", "/v2/users/{user}/keys/{unknown}", nil, 404, 5, "Machine key not found (COMMAND-4m77G)"},

		// 409, code 6: what is there already
		{"POST", v1 + "/users/machine", object{"userName": "Bot", "name": "x"}, 409, 6, "User already exists (V3-DKcYh)"},
		{"PUT", v1 + "/users/{member}/username", object{"userName": "bot"}, 409, 6, "User already exists (V3-DKcYh)"},
		{"PATCH", "/v2/users/{member}", object{"username": "bot", "machine": object{}}, 409, 6, "User already exists (V3-DKcYh)"},
		{"POST", v1 + "/projects", object{"name": "orders"}, 409, 6, "Project already exists on organization (V3-DKcYh)"},
		{"POST", v1 + "/projects/{project}/roles", object{"roleKey": "viewer", "displayName": "x"}, 409, 6, "Role already exists (V3-DKcYh)"},
		{"POST", v1 + "/projects/{project}/roles/_bulk", object{"roles": []object{{"key": "a", "displayName": "a"}, {"key": "a", "displayName": "a"}}}, 409, 6, "Role already exists (V3-DKcYh)"},
		{"POST", v1 + "/projects/{project}/apps/api", object{"name": "api"}, 409, 6, "Application already exists (V3-DKcYh)"},
		{"PUT", v1 + "/projects/{project}/apps/{keyapp}", object{"name": "api"}, 409, 6, "Application already exists (V3-DKcYh)"},
		{"POST", v1 + "/users/{user}/grants", object{"projectId": "{project}", "roleKeys": []string{"admin"}}, 409, 6, "User grant already exists (V3-DKcYh)"},
		{"POST", v1 + "/orgs", object{"name": "ZITADEL"}, 409, 6, "Organisation's name or id already taken (V3-DKcYh)"},
		{"POST", v1 + "/orgs/me/members", object{"userId": "{member}", "roles": []string{"ORG_OWNER"}}, 409, 6, "Errors.Org.Member.AlreadyExists (ORG-poWwe)"},

		// what is no call at all
		{"GET", v1 + "/nope", nil, 404, 5, "Not Found"},
		{"GET", "/nope", nil, 404, 5, "Not Found"},
		{"PATCH", v1 + "/projects", nil, 405, 12, "Method Not Allowed"},
	} {
		t.Run(c.method+" "+c.path+" "+c.message, func(t *testing.T) {
			m := newManaged(t)
			if value, ok := c.body.(object); ok {
				data, err := json.Marshal(value)
				require.NoError(t, err)
				c.body = m.path(string(data))
			}
			refused(t, m.call(t, c.method, c.path, c.body), c.status, c.code, c.message)
		})
	}
}

func TestChangingTwiceIsRefusedTheSecondTime(t *testing.T) {
	for _, c := range []struct{ path, first, again, message string }{
		{v1 + "/users/{user}", "_lock", "_lock", "User is not active or initial (COMMAND-3NN8v)"},
		{v1 + "/users/{user}", "_deactivate", "_deactivate", "User already inactive (COMMAND-5M0sf)"},
		{v1 + "/users/{user}", "_deactivate", "_lock", "User is not active or initial (COMMAND-3NN8v)"},
		{"/v2/users/{user}", "deactivate", "deactivate", "User already inactive (COMMAND-5gunjw0cd7)"},
		{v1 + "/projects/{project}", "_deactivate", "_deactivate", "Project is not active (COMMAND-mki55)"},
		{v1 + "/projects/{project}/apps/{app}", "_deactivate", "_deactivate", "Application is not active (COMMAND-dsh35)"},
		{v1 + "/orgs/me", "_deactivate", "_deactivate", "Organisation is already deactivated (EVENT-Dbs2g)"},
	} {
		t.Run(c.path+" "+c.again, func(t *testing.T) {
			m := newManaged(t)
			require.Equal(t, 200, m.call(t, "POST", c.path+"/"+c.first, nil).status)
			refused(t, m.call(t, "POST", c.path+"/"+c.again, nil), 400, 9, c.message)
		})
	}
}

func TestGrants(t *testing.T) {
	m := newManaged(t)
	grant := v1 + "/users/{user}/grants/{grant}"
	active := m.call(t, "POST", grant+"/_reactivate", nil)
	require.Equal(t, 200, active.status, "to activate what is active is no mistake: %s", active.raw)
	inactive := m.call(t, "POST", grant+"/_deactivate", nil)
	assert.NotEqual(t, active.body, inactive.body)
	assert.Equal(t, inactive.body, m.call(t, "POST", grant+"/_deactivate", nil).body, "nothing changed, nothing recorded")
	require.Equal(t, 200, m.call(t, "POST", grant+"/_reactivate", nil).status)

	other := m.AddOrg("Acme")
	m.ids["guest"] = m.AddServiceUser("guest", zitadeltest.InOrg(other), zitadeltest.WithProjectRole(m.project, "viewer")).ID
	in := header("x-zitadel-orgid", other.ID)
	guests := ask(t, m.Server, "POST", v1+"/users/grants/_search", bearer(m.AdminPAT()), in, send(t, object{})).body["result"].([]any)
	g := guests[0].(object)
	assert.Equal(t, []any{other.ID, "Acme", "acme.localhost"}, []any{g["grantedOrgId"], g["grantedOrgName"], g["grantedOrgDomain"]}, "the user's own")

	m.ids["guestgrant"] = g["id"].(string)
	refused(t, m.call(t, "GET", v1+"/users/{guest}/grants/{guestgrant}", nil), 404, 5, "User grant not found (QUERY-wIPkA)")
	assert.Equal(t, 200, m.call(t, "PUT", v1+"/users/{guest}/grants/{guestgrant}", object{"roleKeys": []string{"admin"}}).status, "any organisation's")
	assert.Equal(t, 200, m.call(t, "GET", v1+"/users/{unknown}/grants/{grant}", nil).status, "whose it is does not matter")

	foreign := m.path(`{"projectId":"{project}"}`)
	refused(t, ask(t, m.Server, "POST", m.path(v1+"/users/{user}/grants"), bearer(m.AdminPAT()), in, body("application/json", foreign)), 400, 9,
		"Project Grant not found (COMMAND-4m9ff)")
	require.Equal(t, 200, m.call(t, "DELETE", v1+"/projects/{project}", nil).status)
	refused(t, m.call(t, "POST", v1+"/users/{user}/grants", foreign), 400, 9, "Project not found (COMMAND-3n77S)")
}

func TestWhatAnotherOrganisationOwnsIsNotFound(t *testing.T) {
	m := newManaged(t)
	in := header("x-zitadel-orgid", m.AddOrg("Acme").ID)
	for _, c := range []struct {
		method, path  string
		status, code  int
		said, unknown string
	}{
		{"GET", "/users/{user}", 404, 5, "User could not be found (MANAG-fpo4B)", "User could not be found (QUERY-Dfbg2)"},
		{"PUT", "/users/{user}/secret", 404, 5, "User could not be found (MANAG-fpo4B)", "User could not be found (QUERY-Dfbg2)"},
		{"DELETE", "/users/{user}", 404, 5, "User could not be found (COMMAND-m9od)", "User could not be found (COMMAND-m9od)"},
		{"POST", "/users/{user}/pats", 400, 9, "User could not be found (COMMAND-Dggw2)", "User could not be found (COMMAND-Dggw2)"},
		{"GET", "/projects/{project}", 404, 5, "Project not found (MANAG-SFf2a)", "Project not found (QUERY-fk2fs)"},
		{"DELETE", "/projects/{project}", 404, 5, "Project not found (COMMAND-3M9sd)", "Project not found (COMMAND-3M9sd)"},
		{"GET", "/projects/{project}/apps/{app}", 404, 5, "Application not found (MANAG-SFf2a)", "Errors.App.NotExisting (QUERY-pCP8P)"},
	} {
		refused(t, ask(t, m.Server, c.method, m.path(v1+c.path), bearer(m.AdminPAT()), in), c.status, c.code, c.said)
		unknown := strings.NewReplacer("{user}", "1", "{project}", "1").Replace(v1 + c.path)
		refused(t, ask(t, m.Server, c.method, m.path(unknown), bearer(m.AdminPAT()), in), c.status, c.code, c.unknown)
	}
}

func TestEachCallNeedsATokenAndAPermission(t *testing.T) {
	m := newManaged(t)
	nobody := m.AddServiceUser("nobody").PAT()
	viewer := m.AddServiceUser("viewer", zitadeltest.WithOrgRole("ORG_OWNER_VIEWER")).PAT()
	for _, c := range [][2]string{
		{"POST", v1 + "/users/machine"}, {"DELETE", v1 + "/users/{user}"}, {"POST", v1 + "/users/{user}/pats"}, {"PUT", v1 + "/users/{user}/secret"},
		{"POST", v1 + "/users/{user}/grants"}, {"POST", v1 + "/projects"}, {"POST", v1 + "/projects/{project}/roles"},
		{"POST", v1 + "/projects/{project}/apps/api"}, {"POST", v1 + "/orgs/me/members"}, {"POST", v1 + "/orgs"}, {"POST", "/v2/actions/targets"},
	} {
		path := m.path(c[1])
		a := ask(t, m.Server, c[0], path)
		refused(t, a, 401, 16, "auth header missing")
		assert.Equal(t, "auth header missing", a.header.Get("WWW-Authenticate"))
		refused(t, ask(t, m.Server, c[0], path, bearer(nobody)), 404, 5, "membership not found (AUTHZ-cdgFk)")
		refused(t, ask(t, m.Server, c[0], path, bearer(viewer)), 403, 7, "No matching permissions found (AUTH-5mWD2)")
	}
	assert.Equal(t, 200, ask(t, m.Server, "POST", v1+"/users/_search", bearer(viewer)).status, "a viewer may look")
	refused(t, ask(t, m.Server, "GET", "/v2/users/1", bearer("x")), 401, 16, "Errors.Token.Invalid (AUTH-7fs1e)")
	refused(t, ask(t, m.Server, "POST", "/v2/users/new", bearer(nobody), send(t, object{"organizationId": m.OrgID(), "machine": object{"name": "x"}})),
		404, 5, "membership not found (AUTHZ-cdgFk)")
}

func TestABodyThatIsNoJSONIsToldBeforeTheTokenIsLookedAt(t *testing.T) {
	m := newManaged(t)
	a := ask(t, m.Server, "POST", v1+"/projects", body("application/json", "{"))
	refused(t, a, 400, 3, "unexpected EOF")
	assert.Empty(t, a.header.Get("Cache-Control"), "the gateway answers, before the API sets its headers")
	a = m.call(t, "POST", v1+"/projects", `{"name":1}`)
	refused(t, a, 400, 3, "proto: (line 1:9): invalid value for string field name: 1")
	assert.Empty(t, a.header.Get("Cache-Control"))
}

func TestFieldNamesMayBeInSnakeCaseAndUnknownOnesAreIgnored(t *testing.T) {
	m := newManaged(t)
	a := m.call(t, "POST", v1+"/users/machine", `{"user_name":"snake","name":"Snake","access_token_type":1,"made_up":{},"description":null}`)
	require.Equal(t, 200, a.status, a.raw)
	u := m.call(t, "GET", v1+"/users/"+a.text(t, "userId"), nil).body["user"].(object)
	assert.Equal(t, "snake", u["userName"])
	assert.Equal(t, "ACCESS_TOKEN_TYPE_JWT", u["machine"].(object)["accessTokenType"])
	assert.NotContains(t, u["machine"], "description", "what is empty is left out")
}

func TestWhatIsMadeIsFoundChangedAndRemoved(t *testing.T) {
	m := newManaged(t)
	ok := func(method, path string, value any) object {
		t.Helper()
		a := m.call(t, method, path, value)
		require.Equal(t, 200, a.status, "%s %s: %s", method, path, a.raw)
		return a.body
	}
	total := func(path string, query object) any {
		t.Helper()
		found := ok("POST", path+"/_search", query)
		assert.Contains(t, found["details"], "viewTimestamp")
		return found["details"].(object)["totalResult"]
	}

	// users
	ok("PUT", v1+"/users/{user}/machine", object{"name": "Robot", "description": "d", "accessTokenType": "ACCESS_TOKEN_TYPE_JWT"})
	ok("PUT", v1+"/users/{user}/username", object{"userName": "robot"})
	u := ok("GET", v1+"/users/{user}", nil)["user"].(object)
	assert.Equal(t, object{"name": "Robot", "description": "d", "accessTokenType": "ACCESS_TOKEN_TYPE_JWT"}, u["machine"])
	assert.Equal(t, []any{"robot"}, u["loginNames"])
	for name, query := range map[string]object{
		"userNameQuery":  {"userName": "ROB", "method": "TEXT_QUERY_METHOD_STARTS_WITH_IGNORE_CASE"},
		"loginNameQuery": {"loginName": "bot", "method": "TEXT_QUERY_METHOD_ENDS_WITH"},
		"inUserIdsQuery": {"userIds": []string{m.bot.ID}},
	} {
		assert.Equal(t, "1", total(v1+"/users", object{"queries": []object{{name: query}}}), name)
	}
	assert.Equal(t, "3", total(v1+"/users", object{"queries": []object{{"typeQuery": object{"type": "TYPE_MACHINE"}}, {"stateQuery": object{"state": "USER_STATE_ACTIVE"}}}}))
	assert.Nil(t, total(v1+"/users", object{"queries": []object{{"userNameQuery": object{"userName": "rob"}}}}), "zero is left out")
	for _, ofPeople := range []string{"displayName", "firstName", "email"} {
		assert.Nil(t, total(v1+"/users", object{"queries": []object{{ofPeople + "Query": object{ofPeople: "Robot"}}}}), ofPeople)
	}
	either := []object{{"userNameQuery": object{"userName": "robot"}}, {"userNameQuery": object{"userName": "member"}}}
	assert.Equal(t, "2", total(v1+"/users", object{"queries": []object{{"orQuery": object{"queries": either}}}}))
	assert.Nil(t, total(v1+"/users", object{"queries": []object{{"andQuery": object{"queries": either}}}}))
	assert.Equal(t, "2", total(v1+"/users", object{"queries": []object{{"notQuery": object{"query": either[0]}}}}))
	for range 8 { // in whatever order the fields are met
		beside := object{"typeQuery": object{"type": 2}, "": 1, "madeUp": "x", "more": []int{1}}
		assert.Equal(t, "3", total(v1+"/users", object{"queries": []object{beside}}), "unknown fields are overlooked")
	}
	assert.Equal(t, "1", total(v1+"/users/{user}/pats", object{"queries": []object{{}}}), "this search knows no queries")
	paged := ok("POST", v1+"/users/_search", object{"query": object{"offset": "1", "limit": 1}})
	assert.Len(t, paged["result"], 1)
	assert.Equal(t, "3", paged["details"].(object)["totalResult"])

	// credentials
	assert.Equal(t, m.ids["pat"], ok("GET", v1+"/users/{user}/pats/{pat}", nil)["token"].(object)["id"])
	assert.Equal(t, m.ids["key"], ok("GET", v1+"/users/{user}/keys/{key}", nil)["key"].(object)["id"])
	assert.Nil(t, total(v1+"/users/{unknown}/pats", object{}))
	assert.Nil(t, total(v1+"/users/{unknown}/keys", object{}))
	ok("PUT", v1+"/users/{user}/secret", nil)
	assert.Equal(t, true, ok("GET", v1+"/users/{user}", nil)["user"].(object)["machine"].(object)["hasSecret"])
	ok("DELETE", v1+"/users/{user}/secret", nil)
	ok("DELETE", v1+"/users/{user}/pats/{pat}", nil)
	ok("DELETE", v1+"/users/{user}/keys/{key}", nil)

	// metadata
	ok("POST", v1+"/users/{user}/metadata/team", object{"value": "Y29yZQ=="})
	ok("POST", v1+"/users/{user}/metadata/_bulk", object{"metadata": []object{{"key": "a", "value": "YQ"}, {"key": "team", "value": "eA=="}}})
	set := ok("POST", v1+"/users/{user}/metadata/team", object{"value": "eA=="})
	assert.Equal(t, set, ok("POST", v1+"/users/{user}/metadata/team", object{"value": "eA=="}), "nothing changed, nothing recorded")
	assert.Len(t, set, 1, "no id")
	assert.Contains(t, set["details"], "creationDate", "even of an entry that was there")
	assert.Equal(t, "eA==", ok("GET", v1+"/users/{user}/metadata/team", nil)["metadata"].(object)["value"])
	assert.Equal(t, "1", total(v1+"/users/{user}/metadata", object{"queries": []object{{"keyQuery": object{"key": "a"}}}}))
	ok("DELETE", v1+"/users/{user}/metadata/a", nil)
	ok("DELETE", v1+"/users/{user}/metadata/_bulk", object{"keys": []string{"team", "team"}})
	assert.Nil(t, total(v1+"/users/{user}/metadata", object{}))

	// grants
	g := ok("GET", v1+"/users/{user}/grants/{grant}", nil)["userGrant"].(object)
	assert.Equal(t, []any{"viewer"}, g["roleKeys"])
	assert.NotContains(t, g, "displayName", "only people have one")
	for name, query := range map[string]object{
		"userIdQuery": {"userId": m.bot.ID}, "projectIdQuery": {"projectId": m.project.ID}, "roleKeyQuery": {"roleKey": "viewer"},
		"userNameQuery": {"userName": "robot"}, "withGrantedQuery": {"withGranted": true}, "inUserIdsQuery": {"inUserIds": []string{m.bot.ID}},
		"projectNameQuery": {"projectName": "orders"}, "orgNameQuery": {"orgName": "zitadel", "method": 1}, "userTypeQuery": {"type": 2},
		"orgDomainQuery": {"orgDomain": ".localhost", "method": "TEXT_QUERY_METHOD_ENDS_WITH"},
	} {
		assert.Equal(t, "1", total(v1+"/users/grants", object{"queries": []object{{name: query}}}), name)
	}
	for name, query := range map[string]object{"emailQuery": {"email": "robot"}, "projectGrantIdQuery": {"projectGrantId": "1"}} {
		assert.Nil(t, total(v1+"/users/grants", object{"queries": []object{{name: query}}}), name)
	}

	// projects, roles, applications
	ok("PUT", v1+"/projects/{project}", object{"name": "sales", "projectRoleAssertion": true, "privateLabelingSetting": 1})
	p := ok("GET", v1+"/projects/{project}", nil)["project"].(object)
	assert.Equal(t, true, p["projectRoleAssertion"])
	assert.Equal(t, "PRIVATE_LABELING_SETTING_ENFORCE_PROJECT_RESOURCE_OWNER_POLICY", p["privateLabelingSetting"])
	assert.Equal(t, "1", total(v1+"/projects", object{"queries": []object{{"nameQuery": object{"name": "sales"}}, {"projectResourceOwnerQuery": object{"resourceOwner": m.OrgID()}}}}))
	ok("POST", v1+"/projects/{project}/roles/_bulk", object{"roles": []object{{"key": "a", "displayName": "A", "group": "g"}, {"key": "b", "displayName": "B"}}})
	ok("PUT", v1+"/projects/{project}/roles/a", object{"displayName": "AA"})
	assert.Equal(t, "1", total(v1+"/projects/{project}/roles", object{"queries": []object{{"keyQuery": object{"key": "a"}}, {"displayNameQuery": object{"displayName": "AA"}}}}))
	ok("PUT", v1+"/projects/{project}/apps/{app}", object{"name": "renamed"})
	assert.Equal(t, "renamed", ok("GET", v1+"/projects/{project}/apps/{app}", nil)["app"].(object)["name"])
	assert.Equal(t, "1", total(v1+"/projects/{project}/apps", object{"queries": []object{{"nameQuery": object{"name": "renamed"}}}}))
	secret := ok("POST", v1+"/projects/{project}/apps/{app}/api_config/_generate_client_secret", nil)["clientSecret"].(string)
	a := ask(t, m.Server, "POST", "/oauth/v2/introspect", basic(m.api.ClientID, secret), form("token", m.bot.PAT()))
	assert.Equal(t, true, a.body["active"])
	assert.Equal(t, m.ids["appkey"], ok("GET", v1+"/projects/{project}/apps/{keyapp}/keys/{appkey}", nil)["key"].(object)["id"])
	assert.Equal(t, "1", total(v1+"/projects/{project}/apps/{keyapp}/keys", object{}))
	ok("DELETE", v1+"/projects/{project}/apps/{keyapp}/keys/{appkey}", nil)
	ok("DELETE", v1+"/projects/{project}/apps/{app}", nil)
	assert.Nil(t, total(v1+"/projects/{unknown}/apps", object{}))
	assert.Nil(t, total(v1+"/projects/{unknown}/roles", object{}))
	assert.Nil(t, total(v1+"/projects/{project}/apps/{unknown}/keys", object{}))

	// members
	ok("PUT", v1+"/orgs/me/members/{member}", object{"roles": []string{"ORG_USER_MANAGER"}})
	assert.Equal(t, "1", total(v1+"/orgs/me/members", object{"queries": []object{{"userIdQuery": object{"userId": m.ids["member"]}}}}))
	ok("DELETE", v1+"/orgs/me/members/{member}", nil)
	assert.Nil(t, total(v1+"/orgs/me/members", object{}))
}

// What changes nothing is no mistake where ZITADEL's newer services share the code of the first APIs.
func TestChangingNothingIsNoMistake(t *testing.T) {
	m := newManaged(t)
	for _, c := range []struct {
		path string
		body object
	}{
		{v1 + "/projects/{project}", object{"name": "orders"}},
		{v1 + "/projects/{project}/roles/viewer", object{"displayName": "viewer"}},
		{v1 + "/orgs/me/members/{member}", object{"roles": []string{"ORG_OWNER"}}},
	} {
		first, again := m.call(t, "PUT", c.path, c.body), m.call(t, "PUT", c.path, c.body)
		require.Equal(t, 200, first.status, first.raw)
		assert.Equal(t, first.body, again.body)
		for _, field := range []string{"sequence", "changeDate", "resourceOwner"} {
			assert.Contains(t, first.body["details"], field, c.path)
		}
	}
	a := m.call(t, "POST", v1+"/projects/{project}/roles/_bulk", object{})
	assert.Equal(t, object{"details": object{"resourceOwner": m.OrgID()}}, a.body, a.raw)
}

func TestRemovingWhatIsNotThereIsNoMistakeForRolesAndMembers(t *testing.T) {
	m := newManaged(t)
	for _, c := range []struct{ there, never string }{
		{v1 + "/projects/{project}/roles/viewer", v1 + "/projects/{project}/roles/boss"},
		{v1 + "/projects/{project}/roles/admin", v1 + "/projects/{unknown}/roles/boss"},
		{v1 + "/orgs/me/members/{member}", v1 + "/orgs/me/members/{unknown}"},
	} {
		first, again := m.call(t, "DELETE", c.there, nil), m.call(t, "DELETE", c.there, nil)
		require.Equal(t, 200, first.status, first.raw)
		assert.Contains(t, first.body["details"], "changeDate")
		assert.Equal(t, first.body, again.body, "it tells again when that was")
		never := m.call(t, "DELETE", c.never, nil)
		assert.Equal(t, 200, never.status)
		assert.Equal(t, object{"details": object{"resourceOwner": m.OrgID()}}, never.body)
	}
}

func TestAGrantWithoutRolesTellsNone(t *testing.T) {
	m := newManaged(t)
	require.Equal(t, 200, m.call(t, "DELETE", v1+"/projects/{project}/roles/viewer", nil).status)
	grant := m.call(t, "GET", v1+"/users/{user}/grants/{grant}", nil)
	assert.NotContains(t, grant.body["userGrant"], "roleKeys", grant.raw)
}

func TestAnAPICanChangeHowItAuthenticates(t *testing.T) {
	m := newManaged(t)
	app := func() any {
		return m.call(t, "GET", v1+"/projects/{project}/apps/{app}", nil).body["app"].(object)["apiConfig"]
	}
	path := v1 + "/projects/{project}/apps/{app}"
	refused(t, m.call(t, "POST", path+"/keys", object{"type": 1}), 400, 9, "Chosen Auth Method does not require a key (COMMAND-Dff54)")
	a := m.call(t, "PUT", path+"/api_config", object{"authMethodType": "API_AUTH_METHOD_TYPE_PRIVATE_KEY_JWT"})
	require.Equal(t, 200, a.status, a.raw)
	assert.Contains(t, a.body["details"], "changeDate")
	assert.Equal(t, object{"clientId": m.api.ClientID, "authMethodType": "API_AUTH_METHOD_TYPE_PRIVATE_KEY_JWT"}, app())
	assert.Equal(t, 200, m.call(t, "POST", path+"/keys", object{"type": 1}).status)
}

func TestAUserIsChangedWholeOrNotAtAll(t *testing.T) {
	m := newManaged(t)
	refused(t, m.call(t, "PATCH", "/v2/users/{member}", object{"username": "bot", "machine": object{"name": "Other"}}), 409, 6, "User already exists (V3-DKcYh)")
	u := m.call(t, "GET", "/v2/users/{member}", nil).body["user"].(object)
	assert.Equal(t, object{"name": "member"}, u["machine"])
}

func TestTheGatewayKnowsNoHEADAndOverlooksWhatComesWithAGETOrDELETE(t *testing.T) {
	m := newManaged(t)
	status := func(method string, opts ...with) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, m.Issuer()+v1+"/orgs/me", nil)
		require.NoError(t, err)
		for _, opt := range append(opts, bearer(m.AdminPAT())) {
			opt(req)
		}
		resp, err := m.Client().Do(req)
		require.NoError(t, err)
		resp.Body.Close()
		return resp.StatusCode
	}
	assert.Equal(t, 405, status("HEAD"))
	assert.Equal(t, 200, status("GET", body("application/json", "{")))
	assert.Equal(t, 200, m.call(t, "DELETE", v1+"/users/{user}/pats/{pat}", "{").status)
	refused(t, m.call(t, "DELETE", v1+"/users/{user}/metadata/_bulk", "{"), 400, 3, "unexpected EOF")
	assert.Equal(t, 204, status("OPTIONS", header("Origin", "http://a.example"), header("Access-Control-Request-Method", "GET")), "a browser asks first")
	assert.Equal(t, 405, status("OPTIONS"))
}

func TestPagesFromAnywhereMayCall(t *testing.T) {
	m := newManaged(t)
	page := header("Origin", "http://a.example")
	asked := ask(t, m.Server, "OPTIONS", v1+"/orgs/me", page, header("Access-Control-Request-Method", "GET"), header("Access-Control-Request-Headers", "authorization"))
	assert.Equal(t, 204, asked.status)
	assert.Equal(t, "http://a.example", asked.header.Get("Access-Control-Allow-Origin"))
	assert.Equal(t, "GET", asked.header.Get("Access-Control-Allow-Methods"))
	assert.Equal(t, "authorization", asked.header.Get("Access-Control-Allow-Headers"))
	called := ask(t, m.Server, "GET", v1+"/orgs/me", page, bearer(m.AdminPAT()))
	assert.Equal(t, 200, called.status)
	assert.Equal(t, "http://a.example", called.header.Get("Access-Control-Allow-Origin"))
	assert.Equal(t, "Location, Content-Length", called.header.Get("Access-Control-Expose-Headers"))
	assert.Empty(t, ask(t, m.Server, "GET", v1+"/orgs/me", bearer(m.AdminPAT())).header.Get("Access-Control-Allow-Origin"))
}

func TestAnOrganisationTakesEverythingWithIt(t *testing.T) {
	m := newManaged(t)
	org := admin(t, m.Server, "POST", v1+"/orgs", object{"name": "Acme"}).text(t, "id")
	in := header("x-zitadel-orgid", org)
	user := ask(t, m.Server, "POST", v1+"/users/machine", bearer(m.AdminPAT()), in, send(t, object{"userName": "acme", "name": "acme"})).text(t, "userId")
	token := ask(t, m.Server, "POST", v1+"/users/"+user+"/pats", bearer(m.AdminPAT()), in, send(t, object{})).text(t, "token")
	assert.Equal(t, 200, ask(t, m.Server, "GET", "/auth/v1/users/me", bearer(token)).status)
	require.Equal(t, 200, ask(t, m.Server, "DELETE", v1+"/orgs/me", bearer(m.AdminPAT()), in).status)
	refused(t, ask(t, m.Server, "GET", "/auth/v1/users/me", bearer(token)), 401, 16, "Errors.Token.Invalid (AUTH-7fs1e)")
	refused(t, ask(t, m.Server, "GET", v1+"/orgs/me", bearer(m.AdminPAT()), in), 403, 7, "Organisation doesn't exist (AUTH-Bs7Ds)")
	refused(t, m.call(t, "DELETE", "/v2/users/"+user+"/pats/1", nil), 404, 5, "Personal Access Token not found (COMMAND-4m77G)")
}

func TestTheV2UserService(t *testing.T) {
	m := newManaged(t)
	ok := func(method, path string, value any) object {
		t.Helper()
		a := m.call(t, method, path, value)
		require.Equal(t, 200, a.status, "%s %s: %s", method, path, a.raw)
		assert.Empty(t, a.header.Get("Cache-Control"), "v2 sets none")
		return a.body
	}
	made := ok("POST", "/v2/users/new", object{"organizationId": m.OrgID(), "username": "v2", "machine": object{"name": "V2"}})
	m.ids["made"] = made["id"].(string)
	assert.Contains(t, made, "creationDate")
	ok("PATCH", "/v2/users/{made}", object{"username": "v2b", "machine": object{"name": "V2B", "description": "d", "accessTokenType": "ACCESS_TOKEN_TYPE_JWT"}})
	u := ok("GET", "/v2/users/{made}", nil)["user"].(object)
	assert.Equal(t, "v2b", u["username"])
	assert.Equal(t, object{"name": "V2B", "description": "d", "accessTokenType": "ACCESS_TOKEN_TYPE_JWT"}, u["machine"])
	found := ok("POST", "/v2/users", object{"queries": []object{{"organizationIdQuery": object{"organizationId": m.OrgID()}}, {"userNameQuery": object{"userName": "v2b"}}}})
	assert.Equal(t, "1", found["details"].(object)["totalResult"])
	for _, call := range []string{"lock", "unlock", "deactivate", "reactivate"} {
		assert.Contains(t, ok("POST", "/v2/users/{made}/"+call, nil), "details")
	}
	ok("POST", "/v2/users/{made}/metadata", object{"metadata": []object{{"key": "k", "value": "eA=="}, {"key": "l", "value": "eA=="}}})
	entries := ok("POST", "/v2/users/{made}/metadata/search", object{"filters": []object{{"keyFilter": object{"key": "K", "method": "TEXT_FILTER_METHOD_EQUALS_IGNORE_CASE"}}}})
	assert.Len(t, entries["metadata"], 1)
	ok("DELETE", "/v2/users/{made}/metadata?keys=k", nil)
	m.AdvanceClock(time.Second)
	removed := ok("POST", "/v2/users/{made}/metadata", object{"metadata": []object{{"key": "l"}}})
	m.AdvanceClock(time.Second)
	assert.Equal(t, removed, ok("POST", "/v2/users/{made}/metadata", object{"metadata": []object{{"key": "l", "value": ""}}}), "an empty value removes")
	assert.NotContains(t, ok("POST", "/v2/users/{made}/metadata/search", object{}), "metadata")

	in := m.Now().Add(time.Hour).Format(time.RFC3339)
	pat := ok("POST", "/v2/users/{made}/pats", object{"expirationDate": in})
	key := ok("POST", "/v2/users/{made}/keys", object{"expirationDate": in})
	for path, id := range map[string]any{"pats": pat["tokenId"], "keys": key["keyId"]} {
		kind := map[string]string{"pats": "tokenIdFilter", "keys": "keyIdFilter"}[path]
		for _, filters := range [][]object{
			{{"userIdFilter": object{"id": m.ids["made"]}}},
			{{kind: object{"id": id}}},
			{{"organizationIdFilter": object{"id": m.OrgID()}}, {kind: object{"id": id}}},
			{{"expirationDateFilter": object{"timestamp": in, "method": "TIMESTAMP_FILTER_METHOD_BEFORE_OR_EQUALS"}}, {"userIdFilter": object{"id": m.ids["made"]}}},
			{{"createdDateFilter": object{"timestamp": in, "method": "TIMESTAMP_FILTER_METHOD_BEFORE"}}, {kind: object{"id": id}}},
		} {
			found := ok("POST", "/v2/users/"+path+"/search", object{"filters": filters, "pagination": object{"asc": true}})
			require.Len(t, found["result"], 1, "%v", filters)
			assert.Equal(t, id, found["result"].([]any)[0].(object)["id"])
			assert.Equal(t, object{"totalResult": "1", "appliedLimit": "100"}, found["pagination"])
		}
	}
	assert.NotContains(t, ok("POST", "/v2/users/keys/search", object{"filters": []object{{"userIdFilter": object{"id": "1"}}}}), "result")
	ok("DELETE", "/v2/users/{made}", nil)

	gone := m.ids["made"]
	refused(t, m.call(t, "DELETE", "/v2/users/"+gone+"/pats/1", nil), 404, 5, "Personal Access Token not found (COMMAND-4m77G)")

	for method, path := range map[string]string{"POST": "/v2/users/new", "PATCH": "/v2/users/{user}"} {
		refused(t, m.call(t, method, path, object{"organizationId": m.OrgID(), "human": object{}}), 501, 12,
			`zitadeltest has service users only: send "machine" instead of "human"`)
	}
	none := m.call(t, "PATCH", "/v2/users/{user}", object{"username": "other"})
	assert.Equal(t, 501, none.status, "neither machine nor human")
	assert.Equal(t, object{"code": 12.0, "message": "user type is not implemented ()", "details": []any{object{
		"@type": "type.googleapis.com/zitadel.v1.ErrorDetail", "message": "user type is not implemented",
	}}}, none.body)
	fixed := ok("POST", "/v2/users/new", object{"organizationId": m.OrgID(), "userId": "my-id", "machine": object{"name": "X"}})
	assert.Equal(t, "my-id", fixed["id"])
	assert.Equal(t, "my-id", ok("GET", "/v2/users/my-id", nil)["user"].(object)["username"], "its id stands in for a name")
	refused(t, m.call(t, "POST", "/v2/users/new", object{"organizationId": m.OrgID(), "userId": "my-id", "machine": object{"name": "X"}}), 400, 9,
		"Errors.User.AlreadyExisting (COMMAND-k2una)")
}

func TestAV2UserIsMadeAndChangedWithMetadata(t *testing.T) {
	m := newManaged(t)
	entry := func(key, value string) []object { return []object{{"key": key, "value": value}} }
	made := m.call(t, "POST", "/v2/users/new", object{"organizationId": m.OrgID(), "machine": object{"name": "V2"}, "metadata": entry(" k ", "eA==")})
	m.ids["made"] = made.text(t, "id")
	assert.Len(t, m.call(t, "POST", "/v2/users/{made}/metadata/search", object{"filters": []object{{"keyFilter": object{"key": "k"}}}}).body["metadata"], 1)
	refused(t, m.call(t, "POST", "/v2/users/new", object{"organizationId": m.OrgID(), "machine": object{"name": "x"}, "metadata": entry(" ", "eA==")}),
		400, 3, "Errors.User.Metadata.KeyEmpty (USER-Drght)")
	refused(t, m.call(t, "POST", "/v2/users/new", object{"organizationId": m.OrgID(), "machine": object{"name": "x"}, "metadata": entry("k", "")}),
		400, 3, "Errors.User.Metadata.ValueEmpty (USER-Dbgth)")

	m.AdvanceClock(time.Second)
	for _, query := range []object{
		{"metadataKeyFilter": object{"key": "K", "method": "TEXT_FILTER_METHOD_EQUALS_IGNORE_CASE"}},
		{"metadataValueFilter": object{"value": "eA=="}}, {"metadataValueFilter": object{"value": "eQ==", "method": 1}},
	} {
		assert.Len(t, m.call(t, "POST", "/v2/users", object{"queries": []object{query}}).body["result"], 1, "%v", query)
	}
	changed := m.call(t, "PATCH", "/v2/users/{made}", object{"machine": object{}, "metadata": entry("k", "")})
	assert.NotEqual(t, made.body["creationDate"], changed.body["changeDate"])
	assert.NotContains(t, m.call(t, "POST", "/v2/users/{made}/metadata/search", object{}).body, "metadata", "an empty value removes")
}

// Without a role one's own data and credentials are one's own, but one's state and metadata are not.
func TestWhatTheV2UserServiceLetsUsersDoToThemselves(t *testing.T) {
	m := newManaged(t)
	nobody := m.AddServiceUser("nobody")
	other := m.AddServiceUser("other")
	as := func(token, method, path string, value any) answer {
		return ask(t, m.Server, method, strings.ReplaceAll(path, "{me}", nobody.ID), bearer(token), send(t, value))
	}
	in := m.Now().Add(time.Hour).Format(time.RFC3339)
	for _, c := range []struct {
		method, path string
		body         any
	}{
		{"GET", "/v2/users/{me}", nil}, {"POST", "/v2/users/{me}/pats", object{"expirationDate": in}},
		{"POST", "/v2/users/{me}/keys", object{"expirationDate": in}}, {"POST", "/v2/users/{me}/secret", nil},
		{"PATCH", "/v2/users/{me}", object{"machine": object{"name": "Nobody"}}}, {"POST", "/v2/users/{me}/metadata/search", object{}},
	} {
		a := as(nobody.PAT(), c.method, c.path, c.body)
		assert.Equal(t, 200, a.status, "%s %s: %s", c.method, c.path, a.raw)
	}
	for _, c := range []struct {
		method, path string
		body         any
	}{
		{"POST", "/v2/users/{me}/lock", nil}, {"POST", "/v2/users/{me}/deactivate", nil}, {"DELETE", "/v2/users/{me}", nil},
		{"POST", "/v2/users/{me}/metadata", object{"metadata": []object{{"key": "k", "value": "eA=="}}}},
		{"DELETE", "/v2/users/{me}/metadata?keys=k", nil},
		{"DELETE", "/v2/users/" + other.ID + "/pats/1", nil}, {"DELETE", "/v2/users/" + other.ID + "/keys/1", nil},
		{"POST", "/v2/users/new", object{"organizationId": "1", "machine": object{"name": "x"}}}, // before the organisation is looked for
	} {
		refused(t, as(nobody.PAT(), c.method, c.path, c.body), 404, 5, "membership not found (AUTHZ-cdgFk)")
	}
	leaver := m.AddServiceUser("leaver", zitadeltest.WithOrgRole("ORG_USER_SELF_MANAGER"))
	assert.Equal(t, 200, as(leaver.PAT(), "DELETE", "/v2/users/"+leaver.ID, nil).status)
}

func TestSearchesOfUsersAreSorted(t *testing.T) {
	m := newManaged(t)
	for _, path := range []string{v1 + "/users/_search", "/v2/users"} {
		names := func(query object) (out []string) {
			a := m.call(t, "POST", path, query)
			require.Equal(t, 200, a.status, a.raw)
			for _, u := range a.body["result"].([]any) {
				out = append(out, u.(object)["preferredLoginName"].(string))
			}
			return out
		}
		assert.Equal(t, []string{"member", "bot", "zitadel-admin-sa"}, names(object{}), "by id, downwards")
		assert.Equal(t, []string{"zitadel-admin-sa", "bot", "member"}, names(object{"query": object{"asc": true}}))
		byName := object{"query": object{"asc": true}, "sortingColumn": "USER_FIELD_NAME_USER_NAME"}
		assert.Equal(t, []string{"bot", "member", "zitadel-admin-sa"}, names(byName))
		assert.Len(t, names(object{"sortingColumn": "USER_FIELD_NAME_STATE"}), 3)
		assert.Len(t, names(object{"sortingColumn": 9}), 3)
		refused(t, m.call(t, "POST", path, object{"sortingColumn": "NAME"}), 400, 3, `proto: (line 1:18): invalid value for enum field sortingColumn: "NAME"`)
	}
}

func TestV2SearchesTellTheNewestFirst(t *testing.T) {
	m := newManaged(t)
	var made []string
	for i := range 3 {
		m.AdvanceClock(time.Second)
		in := m.Now().Add(time.Hour).Format(time.RFC3339)
		made = append(made, m.call(t, "POST", "/v2/users/{member}/pats", object{"expirationDate": in}).text(t, "tokenId"))
		require.Len(t, made, i+1)
	}
	ids := func(pagination object) (out []string) {
		a := m.call(t, "POST", "/v2/users/pats/search", object{
			"pagination": pagination, "filters": []object{{"userIdFilter": object{"id": m.ids["member"]}}},
		})
		for _, pat := range a.body["result"].([]any) {
			out = append(out, pat.(object)["id"].(string))
		}
		return out
	}
	assert.Equal(t, []string{made[2], made[1], made[0]}, ids(object{}))
	assert.Equal(t, made, ids(object{"asc": true}))
	assert.Equal(t, []string{made[1]}, ids(object{"offset": "1", "limit": 1}))

	for path, columns := range map[string][]string{
		"pats": {"PERSONAL_ACCESS_TOKEN_FIELD_NAME_ID", "PERSONAL_ACCESS_TOKEN_FIELD_NAME_EXPIRATION_DATE", "PERSONAL_ACCESS_TOKEN_FIELD_NAME_USER_ID"},
		"keys": {"KEY_FIELD_NAME_CREATED_DATE", "KEY_FIELD_NAME_KEY_EXPIRATION_DATE", "KEY_FIELD_NAME_ORGANIZATION_ID"},
	} {
		for _, column := range columns {
			assert.Equal(t, 200, m.call(t, "POST", "/v2/users/"+path+"/search", object{"sortingColumn": column}).status, column)
		}
		refused(t, m.call(t, "POST", "/v2/users/"+path+"/search", object{"sortingColumn": "ID"}), 400, 3,
			`proto: (line 1:18): invalid value for enum field sortingColumn: "ID"`)
	}
}

func TestUserinfo(t *testing.T) {
	w := newWorld(t)
	a := ask(t, w.Server, "GET", "/oidc/v1/userinfo", bearer(w.IssueToken(w.bot, "openid", "profile")))
	assert.Equal(t, "bot", a.body["preferred_username"])
	refusedOAuth(t, ask(t, w.Server, "GET", "/oidc/v1/userinfo", bearer("x")), 401, "access_denied", "access token invalid")
	refusedOAuth(t, ask(t, w.Server, "GET", "/oidc/v1/userinfo"), 401, "invalid_request", "access token missing")
	roles := ask(t, w.Server, "GET", "/oidc/v1/userinfo", bearer(w.IssueToken(w.bot, "openid", audience(w.project.ID), "urn:zitadel:iam:org:projects:roles")))
	assert.Contains(t, roles.body, "urn:zitadel:iam:org:project:"+w.project.ID+":roles")
}

func TestOtherGrantsKnowNoClient(t *testing.T) {
	w := newWorld(t)
	for _, grant := range []string{"authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:token-exchange"} {
		a := ask(t, w.Server, "POST", "/oauth/v2/token", basic(w.api.ClientID, w.api.ClientSecret), form("grant_type", grant))
		refusedOAuth(t, a, 400, "invalid_client", "no active client not found")
	}
	a := ask(t, w.Server, "POST", "/oauth/v2/revoke", form("token", "x", "client_assertion_type", assertionType, "client_assertion", "x"))
	refusedOAuth(t, a, 400, "invalid_client", "")
}

func TestTimestampsHaveNoneThreeSixOrNineDigits(t *testing.T) {
	for micros, want := range map[int]string{0: "00Z", 120_000: "00.120Z", 123_456: "00.123456Z", 100_001: "00.100001Z"} {
		now := time.Date(2026, 1, 2, 3, 4, 0, micros*1000, time.UTC)
		s := zitadeltest.Start(t, zitadeltest.Config{InMemory: true, Now: func() time.Time { return now }})
		a := admin(t, s, "POST", v1+"/projects", object{"name": "x"})
		assert.Equal(t, "2026-01-02T03:04:"+want, a.body["details"].(object)["creationDate"], fmt.Sprint(micros))
	}
}
