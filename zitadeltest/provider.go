package zitadeltest

import (
	"context"
	"crypto"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

var endpoints = op.Endpoints{
	Authorization:       op.NewEndpoint("/oauth/v2/authorize"),
	Token:               op.NewEndpoint("/oauth/v2/token"),
	Introspection:       op.NewEndpoint("/oauth/v2/introspect"),
	Userinfo:            op.NewEndpoint("/oidc/v1/userinfo"),
	Revocation:          op.NewEndpoint("/oauth/v2/revoke"),
	EndSession:          op.NewEndpoint("/oidc/v1/end_session"),
	JwksURI:             op.NewEndpoint("/oauth/v2/keys"),
	DeviceAuthorization: op.NewEndpoint("/oauth/v2/device_authorization"),
}

// provider answers the OAuth and OpenID Connect endpoints, on the framework that ZITADEL uses itself.
type provider struct {
	op.UnimplementedServer
	*Server
}

func (p provider) Discovery(context.Context, *op.Request[struct{}]) (*op.Response, error) {
	locales := oidc.ParseLocales(strings.Fields("ar bg cs de en es fr hu id it ja ko mk nl pl pt ro ru sv tr uk zh"))
	clientAuth := []oidc.AuthMethod{
		oidc.AuthMethodNone, oidc.AuthMethodBasic, oidc.AuthMethodPost, oidc.AuthMethodPrivateKeyJWT,
	}
	rs256 := []string{"RS256"}
	return op.NewResponse(&oidc.DiscoveryConfiguration{
		Issuer:                      p.issuer,
		AuthorizationEndpoint:       endpoints.Authorization.Absolute(p.issuer),
		TokenEndpoint:               endpoints.Token.Absolute(p.issuer),
		IntrospectionEndpoint:       endpoints.Introspection.Absolute(p.issuer),
		UserinfoEndpoint:            endpoints.Userinfo.Absolute(p.issuer),
		RevocationEndpoint:          endpoints.Revocation.Absolute(p.issuer),
		EndSessionEndpoint:          endpoints.EndSession.Absolute(p.issuer),
		JwksURI:                     endpoints.JwksURI.Absolute(p.issuer),
		DeviceAuthorizationEndpoint: endpoints.DeviceAuthorization.Absolute(p.issuer),
		ScopesSupported:             []string{"openid", "profile", "email", "phone", "address", "offline_access"},
		ResponseTypesSupported:      []string{"code", "id_token", "id_token token"},
		ResponseModesSupported:      []string{"query", "fragment", "form_post"},
		GrantTypesSupported: []oidc.GrantType{
			oidc.GrantTypeCode, oidc.GrantTypeImplicit, oidc.GrantTypeRefreshToken, oidc.GrantTypeClientCredentials,
			oidc.GrantTypeBearer, oidc.GrantTypeDeviceCode,
		},
		SubjectTypesSupported:                              []string{"public"},
		IDTokenSigningAlgValuesSupported:                   []string{"EdDSA", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512"},
		RequestObjectSigningAlgValuesSupported:             rs256,
		TokenEndpointAuthMethodsSupported:                  clientAuth,
		TokenEndpointAuthSigningAlgValuesSupported:         rs256,
		IntrospectionEndpointAuthMethodsSupported:          []oidc.AuthMethod{oidc.AuthMethodBasic, oidc.AuthMethodPrivateKeyJWT},
		IntrospectionEndpointAuthSigningAlgValuesSupported: rs256,
		RevocationEndpointAuthMethodsSupported:             clientAuth,
		RevocationEndpointAuthSigningAlgValuesSupported:    rs256,
		ClaimsSupported: []string{
			"sub", "aud", "exp", "iat", "iss", "auth_time", "nonce", "acr", "amr", "c_hash", "at_hash", "act", "scopes",
			"client_id", "azp", "preferred_username", "name", "family_name", "given_name", "locale", "email",
			"email_verified", "phone_number", "phone_number_verified",
		},
		CodeChallengeMethodsSupported:     []oidc.CodeChallengeMethod{oidc.CodeChallengeMethodS256},
		UILocalesSupported:                locales,
		RequestParameterSupported:         true,
		BackChannelLogoutSupported:        true,
		BackChannelLogoutSessionSupported: true,
	}), nil
}

func (p provider) Keys(context.Context, *op.Request[struct{}]) (*op.Response, error) {
	p.mu.Lock()
	signing := slices.Clone(p.signing)
	p.mu.Unlock()
	set := jose.JSONWebKeySet{}
	for _, key := range signing {
		set.Keys = append(set.Keys, jose.JSONWebKey{
			Key: key.private().Public(), KeyID: key.kid, Algorithm: string(jose.RS256), Use: "sig",
		})
	}
	resp := op.NewResponse(set)
	resp.Header.Set("Cache-Control", "max-age=300, must-revalidate")
	return resp, nil
}

// serviceClient is a service user in the role of an OAuth client. The framework asks nothing else of it.
type serviceClient struct {
	op.Client
	user *user
}

func (serviceClient) IsScopeAllowed(scope string) bool { return scopeAllowed(scope) }
func (serviceClient) AuthMethod() oidc.AuthMethod      { return oidc.AuthMethodBasic }
func (serviceClient) GrantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeClientCredentials}
}

// VerifyClient knows service users, for the client credentials grant. Every other grant and revocation ask for an application that
// signs users in, and there are none: not even an API application is one.
func (p provider) VerifyClient(_ context.Context, r *op.Request[op.ClientCredentials]) (op.Client, error) {
	if oidc.GrantType(r.Form.Get("grant_type")) != oidc.GrantTypeClientCredentials {
		if r.Data.ClientAssertion != "" {
			if _, err := oidc.ParseToken(r.Data.ClientAssertion, new(oidc.JWTTokenRequest)); err != nil {
				return nil, oidc.ErrInvalidClient().WithParent(err)
			}
		}
		return nil, oidc.ErrInvalidClient().WithDescription("no active client not found")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	u := p.userByLogin(r.Data.ClientID)
	switch {
	case u == nil:
		return nil, oidc.ErrInvalidClient().WithDescription("client not found")
	case u.secret == "":
		return nil, oauthError(failedPrecondition("OIDC-pieP8", "Errors.User.Machine.Secret.NotExisting"))
	case u.secret != r.Data.ClientSecret:
		return nil, oauthError(invalidArgument("OIDC-VoXo6", "Errors.User.Machine.Secret.Invalid"))
	}
	return serviceClient{user: u}, nil
}

func (p provider) ClientCredentialsExchange(_ context.Context, r *op.ClientRequest[oidc.ClientCredentialsRequest]) (*op.Response, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	resp, err := p.issue(r.Client.(serviceClient).user, r.Data.Scope, passwordGrant)
	if err != nil {
		return nil, oauthError(err)
	}
	return op.NewResponse(resp), nil
}

func (p provider) JWTProfile(_ context.Context, r *op.Request[oidc.JWTProfileGrantRequest]) (*op.Response, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var u *user
	_, err := p.verifyAssertion(r.Data.Assertion, func(kid, issuer string) crypto.PublicKey {
		if u = p.user(issuer); u == nil {
			return nil
		}
		return keyIn(u.keys, kid, p.clock())
	})
	if err != nil {
		return nil, oidc.ErrInvalidGrant().WithDescription("invalid assertion").WithParent(err)
	}
	resp, err := p.issue(u, r.Data.Scope, keyGrant)
	if err != nil {
		return nil, oauthError(err)
	}
	return op.NewResponse(resp), nil
}

func (p provider) UserInfo(_ context.Context, r *op.Request[oidc.UserInfoRequest]) (*op.Response, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t, err := p.verifyToken(r.Data.AccessToken)
	if err != nil {
		return nil, op.NewStatusError(
			oidc.ErrAccessDenied().WithDescription("access token invalid").WithParent(err), http.StatusUnauthorized)
	}
	return op.NewResponse(p.userInfo(t.user, claimsFor{scopes: t.scopes, profile: true})), nil
}

// oauthError turns an error of the server's inside into one of the OAuth endpoints, as ZITADEL does.
func oauthError(err error) error {
	var api *apiError
	if !errors.As(err, &api) {
		return err
	}
	status, kind := api.status(), oidc.ErrInvalidRequest
	if status >= 500 {
		kind = oidc.ErrServerError
	}
	return op.NewStatusError(kind().WithDescription("%s", api.msg).WithParent(err), status)
}
