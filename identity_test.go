package postern_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern"
)

// recorded returns what a running ZITADEL answered.
func recorded(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "wire", name+".json"))
	require.NoError(t, err)
	var exchange struct {
		Response struct{ Body json.RawMessage }
	}
	require.NoError(t, json.Unmarshal(data, &exchange))
	return exchange.Response.Body
}

func TestIdentityOfAPersonalAccessToken(t *testing.T) {
	id, err := postern.ParseIdentity(recorded(t, "introspect-pat"), "")
	require.NoError(t, err)
	assert.Equal(t, "400709186305920038", id.Subject())
	assert.Equal(t, "ci-bot-1795337286", id.Username())
	assert.Empty(t, id.ClientID(), "a PAT has no client")
	assert.Equal(t, "400708712316079142", id.OrgID())
	assert.Equal(t, "zreal.localhost", id.OrgDomain())
	assert.Equal(t, "http://localhost:18080", id.Issuer())
	assert.Equal(t, "400709186406583334", id.TokenID())
	assert.Equal(t, time.Unix(1797929287, 0), id.Expiry())
	assert.Equal(t, time.Unix(1795337287, 0), id.IssuedAt())
	assert.Equal(t, []string{"400709186071104550", "400709185869712422"}, slices.Collect(id.Audience()))
	assert.True(t, id.HasAudience("400709185869712422"))
	assert.False(t, id.HasAudience("4007091858697124"))
	assert.True(t, id.HasScope("openid"))
	assert.False(t, id.HasScope("open"))
	assert.Contains(t, slices.Collect(id.Scopes()), postern.ScopeUserMetadata)
	assert.False(t, id.Stale())
}

// The recorded scope names role admin, which nobody granted.
func TestRolesComeFromRoleClaimsNeverFromScope(t *testing.T) {
	id, err := postern.ParseIdentity(recorded(t, "introspect-pat"), "")
	require.NoError(t, err)
	assert.True(t, id.HasScope(postern.ScopeProjectRole("admin")))
	assert.False(t, id.HasRole("admin"))
	assert.False(t, id.HasRoleInOrg("admin", "400708712316079142"))
	assert.False(t, id.HasProjectRole("400709185869712422", "admin"))
	assert.True(t, id.HasRole("viewer"))
	assert.True(t, id.HasRoleInOrg("viewer", "400708712316079142"))
	assert.True(t, id.HasProjectRole("400709185869712422", "viewer"))
}

func TestRoleQuestionsDoNotMix(t *testing.T) {
	id, err := postern.NewIdentity(map[string]any{
		"urn:zitadel:iam:org:project:roles":   map[string]any{"admin": map[string]string{"org1": "a.example"}},
		"urn:zitadel:iam:org:project:2:roles": map[string]any{"boss": map[string]string{"org2": "b.example"}, "empty": map[string]string{}},
	})
	require.NoError(t, err)
	assert.True(t, id.HasRole("admin"))
	assert.True(t, id.HasRoleInOrg("admin", "org1"))
	assert.False(t, id.HasRoleInOrg("admin", "org2"), "granted by another organisation")
	assert.False(t, id.HasRoleInOrg("admin", ""))
	assert.False(t, id.HasRole("boss"), "a role of another project")
	assert.False(t, id.HasRoleInOrg("boss", "org2"))
	assert.True(t, id.HasProjectRole("2", "boss"))
	assert.False(t, id.HasProjectRole("", "admin"), "no project is no project")
	assert.False(t, id.HasProjectRole("2", "empty"), "granted by nobody")
	assert.False(t, id.HasRole(""))
	assert.False(t, id.HasRole("Admin"))
}

func TestHasRoleAsksTheProjectWhereTheAnswerHasNoClaimOfItsOwn(t *testing.T) {
	claims := []byte(`{"urn:zitadel:iam:org:project:1:roles":{"admin":{"org1":"a.example"}}}`)
	id, err := postern.ParseIdentity(claims, "1")
	require.NoError(t, err)
	assert.True(t, id.HasRole("admin"))
	assert.True(t, id.HasRoleInOrg("admin", "org1"))
	for _, other := range []string{"", "2"} {
		id, err = postern.ParseIdentity(claims, other)
		require.NoError(t, err)
		assert.False(t, id.HasRole("admin"))
	}
	id, err = postern.ParseIdentity([]byte(`{"urn:zitadel:iam:org:project:roles":{},"urn:zitadel:iam:org:project:1:roles":{"admin":{"org1":"a"}}}`), "1")
	require.NoError(t, err)
	assert.False(t, id.HasRole("admin"), "the API's own claim is there, and empty")
}

// Recorded live: the value core/ü+? comes as Y29yZS_DvCs_.
func TestMetadataIsDecoded(t *testing.T) {
	id, err := postern.NewIdentity(map[string]any{
		"urn:zitadel:iam:user:metadata": map[string]string{"team": "Y29yZS_DvCs_", "bad": "!"},
	})
	require.NoError(t, err)
	value, ok := id.Metadata("team")
	assert.True(t, ok)
	assert.Equal(t, "core/ü+?", value)
	for _, key := range []string{"bad", "Team", ""} {
		_, ok = id.Metadata(key)
		assert.False(t, ok, key)
	}
}

func TestClaimsGivesTheWholeAnswer(t *testing.T) {
	id, err := postern.NewIdentity(map[string]any{"sub": "1", "tier": "gold"})
	require.NoError(t, err)
	var mine struct{ Sub, Tier string }
	require.NoError(t, id.Claims(&mine))
	assert.Equal(t, "gold", mine.Tier)
	assert.ErrorContains(t, id.Claims(mine), "postern: claims into")
}

func TestAClaimOfAnotherTypeIsRefusedAndEveryOneNamed(t *testing.T) {
	_, err := postern.NewIdentity(map[string]any{
		"sub": 1, "aud": true, "exp": "soon", "iat": nil, "scope": []string{"openid"},
		"urn:zitadel:iam:user:metadata": map[string]any{"k": 1}, "urn:zitadel:iam:org:project:roles": []any{map[string]any{"admin": "org1"}},
	})
	for _, claim := range []string{"sub", "aud", "exp", "iat", "scope", "urn:zitadel:iam:user:metadata", "urn:zitadel:iam:org:project:roles"} {
		assert.ErrorContains(t, err, fmt.Sprintf("%q", claim))
	}
	_, err = postern.NewIdentity(map[string]any{"urn:zitadel:iam:org:project:roles": map[string]any{"admin": "org1"}})
	assert.ErrorContains(t, err, "expected a JSON object")
	_, err = postern.NewIdentity(map[string]any{"x": func() {}})
	assert.ErrorContains(t, err, "expected claims that JSON can carry")
}

func TestANameTwiceOrInAnotherCaseIsRefused(t *testing.T) {
	for _, claims := range []string{
		`{"sub":"1","sub":"2"}`, `{"Sub":"1"}`, `{"exp":1,"EXP":2}`, `{"urn:zitadel:iam:org:project:ROLES":{}}`,
		`{"urn:zitadel:iam:org:project:1:roles":{},"urn:zitadel:iam:org:project:1:roles":{}}`,
		`{"urn:zitadel:iam:org:project:roles":{"admin":{},"admin":{"org1":"a.example"}}}`,
	} {
		_, err := postern.ParseIdentity([]byte(claims), "")
		assert.Error(t, err, claims)
	}
}

func TestNoClaimsMakeAnIdentityOfNobody(t *testing.T) {
	id, err := postern.NewIdentity(nil)
	require.NoError(t, err)
	assert.Empty(t, id.Subject())
	assert.True(t, id.Expiry().IsZero())
}

func TestAsStaleLeavesTheOriginalAlone(t *testing.T) {
	id, err := postern.NewIdentity(map[string]any{"sub": "1"})
	require.NoError(t, err)
	assert.True(t, id.AsStale().Stale())
	assert.Equal(t, "1", id.AsStale().Subject())
	assert.False(t, id.Stale())
}

func TestFormattingAnIdentityShowsTheIDOnly(t *testing.T) {
	id, err := postern.NewIdentity(map[string]any{"sub": "7", "name": "Ada Lovelace"})
	require.NoError(t, err)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		assert.Equal(t, "postern.Identity(7)", fmt.Sprintf(verb, id))
	}
	data, err := json.Marshal(struct{ Caller any }{id})
	require.NoError(t, err)
	assert.NotContains(t, string(data), "Ada")
}

func TestContextCarriesTheIdentity(t *testing.T) {
	_, ok := postern.FromContext(t.Context())
	assert.False(t, ok)
	id, err := postern.NewIdentity(map[string]any{"sub": "1"})
	require.NoError(t, err)
	got, ok := postern.FromContext(postern.NewContext(t.Context(), id))
	assert.True(t, ok)
	assert.Same(t, id, got)
	_, ok = postern.FromContext(postern.NewContext(t.Context(), nil))
	assert.False(t, ok, "nobody is nobody")
}

func TestFormattingAContextShowsNoClaims(t *testing.T) {
	id := must(postern.NewIdentity(map[string]any{"sub": "1", "email": "ada@example.com"}))
	child, cancel := context.WithCancel(postern.NewContext(t.Context(), id))
	defer cancel()
	for _, ctx := range []context.Context{postern.NewContext(t.Context(), id), postern.NewContext(child, nil), child} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			assert.NotContains(t, fmt.Sprintf(verb, ctx), "ada@", verb)
			assert.NotContains(t, fmt.Sprintf(verb, ctx), fmt.Sprintf("%x", "ada@"), verb)
		}
	}
	assert.Contains(t, fmt.Sprint(child), "postern.NewContext")
}

func TestNewContextPanicsWithoutAParent(t *testing.T) {
	assert.PanicsWithValue(t, "postern.NewContext: expected a context, got nil", func() {
		postern.NewContext(context.Context(nil), nil)
	})
}

func TestContextKeepsWhatItsParentHas(t *testing.T) {
	type key struct{}
	end := errors.New("the end")
	parent, cancel := context.WithCancelCause(context.WithValue(t.Context(), key{}, "value"))
	ctx, cancelChild := context.WithCancel(postern.NewContext(parent, must(postern.NewIdentity(nil))))
	defer cancelChild()
	assert.Equal(t, "value", ctx.Value(key{}))
	assert.NoError(t, ctx.Err())
	cancel(end)
	assert.Equal(t, end, context.Cause(ctx))
}

func TestTheInnermostIdentityCounts(t *testing.T) {
	inner := must(postern.NewIdentity(nil))
	ctx := postern.NewContext(postern.NewContext(t.Context(), must(postern.NewIdentity(nil))), inner)
	got, ok := postern.FromContext(ctx)
	assert.True(t, ok)
	assert.Same(t, inner, got)
	_, ok = postern.FromContext(postern.NewContext(ctx, nil))
	assert.False(t, ok)
}

func TestErrorNamesWhatTheServerSaidAndTheCure(t *testing.T) {
	err := &postern.Error{StatusCode: 400, Code: "invalid_grant", Description: "invalid assertion", Hint: "the key expired", RetryAfter: time.Minute}
	assert.EqualError(t, err, "server answered 400 invalid_grant (invalid assertion), retry after 1m0s: the key expired")
	assert.EqualError(t, &postern.Error{StatusCode: 503}, "server answered 503")
}

func TestScopes(t *testing.T) {
	assert.Equal(t, "urn:zitadel:iam:org:project:id:42:aud", postern.ScopeProjectAudience("42"))
	assert.Equal(t, "urn:zitadel:iam:org:project:role:admin", postern.ScopeProjectRole("admin"))
	assert.Equal(t, "urn:zitadel:iam:org:id:42", postern.ScopeOrg("42"))
	assert.Equal(t, "urn:zitadel:iam:org:roles:id:42", postern.ScopeOrgRoles("42"))
	assert.Equal(t, postern.ScopeZITADELAPI, postern.ScopeProjectAudience("zitadel"))
}

func FuzzParseIdentity(f *testing.F) {
	for _, name := range []string{"introspect-pat", "introspect-jwt-access-token"} {
		f.Add(recorded(f, name), "400709185869712422")
	}
	f.Add([]byte(`{"aud":"a","exp":1e3,"urn:zitadel:iam:org:project:1:roles":{"r":{"o":"d"}}}`), "1")
	f.Fuzz(func(t *testing.T, claims []byte, project string) {
		id, err := postern.ParseIdentity(claims, project)
		if err != nil {
			require.Nil(t, id)
			return
		}
		var all map[string]any
		require.NoError(t, id.Claims(&all))
		if id.Subject() != "" {
			require.Equal(t, all["sub"], id.Subject())
		}
		for role := range strings.FieldsSeq(id.Username() + " admin viewer r") {
			if id.HasRoleInOrg(role, "o") {
				require.True(t, id.HasRole(role))
			}
		}
	})
}

func ExampleNewIdentity() {
	id, err := postern.NewIdentity(map[string]any{
		"sub":                               "123",
		"urn:zitadel:iam:org:project:roles": map[string]any{"admin": map[string]string{"org1": "acme.example"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(id.Subject(), id.HasRole("admin"), id.HasRoleInOrg("admin", "org2"))
	// Output: 123 true false
}

// A handler is tested by putting an Identity into the request's context, as middleware does.
func ExampleNewContext() {
	greet := func(ctx context.Context) string {
		id, ok := postern.FromContext(ctx)
		if !ok {
			return "hello, stranger"
		}
		return "hello, " + id.Username()
	}
	id, err := postern.NewIdentity(map[string]any{"sub": "123", "username": "ci-bot"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(greet(context.Background()))
	fmt.Println(greet(postern.NewContext(context.Background(), id)))
	// Output:
	// hello, stranger
	// hello, ci-bot
}

func ExampleParseIdentity() {
	_, err := postern.ParseIdentity([]byte(`{"sub":"1","SUB":"2"}`), "")
	fmt.Println(err)
	// Output: postern: identity: expected the name "sub", got another spelling of it
}
