package zitadeltest

import (
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/crypto"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// grantKind is how a token came about, as far as tokens show it.
type grantKind struct {
	amr       []string
	idTokenOf func(s *Server) time.Duration // how long its id_token lives
}

var (
	// passwordGrant is client credentials: ZITADEL counts the secret as a password.
	passwordGrant = grantKind{amr: []string{"pwd"}, idTokenOf: func(s *Server) time.Duration { return s.lifetime }}
	// keyGrant is the JWT profile: its id_token ends the moment it is issued.
	keyGrant = grantKind{idTokenOf: func(*Server) time.Duration { return 0 }}
)

// issue makes the answer of a grant. Callers hold the mutex.
func (s *Server) issue(u *user, requested []string, kind grantKind) (*oidc.AccessTokenResponse, error) {
	audience := s.audienceOf(requested)
	scopes, err := op.ValidateAuthReqScopes(serviceClient{user: u}, requested)
	if err != nil {
		return nil, err
	}
	if u.state != userActive || !u.org.active {
		return nil, failedPrecondition("OIDCS-kj3g2", "Errors.User.NotActive")
	}
	scopes = ownOrgOnly(scopes, u.org)

	now := s.clock()
	t := &accessToken{
		id: newTokenID(), user: u, clientID: u.userName, audience: audience, scopes: scopes,
		amr: kind.amr, created: now, expiry: now.Add(s.lifetime),
	}
	resp := &oidc.AccessTokenResponse{
		TokenType: oidc.BearerToken,
		ExpiresIn: uint64((s.lifetime - 1) / time.Second), // a moment has passed since the expiry was set
	}
	if u.jwt {
		resp.AccessToken, err = s.signAccessToken(t)
	} else {
		resp.AccessToken, err = s.opaque.Encrypt(t.id + ":" + u.id)
	}
	if err == nil && slices.Contains(scopes, oidc.ScopeOpenID) {
		resp.IDToken, err = s.signIDToken(t, resp.AccessToken, kind.idTokenOf(s))
	}
	if err != nil {
		return nil, err
	}
	s.tokens[t.id] = t
	return resp, nil
}

func (s *Server) signAccessToken(t *accessToken) (string, error) {
	claims := oidc.NewAccessTokenClaims(s.issuer, t.user.id, t.audience, t.expiry, t.id, t.clientID, 0)
	claims.IssuedAt, claims.NotBefore = oidc.FromTime(t.created), oidc.FromTime(t.created)
	claims.Claims = s.userInfo(t.user, claimsFor{scopes: t.scopes}).Claims
	return s.sign(claims)
}

func (s *Server) signIDToken(t *accessToken, accessToken string, lifetime time.Duration) (string, error) {
	claims := oidc.NewIDTokenClaims(s.issuer, "", t.audience, t.created.Add(lifetime), t.created, "", "", t.amr, t.clientID, 0)
	claims.IssuedAt = oidc.FromTime(t.created)
	claims.SetUserInfo(s.userInfo(t.user, claimsFor{scopes: t.scopes}))
	hash, err := oidc.ClaimHash(accessToken, jose.RS256)
	if err != nil {
		return "", err
	}
	claims.AccessTokenHash = hash
	return s.sign(claims)
}

func (s *Server) sign(claims any) (string, error) {
	key := s.signing[len(s.signing)-1]
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key.private(), KeyID: key.kid}},
		(&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", err
	}
	return crypto.Sign(claims, signer)
}

// tokenID opens a token: decrypts an opaque one, verifies a JWT.
func (s *Server) tokenID(token string) (id, subject string, err error) {
	if plain, err := s.opaque.Decrypt(token); err == nil {
		id, subject, ok := strings.Cut(plain, ":")
		if !ok {
			return "", "", permissionDenied("OIDC-rei1O", "token is not valid or has expired")
		}
		return id, subject, nil
	}
	invalid := permissionDenied("OIDC-Eib8e", "token is not valid or has expired")
	jws, err := parseJWS(token, jose.RS256)
	if err != nil {
		return "", "", invalid
	}
	kid, _ := oidc.GetKeyIDAndAlg(jws)
	i := slices.IndexFunc(s.signing, func(k signingKey) bool { return k.kid == kid })
	if i < 0 {
		return "", "", invalid
	}
	if _, err := jws.Verify(s.signing[i].private().Public()); err != nil {
		return "", "", invalid
	}
	claims := new(oidc.AccessTokenClaims)
	if _, err := oidc.ParseToken(token, claims); err != nil {
		return "", "", invalid
	}
	if claims.Issuer != s.issuer || !s.clock().Before(claims.GetExpiration()) {
		return "", "", invalid
	}
	return claims.JWTID, claims.Subject, nil
}

// activeToken is a token of any kind that is good now.
type activeToken struct {
	*accessToken
	isPAT bool
}

// verifyToken finds the token behind a string, if it is still good.
func (s *Server) verifyToken(token string) (activeToken, error) {
	id, subject, err := s.tokenID(token)
	if err != nil {
		return activeToken{}, err
	}
	now := s.clock()
	if strings.HasPrefix(id, "V2_") {
		t := s.tokens[id]
		if t == nil || !t.user.org.active {
			return activeToken{}, unauthenticated("QUERY-M2u9w", "Errors.OIDCSession.Token.Invalid")
		}
		if !t.expiry.After(now) {
			return activeToken{}, unauthenticated("QUERY-SAF3rf", "Errors.OIDCSession.Token.Expired")
		}
		return activeToken{accessToken: t}, nil
	}
	p := s.pats[id]
	if p == nil || p.user.id != subject || !p.expiry.After(now) {
		return activeToken{}, permissionDenied("OIDC-Dsfb2", "token is not valid or has expired")
	}
	return activeToken{isPAT: true, accessToken: &accessToken{
		id: p.id, user: p.user, scopes: slices.Clone(p.scopes), created: p.details.created, expiry: p.expiry,
	}}, nil
}
