package localjwt

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/postern-go/postern"
)

// fuzzed is a verifier with keys in hand and a context that has ended, so that nothing waits for younger keys.
func fuzzed(f *testing.F) (*Verifier, context.Context) {
	v := newIssuer().verifier(f)
	if _, err := v.Verify(f.Context(), sign(nil)); err != nil {
		f.Fatal(err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	return v, ended
}

// judge fails unless the token was refused as invalid, or for want of time to fetch a key, or golang-jwt accepts it as well.
func judge(t *testing.T, token string, id *postern.Identity, err error) {
	switch {
	case err != nil && id != nil:
		t.Fatal("an error with an identity")
	case errors.Is(err, postern.ErrInvalidToken), errors.Is(err, context.Canceled):
		return
	case err != nil:
		t.Fatalf("neither invalid nor out of time: %v", err)
	}
	claims := jwt.MapClaims{}
	parsed, err := jwt.NewParser(
		jwt.WithValidMethods([]string{"RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"}), jwt.WithStrictDecoding(),
		jwt.WithIssuer(testIssuer), jwt.WithAudience(testProject), jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(31*time.Second),
	).ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		switch t.Header["kid"] {
		case "rs256", "rs384", "rs512", "ps256", "rsa":
			return rsaKey.Public(), nil
		case "es256":
			return p256Key.Public(), nil
		case "es384":
			return p384Key.Public(), nil
		case "eddsa":
			return ed25519Key.Public(), nil
		}
		return nil, errors.New("unknown kid")
	})
	if err != nil {
		t.Fatalf("accepted, but not by golang-jwt: %v", err)
	}
	for name := range parsed.Header {
		if slices.Contains(refusedHeaders, name) {
			t.Fatalf("accepted with header %q", name)
		}
	}
	for _, name := range []string{"at_hash", "c_hash", "nonce", "events"} {
		if _, ok := claims[name]; ok {
			t.Fatalf("accepted with claim %q", name)
		}
	}
	if _, ok := claims[rolesClaim]; !ok && (id.HasRole("admin") || id.HasRole("owner")) {
		t.Fatal("accepted with a role of nowhere")
	}
	if claims["sub"] != id.Subject() || claims["jti"] != id.TokenID() || id.Subject() == "" || id.TokenID() == "" {
		t.Fatal("accepted under another name")
	}
}

func FuzzVerify(f *testing.F) {
	v, ended := fuzzed(f)
	f.Add(sign(nil))
	f.Add(signWith(object{"alg": "EdDSA", "kid": "eddsa", "typ": "JWT"}, good(), ed25519Key)) // a key that all processes share
	f.Add(wire.AccessToken)
	f.Add(wire.IDToken)
	for _, a := range attacks() {
		f.Add(a.token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		id, err := v.Verify(ended, token)
		judge(t, token, id, err)
	})
}

// FuzzVerifySigned signs whatever comes, so that it gets as far as the claims.
func FuzzVerifySigned(f *testing.F) {
	v, ended := fuzzed(f)
	const header = `{"alg":"EdDSA","kid":"eddsa","typ":"JWT"}`
	f.Add(header, string(must(json.Marshal(good()))))
	f.Add(header, string(must(json.Marshal(with(good(), object{rolesClaim: nil, clientsRoles: good()[rolesClaim]})))))
	for _, a := range attacks() {
		parts := strings.Split(a.token, ".")
		if len(parts) != 3 {
			continue
		}
		h, err1 := decode(parts[0])
		p, err2 := decode(parts[1])
		if err1 == nil && err2 == nil {
			f.Add(string(h), string(p))
			f.Add(header, string(p))
		}
	}
	f.Fuzz(func(t *testing.T, header, payload string) {
		token := signText(header, payload, ed25519Key)
		id, err := v.Verify(ended, token)
		judge(t, token, id, err)
	})
}

func FuzzParseKeys(f *testing.F) {
	f.Add([]byte(wire.JWKS))
	f.Add(keySetOf(jwk("a", "RS256", rsaKey.Public()), jwk("b", "ES256", p256Key.Public()), jwk("c", "", ed25519Key.Public())))
	f.Add(keySetOf(object{"kty": "oct", "kid": "x", "k": "c2VjcmV0"}, jwk("p", "", p384Key), jwk("w", "", rsaOf(1024))))
	f.Add([]byte(`{"keys":[null,{},[],1]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, _, err := parseKeys(text)
		if (err == nil) != (len(keys) > 0) {
			t.Fatal("neither keys nor an error, or both")
		}
		for id, k := range keys {
			if id == "" || id != k.id || len(k.algorithms) == 0 {
				t.Fatal("a key without a name or use")
			}
			for _, a := range k.algorithms {
				if methods[a] == nil {
					t.Fatalf("a key for %q", a)
				}
			}
			if fit, err := fitting(k.public); err != nil || !slices.Contains(fit, k.algorithms[0]) {
				t.Fatal("a key that does not fit")
			}
		}
	})
}
