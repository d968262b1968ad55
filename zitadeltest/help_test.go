package zitadeltest_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/postern-go/postern/zitadeltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type object = map[string]any

// answer is what the server said.
type answer struct {
	status int
	header http.Header
	raw    string
	body   object // of JSON
}

// text reads a field of the body that is a text.
func (a answer) text(t *testing.T, name string) string {
	t.Helper()
	require.IsType(t, "", a.body[name], "%s of %s", name, a.raw)
	return a.body[name].(string)
}

type with func(*http.Request)

func bearer(token string) with { return header("Authorization", "Bearer "+token) }
func header(name, value string) with {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// basic encodes as RFC 6749 section 2.3.1 says.
func basic(id, secret string) with {
	return func(r *http.Request) { r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret)) }
}

// form sends pairs of name and value. A scope that is empty is not sent.
func form(pairs ...string) with {
	values := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i] != "scope" || pairs[i+1] != "" {
			values.Set(pairs[i], pairs[i+1])
		}
	}
	return body("application/x-www-form-urlencoded", values.Encode())
}

func body(contentType, text string) with {
	return func(r *http.Request) {
		r.Header.Set("Content-Type", contentType)
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	}
}

func send(t *testing.T, value any) with {
	t.Helper()
	data, err := json.Marshal(value)
	require.NoError(t, err)
	return body("application/json", string(data))
}

func ask(t *testing.T, s *zitadeltest.Server, method, path string, opts ...with) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.Issuer()+path, nil)
	require.NoError(t, err)
	for _, opt := range opts {
		opt(req)
	}
	resp, err := s.Client().Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	a := answer{status: resp.StatusCode, header: resp.Header, raw: string(raw)}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		require.NoError(t, json.NewDecoder(bytes.NewReader(raw)).Decode(&a.body), "%s", raw)
	}
	return a
}

// admin calls as the administrator and asks for success.
func admin(t *testing.T, s *zitadeltest.Server, method, path string, value any) answer {
	t.Helper()
	a := ask(t, s, method, path, bearer(s.AdminPAT()), send(t, value))
	require.Equal(t, http.StatusOK, a.status, "%s %s: %s", method, path, a.raw)
	return a
}

func introspected(t *testing.T, s *zitadeltest.Server, api *zitadeltest.API, token string) object {
	t.Helper()
	a := ask(t, s, http.MethodPost, "/oauth/v2/introspect", basic(api.ClientID, api.ClientSecret), form("token", token))
	require.Equal(t, http.StatusOK, a.status, a.raw)
	return a.body
}

const (
	jwtBearer     = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	zitadelAPI    = "urn:zitadel:iam:org:project:id:zitadel:aud"
)

func audience(projectID string) string { return "urn:zitadel:iam:org:project:id:" + projectID + ":aud" }

// jwtProfile asks for a token with an assertion.
func jwtProfile(t *testing.T, s *zitadeltest.Server, assertion, scope string) answer {
	t.Helper()
	return ask(t, s, http.MethodPost, "/oauth/v2/token", form("grant_type", jwtBearer, "assertion", assertion, "scope", scope))
}

func clientCredentials(t *testing.T, s *zitadeltest.Server, id, secret, scope string) answer {
	t.Helper()
	return ask(t, s, http.MethodPost, "/oauth/v2/token", basic(id, secret), form("grant_type", "client_credentials", "scope", scope))
}

// keyFile is a key.json.
type keyFile struct {
	Type, KeyID, Key, UserID, ClientID, AppID, ExpirationDate string
	signer                                                    crypto.Signer
}

func readKey(t *testing.T, data []byte) keyFile {
	t.Helper()
	var k keyFile
	require.NoError(t, json.Unmarshal(data, &k))
	block, _ := pem.Decode([]byte(k.Key))
	require.NotNil(t, block)
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	require.NoError(t, err)
	k.signer = key
	return k
}

// assertion signs claims: those of a good assertion, changed by edit.
func (k keyFile) assertion(t *testing.T, s *zitadeltest.Server, edit func(claims object)) string {
	t.Helper()
	return k.assertionBy(t, s, jose.RS256, edit)
}

func (k keyFile) assertionBy(t *testing.T, s *zitadeltest.Server, alg jose.SignatureAlgorithm, edit func(claims object)) string {
	t.Helper()
	who := k.UserID
	if who == "" {
		who = k.ClientID
	}
	now := s.Now().Unix()
	claims := object{"iss": who, "sub": who, "aud": s.Issuer(), "iat": now - 5, "exp": now + 300}
	if edit != nil {
		edit(claims)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: k.signer, KeyID: k.KeyID}}, nil)
	require.NoError(t, err)
	payload, err := json.Marshal(claims)
	require.NoError(t, err)
	signed, err := signer.Sign(payload)
	require.NoError(t, err)
	out, err := signed.CompactSerialize()
	require.NoError(t, err)
	return out
}

// refused asks for an error of the REST APIs.
func refused(t *testing.T, a answer, status, code int, message string) {
	t.Helper()
	assert.Equal(t, status, a.status, a.raw)
	assert.Equal(t, float64(code), a.body["code"], a.raw)
	assert.Equal(t, message, a.body["message"], a.raw)
	if i := strings.LastIndex(message, " ("); i >= 0 && strings.HasSuffix(message, ")") {
		assert.Equal(t, []any{object{
			"@type": "type.googleapis.com/zitadel.v1.ErrorDetail", "id": message[i+2 : len(message)-1], "message": message[:i],
		}}, a.body["details"], a.raw)
	} else {
		assert.NotContains(t, a.body, "details")
	}
}

// refusedOAuth asks for an error of the OAuth endpoints.
func refusedOAuth(t *testing.T, a answer, status int, code, description string) {
	t.Helper()
	assert.Equal(t, status, a.status, a.raw)
	want := object{"error": code}
	if description != "" {
		want["error_description"] = description
	}
	assert.Equal(t, want, a.body)
}

func base64PEM(t *testing.T, public crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	require.NoError(t, err)
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}
