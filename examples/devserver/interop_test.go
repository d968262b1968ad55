package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestOpenIDClientOfNPM sets everything up over REST, as a program would set up a real server, and lets the npm package openid-client
// do both grants and introspection.
func TestOpenIDClientOfNPM(t *testing.T) {
	dir := installNPM(t)
	issuer, pat, _ := devserver(t)
	admin := rest{t, issuer, pat}

	project := admin.post("/management/v1/projects", object{"name": "interop"})["id"].(string)
	admin.post("/management/v1/projects/"+project+"/roles", object{"roleKey": "viewer", "displayName": "Viewer"})
	apps := "/management/v1/projects/" + project + "/apps"
	basic := admin.post(apps+"/api", object{"name": "basic"})
	keyed := admin.post(apps+"/api", object{"name": "keyed", "authMethodType": "API_AUTH_METHOD_TYPE_PRIVATE_KEY_JWT"})
	apiKey := admin.post(apps+"/"+keyed["appId"].(string)+"/keys", object{"type": "KEY_TYPE_JSON"})
	user := admin.post("/management/v1/users/machine", object{"userName": "intérop bot:1", "name": "Interop"})["userId"].(string)
	admin.post("/management/v1/users/"+user+"/grants", object{"projectId": project, "roleKeys": []string{"viewer"}})
	secret := admin.call(http.MethodPut, "/management/v1/users/"+user+"/secret", object{})
	userKey := admin.post("/management/v1/users/"+user+"/keys", object{"type": "KEY_TYPE_JSON"})

	given, err := json.Marshal(object{
		"issuer": issuer, "projectId": project,
		"user":    object{"clientId": secret["clientId"], "clientSecret": secret["clientSecret"]},
		"userKey": keyFile(t, userKey),
		"api":     object{"clientId": basic["clientId"], "clientSecret": basic["clientSecret"]},
		"apiKey":  keyFile(t, apiKey),
	})
	require.NoError(t, err)
	node := exec.CommandContext(t.Context(), "node", "interop.mjs")
	node.Dir = dir
	node.Stdin = bytes.NewReader(given)
	var stderr bytes.Buffer
	node.Stderr = &stderr
	out, err := node.Output()
	require.NoError(t, err, "%s", stderr.String())

	var saw struct {
		Tokens []struct {
			Type      string
			ExpiresIn int
			Subject   string
		}
		ByPrivateKeyJwt, ByBasic, Unknown, Userinfo, Refused map[string]any
	}
	require.NoError(t, json.Unmarshal(out, &saw), "%s", out)
	require.Len(t, saw.Tokens, 3)
	for _, token := range saw.Tokens {
		assert.Equal(t, "bearer", strings.ToLower(token.Type))
		assert.Equal(t, 43199, token.ExpiresIn)
		assert.Equal(t, user, token.Subject, "of the id_token")
	}
	for _, answer := range []map[string]any{saw.ByPrivateKeyJwt, saw.ByBasic} {
		assert.Equal(t, true, answer["active"])
		assert.Equal(t, user, answer["sub"])
		assert.Contains(t, answer["urn:zitadel:iam:org:project:roles"], "viewer")
	}
	assert.Equal(t, map[string]any{"active": false}, saw.Unknown)
	assert.Equal(t, "intérop bot:1", saw.Userinfo["preferred_username"])
	assert.Equal(t, map[string]any{"error": "invalid_request", "status": 400.0}, saw.Refused)
}

// installNPM installs what testdata/interop pins into a directory of its own.
func installNPM(t *testing.T) string {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			missing(t, program+" (for the npm package openid-client)")
		}
	}
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "interop.mjs"} {
		data, err := os.ReadFile(filepath.Join("testdata", "interop", name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	npm := exec.CommandContext(t.Context(), "npm", "ci", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		t.Log(string(out))
		missing(t, "the npm package openid-client (npm ci failed)")
	}
	return dir
}

type object = map[string]any

// rest calls the management API as its administrator.
type rest struct {
	t           *testing.T
	issuer, pat string
}

func (r rest) post(path string, body object) object {
	r.t.Helper()
	return r.call(http.MethodPost, path, body)
}

func (r rest) call(method, path string, body object) object {
	r.t.Helper()
	data, err := json.Marshal(body)
	require.NoError(r.t, err)
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.issuer+path, bytes.NewReader(data))
	require.NoError(r.t, err)
	req.Header.Set("Authorization", "Bearer "+r.pat)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	require.NoError(r.t, err)
	defer resp.Body.Close()
	var answer object
	require.NoError(r.t, json.NewDecoder(resp.Body).Decode(&answer))
	require.Equal(r.t, http.StatusOK, resp.StatusCode, "%s %s: %v", method, path, answer)
	return answer
}

func keyFile(t *testing.T, answer object) object {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString(answer["keyDetails"].(string))
	require.NoError(t, err)
	var file object
	require.NoError(t, json.Unmarshal(data, &file))
	return file
}
