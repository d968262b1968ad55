package zitadeltest_test

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/zitadeltest"
)

// TestReplay sends every recorded exchange of a running ZITADEL to the server, in the order in which they were made, and asks for the
// same answers: status, headers, error codes and texts, fields and their types. Ids, times, tokens and secrets may differ; what a
// recording was given is replaced by what this server gave in its place. The clock is that of the recording.
func TestReplay(t *testing.T) {
	var runs []struct {
		Run   string
		Files []string
	}
	readJSON(t, "index", &runs)

	p := newReplay(t)
	var covered []string
	for _, run := range runs {
		p.beginRun(t, run.Run)
		for _, name := range run.Files {
			t.Run(name, func(t *testing.T) { p.replay(t, name) })
			covered = append(covered, name)
		}
	}

	files, err := filepath.Glob("testdata/wire/*.json")
	require.NoError(t, err)
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), ".json"); name != "index" {
			assert.Contains(t, covered, name, "a recording that the index does not name")
		}
	}
	t.Logf("%d of %d recordings covered (ids holds no exchange): %s", len(covered), len(files)-1, strings.Join(covered, ", "))
}

type recording struct {
	Name    string
	Request struct {
		Method, Path string
		Headers      map[string]string
		Form         json.RawMessage
		JSON         json.RawMessage
	}
	Response struct {
		Status  int
		Headers map[string]string
		Body    json.RawMessage
	}
	SigningKey string `json:"signing_key"`
	Received   []struct {
		Headers map[string]string
		Body    string
	}
}

type replay struct {
	s     *zitadeltest.Server
	clock atomic.Int64 // nanoseconds since 1970

	live     map[string]string        // what stands here for what was recorded
	keys     map[string]crypto.Signer // by recorded key id
	keyFiles map[string]map[string]any
	uploads  []crypto.Signer

	hook   string // URL of the webhook
	events chan delivered

	user, project, app, grant string // of the events run, live
}

type delivered struct {
	header http.Header
	body   []byte
}

const recordedIssuer = "http://localhost:18080"

// The admin of the recordings, whose token came about before them.
var adminToken = regexp.MustCompile(`^Bearer (eyJ[^ ]+OVoRH2GA)$`)

func newReplay(t *testing.T) *replay {
	p := &replay{
		live: map[string]string{}, keys: map[string]crypto.Signer{}, keyFiles: map[string]map[string]any{},
		events: make(chan delivered, 16),
	}
	p.s = zitadeltest.Start(t, zitadeltest.Config{Now: func() time.Time { return time.Unix(0, p.clock.Load()) }})
	p.clock.Store(time.Date(2026, 11, 22, 8, 48, 6, 0, time.UTC).UnixNano())
	p.live[recordedIssuer] = p.s.Issuer()
	p.live["ZREAL"], p.live["zreal.localhost"] = "ZITADEL", "zitadel.localhost"
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		p.events <- delivered{r.Header.Clone(), body}
	}))
	t.Cleanup(hook.Close)
	p.hook = hook.URL + "/events"
	return p
}

func readJSON(t *testing.T, name string, into any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "wire", name+".json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, into), name)
}

// beginRun makes what a run found there already.
func (p *replay) beginRun(t *testing.T, run string) {
	switch run {
	case "main":
	case "credentials of its own, v2":
		p.ask(t, http.MethodDelete, "/v2/actions/targets/"+p.live["400709196540021798"], ``) // events are not recorded in this run
		p.live["400712265159937062"] = p.post(t, "/management/v1/users/machine", `{"userName":"self-1795339122","name":"self"}`, "userId")
		p.live["400712265176714278"] = p.post(t, "/management/v1/users/machine", `{"userName":"other","name":"other"}`, "userId")
	case "events":
		p.project = p.post(t, "/management/v1/projects", `{"name":"events"}`, "id")
		p.addRoles(t, p.project)
		p.app = p.post(t, "/management/v1/projects/"+p.project+"/apps/api", `{"name":"api"}`, "appId")
		p.user = p.post(t, "/management/v1/users/machine", `{"userName":"granted","name":"granted"}`, "userId")
		p.grant = p.post(t, "/management/v1/users/"+p.user+"/grants", `{"projectId":"`+p.project+`","roleKeys":["viewer"]}`, "userGrantId")
		target := p.post(t, "/v2/actions/targets", `{"name":"events","restWebhook":{},"timeout":"5s","endpoint":"`+p.hook+`"}`, "id")
		for _, event := range []string{
			"user.grant.changed", "user.grant.deactivated", "user.grant.removed", "user.grant.cascade.removed",
			"project.application.deactivated", "project.deactivated", "project.removed", "user.removed", "session.terminated",
		} {
			p.execute(t, event, target)
		}
	default:
		t.Fatalf("no preparation is known for the run %q", run)
	}
}

func (p *replay) addRoles(t *testing.T, project string) {
	for _, role := range []string{"admin", "viewer"} {
		p.post(t, "/management/v1/projects/"+project+"/roles", `{"roleKey":"`+role+`","displayName":"`+role+`"}`, "")
	}
}

func (p *replay) execute(t *testing.T, event, target string) {
	p.ask(t, http.MethodPut, "/v2/actions/executions", `{"condition":{"event":{"event":"`+event+`"}},"targets":["`+target+`"]}`)
}

func (p *replay) post(t *testing.T, path, body, field string) string {
	t.Helper()
	answer := p.ask(t, http.MethodPost, path, body)
	if field == "" {
		return ""
	}
	require.IsType(t, "", answer[field], "%s", field)
	return answer[field].(string)
}

// ask makes a call of the admin that is not recorded.
func (p *replay) ask(t *testing.T, method, path, body string) map[string]any {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, p.s.Issuer()+path, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+p.s.AdminPAT())
	resp, err := p.s.Client().Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	var answer map[string]any
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
	require.Equal(t, http.StatusOK, resp.StatusCode, "%s %s: %v", method, path, answer)
	return answer
}

func (p *replay) replay(t *testing.T, name string) {
	if prepare := preparations[name]; prepare != nil {
		prepare(t, p)
	}
	switch {
	case name == "ids":
		return // no exchange: the ids of the recorded instance
	case name == "key-serviceaccount" || name == "key-application":
		var file map[string]any
		readJSON(t, name, &file)
		require.NotNil(t, p.keyFiles[file["type"].(string)])
		p.same(t, "", file, p.keyFiles[file["type"].(string)])
	case name == "jwt-access-token-decoded":
		var want any
		readJSON(t, name, &want)
		header, claims := decodeJWT(t, p.live["jwt-access-token"])
		p.same(t, "", want, map[string]any{"header": header, "claims": claims})
	default:
		var r recording
		readJSON(t, name, &r)
		if r.Received != nil {
			p.replayEvent(t, r)
			return
		}
		p.replayExchange(t, r)
	}
}

// preparations are the steps before a recording that were not recorded.
var preparations = map[string]func(*testing.T, *replay){
	"user-grant-add": func(t *testing.T, p *replay) { p.addRoles(t, p.live["400709185869712422"]) },
	"token-clientcredentials-jwt": func(t *testing.T, p *replay) {
		bot := p.post(t, "/management/v1/users/machine",
			`{"userName":"jwt-bot-1795337286","name":"JWT bot","accessTokenType":"ACCESS_TOKEN_TYPE_JWT"}`, "userId")
		p.post(t, "/management/v1/users/"+bot+"/grants", `{"projectId":"`+p.live["400709185869712422"]+`","roleKeys":["admin"]}`, "")
		secret := p.ask(t, http.MethodPut, "/management/v1/users/"+bot+"/secret", `{}`)
		p.live["e1dtZpFjkSx12qbUIqXlM626csmAe5s1X26BlsibSgWrkXOIjcCAbymqDeU0j61f"] = secret["clientSecret"].(string)
	},
	"pat-remove": func(t *testing.T, p *replay) {
		for _, event := range []string{
			"user.locked", "user.unlocked", "user.deactivated", "user.reactivated", "user.machine.key.removed", "user.removed",
		} {
			p.execute(t, event, p.live["400709196540021798"])
		}
	},
	"user-deactivate": func(t *testing.T, p *replay) { // a PAT made after the unlocking
		var r recording
		readJSON(t, "introspect-pat-user-deactivated", &r)
		var form map[string]string
		require.NoError(t, json.Unmarshal(r.Request.Form, &form))
		p.live[form["token"]] = p.post(t, "/management/v1/users/"+p.live["400709186305920038"]+"/pats", `{}`, "token")
	},

	"event-user-grant-changed": func(t *testing.T, p *replay) {
		p.ask(t, http.MethodPut, "/management/v1/users/"+p.user+"/grants/"+p.grant, `{"roleKeys":["viewer","admin"]}`)
	},
	"event-user-grant-deactivated": func(t *testing.T, p *replay) {
		p.post(t, "/management/v1/users/"+p.user+"/grants/"+p.grant+"/_deactivate", `{}`, "")
	},
	"event-user-grant-removed": func(t *testing.T, p *replay) {
		p.ask(t, http.MethodDelete, "/management/v1/users/"+p.user+"/grants/"+p.grant, ``)
		p.post(t, "/management/v1/users/"+p.user+"/grants", `{"projectId":"`+p.project+`","roleKeys":["viewer"]}`, "")
	},
	"event-project-application-deactivated": func(t *testing.T, p *replay) {
		p.post(t, "/management/v1/projects/"+p.project+"/apps/"+p.app+"/_deactivate", `{}`, "")
	},
	"event-project-deactivated": func(t *testing.T, p *replay) {
		p.post(t, "/management/v1/projects/"+p.project+"/_deactivate", `{}`, "")
	},
	"event-project-removed": func(t *testing.T, p *replay) {
		p.ask(t, http.MethodDelete, "/management/v1/projects/"+p.project, ``)
	},
	"event-user-removed-with-grant": func(t *testing.T, p *replay) {
		p.ask(t, http.MethodDelete, "/management/v1/users/"+p.user, ``)
	},
	"event-session-terminated": func(t *testing.T, p *replay) {
		session := p.post(t, "/v2/sessions", `{}`, "sessionId")
		p.ask(t, http.MethodDelete, "/v2/sessions/"+session, ``)
	},
}

func (p *replay) replayExchange(t *testing.T, r recording) {
	p.setClock(t, r)
	req, err := http.NewRequestWithContext(t.Context(), r.Request.Method, p.s.Issuer()+p.sub(r.Request.Path), p.body(t, r))
	require.NoError(t, err)
	for name, value := range r.Request.Headers {
		req.Header.Set(name, p.header(t, value))
	}
	resp, err := p.s.Client().Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(t, err)

	assert.Equal(t, r.Response.Status, resp.StatusCode, "%s", raw)
	for name, value := range r.Response.Headers {
		assert.Equal(t, value, resp.Header.Get(name), "header %s", name)
	}
	var want, got any
	require.NoError(t, json.Unmarshal(r.Response.Body, &want))
	require.NoError(t, json.Unmarshal(raw, &got), "%s", raw)
	p.learn(want, got)
	p.learnKeys(t, r, want, got)
	p.same(t, "", want, got)
}

// body is the recorded body with what stands here for ids, tokens, assertions and keys.
func (p *replay) body(t *testing.T, r recording) io.Reader {
	var text string
	if json.Unmarshal(r.Request.Form, &text) == nil {
		return strings.NewReader(text)
	}
	if len(r.Request.Form) > 0 {
		var form map[string]string
		require.NoError(t, json.Unmarshal(r.Request.Form, &form))
		values := url.Values{}
		for name, value := range form {
			value = p.sub(value)
			if strings.HasSuffix(name, "assertion") {
				value = p.assertion(t, form[name], strings.Contains(r.Name, "bad-signature"))
			}
			values.Set(name, value)
		}
		return strings.NewReader(values.Encode())
	}
	if len(r.Request.JSON) == 0 {
		return http.NoBody
	}
	body := p.sub(string(r.Request.JSON))
	body = strings.ReplaceAll(body, "http://127.0.0.1:46113/events", p.hook)
	if i := strings.Index(body, `"publicKey"`); i >= 0 { // the private half was not recorded: one of the same kind goes instead
		var sent map[string]any
		require.NoError(t, json.Unmarshal([]byte(body), &sent))
		sent["publicKey"] = base64.StdEncoding.EncodeToString(p.replaceKey(t, sent["publicKey"].(string)))
		out, err := json.Marshal(sent)
		require.NoError(t, err)
		body = string(out)
	}
	return strings.NewReader(body)
}

func (p *replay) replaceKey(t *testing.T, recorded string) []byte {
	der, err := base64.StdEncoding.DecodeString(recorded)
	require.NoError(t, err)
	block, _ := pem.Decode(der)
	require.NotNil(t, block)
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	require.NoError(t, err)
	var private crypto.Signer
	switch public.(type) {
	case *rsa.PublicKey:
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	case *ecdsa.PublicKey:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ed25519.PublicKey:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	}
	require.NoError(t, err)
	p.uploads = append(p.uploads, private)
	out, err := x509.MarshalPKIXPublicKey(private.Public())
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: out})
}

func (p *replay) header(t *testing.T, value string) string {
	if adminToken.MatchString(value) {
		return "Bearer " + p.s.AdminPAT()
	}
	if encoded, ok := strings.CutPrefix(value, "Basic "); ok {
		plain, err := base64.StdEncoding.DecodeString(encoded)
		require.NoError(t, err)
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(p.sub(string(plain))))
	}
	return p.sub(value)
}

// assertion signs the recorded claims with the key that stands here for the recorded one.
func (p *replay) assertion(t *testing.T, recorded string, spoil bool) string {
	if strings.Count(recorded, ".") != 2 {
		return recorded
	}
	header, claims := decodeJWT(t, recorded)
	kid, _ := header["kid"].(string)
	key := p.keys[cmp.Or(p.live[kid], kid)]
	if key == nil {
		key = p.keys["last"]
	}
	if liveKid, ok := p.live[kid]; ok {
		header["kid"] = liveKid
	}
	payload, err := json.Marshal(claims)
	require.NoError(t, err)
	head, err := json.Marshal(header)
	require.NoError(t, err)
	enc := base64.RawURLEncoding.EncodeToString
	signed := enc(head) + "." + enc([]byte(p.sub(string(payload))))
	signature := sign(t, header["alg"].(string), key, []byte(signed))
	if spoil {
		signature[len(signature)/2] ^= 1
	}
	return signed + "." + enc(signature)
}

// sign makes the signature of an assertion by hand, since some of the recorded ones are none that a library would make.
func sign(t *testing.T, alg string, key crypto.Signer, data []byte) []byte {
	if alg == "none" {
		return nil
	}
	switch alg {
	case "EdDSA":
		return ed25519.Sign(key.(ed25519.PrivateKey), data)
	case "RS512":
		return rsaSign(t, key, crypto.SHA512, crypto.SHA512, data)
	case "PS256":
		return rsaSign(t, key, crypto.SHA256, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}, data)
	}
	return rsaSign(t, key, crypto.SHA256, crypto.SHA256, data)
}

func rsaSign(t *testing.T, key crypto.Signer, hash crypto.Hash, opts crypto.SignerOpts, data []byte) []byte {
	h := hash.New()
	h.Write(data)
	signature, err := key.Sign(rand.Reader, h.Sum(nil), opts)
	require.NoError(t, err)
	return signature
}

// setClock moves to the moment of the recording: the newest time of its answer, or five seconds after its assertion's iat, by which
// the recording client had backdated it.
func (p *replay) setClock(t *testing.T, r recording) {
	now := time.Unix(0, p.clock.Load())
	for _, stamp := range regexp.MustCompile(`"(?:creation|change|deletion|set)Date": ?"([^"]+)"|"viewTimestamp": ?"([^"]+)"`).FindAllStringSubmatch(string(r.Response.Body), -1) {
		at, err := time.Parse(time.RFC3339Nano, cmp.Or(stamp[1], stamp[2]))
		require.NoError(t, err)
		if at.After(now) {
			now = at
		}
	}
	var form map[string]string
	if json.Unmarshal(r.Request.Form, &form) == nil {
		for _, name := range []string{"assertion", "client_assertion"} {
			if strings.Count(form[name], ".") != 2 {
				continue
			}
			_, claims := decodeJWT(t, form[name])
			iat, _ := claims["iat"].(float64)
			if exp := claims["exp"].(float64); exp-iat == 305 {
				if at := time.Unix(int64(iat)+5, 0); at.After(now) {
					now = at
				}
			}
		}
	}
	p.clock.Store(now.UnixNano())
}

func (p *replay) sub(s string) string {
	for _, recorded := range slices.SortedFunc(maps.Keys(p.live), func(a, b string) int { return cmp.Compare(len(b), len(a)) }) {
		s = strings.ReplaceAll(s, recorded, p.live[recorded])
	}
	return s
}

// learn pairs the ids, tokens and secrets of a recorded answer with those of the live one.
func (p *replay) learn(want, got any) {
	switch want := want.(type) {
	case map[string]any:
		got, _ := got.(map[string]any)
		for name, value := range want {
			p.learn(value, got[name])
		}
	case []any:
		got, _ := got.([]any)
		for i := range min(len(want), len(got)) {
			p.learn(want[i], got[i])
		}
	case string:
		if got, ok := got.(string); ok && want != got && slices.ContainsFunc(replaceable, func(r *regexp.Regexp) bool { return r.MatchString(want) }) {
			if _, known := p.live[want]; !known {
				p.live[want] = got
			}
		}
	}
}

var (
	anID        = regexp.MustCompile(`^\d{18}$`)
	aSecret     = regexp.MustCompile(`^[A-Za-z0-9]{36}$|^[A-Za-z0-9]{64}$`)
	aJWE        = regexp.MustCompile(`^eyJ[\w-]*(\.[\w-]*){4}$`)
	aJWT        = regexp.MustCompile(`^eyJ[\w-]*(\.[\w-]*){2}$`)
	aTime       = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$`)
	aTokenID    = regexp.MustCompile(`^V2_\d{18}-at_\d{18}$`)
	aHash       = regexp.MustCompile(`^[\w-]{22}$`)
	aModulus    = regexp.MustCompile(`^[\w-]{342}$`)
	aPEM        = regexp.MustCompile(`^-----BEGIN RSA PRIVATE KEY-----\n(?s:.*)-----END RSA PRIVATE KEY-----\n$`)
	replaceable = []*regexp.Regexp{anID, aSecret, aJWE, aJWT}
	formats     = []*regexp.Regexp{anID, aSecret, aTime, aTokenID, aHash, aModulus, aPEM}
)

// learnKeys takes the private keys out of an answer, and remembers which key an upload was.
func (p *replay) learnKeys(t *testing.T, r recording, want, got any) {
	wants, _ := want.(map[string]any)
	gots, _ := got.(map[string]any)
	for _, field := range []string{"keyDetails", "keyContent"} {
		recorded, ok := wants[field].(string)
		live, okLive := gots[field].(string)
		if !ok || !okLive {
			continue
		}
		wantFile, gotFile := decodeFile(t, recorded), decodeFile(t, live)
		p.learn(wantFile, gotFile)
		p.same(t, field, wantFile, gotFile)
		block, _ := pem.Decode([]byte(gotFile["key"].(string)))
		require.NotNil(t, block)
		key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
		require.NoError(t, err)
		p.keys[gotFile["keyId"].(string)], p.keys["last"] = key, key
		p.keyFiles[gotFile["type"].(string)] = gotFile
	}
	if strings.HasPrefix(r.Name, "user-key-upload") {
		p.keys[gots["keyId"].(string)] = p.uploads[len(p.uploads)-1]
	}
	if r.Name == "token-clientcredentials-jwt" {
		p.live["jwt-access-token"] = gots["access_token"].(string)
	}
}

func decodeFile(t *testing.T, encoded string) map[string]any {
	data, err := base64.StdEncoding.DecodeString(encoded)
	require.NoError(t, err)
	var file map[string]any
	require.NoError(t, json.Unmarshal(data, &file))
	return file
}

func decodeJWT(t *testing.T, token string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	for i, into := range []*map[string]any{&header, &claims} {
		data, err := base64.RawURLEncoding.DecodeString(parts[i])
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(data, into))
	}
	return header, claims
}

// same compares two answers: the same fields with the same types, and texts that are equal unless they are of a kind that differs
// from run to run. Those have the same form.
func (p *replay) same(t *testing.T, at string, want, got any) {
	t.Helper()
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		if !assert.True(t, ok, "%s: not an object", at) {
			return
		}
		renamed := map[string]any{}
		for name, value := range want {
			renamed[p.sub(name)] = value
		}
		assert.ElementsMatch(t, slices.Collect(maps.Keys(renamed)), slices.Collect(maps.Keys(got)), "%s: fields", at)
		for name, value := range renamed {
			if live, ok := got[name]; ok {
				p.same(t, at+"."+name, value, live)
			}
		}
	case []any:
		got, ok := got.([]any)
		if !assert.True(t, ok, "%s: not an array", at) || !assert.Len(t, got, len(want), "%s", at) {
			return
		}
		for i := range want {
			p.same(t, fmt.Sprintf("%s[%d]", at, i), want[i], got[i])
		}
	case float64:
		assert.IsType(t, want, got, "%s", at)
		if strings.HasSuffix(at, ".code") || strings.HasSuffix(at, ".expires_in") {
			assert.Equal(t, want, got, "%s", at)
		}
	case string:
		got, ok := got.(string)
		if assert.True(t, ok, "%s: not a string", at) {
			p.sameText(t, at, want, got)
		}
	default:
		assert.Equal(t, want, got, "%s", at)
	}
}

func (p *replay) sameText(t *testing.T, at, want, got string) {
	t.Helper()
	switch {
	case p.sub(want) == got:
	case strings.HasSuffix(at, ".sequence"):
		assert.Regexp(t, `^\d+$`, got, "%s", at)
	case strings.HasSuffix(at, "keyDetails") || strings.HasSuffix(at, "keyContent"):
		// compared when learned
	case aJWE.MatchString(want):
		assert.Regexp(t, aJWE, got, "%s", at)
		assert.Len(t, got, len(want), "%s", at)
	case aJWT.MatchString(want):
		wantHeader, wantClaims := decodeJWT(t, want)
		header, claims := decodeJWT(t, got)
		p.same(t, at+" header", wantHeader, header)
		p.same(t, at+" claims", wantClaims, claims)
		for _, claim := range []string{"exp", "nbf", "auth_time"} {
			if wantClaims[claim] != nil && claims[claim] != nil {
				assert.Equal(t, since(wantClaims, claim), since(claims, claim), "%s: %s - iat", at, claim)
			}
		}
	default:
		i := slices.IndexFunc(formats, func(r *regexp.Regexp) bool { return r.MatchString(want) })
		if i < 0 {
			assert.Equal(t, p.sub(want), got, "%s", at)
			return
		}
		assert.Regexp(t, formats[i], got, "%s", at)
	}
}

func since(claims map[string]any, name string) float64 {
	return claims[name].(float64) - claims["iat"].(float64)
}

// replayEvent waits for the events of a recording and compares them. The order in which those of one call arrive is kept.
func (p *replay) replayEvent(t *testing.T, r recording) {
	for _, want := range r.Received {
		got := <-p.events
		for _, name := range []string{"Content-Type", "User-Agent", "Accept-Encoding"} {
			assert.Equal(t, want.Headers[name], got.header.Get(name), "%s", name)
		}
		assert.Equal(t, want.Headers["Zitadel-Signature"], signedLike(want.Headers["Zitadel-Signature"], r.SigningKey, []byte(want.Body)),
			"the recording itself is signed so")
		var wantBody, gotBody any
		require.NoError(t, json.Unmarshal([]byte(want.Body), &wantBody))
		require.NoError(t, json.Unmarshal(got.body, &gotBody))
		p.same(t, "", wantBody, gotBody)
		assert.Regexp(t, `^t=\d+,v1=[0-9a-f]{64}$`, got.header.Get("ZITADEL-Signature"))
		if key, ok := p.live[r.SigningKey]; ok {
			assert.Equal(t, signedLike(got.header.Get("ZITADEL-Signature"), key, got.body), got.header.Get("ZITADEL-Signature"))
		}
		assert.True(t, bytes.HasPrefix(got.body, []byte(`{"aggregateID":`)), "%s", got.body)
	}
	select {
	case extra := <-p.events:
		t.Errorf("one event too many: %s", extra.body)
	default:
	}
}

// signedLike is the signature of a body at the time that a signature header names.
func signedLike(header, key string, body []byte) string {
	at, _, _ := strings.Cut(strings.TrimPrefix(header, "t="), ",")
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(at + "."))
	mac.Write(body)
	return "t=" + at + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
