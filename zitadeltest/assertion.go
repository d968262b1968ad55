package zitadeltest

import (
	"crypto"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// The limits ZITADEL sets on assertions.
const (
	assertionMaxAge = time.Hour
	assertionSkew   = time.Second
)

// verifyAssertion checks a JWT that a service user or an application signed, as zitadel/oidc's op.VerifyJWTAssertion does,
// by the server's own clock. The jti is not looked at: an assertion may be used again.
func (st *state) verifyAssertion(assertion string, keyOf func(kid, issuer string) crypto.PublicKey) (issuer string, err error) {
	claims := new(oidc.JWTTokenRequest)
	payload, err := oidc.ParseToken(assertion, claims)
	if err != nil {
		return "", err
	}
	now := st.clock()
	issuedAt := claims.GetIssuedAt()
	switch {
	case !slices.Contains(claims.GetAudience(), st.s.issuer):
		return "", oidc.ErrAudience
	case !now.Add(assertionSkew).Before(claims.GetExpiration()):
		return "", oidc.ErrExpired
	case issuedAt.IsZero():
		return "", oidc.ErrIatMissing
	case issuedAt.After(now.Add(assertionSkew).Round(time.Second)):
		return "", oidc.ErrIatInFuture
	case issuedAt.Before(now.Add(-assertionMaxAge).Round(time.Second)):
		return "", oidc.ErrIatToOld
	case claims.Issuer != claims.Subject:
		return "", oidc.ErrSubjectInvalid
	}
	jws, err := parseJWS(assertion, jose.RS256, jose.ES256, jose.PS256)
	if err != nil {
		return "", oidc.ErrSignatureUnsupportedAlg
	}
	kid, _ := oidc.GetKeyIDAndAlg(jws)
	key := keyOf(kid, claims.Issuer)
	if key == nil {
		return "", errors.New("unknown key")
	}
	signed, err := jws.Verify(key)
	if err != nil || string(signed) != string(payload) {
		return "", oidc.ErrSignatureInvalid
	}
	return claims.Issuer, nil
}

// parseJWS overlooks white space, as the parser that ZITADEL uses does.
func parseJWS(token string, algorithms ...jose.SignatureAlgorithm) (*jose.JSONWebSignature, error) {
	return jose.ParseSignedCompact(strings.Join(strings.Fields(token), ""), algorithms)
}

// keyIn finds a key that has not run out.
func keyIn(keys []*machineKey, kid string, now time.Time) crypto.PublicKey {
	for _, k := range keys {
		if k.id == kid && k.live(now) {
			return k.public
		}
	}
	return nil
}
