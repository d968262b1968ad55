package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/jwtprofile"
	"github.com/postern-go/postern/keyfile"
	"github.com/postern-go/postern/pat"
)

// TestALife walks the life of a service user with the command, against examples/devserver in a process of its own.
func TestALife(t *testing.T) {
	issuer, adminPAT := startDevserver(t)
	dir := t.TempDir()
	patFile, keyFile := filepath.Join(dir, "pat"), filepath.Join(dir, "key.json")
	administrator := []string{"ZITADEL_ISSUER=" + issuer, "ZITADEL_PAT_FILE=" + adminPAT}
	withPAT := []string{"ZITADEL_ISSUER=" + issuer, "ZITADEL_PAT_FILE=" + patFile}
	withKey := []string{"ZITADEL_ISSUER=" + issuer, "ZITADEL_KEY_FILE=" + keyFile}
	must := func(env []string, args ...string) string {
		t.Helper()
		r := runCLI(t, env, "", args...)
		require.Zero(t, r.code, "%v: %s%s", args, r.out, r.err)
		return r.out
	}

	must(administrator, "bootstrap", "--user", "life", "--role", "ORG_OWNER", "--pat-to", patFile, "--yes")
	must(administrator, "bootstrap", "--user", "life", "--role", "ORG_OWNER", "--key-to", keyFile, "--yes")
	assert.Contains(t, must(withPAT, "whoami"), "life")
	var user struct {
		ID string `json:"user_id"`
	}
	require.NoError(t, json.Unmarshal([]byte(must(withPAT, "whoami", "--json")), &user))
	assert.Contains(t, must(withKey, "whoami"), "life")
	assert.Contains(t, must(withKey, "call", "GET", "/management/v1/orgs/me"), `"ORG_STATE_ACTIVE"`)

	patSource, err := pat.FromFile(patFile)
	require.NoError(t, err)
	followed, err := keyfile.Open(keyFile)
	require.NoError(t, err)
	keySource, err := jwtprofile.New(jwtprofile.Config{Issuer: issuer, Key: followed})
	require.NoError(t, err)

	// The files are looked at every 5 s at most, so the old credential has to outlive that.
	const grace = 8 * time.Second
	underLoad(t, issuer, patSource, keySource, func() {
		for _, name := range []string{"pat", "key"} {
			env, file := withPAT, patFile
			if name == "key" {
				env, file = withKey, keyFile
			}
			before := ids(t, must(env, name, "list", "--json"))
			require.Len(t, before, 1)
			must(env, name, "rotate", file, "--grace", grace.String())
			both := ids(t, must(env, name, "list", "--json"))
			assert.Len(t, both, 2, "the old one goes on for its grace period")
			<-time.After(grace) // a process of its own removes it: there is no clock to inject
			must(env, name, "rotate", file, "--grace", grace.String(), "--if-due")
			after := ids(t, must(env, name, "list", "--json"))
			require.Len(t, after, 1)
			assert.NotEqual(t, before, after)
		}
		// Long enough for the load to go on with what is new.
		<-time.After(grace)
	})

	assert.Contains(t, must(withPAT, "doctor"), "A service with this configuration works.")
	key := ids(t, must(withKey, "key", "list", "--json"))[0]
	must(withPAT, "key", "remove", key, "--yes")
	assert.Equal(t, 1, runCLI(t, withKey, "", "whoami").code, "the key is gone")
	token := ids(t, must(withPAT, "pat", "list", "--json"))[0]
	must(withPAT, "pat", "remove", token, "--yes")
	assert.Equal(t, 1, runCLI(t, withPAT, "", "whoami").code, "the token is gone")

	examineFaults(t, issuer, administrator, withPAT, must)
	must(administrator, "call", "DELETE", "/management/v1/users/"+user.ID)
}

// examineFaults plants ten faults, one after the other, and has doctor name the step that each is in.
func examineFaults(t *testing.T, issuer string, administrator, removedPAT []string, must func(env []string, args ...string) string) {
	t.Helper()
	dir := t.TempDir()
	for _, kind := range []string{"pat", "key", "secret"} {
		must(administrator, "bootstrap", "--user", "faulty", "--"+kind+"-to", filepath.Join(dir, kind), "--yes")
	}
	key, err := os.ReadFile(filepath.Join(dir, "key"))
	require.NoError(t, err)
	var project struct{ ID string }
	var app struct{ AppID, ClientID string }
	var appKey struct{ KeyDetails []byte }
	post := func(path, body string, answer any) {
		t.Helper()
		r := runCLI(t, administrator, body, "call", "POST", path, "--data", "-")
		require.Zero(t, r.code, r.err)
		require.NoError(t, json.Unmarshal([]byte(r.out), answer))
	}
	post("/management/v1/projects", `{"name":"faulty"}`, &project)
	post("/management/v1/projects/"+project.ID+"/apps/api", `{"name":"api","authMethodType":"API_AUTH_METHOD_TYPE_PRIVATE_KEY_JWT"}`, &app)
	post("/management/v1/projects/"+project.ID+"/apps/"+app.AppID+"/keys", `{"type":"KEY_TYPE_JSON"}`, &appKey)

	here := "ZITADEL_ISSUER=" + issuer
	for _, fault := range []struct {
		name, step, state string
		env               []string
	}{
		{"no issuer", "issuer", stateFault, nil},
		{"a host that has no address", "name", stateFault, []string{"ZITADEL_ISSUER=https://zitadel.invalid"}},
		{"https to a port without TLS", "connection", stateFault, []string{strings.Replace(here, "http:", "https:", 1)}},
		{"another name of the server", "discovery", stateFault, []string{strings.Replace(here, "127.0.0.1", "localhost", 1)}},
		{"no credential", "credential", stateFault, []string{here}},
		{"an expired key", "credential", stateFault, []string{here, "ZITADEL_KEY_JSON=" + withExpiry(t, key, time.Now().Add(-time.Hour))}},
		{"an application's key", "credential", stateFault, []string{here, "ZITADEL_KEY_JSON=" + string(appKey.KeyDetails)}},
		{"a wrong secret", "token", stateFault, []string{here, "ZITADEL_CLIENT_ID=faulty", "ZITADEL_CLIENT_SECRET=wrong"}},
		{"a removed token", "audience", stateFault, removedPAT},
		{"no role", "role", stateWarning, []string{here, "ZITADEL_PAT_FILE=" + filepath.Join(dir, "pat")}},
		{"an API's wrong secret", "introspection", stateFault, []string{here, "ZITADEL_PAT_FILE=" + filepath.Join(dir, "pat"),
			"ZITADEL_API_CLIENT_ID=" + app.ClientID, "ZITADEL_API_CLIENT_SECRET=wrong"}},
	} {
		r := runCLI(t, fault.env, "", "doctor", "--json")
		var report struct{ Steps []finding }
		require.NoError(t, json.Unmarshal([]byte(r.out), &report), r.out+r.err)
		i := slices.IndexFunc(report.Steps, func(f finding) bool { return f.Step == fault.step })
		require.GreaterOrEqual(t, i, 0)
		assert.Equal(t, fault.state, report.Steps[i].State, "%s: %s", fault.name, r.out)
		assert.NotEmpty(t, report.Steps[i].Fix, fault.name)
	}
}

// underLoad calls the server 200 times a second with the sources by turns, while do runs, and expects no call to fail.
func underLoad(t *testing.T, issuer string, a, b postern.TokenSource, do func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	clients := []*http.Client{postern.NewClient(a, issuer), postern.NewClient(b, issuer)}
	var calls, failed atomic.Int64
	var running sync.WaitGroup
	running.Go(func() {
		var inFlight sync.WaitGroup
		defer inFlight.Wait()
		tick := time.NewTicker(time.Second / 200)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			inFlight.Go(func() {
				resp, err := clients[n%2].Get(issuer + "/management/v1/orgs/me")
				calls.Add(1)
				if err != nil {
					failed.Add(1)
					t.Log(err)
					return
				}
				defer resp.Body.Close()
				_, _ = io.Copy(io.Discard, resp.Body)
				if resp.StatusCode != http.StatusOK {
					failed.Add(1)
					t.Log(resp.Status)
				}
			})
		}
	})
	do()
	stop()
	running.Wait()
	t.Logf("%d calls, %d failed", calls.Load(), failed.Load())
	assert.Zero(t, failed.Load())
	assert.NotZero(t, calls.Load())
}

func ids(t *testing.T, list string) []string {
	t.Helper()
	var rows []struct{ ID string }
	require.NoError(t, json.Unmarshal([]byte(list), &rows))
	var all []string
	for _, row := range rows {
		all = append(all, row.ID)
	}
	return all
}

// startDevserver runs examples/devserver until the test ends, and returns its issuer and the file with its admin's token.
func startDevserver(t *testing.T) (issuer, adminPAT string) {
	t.Helper()
	dir := t.TempDir()
	program, adminPAT := filepath.Join(dir, "devserver"), filepath.Join(dir, "admin")
	out, err := exec.Command("go", "build", "-o", program, "github.com/postern-go/postern/examples/devserver").CombinedOutput()
	require.NoError(t, err, string(out))
	cmd := exec.Command(program, "-addr", "127.0.0.1:0", "-admin-pat-file", adminPAT)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "Issuer: "); ok {
			issuer = rest
		}
		if strings.Contains(lines.Text(), "Interrupt to stop") {
			go func() { _, _ = io.Copy(io.Discard, stdout) }()
			return issuer, adminPAT
		}
	}
	t.Fatal("devserver ended before it was ready")
	return "", ""
}
