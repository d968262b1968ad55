package zitadeltest

import (
	"context"
	"crypto"
	"errors"
	"slices"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// Introspect tells the state of a token. Only a failed client authentication is told as an error; everything else that goes wrong
// becomes "active": false.
func (p provider) Introspect(_ context.Context, r *op.Request[op.IntrospectionRequest]) (*op.Response, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	resp, err := p.introspect(r.Data)
	if unauthorized := new(oidc.Error); errors.As(err, &unauthorized) && unauthorized.ErrorType == oidc.UnauthorizedClient {
		return nil, err
	}
	if err != nil || p.faults.inactive.Load() {
		resp = new(oidc.IntrospectionResponse)
	}
	return op.NewResponse(resp), nil
}

func (p provider) introspect(r *op.IntrospectionRequest) (*oidc.IntrospectionResponse, error) {
	client, err := p.introspectionClient(r.ClientCredentials)
	if err != nil {
		return nil, err
	}
	t, err := p.verifyToken(r.Token)
	if err != nil {
		return nil, err
	}
	audience, scopes := t.audience, t.scopes
	if t.isPAT {
		// Every API of the instance is in the audience of a personal access token, which asks for all the roles there are.
		audience = []string{client.clientID, client.project.id}
		for _, role := range client.project.roles {
			scopes = append(scopes, scopeRole+role.key)
		}
	}
	if !slices.Contains(audience, client.clientID) && !slices.Contains(audience, client.project.id) {
		return nil, permissionDenied("OIDC-sdg3G", "token is not valid for this client")
	}
	resp := &oidc.IntrospectionResponse{
		Active:                          true,
		Scope:                           scopes,
		ClientID:                        t.clientID,
		TokenType:                       oidc.BearerToken,
		Expiration:                      oidc.FromTime(t.expiry),
		IssuedAt:                        oidc.FromTime(t.created),
		NotBefore:                       oidc.FromTime(t.created),
		Audience:                        audience,
		AuthenticationMethodsReferences: t.amr,
		Issuer:                          p.issuer,
		JWTID:                           t.id,
	}
	if !t.isPAT {
		resp.AuthTime = oidc.FromTime(t.created)
	}
	resp.SetUserInfo(p.userInfo(t.user, claimsFor{scopes: scopes, project: client.project.id, profile: true, ownOnly: true}))
	return resp, nil
}

// introspectionClient authenticates an API application by its assertion, or else its secret.
func (p provider) introspectionClient(cc *op.ClientCredentials) (*app, error) {
	id := cc.ClientID
	if cc.ClientAssertion != "" {
		claims := new(oidc.JWTTokenRequest)
		if _, err := oidc.ParseToken(cc.ClientAssertion, claims); err != nil {
			return nil, err // and so a broken assertion looks like a bad token
		}
		id = claims.Issuer
	}
	client := p.client(id)
	if client == nil {
		return nil, oidc.ErrUnauthorizedClient()
	}
	if cc.ClientAssertion != "" {
		_, err := p.verifyAssertion(cc.ClientAssertion, func(kid, _ string) crypto.PublicKey {
			return keyIn(client.keys, kid, p.clock())
		})
		if err != nil {
			return nil, oidc.ErrUnauthorizedClient().WithParent(err)
		}
		return client, nil
	}
	if client.secret == "" || client.secret != cc.ClientSecret {
		return nil, oidc.ErrUnauthorizedClient()
	}
	return client, nil
}
