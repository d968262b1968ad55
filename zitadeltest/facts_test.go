package zitadeltest_test

// What a ZITADEL really does, a test for each fact that a client has to get right.

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/zitadeltest"
)

// world is a server with a project, its API and a service user who has the role viewer, at a time that stands still.
type world struct {
	*zitadeltest.Server
	project *zitadeltest.Project
	api     *zitadeltest.API
	bot     *zitadeltest.User
}

func newWorld(t *testing.T, opts ...zitadeltest.UserOption) world {
	t.Helper()
	now := time.Date(2026, 11, 22, 8, 48, 6, 250_000_000, time.UTC)
	s := zitadeltest.Start(t, zitadeltest.Config{InMemory: true, Now: func() time.Time { return now }})
	p := s.AddProject("orders", "viewer", "admin")
	opts = append([]zitadeltest.UserOption{zitadeltest.WithProjectRole(p, "viewer")}, opts...)
	return world{s, p, p.AddAPI("api"), s.AddServiceUser("bot", opts...)}
}

// Key files

func TestServiceUserKeyFileIsPKCS1RSA2048WithAnExpiry(t *testing.T) {
	w := newWorld(t)
	k := readKey(t, w.bot.KeyJSON())
	assert.Equal(t, "serviceaccount", k.Type)
	assert.Equal(t, w.bot.ID, k.UserID)
	assert.True(t, strings.HasPrefix(k.Key, "-----BEGIN RSA PRIVATE KEY-----\n"))
	assert.Equal(t, 2048, k.signer.(*rsa.PrivateKey).N.BitLen())
	assert.Equal(t, "9999-12-31T23:59:59Z", k.ExpirationDate, "a key without expiry carries year 9999")
	k = readKey(t, w.bot.KeyJSON(time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)))
	assert.Equal(t, "2027-01-02T03:04:05Z", k.ExpirationDate)
}

func TestApplicationKeyFileHasNoExpiry(t *testing.T) {
	w := newWorld(t)
	file := w.api.KeyJSON()
	k := readKey(t, file)
	assert.Equal(t, "application", k.Type)
	assert.NotEmpty(t, k.AppID)
	assert.NotEmpty(t, k.ClientID)
	assert.NotContains(t, string(file), "expirationDate")
}

func TestApplicationKeyIsRefusedByTheServiceUserGrant(t *testing.T) {
	w := newWorld(t)
	a := jwtProfile(t, w.Server, readKey(t, w.api.KeyJSON()).assertion(t, w.Server, nil), "openid")
	refusedOAuth(t, a, 400, "invalid_grant", "invalid assertion")
}

func TestUploadedKeysVerifyWithRS256PS256AndES256Only(t *testing.T) {
	w := newWorld(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)

	upload := func(k keyFile) keyFile {
		k.UserID = w.bot.ID
		k.KeyID = admin(t, w.Server, "POST", "/management/v1/users/"+w.bot.ID+"/keys",
			object{"type": "KEY_TYPE_JSON", "publicKey": base64PEM(t, k.signer.Public())}).text(t, "keyId")
		return k
	}
	for _, c := range []struct {
		alg    jose.SignatureAlgorithm
		key    keyFile
		status int
	}{
		{jose.RS256, upload(keyFile{signer: rsaKey}), 200},
		{jose.PS256, upload(keyFile{signer: rsaKey}), 200},
		{jose.RS384, upload(keyFile{signer: rsaKey}), 400},
		{jose.ES256, upload(keyFile{signer: p256}), 200},
		{jose.ES384, upload(keyFile{signer: p384}), 400},
		{jose.EdDSA, upload(keyFile{signer: ed}), 400},
	} {
		a := jwtProfile(t, w.Server, c.key.assertionBy(t, w.Server, c.alg, nil), "openid")
		assert.Equal(t, c.status, a.status, "%s: %s", c.alg, a.raw)
	}
}

// JWT profile grant and client assertions

func TestAssertionRules(t *testing.T) {
	w := newWorld(t)
	k := readKey(t, w.bot.KeyJSON())
	now := w.Now().Unix()
	for _, c := range []struct {
		rule string
		edit func(object)
		ok   bool
	}{
		{"as it should be", nil, true},
		{"aud may be a list that contains the issuer", func(c object) { c["aud"] = []string{"x", w.Issuer()} }, true},
		{"aud must not be the token URL", func(c object) { c["aud"] = w.Issuer() + "/oauth/v2/token" }, false},
		{"aud must not have a slash at its end", func(c object) { c["aud"] = w.Issuer() + "/" }, false},
		{"aud is required", func(c object) { delete(c, "aud") }, false},
		{"iat is required", func(c object) { delete(c, "iat") }, false},
		{"iat may be an hour old", func(c object) { c["iat"] = now - 3600 }, true},
		{"iat must not be older than an hour", func(c object) { c["iat"] = now - 3602 }, false},
		{"iat may be a second ahead", func(c object) { c["iat"] = now + 1 }, true},
		{"a client three seconds fast is refused", func(c object) { c["iat"] = now + 3 }, false},
		{"exp is required", func(c object) { delete(c, "exp") }, false},
		{"exp must lie more than a second ahead", func(c object) { c["exp"] = now + 1 }, false},
		{"exp may lie two seconds ahead", func(c object) { c["exp"] = now + 2 }, true},
		{"iss must be sub", func(c object) { c["sub"] = "12345" }, false},
		{"the login name is not the id", func(c object) { c["iss"], c["sub"] = "bot", "bot" }, false},
		{"a jti is not needed and not looked at", func(c object) { c["jti"] = "same" }, true},
	} {
		t.Run(c.rule, func(t *testing.T) {
			a := jwtProfile(t, w.Server, k.assertion(t, w.Server, c.edit), "openid")
			if c.ok {
				assert.Equal(t, 200, a.status, a.raw)
				return
			}
			refusedOAuth(t, a, 400, "invalid_grant", "invalid assertion")
		})
	}
}

func TestRoundingLetsAnAssertionTwoSecondsAheadPass(t *testing.T) {
	w := newWorld(t)
	k := readKey(t, w.bot.KeyJSON())
	ahead := func(s int64) answer {
		return jwtProfile(t, w.Server, k.assertion(t, w.Server, func(c object) { c["iat"] = w.Now().Unix() + s }), "openid")
	}
	assert.Equal(t, 400, ahead(2).status, "a quarter of a second past: rounded down")
	w.AdvanceClock(time.Second / 2)
	assert.Equal(t, 200, ahead(2).status, "three quarters of a second past: rounded up")
	assert.Equal(t, 400, ahead(3).status)
}

func TestAssertionsMayBeReusedUntilAnHourOld(t *testing.T) {
	w := newWorld(t)
	reused := readKey(t, w.bot.KeyJSON()).assertion(t, w.Server, func(c object) { c["exp"] = w.Now().Unix() + 7200 })
	for range 3 {
		assert.Equal(t, 200, jwtProfile(t, w.Server, reused, "openid").status)
	}
	w.AdvanceClock(59 * time.Minute)
	assert.Equal(t, 200, jwtProfile(t, w.Server, reused, "openid").status)
	w.AdvanceClock(2 * time.Minute)
	assert.Equal(t, 400, jwtProfile(t, w.Server, reused, "openid").status)
}

func TestEveryBadAssertionLooksAlike(t *testing.T) {
	w := newWorld(t)
	k := readKey(t, w.bot.KeyJSON())
	good := k.assertion(t, w.Server, nil)
	unknown, other := k, readKey(t, w.bot.KeyJSON())
	unknown.KeyID = "1"
	other.KeyID = k.KeyID
	expiring := readKey(t, w.bot.KeyJSON(w.Now().Add(time.Minute)))
	w.AdvanceClock(time.Minute)
	for name, assertion := range map[string]string{
		"expired key": expiring.assertion(t, w.Server, nil),
		"wrong key":   other.assertion(t, w.Server, nil),
		"unknown kid": unknown.assertion(t, w.Server, nil),
		"cut short":   good[:len(good)-10],
		"no JWT":      "not-a-jwt",
		"three dots":  "a.b.c",
	} {
		t.Run(name, func(t *testing.T) {
			refusedOAuth(t, jwtProfile(t, w.Server, assertion, "openid"), 400, "invalid_grant", "invalid assertion")
		})
	}
}

func TestScopeIsNeeded(t *testing.T) {
	w := newWorld(t)
	const text = "The scope of your request is missing. Please ensure some scopes are requested. " +
		"If you have any questions, you may contact the administrator of the application."
	refusedOAuth(t, jwtProfile(t, w.Server, readKey(t, w.bot.KeyJSON()).assertion(t, w.Server, nil), ""), 400, "invalid_request", text)
	refusedOAuth(t, clientCredentials(t, w.Server, w.bot.LoginName, w.bot.ClientSecret(), ""), 400, "invalid_request", text)
}

func TestUnknownScopesAndThoseOfOtherOrganisationsAreDropped(t *testing.T) {
	w := newWorld(t)
	other := w.AddOrg("other")
	token := clientCredentials(t, w.Server, w.bot.LoginName, w.bot.ClientSecret(), strings.Join([]string{
		"openid", "made_up", audience(w.project.ID),
		"urn:zitadel:iam:org:id:" + other.ID, "urn:zitadel:iam:org:id:" + w.OrgID(),
		"urn:zitadel:iam:org:domain:primary:" + other.Domain, "urn:zitadel:iam:org:domain:primary:zitadel.localhost",
	}, " ")).text(t, "access_token")
	answer := introspected(t, w.Server, w.api, token)
	assert.Equal(t, "openid "+audience(w.project.ID)+" urn:zitadel:iam:org:id:"+w.OrgID()+
		" urn:zitadel:iam:org:domain:primary:zitadel.localhost", answer["scope"])
	assert.Equal(t, w.OrgID(), answer["urn:zitadel:iam:org:id"])
	assert.Equal(t, "zitadel.localhost", answer["urn:zitadel:iam:org:domain:primary"])
	assert.Equal(t, w.OrgID(), answer["urn:zitadel:iam:user:resourceowner:id"], "the scope tells the organisation too")
}

func TestLockedAndDeactivatedUsersGetNotActive(t *testing.T) {
	w := newWorld(t)
	k, secret := readKey(t, w.bot.KeyJSON()), w.bot.ClientSecret()
	for _, change := range [][2]string{{"_lock", "_unlock"}, {"_deactivate", "_reactivate"}} {
		admin(t, w.Server, "POST", "/management/v1/users/"+w.bot.ID+"/"+change[0], object{})
		refusedOAuth(t, jwtProfile(t, w.Server, k.assertion(t, w.Server, nil), "openid"), 400, "invalid_request", "Errors.User.NotActive")
		refusedOAuth(t, clientCredentials(t, w.Server, w.bot.LoginName, secret, "openid"), 400, "invalid_request", "Errors.User.NotActive")
		admin(t, w.Server, "POST", "/management/v1/users/"+w.bot.ID+"/"+change[1], object{})
		assert.Equal(t, 200, jwtProfile(t, w.Server, k.assertion(t, w.Server, nil), "openid").status)
	}
}

func TestAnIDTokenComesAlongWithOpenID(t *testing.T) {
	w := newWorld(t)
	k := readKey(t, w.bot.KeyJSON())
	with := jwtProfile(t, w.Server, k.assertion(t, w.Server, nil), "openid")
	_, claims := decodeJWT(t, with.text(t, "id_token"))
	assert.Equal(t, w.bot.ID, claims["sub"])
	assert.Equal(t, "bot", claims["azp"])
	assert.Contains(t, claims, "at_hash")
	assert.NotContains(t, claims, "jti")
	assert.Equal(t, claims["iat"], claims["exp"], "of the JWT profile it ends as it begins")
	assert.NotContains(t, jwtProfile(t, w.Server, k.assertion(t, w.Server, nil), "profile").body, "id_token")

	_, claims = decodeJWT(t, clientCredentials(t, w.Server, w.bot.LoginName, w.bot.ClientSecret(), "openid").text(t, "id_token"))
	assert.Equal(t, 43200.0, claims["exp"].(float64)-claims["iat"].(float64))
	assert.Equal(t, []any{"pwd"}, claims["amr"])
}

func TestAccessTokensLiveTwelveHours(t *testing.T) {
	w := newWorld(t)
	a := jwtProfile(t, w.Server, readKey(t, w.bot.KeyJSON()).assertion(t, w.Server, nil), "openid "+audience(w.project.ID))
	assert.Equal(t, 43199.0, a.body["expires_in"])
	token := a.text(t, "access_token")
	w.AdvanceClock(12*time.Hour - time.Microsecond)
	assert.Equal(t, true, introspected(t, w.Server, w.api, token)["active"])
	w.AdvanceClock(time.Microsecond)
	assert.Equal(t, object{"active": false}, introspected(t, w.Server, w.api, token))
}

func TestClientCredentials(t *testing.T) {
	w := newWorld(t)
	odd := w.AddServiceUser("ümlaut bot:50%+1")
	none := odd.LoginName
	refusedOAuth(t, clientCredentials(t, w.Server, none, "x", "openid"), 400, "invalid_request", "Errors.User.Machine.Secret.NotExisting")
	secret := odd.ClientSecret()
	assert.Equal(t, 200, clientCredentials(t, w.Server, odd.LoginName, secret, "openid").status, "form-url-encoded before base64")
	raw := ask(t, w.Server, "POST", "/oauth/v2/token", func(r *http.Request) { r.SetBasicAuth("50%", "x") }, form("grant_type", "client_credentials", "scope", "openid"))
	refusedOAuth(t, raw, 400, "invalid_client", "invalid basic auth header")
	refusedOAuth(t, clientCredentials(t, w.Server, odd.LoginName, "wrong", "openid"), 400, "invalid_request", "Errors.User.Machine.Secret.Invalid")
	refusedOAuth(t, clientCredentials(t, w.Server, odd.ID, secret, "openid"), 400, "invalid_client", "client not found")
	assert.Equal(t, 200, ask(t, w.Server, "POST", "/oauth/v2/token", form("grant_type", "client_credentials", "scope", "openid",
		"client_id", odd.LoginName, "client_secret", secret)).status, "in the form")
	again := odd.ClientSecret()
	refusedOAuth(t, clientCredentials(t, w.Server, odd.LoginName, secret, "openid"), 400, "invalid_request", "Errors.User.Machine.Secret.Invalid")
	assert.Equal(t, 200, clientCredentials(t, w.Server, odd.LoginName, again, "openid").status)
}

// Reserved scopes and claims

func TestZITADELsAPIsNeedTheirAudienceExceptOfPATs(t *testing.T) {
	w := newWorld(t, zitadeltest.WithOrgRole("ORG_OWNER"))
	without, with := w.IssueToken(w.bot, "openid"), w.IssueToken(w.bot, "openid", zitadelAPI)
	refused(t, ask(t, w.Server, "GET", "/management/v1/orgs/me", bearer(without)), 401, 16, "Errors.Token.Invalid (AUTH-7fs1e)")
	assert.Equal(t, 200, ask(t, w.Server, "GET", "/management/v1/orgs/me", bearer(with)).status)
	assert.Equal(t, 200, ask(t, w.Server, "GET", "/management/v1/orgs/me", bearer(w.bot.PAT())).status)
}

func TestIntrospectionNeedsTheProjectsAudience(t *testing.T) {
	w := newWorld(t)
	assert.Equal(t, object{"active": false}, introspected(t, w.Server, w.api, w.IssueToken(w.bot, "openid")))
	assert.Equal(t, object{"active": false}, introspected(t, w.Server, w.api, w.IssueToken(w.bot, "openid", zitadelAPI)))
	assert.Equal(t, true, introspected(t, w.Server, w.api, w.IssueToken(w.bot, "openid", audience(w.project.ID)))["active"])
}

func TestRoleClaimsAreMapsOfRoleOrganisationAndDomain(t *testing.T) {
	w := newWorld(t)
	answer := introspected(t, w.Server, w.api, w.IssueToken(w.bot, "openid", audience(w.project.ID)))
	want := object{"viewer": object{w.OrgID(): "zitadel.localhost"}}
	assert.Equal(t, want, answer["urn:zitadel:iam:org:project:roles"])
	assert.Equal(t, want, answer["urn:zitadel:iam:org:project:"+w.project.ID+":roles"])
}

func TestIntrospectionTellsRolesOfItsOwnProjectOnly(t *testing.T) {
	w := newWorld(t)
	second := w.AddProject("stock", "keeper")
	secondAPI := second.AddAPI("api")
	bot := w.AddServiceUser("both", zitadeltest.WithProjectRole(w.project, "viewer", "admin"), zitadeltest.WithProjectRole(second, "keeper"))
	token := w.IssueToken(bot, "openid", audience(w.project.ID), audience(second.ID))
	first := introspected(t, w.Server, w.api, token)
	assert.NotContains(t, first, "urn:zitadel:iam:org:project:"+second.ID+":roles")
	assert.Len(t, first["urn:zitadel:iam:org:project:roles"], 2)
	assert.Contains(t, introspected(t, w.Server, secondAPI, token)["urn:zitadel:iam:org:project:roles"], "keeper")

	narrow := w.IssueToken(bot, "openid", audience(w.project.ID), "urn:zitadel:iam:org:project:role:viewer")
	assert.Equal(t, object{"viewer": object{w.OrgID(): "zitadel.localhost"}},
		introspected(t, w.Server, w.api, narrow)["urn:zitadel:iam:org:project:roles"], "a role scope narrows them")
	elsewhere := w.IssueToken(bot, "openid", audience(w.project.ID), "urn:zitadel:iam:org:roles:id:"+w.AddOrg("else").ID)
	assert.NotContains(t, introspected(t, w.Server, w.api, elsewhere), "urn:zitadel:iam:org:project:roles", "and so does an organisation's")
}

func TestResourceOwnerAndMetadataClaims(t *testing.T) {
	w := newWorld(t, zitadeltest.WithMetadata("team", "core/ü+?"))
	answer := introspected(t, w.Server, w.api, w.IssueToken(w.bot, "openid", audience(w.project.ID),
		"urn:zitadel:iam:user:resourceowner", "urn:zitadel:iam:user:metadata"))
	assert.Equal(t, w.OrgID(), answer["urn:zitadel:iam:user:resourceowner:id"])
	assert.Equal(t, "ZITADEL", answer["urn:zitadel:iam:user:resourceowner:name"])
	assert.Equal(t, "zitadel.localhost", answer["urn:zitadel:iam:user:resourceowner:primary_domain"])
	assert.Equal(t, object{"team": "Y29yZS_DvCs_"}, answer["urn:zitadel:iam:user:metadata"], "raw-URL base64")
}

// Introspection

func TestAnAPIAuthenticatesWithBasicOrPrivateKeyJWT(t *testing.T) {
	w := newWorld(t)
	token := w.bot.PAT()
	assert.Equal(t, true, introspected(t, w.Server, w.api, token)["active"])
	k := readKey(t, w.api.KeyJSON())
	a := ask(t, w.Server, "POST", "/oauth/v2/introspect", form("token", token,
		"client_assertion_type", assertionType, "client_assertion", k.assertion(t, w.Server, nil)))
	assert.Equal(t, true, a.body["active"], a.raw)
	a = ask(t, w.Server, "POST", "/oauth/v2/introspect", form("token", token,
		"client_assertion_type", "made_up", "client_assertion", k.assertion(t, w.Server, nil)))
	refusedOAuth(t, a, 400, "invalid_request", "invalid client_assertion_type made_up")
}

func TestAnyAPISeesAnyPATWithEveryRoleInItsScope(t *testing.T) {
	w := newWorld(t)
	stranger := w.AddProject("stock", "keeper").AddAPI("api")
	answer := introspected(t, w.Server, stranger, w.bot.PAT())
	assert.Equal(t, true, answer["active"])
	assert.Contains(t, answer["scope"], "urn:zitadel:iam:org:project:role:keeper", "granted or not")
	assert.NotContains(t, answer, "urn:zitadel:iam:org:project:roles")
	assert.Contains(t, introspected(t, w.Server, w.api, w.bot.PAT())["scope"], "urn:zitadel:iam:org:project:role:admin")
}

func TestAPATsAnswer(t *testing.T) {
	w := newWorld(t)
	id, token := w.bot.PATWithID()
	answer := introspected(t, w.Server, w.api, token)
	assert.Equal(t, 253402300799.0, answer["exp"], "year 9999")
	assert.Equal(t, id, answer["jti"])
	assert.Equal(t, w.bot.ID, answer["sub"])
	assert.Equal(t, "bot", answer["username"])
	assert.NotContains(t, answer, "client_id")
	assert.NotContains(t, answer, "auth_time")
}

func TestJWTAccessTokens(t *testing.T) {
	w := newWorld(t, zitadeltest.JWTTokens())
	token := w.IssueToken(w.bot, "openid", "profile", audience(w.project.ID), "urn:zitadel:iam:org:projects:roles")
	head, claims := decodeJWT(t, token)
	assert.Equal(t, "JWT", head["typ"], "not at+jwt")
	assert.Contains(t, claims, "jti")
	assert.Contains(t, claims, "urn:zitadel:iam:org:project:"+w.project.ID+":roles")
	for _, missing := range []string{"urn:zitadel:iam:org:project:roles", "username", "preferred_username", "scope", "azp", "at_hash"} {
		assert.NotContains(t, claims, missing)
	}
	answer := introspected(t, w.Server, w.api, token)
	for _, there := range []string{
		"urn:zitadel:iam:org:project:roles", "urn:zitadel:iam:org:project:" + w.project.ID + ":roles", "username", "scope",
	} {
		assert.Contains(t, answer, there)
	}
}

func TestOpaqueTokensAndPATsAreFivePartJWEs(t *testing.T) {
	w := newWorld(t)
	for token, length := range map[string]int{w.bot.PAT(): 277, w.IssueToken(w.bot): 288} {
		assert.Equal(t, 4, strings.Count(token, "."))
		assert.Len(t, token, length)
	}
}

func TestAMissingTokenOrClientIsAnInvalidRequest(t *testing.T) {
	w := newWorld(t)
	id := basic(w.api.ClientID, w.api.ClientSecret)
	refusedOAuth(t, ask(t, w.Server, "POST", "/oauth/v2/introspect", id, form()), 400, "invalid_request", "token missing")
	refusedOAuth(t, ask(t, w.Server, "POST", "/oauth/v2/introspect", id, form("token", "")), 400, "invalid_request", "token missing")
	refusedOAuth(t, ask(t, w.Server, "POST", "/oauth/v2/introspect", form("token", "x")), 400, "invalid_request",
		"client_id or client_assertion must be provided")
	refusedOAuth(t, ask(t, w.Server, "POST", "/oauth/v2/introspect", form("token", "x", "client_id", w.api.ClientID)), 400, "invalid_client",
		"client must be authenticated")
}

func TestEveryOtherErrorIsInactive(t *testing.T) {
	w := newWorld(t)
	token := w.bot.PAT()
	for _, unknown := range []string{"x", "a.b.c", "a.b.c.d.e", token[:len(token)-1], strings.Repeat("y", 10_000)} {
		assert.Equal(t, object{"active": false}, introspected(t, w.Server, w.api, unknown))
	}
	w.IntrospectInactive(true) // as when the database fails
	assert.Equal(t, object{"active": false}, introspected(t, w.Server, w.api, token))
	w.IntrospectInactive(false)
	assert.Equal(t, true, introspected(t, w.Server, w.api, token)["active"])
}

func TestFailedClientAuthenticationIsUnauthorizedClient(t *testing.T) {
	w := newWorld(t)
	token := w.bot.PAT()
	k := readKey(t, w.api.KeyJSON())
	wrong := k
	wrong.KeyID = "1"
	with := func(assertion string) answer {
		return ask(t, w.Server, "POST", "/oauth/v2/introspect", form("token", token, "client_assertion_type", assertionType, "client_assertion", assertion))
	}
	for _, a := range []answer{
		ask(t, w.Server, "POST", "/oauth/v2/introspect", basic(w.api.ClientID, "wrong"), form("token", token)),
		ask(t, w.Server, "POST", "/oauth/v2/introspect", basic("nobody", "wrong"), form("token", token)),
		ask(t, w.Server, "POST", "/oauth/v2/introspect", basic(k.ClientID, "wrong"), form("token", token)),
		ask(t, w.Server, "POST", "/oauth/v2/introspect", basic("nobody", "wrong"), form("token", "and a bad token")),
		with(wrong.assertion(t, w.Server, nil)),
		with(k.assertion(t, w.Server, func(c object) { c["aud"] = "https://other.example" })),
		with(readKey(t, w.bot.KeyJSON()).assertion(t, w.Server, nil)),
	} {
		refusedOAuth(t, a, 400, "unauthorized_client", "")
	}
	assert.Equal(t, object{"active": false}, with("not-a-jwt").body, "an assertion that cannot be parsed looks like a bad token")
}

func TestAnIDTokenIntrospectsAsInactive(t *testing.T) {
	w := newWorld(t)
	a := clientCredentials(t, w.Server, w.bot.LoginName, w.bot.ClientSecret(), "openid "+audience(w.project.ID))
	assert.Equal(t, object{"active": false}, introspected(t, w.Server, w.api, a.text(t, "id_token")))
}

func TestAChangedGrantShowsInTheNextIntrospection(t *testing.T) {
	w := newWorld(t)
	bot := w.AddServiceUser("granted")
	users := "/management/v1/users/" + bot.ID + "/grants"
	grant := admin(t, w.Server, "POST", users, object{"projectId": w.project.ID, "roleKeys": []string{"viewer"}}).text(t, "userGrantId")
	tokens := []string{bot.PAT(), w.IssueToken(bot, "openid", audience(w.project.ID))}
	roles := func() (out []any) {
		for _, token := range tokens {
			out = append(out, introspected(t, w.Server, w.api, token)["urn:zitadel:iam:org:project:roles"])
		}
		return out
	}
	viewer, both := object{"viewer": object{w.OrgID(): "zitadel.localhost"}}, object{
		"viewer": object{w.OrgID(): "zitadel.localhost"}, "admin": object{w.OrgID(): "zitadel.localhost"},
	}
	assert.Equal(t, []any{viewer, viewer}, roles())
	admin(t, w.Server, "PUT", users+"/"+grant, object{"roleKeys": []string{"viewer", "admin"}})
	assert.Equal(t, []any{both, both}, roles())
	admin(t, w.Server, "POST", users+"/"+grant+"/_deactivate", object{})
	assert.Equal(t, []any{nil, nil}, roles())
	admin(t, w.Server, "POST", users+"/"+grant+"/_reactivate", object{})
	admin(t, w.Server, "DELETE", "/management/v1/projects/"+w.project.ID+"/roles/admin", object{})
	assert.Equal(t, []any{viewer, viewer}, roles())
	admin(t, w.Server, "DELETE", users+"/"+grant, object{})
	assert.Equal(t, []any{nil, nil}, roles())
}

// Errors and limits

func TestTheSchemeIsExactlyBearer(t *testing.T) {
	w := newWorld(t, zitadeltest.WithOrgRole("ORG_OWNER"))
	for _, scheme := range []string{"bearer ", "BEARER ", "Token ", ""} {
		a := ask(t, w.Server, "GET", "/management/v1/orgs/me", header("Authorization", scheme+w.bot.PAT()))
		refused(t, a, 401, 16, "invalid auth header (AUTH-7fs1e)")
		assert.Equal(t, "invalid auth header (AUTH-7fs1e)", a.header.Get("WWW-Authenticate"))
	}
}

func TestWithoutAnyRoleTheOrganisationIsNotFound(t *testing.T) {
	w := newWorld(t)
	refused(t, ask(t, w.Server, "GET", "/management/v1/orgs/me", bearer(w.bot.PAT())), 404, 5, "membership not found (AUTHZ-cdgFk)")
}

func TestABlockedInstanceAnswers429WithoutRetryAfter(t *testing.T) {
	w := newWorld(t)
	w.Block(true)
	for _, path := range []string{"/oauth/v2/token", "/oauth/v2/introspect", "/oauth/v2/keys", "/.well-known/openid-configuration"} {
		a := ask(t, w.Server, "GET", path)
		assert.Equal(t, 429, a.status)
		assert.Equal(t, "Your ZITADEL instance is blocked.\n", a.raw)
		assert.Contains(t, a.header.Get("Content-Type"), "text/plain")
		assert.Empty(t, a.header.Get("Retry-After"))
	}
	for _, path := range []string{"/management/v1/orgs/me", "/v2/users/1"} {
		a := ask(t, w.Server, "GET", path, bearer(w.AdminPAT()))
		refused(t, a, 429, 8, "Errors.Limits.Instance.Blocked (LIMITS-molsj)") // ResourceExhausted
		assert.Empty(t, a.header.Get("Retry-After"))
	}
	w.Block(false)
	assert.Equal(t, 200, ask(t, w.Server, "GET", "/oauth/v2/keys").status)
}

func TestTheInstanceIsChosenByHost(t *testing.T) {
	w := newWorld(t)
	proxied := func(r *http.Request) { r.Host = "proxy.example" }
	a := ask(t, w.Server, "GET", "/oauth/v2/keys", proxied)
	assert.Equal(t, 404, a.status)
	assert.Contains(t, a.raw, "unable to set instance using origin &{proxy.example  http} (ExternalDomain is localhost): ID=QUERY-1kIjX Message=Instance not found.")
	a = ask(t, w.Server, "GET", "/management/v1/orgs/me", proxied, bearer(w.AdminPAT()))
	assert.Equal(t, 404, a.status)
	assert.Equal(t, 5.0, a.body["code"])
	assert.Equal(t, 200, ask(t, w.Server, "GET", "/oauth/v2/keys", proxied, header("x-zitadel-instance-host", "localhost")).status)
	assert.Equal(t, 404, ask(t, w.Server, "GET", "/oauth/v2/keys", header("x-zitadel-instance-host", "other.example")).status)
}

func TestHealthIsToldOnAnyHost(t *testing.T) {
	w := newWorld(t)
	w.Block(true)
	for path, want := range map[string][2]string{
		"/debug/healthz":  {"text/plain; charset=utf-8", "ok"},
		"/debug/ready":    {"application/json", "\"ok\"\n"},
		"/debug/validate": {"application/json", "\"ok\"\n"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.Issuer()+path, nil)
		require.NoError(t, err)
		req.Host = "10.0.0.1"
		resp, err := w.Client().Do(req)
		require.NoError(t, err)
		raw, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, 200, resp.StatusCode)
		assert.Equal(t, want, [2]string{resp.Header.Get("Content-Type"), string(raw)}, path)
	}
}

func TestTheOrganisationOfAManagementCallIsChosenByHeader(t *testing.T) {
	w := newWorld(t)
	other := w.AddOrg("Acme Inc")
	a := ask(t, w.Server, "GET", "/management/v1/orgs/me", bearer(w.AdminPAT()), header("x-zitadel-orgid", other.ID))
	assert.Equal(t, other.ID, a.body["org"].(object)["id"])
	assert.Equal(t, "acme-inc.localhost", a.body["org"].(object)["primaryDomain"])
	refused(t, ask(t, w.Server, "GET", "/management/v1/orgs/me", bearer(w.AdminPAT()), header("x-zitadel-orgid", "1")),
		403, 7, "Organisation doesn't exist (AUTH-Bs7Ds)")
	owner := w.AddServiceUser("owner", zitadeltest.WithOrgRole("ORG_OWNER"))
	refused(t, ask(t, w.Server, "GET", "/management/v1/orgs/me", bearer(owner.PAT()), header("x-zitadel-orgid", other.ID)),
		404, 5, "membership not found (AUTHZ-cdgFk)")
}

// Managing service users, PATs, keys

func TestAServiceUserWithoutRolesManagesItsOwnCredentialsOnly(t *testing.T) {
	w := newWorld(t)
	other := w.AddServiceUser("other")
	otherPAT, _ := other.PATWithID()
	me, in := bearer(w.bot.PAT()), w.Now().Add(time.Hour).Format(time.RFC3339)
	for _, path := range []string{"/pats", "/keys"} {
		made := ask(t, w.Server, "POST", "/v2/users/"+w.bot.ID+path, me, send(t, object{"expirationDate": in}))
		require.Equal(t, 200, made.status, made.raw)
		id, _ := made.body["tokenId"].(string)
		if id == "" {
			id = made.text(t, "keyId")
		}
		assert.Equal(t, 200, ask(t, w.Server, "DELETE", "/v2/users/"+w.bot.ID+path+"/"+id, me).status)
		refused(t, ask(t, w.Server, "POST", "/v2/users/"+other.ID+path, me, send(t, object{"expirationDate": in})),
			404, 5, "membership not found (AUTHZ-cdgFk)")
	}
	assert.Equal(t, 200, ask(t, w.Server, "POST", "/v2/users/"+w.bot.ID+"/secret", me).status)
	assert.Equal(t, 200, ask(t, w.Server, "DELETE", "/v2/users/"+w.bot.ID+"/secret", me).status)
	assert.Equal(t, 200, ask(t, w.Server, "GET", "/v2/users/"+w.bot.ID, me).status)
	for method, path := range map[string]string{"GET": "", "POST": "/secret", "DELETE": "/pats/" + otherPAT} {
		refused(t, ask(t, w.Server, method, "/v2/users/"+other.ID+path, me), 404, 5, "membership not found (AUTHZ-cdgFk)")
	}
	refused(t, ask(t, w.Server, "POST", "/management/v1/users/"+w.bot.ID+"/pats", me, send(t, object{})), 404, 5, "membership not found (AUTHZ-cdgFk)")
	viewer := w.AddServiceUser("viewer", zitadeltest.WithOrgRole("ORG_OWNER_VIEWER"))
	refused(t, ask(t, w.Server, "POST", "/management/v1/users/"+viewer.ID+"/pats", bearer(viewer.PAT()), send(t, object{})),
		403, 7, "No matching permissions found (AUTH-5mWD2)")
	refused(t, ask(t, w.Server, "POST", "/v2/users/"+other.ID+"/pats", bearer(viewer.PAT()), send(t, object{"expirationDate": in})),
		403, 7, "No matching permissions found (AUTH-AWfge)")
}

func TestASearchWithoutAFilterShowsCredentialsOfOthers(t *testing.T) {
	w := newWorld(t)
	w.bot.PAT()
	manager := w.AddServiceUser("manager", zitadeltest.WithOrgRole("ORG_USER_MANAGER"))
	token := manager.PAT()
	search := func(body object) []any {
		result, _ := ask(t, w.Server, "POST", "/v2/users/pats/search", bearer(token), send(t, body)).body["result"].([]any)
		return result
	}
	assert.Len(t, search(object{}), 3, "the administrator's, the bot's and its own")
	assert.Len(t, search(object{"filters": []object{{"userIdFilter": object{"id": manager.ID}}}}), 1)
}

func TestWhatASearchMayNotShowIsCountedAllTheSame(t *testing.T) {
	w := newWorld(t, zitadeltest.WithMetadata("k", "v"))
	w.bot.PAT()
	w.bot.KeyJSON()
	nobody := w.AddServiceUser("nobody").PAT()
	search := func(path string, body object) object {
		return ask(t, w.Server, "POST", path, bearer(nobody), send(t, body)).body
	}
	ofBot := object{"filters": []object{{"userIdFilter": object{"id": w.bot.ID}}}}
	for path, body := range map[string]object{
		"/v2/users/pats/search": ofBot, "/v2/users/keys/search": ofBot, "/v2/users/" + w.bot.ID + "/metadata/search": {},
	} {
		assert.Equal(t, object{"pagination": object{"totalResult": "1", "appliedLimit": "100"}}, search(path, body), path)
	}
	users := search("/v2/users", object{})
	assert.Equal(t, "3", users["details"].(object)["totalResult"])
	assert.Len(t, users["result"], 1, "oneself")
}

func TestARemovedPATIsRefusedAtOnce(t *testing.T) {
	w := newWorld(t, zitadeltest.WithOrgRole("ORG_OWNER"))
	id, token := w.bot.PATWithID()
	assert.Equal(t, 200, ask(t, w.Server, "GET", "/management/v1/orgs/me", bearer(token)).status)
	admin(t, w.Server, "DELETE", "/management/v1/users/"+w.bot.ID+"/pats/"+id, object{})
	refused(t, ask(t, w.Server, "GET", "/management/v1/orgs/me", bearer(token)), 401, 16, "Errors.Token.Invalid (AUTH-7fs1e)")
	assert.Equal(t, object{"active": false}, introspected(t, w.Server, w.api, token))
}

func TestKeySetsMayBeCachedAndDiscoveryMayNot(t *testing.T) {
	w := newWorld(t)
	assert.Equal(t, "max-age=300, must-revalidate", ask(t, w.Server, "GET", "/oauth/v2/keys").header.Get("Cache-Control"))
	for _, path := range []string{"/.well-known/openid-configuration", "/oauth/v2/token", "/oauth/v2/introspect", "/oidc/v1/userinfo"} {
		assert.Equal(t, "no-store", ask(t, w.Server, "GET", path).header.Get("Cache-Control"), path)
	}
}

// Revocation

func TestRemovingAKeyOrSecretEndsNoToken(t *testing.T) {
	w := newWorld(t)
	k := readKey(t, w.bot.KeyJSON())
	scope := "openid " + audience(w.project.ID)
	byKey := jwtProfile(t, w.Server, k.assertion(t, w.Server, nil), scope).text(t, "access_token")
	bySecret := clientCredentials(t, w.Server, w.bot.LoginName, w.bot.ClientSecret(), scope).text(t, "access_token")
	admin(t, w.Server, "DELETE", "/management/v1/users/"+w.bot.ID+"/keys/"+k.KeyID, object{})
	admin(t, w.Server, "DELETE", "/management/v1/users/"+w.bot.ID+"/secret", object{})
	assert.Equal(t, true, introspected(t, w.Server, w.api, byKey)["active"])
	assert.Equal(t, true, introspected(t, w.Server, w.api, bySecret)["active"])
	refusedOAuth(t, jwtProfile(t, w.Server, k.assertion(t, w.Server, nil), scope), 400, "invalid_grant", "invalid assertion")
}

func TestLockingAndDeactivatingEndTokensAndPATsForGood(t *testing.T) {
	for _, change := range [][2]string{{"_lock", "_unlock"}, {"_deactivate", "_reactivate"}} {
		t.Run(change[0], func(t *testing.T) {
			w := newWorld(t)
			tokens := []string{w.bot.PAT(), w.IssueToken(w.bot, "openid", audience(w.project.ID))}
			for _, call := range change {
				admin(t, w.Server, "POST", "/management/v1/users/"+w.bot.ID+"/"+call, object{})
				for _, token := range tokens {
					assert.Equal(t, object{"active": false}, introspected(t, w.Server, w.api, token), call)
				}
			}
			assert.Equal(t, true, introspected(t, w.Server, w.api, w.bot.PAT())["active"], "a new one is good")
		})
	}
}

func TestIntrospectionTellsTheRolesOfItsOwnProjectOnly(t *testing.T) {
	w := newWorld(t)
	other := w.AddProject("other", "clerk")
	bot := w.AddServiceUser("of-both", zitadeltest.WithProjectRole(w.project, "viewer"), zitadeltest.WithProjectRole(other, "clerk"))
	token := w.IssueToken(bot, "openid", "urn:zitadel:iam:org:projects:roles", audience(w.project.ID), audience(other.ID))
	answer := introspected(t, w.Server, w.api, token)
	assert.Contains(t, answer, "urn:zitadel:iam:org:project:"+w.project.ID+":roles")
	assert.NotContains(t, answer, "urn:zitadel:iam:org:project:"+other.ID+":roles")
	userinfo := ask(t, w.Server, "GET", "/oidc/v1/userinfo", bearer(token)).body
	assert.Contains(t, userinfo, "urn:zitadel:iam:org:project:"+other.ID+":roles", "userinfo tells all")
}

func TestARemovedUsersTokensEnd(t *testing.T) {
	w := newWorld(t)
	tokens := []string{w.bot.PAT(), w.IssueToken(w.bot, "openid", audience(w.project.ID))}
	admin(t, w.Server, "DELETE", "/management/v1/users/"+w.bot.ID, object{})
	for _, token := range tokens {
		assert.Equal(t, object{"active": false}, introspected(t, w.Server, w.api, token))
	}
}

func TestAServiceUserCannotRevokeItsOwnAccessToken(t *testing.T) {
	w := newWorld(t)
	token := w.IssueToken(w.bot, "openid", audience(w.project.ID))
	for _, id := range []with{basic(w.bot.LoginName, w.bot.ClientSecret()), basic(w.api.ClientID, w.api.ClientSecret)} {
		refusedOAuth(t, ask(t, w.Server, "POST", "/oauth/v2/revoke", id, form("token", token)), 400, "invalid_client", "no active client not found")
	}
	assert.Equal(t, true, introspected(t, w.Server, w.api, token)["active"])
}

func TestADeactivatedAPIOrProjectIsNoClient(t *testing.T) {
	w := newWorld(t)
	project := "/management/v1/projects/" + w.project.ID
	ask := func() answer {
		return ask(t, w.Server, "POST", "/oauth/v2/introspect", basic(w.api.ClientID, w.api.ClientSecret), form("token", w.bot.PAT()))
	}
	for _, path := range []string{project + "/apps/" + w.api.AppID, project, "/management/v1/orgs/me"} {
		admin(t, w.Server, "POST", path+"/_deactivate", object{})
		refusedOAuth(t, ask(), 400, "unauthorized_client", "")
		admin(t, w.Server, "POST", path+"/_reactivate", object{})
		assert.Equal(t, 200, ask().status, path)
	}
}

func TestEventsNameWhomTheyConcern(t *testing.T) {
	for _, c := range []struct {
		event   string
		cause   func(*testing.T, world, string)
		about   func(w world, grant string) string
		payload func(w world) object // nil: none
	}{
		{"user.pat.removed", func(t *testing.T, w world, _ string) { w.Revoke(w.bot.PAT()) },
			func(w world, _ string) string { return w.bot.ID }, nil},
		{"user.locked", userCall("POST", "/_lock"), botID, none},
		{"user.unlocked", func(t *testing.T, w world, g string) {
			userCall("POST", "/_lock")(t, w, g)
			userCall("POST", "/_unlock")(t, w, g)
		}, botID, none},
		{"user.deactivated", userCall("POST", "/_deactivate"), botID, none},
		{"user.removed", userCall("DELETE", ""), botID, none},
		{"user.grant.changed", grantCall("PUT", "", object{"roleKeys": []string{"admin"}}), grantID,
			func(w world) object { return object{"userId": w.bot.ID, "roleKeys": []any{"admin"}} }},
		{"user.grant.removed", grantCall("DELETE", "", object{}), grantID,
			func(w world) object { return object{"userId": w.bot.ID, "projectId": w.project.ID} }},
		{"user.grant.deactivated", grantCall("POST", "/_deactivate", object{}), grantID, none},
		{"user.grant.cascade.removed", userCall("DELETE", ""), grantID, none},
		{"org.member.cascade.removed", func(t *testing.T, w world, g string) {
			admin(t, w.Server, "POST", "/management/v1/orgs/me/members", object{"userId": w.bot.ID, "roles": []string{"ORG_OWNER"}})
			userCall("DELETE", "")(t, w, g)
		}, func(w world, _ string) string { return w.OrgID() }, func(w world) object { return object{"userId": w.bot.ID} }},
		{"user.grant.cascade.changed", projectCall("DELETE", "/roles/viewer"), grantID, func(world) object { return object{} }},
		{"project.role.removed", projectCall("DELETE", "/roles/viewer"), projectID, func(world) object { return object{"key": "viewer"} }},
		{"project.deactivated", projectCall("POST", "/_deactivate"), projectID, none},
		{"project.changed", func(t *testing.T, w world, _ string) {
			admin(t, w.Server, "PUT", "/management/v1/projects/"+w.project.ID, object{"name": "orders", "projectRoleCheck": true, "privateLabelingSetting": 2})
		}, projectID, func(world) object { return object{"projectRoleCheck": true, "privateLabelingSetting": 2.0} }},
		{"project.role.changed", func(t *testing.T, w world, _ string) {
			admin(t, w.Server, "PUT", "/management/v1/projects/"+w.project.ID+"/roles/viewer", object{"displayName": "viewer", "group": "g"})
		}, projectID, func(world) object { return object{"key": "viewer", "group": "g"} }},
		{"project.application.config.api.changed", func(t *testing.T, w world, _ string) {
			admin(t, w.Server, "PUT", "/management/v1/projects/"+w.project.ID+"/apps/"+w.api.AppID+"/api_config", object{"authMethodType": 1})
		}, projectID, func(w world) object { return object{"appId": w.api.AppID, "authMethodType": 1.0} }},
		{"user.machine.changed", func(t *testing.T, w world, _ string) {
			admin(t, w.Server, "PUT", "/management/v1/users/"+w.bot.ID+"/machine", object{"name": "bot", "description": "d", "accessTokenType": 1})
		}, botID, func(world) object { return object{"description": "d", "accessTokenType": 1.0} }},
		{"project.removed", projectCall("DELETE", ""), projectID, none},
		{"project.application.removed", func(t *testing.T, w world, g string) { projectCall("DELETE", "/apps/"+w.api.AppID)(t, w, g) }, projectID,
			func(w world) object { return object{"appId": w.api.AppID} }},
		{"org.deactivated", func(t *testing.T, w world, _ string) {
			admin(t, w.Server, "POST", "/management/v1/orgs/me/_deactivate", object{})
		}, func(w world, _ string) string { return w.OrgID() }, none},
	} {
		t.Run(c.event, func(t *testing.T) {
			hook := make(chan object, 16)
			now := time.Date(2026, 11, 22, 8, 48, 6, 0, time.UTC)
			s := zitadeltest.Start(t, zitadeltest.Config{
				InMemory: true, Now: func() time.Time { return now }, Webhooks: receive(t, hook),
			})
			p := s.AddProject("orders", "viewer", "admin")
			w := world{s, p, p.AddAPI("api"), s.AddServiceUser("bot")}
			grant := admin(t, s, "POST", "/management/v1/users/"+w.bot.ID+"/grants",
				object{"projectId": p.ID, "roleKeys": []string{"viewer"}}).text(t, "userGrantId")
			target := admin(t, s, "POST", "/v2/actions/targets",
				object{"name": "evict", "restWebhook": object{}, "timeout": "5s", "endpoint": "http://hook.example/events"}).text(t, "id")
			admin(t, s, "PUT", "/v2/actions/executions", object{"condition": object{"event": object{"event": c.event}}, "targets": []string{target}})
			c.cause(t, w, grant)
			got := <-hook
			assert.Equal(t, c.event, got["event_type"])
			assert.Equal(t, c.about(w, grant), got["aggregateID"])
			assert.NotEqual(t, w.bot.ID, got["userID"], "who caused it")
			switch {
			case c.payload == nil:
				assert.Contains(t, got["event_payload"], "tokenId")
			case c.payload(w) == nil:
				assert.NotContains(t, got, "event_payload")
			default:
				assert.Equal(t, c.payload(w), got["event_payload"])
			}
		})
	}
}

func TestEventsTellPublicKeysAndHashes(t *testing.T) {
	hook := make(chan object, 16)
	s := zitadeltest.Start(t, zitadeltest.Config{InMemory: true, Webhooks: receive(t, hook)})
	p := s.AddProject("orders")
	id, _ := target(t, s, "all")
	execute(t, s, object{"all": true}, id)
	w := world{s, p, p.AddAPI("api"), s.AddServiceUser("bot")}
	w.bot.KeyJSON()
	w.api.KeyJSON()
	w.bot.ClientSecret()
	want := map[string]string{
		"user.machine.key.added": "publicKey", "project.application.oidc.key.added": "publicKey",
		"user.machine.secret.set": "hashedSecret", "project.application.config.api.added": "hashedSecret",
	}
	for len(want) > 0 {
		event := <-hook
		kind := event["event_type"].(string)
		if field, ok := want[kind]; ok {
			assert.Contains(t, event["event_payload"], field, kind)
			delete(want, kind)
		}
	}
}

func botID(w world, _ string) string     { return w.bot.ID }
func grantID(_ world, g string) string   { return g }
func projectID(w world, _ string) string { return w.project.ID }
func none(world) object                  { return nil }

func userCall(method, path string) func(*testing.T, world, string) {
	return func(t *testing.T, w world, _ string) {
		admin(t, w.Server, method, "/management/v1/users/"+w.bot.ID+path, object{})
	}
}

func grantCall(method, path string, body object) func(*testing.T, world, string) {
	return func(t *testing.T, w world, g string) {
		admin(t, w.Server, method, fmt.Sprintf("/management/v1/users/%s/grants/%s%s", w.bot.ID, g, path), body)
	}
}

func projectCall(method, path string) func(*testing.T, world, string) {
	return func(t *testing.T, w world, _ string) {
		admin(t, w.Server, method, "/management/v1/projects/"+w.project.ID+path, object{})
	}
}
