package localjwt

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern"
)

// attack is a token that gives no access, and what the refusal says.
type attack struct{ rule, token, says string }

// attacks has the attacks of RFC 8725 and their kin.
func attacks() []attack {
	const (
		header  = `{"alg":"RS256","kid":"rs256","typ":"JWT"}`
		algs    = "alg: expected RS256"
		another = "signature: expected one by the issuer's key"
	)
	payload := string(must(json.Marshal(good())))
	valid := sign(nil)
	signed, signature := valid[:strings.LastIndexByte(valid, '.')], valid[strings.LastIndexByte(valid, '.')+1:]
	encodedHeader, encodedPayload, _ := strings.Cut(signed, ".")
	spki := must(x509.MarshalPKIXPublicKey(rsaKey.Public()))
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})
	publicJWK := must(json.Marshal(jwk("rs256", "RS256", rsaKey.Public())))
	evilJWK := string(must(json.Marshal(jwk("rs256", "RS256", otherRSA.Public()))))
	head := func(h string) string { return signText(h, payload, rsaKey) }
	body := func(p string) string { return signText(header, p, rsaKey) }
	// member puts a member before those of the good payload, as text, so that it may be anything.
	member := func(m string) string { return body("{" + m + "," + payload[1:]) }
	without := func(name, m string) string {
		p := string(must(json.Marshal(with(good(), object{name: nil}))))
		if m != "" {
			p = "{" + m + "," + p[1:]
		}
		return body(p)
	}
	es256 := func(signature []byte) string {
		return encode(`{"alg":"ES256","kid":"es256","typ":"JWT"}`) + "." + encodedPayload + "." + base64.RawURLEncoding.EncodeToString(signature)
	}
	soon := time.Now().Add(time.Hour).Unix()

	return []attack{
		// §2.1 weak signatures and insufficient signature validation; §3.1 algorithm verification
		{"alg none, no signature", encode(`{"alg":"none","kid":"rs256","typ":"JWT"}`) + "." + encodedPayload + ".", algs},
		{"alg none, signature kept", encode(`{"alg":"none","kid":"rs256","typ":"JWT"}`) + "." + encodedPayload + "." + signature, algs},
		{"alg None", head(`{"alg":"None","kid":"rs256","typ":"JWT"}`), algs},
		{"alg nOnE", head(`{"alg":"nOnE","kid":"rs256","typ":"JWT"}`), algs},
		{"alg missing", head(`{"kid":"rs256","typ":"JWT"}`), algs},
		{"alg empty", head(`{"alg":"","kid":"rs256","typ":"JWT"}`), algs},
		{"alg in lower case", head(`{"alg":"rs256","kid":"rs256","typ":"JWT"}`), algs},
		{"alg of another type", head(`{"alg":["RS256"],"kid":"rs256","typ":"JWT"}`), "expected a string, got an array"},
		{"alg ES512, off the list", signText(`{"alg":"ES512","kid":"es512","typ":"JWT"}`, payload, p521Key), algs},
		{"alg PS512, off the list", head(`{"alg":"PS512","kid":"rs256","typ":"JWT"}`), algs},
		{"alg ES256K, off the list", head(`{"alg":"ES256K","kid":"es256","typ":"JWT"}`), algs},
		{"alg RS1", head(`{"alg":"RS1","kid":"rs256","typ":"JWT"}`), algs},
		{"signature removed", signed + ".", another},
		{"signature of another key", signText(header, payload, otherRSA), another},
		{"signature of zeros", signed + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 256)), another},
		{"signature cut", signed + "." + base64.RawURLEncoding.EncodeToString(must(base64.RawURLEncoding.DecodeString(signature))[:128]), another},
		{"signature with a byte after it", signed + "." + base64.RawURLEncoding.EncodeToString(append(must(base64.RawURLEncoding.DecodeString(signature)), 0)), another},
		{"signature of RS512 under the name RS256", encodedHeader + "." + encodedPayload + "." + base64.RawURLEncoding.EncodeToString(must(jwt.SigningMethodRS512.Sign(signed, rsaKey))), another},
		{"payload exchanged", encodedHeader + "." + encode(strings.Replace(payload, "admin", "owner", 1)) + "." + signature, another},
		{"header exchanged", encode(`{"typ":"JWT","alg":"RS256","kid":"rs256"}`) + "." + encodedPayload + "." + signature, another},
		// algorithm confusion; §2.2 weak symmetric keys
		{"HS256 with the public key's PEM for a secret", signText(`{"alg":"HS256","kid":"rs256","typ":"JWT"}`, payload, publicPEM), algs},
		{"HS256 with the public key's DER for a secret", signText(`{"alg":"HS256","kid":"rs256","typ":"JWT"}`, payload, spki), algs},
		{"HS256 with the public JWK for a secret", signText(`{"alg":"HS256","kid":"rs256","typ":"JWT"}`, payload, publicJWK), algs},
		{"HS256 with a weak secret", signText(`{"alg":"HS256","kid":"rs256","typ":"JWT"}`, payload, []byte("secret")), algs},
		{"HMAC under the name RS256", signText(header, payload, publicPEM), another},
		{"PS256 with a key for RS256", head(`{"alg":"PS256","kid":"rs256","typ":"JWT"}`), "alg: expected [\"RS256\"]"},
		{"RS512 with a key for RS256", head(`{"alg":"RS512","kid":"rs256","typ":"JWT"}`), "alg: expected [\"RS256\"]"},
		{"ES256 with a key for RS256", signText(`{"alg":"ES256","kid":"rs256","typ":"JWT"}`, payload, p256Key), "alg: expected [\"RS256\"]"},
		{"EdDSA with a key for ES256", signText(`{"alg":"EdDSA","kid":"es256","typ":"JWT"}`, payload, ed25519Key), "alg: expected [\"ES256\"]"},
		{"RS256 with a key for ES256", head(`{"alg":"RS256","kid":"es256","typ":"JWT"}`), "alg: expected [\"ES256\"]"},
		{"ES256 with a P-384 key", signText(`{"alg":"ES256","kid":"es384","typ":"JWT"}`, payload, p256Key), "alg: expected [\"ES384\"]"},
		// §2.3 composition of encryption and signature; §2.4 compression
		{"a token in the token", signText(`{"alg":"RS256","kid":"rs256","typ":"JWT","cty":"JWT"}`, valid, rsaKey), `"cty": expected none`},
		{"encryption named", head(`{"alg":"RS256","kid":"rs256","typ":"JWT","enc":"A256GCM"}`), `"enc": expected none`},
		{"compression", head(`{"alg":"RS256","kid":"rs256","typ":"JWT","zip":"DEF"}`), `"zip": expected none`},
		{"a token in the token, not named", body(valid), "not JSON"},
		{"a token in the token, the outer one of somebody else", signText(`{"alg":"RS256","kid":"rs256","typ":"JWT"}`, valid, otherRSA), "not JSON"},
		{"five parts are opaque", "a.b.c.d.e", "three parts, got 5"},
		{"the JSON serialization", `{"payload":"` + encodedPayload + `","protected":"` + encodedHeader + `","signature":"` + signature + `"}`, "three parts, got 1"},
		{"alg of an encrypted token", head(`{"alg":"RSA-OAEP","kid":"rs256","typ":"JWT"}`), algs},
		{"alg RSA1_5, which has an oracle", head(`{"alg":"RSA1_5","kid":"rs256","typ":"JWT"}`), algs},
		{"alg dir", head(`{"alg":"dir","kid":"rs256","typ":"JWT"}`), algs},
		{"a password hashed for hours", head(`{"alg":"PBES2-HS256+A128KW","p2c":2147483647,"p2s":"AAAA","kid":"rs256","typ":"JWT"}`), algs},
		// §2.5 elliptic curves
		{"ECDSA signature of zeros", es256(make([]byte, 64)), another},
		{"ECDSA signature in DER", es256(derSignature(encode(`{"alg":"ES256","kid":"es256","typ":"JWT"}`) + "." + encodedPayload)), another},
		{"ECDSA signature empty", es256(nil), another},
		{"ECDSA signature of the curve's order", es256(bytes.Repeat(p256Key.Params().N.Bytes(), 2)), another},
		{"ECDSA signature with a byte after it", es256(append(must(base64.RawURLEncoding.DecodeString(lastPart(signText(`{"alg":"ES256","kid":"es256","typ":"JWT"}`, payload, p256Key)))), 0)), another},
		{"EdDSA signature beyond the curve's order", beyondOrder(payload), another},
		{"a point that the token brings along", head(`{"alg":"ECDH-ES","epk":{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},"kid":"es256","typ":"JWT"}`), algs},
		// §2.6 and §3.7 encodings of JSON
		{"payload in UTF-16", body(string(utf16(payload))), "not JSON"},
		{"payload with invalid UTF-8", without("sub", "\"sub\":\"\xff\""), "not UTF-8"},
		{"invalid UTF-8 where nobody looks", member("\"x\":\"\xc3\x28\""), "not UTF-8"},
		{"header with invalid UTF-8", head("{\"alg\":\"RS256\",\"kid\":\"rs256\",\"typ\":\"JWT\",\"x\":\"\xff\"}"), "not UTF-8"},
		{"payload after a byte order mark", body("\ufeff" + payload), "not JSON"},
		{"payload twice", body(payload + payload), "not JSON"},
		{"payload no object", body(`["x"]`), "another JSON value"},
		{"payload null", body(`null`), "another JSON value"},
		{"payload empty", body(``), "not JSON"},
		{"header no object", head(`"RS256"`), "another JSON value"},
		{"header empty", head(``), "not JSON"},
		{"claims nested 20 000 deep", encodedHeader + "." + encode(strings.Repeat("[", 20_000)) + "." + signature, "at most 16384 bytes"},
		{"claims nested deep", body(`{"x":` + strings.Repeat("[", 11_000)), "not JSON"},
		// §2.7 substitution; §3.8 issuer and subject; §3.9 audience
		{"iss of somebody else", sign(object{"iss": "https://evil.example.com"}), `claim "iss": expected "https://id.example.com"`},
		{"iss with a slash", sign(object{"iss": testIssuer + "/"}), `claim "iss"`},
		{"iss in another case", sign(object{"iss": "https://ID.example.com"}), `claim "iss"`},
		{"iss that only begins right", sign(object{"iss": testIssuer + ".evil.example"}), `claim "iss"`},
		{"iss missing", sign(object{"iss": nil}), `claim "iss"`},
		{"iss empty", sign(object{"iss": ""}), `claim "iss"`},
		{"iss of another type", sign(object{"iss": []string{testIssuer}}), `claim "iss": expected a string`},
		{"aud of somebody else", sign(object{"aud": []string{"999"}}), `claim "aud": expected one of`},
		{"aud as a text that contains ours", sign(object{"aud": "x" + testProject}), `claim "aud"`},
		{"aud as one text with spaces", sign(object{"aud": "999 " + testProject}), `claim "aud"`},
		{"aud missing", sign(object{"aud": nil}), `claim "aud"`},
		{"aud empty", sign(object{"aud": []string{}}), `claim "aud"`},
		{"aud of empty texts", sign(object{"aud": []string{""}}), `claim "aud"`},
		{"aud of another type", sign(object{"aud": 400709185869712422}), `claim "aud": expected a string or an array`},
		{"aud null", without("aud", `"aud":null`), `claim "aud"`},
		{"aud an object with ours as name", sign(object{"aud": object{testProject: true}}), `claim "aud"`},
		{"sub missing", sign(object{"sub": nil}), `claim "sub"`},
		{"sub empty", sign(object{"sub": ""}), `claim "sub"`},
		{"sub of another type", sign(object{"sub": 1}), `claim "sub"`},
		// §2.8 and §3.11, §3.12 confusion with other tokens
		{"an id_token", sign(object{"jti": nil, "azp": "bot", "at_hash": "Lk3Mw"}), "got an id_token"},
		{"an id_token without at_hash", sign(object{"jti": nil, "azp": "bot"}), "got an id_token"},
		{"an id_token with jti", sign(object{"at_hash": "Lk3Mw"}), "got an id_token"},
		{"an id_token of the code flow", sign(object{"c_hash": "Lk3Mw"}), "got an id_token"},
		{"an id_token with a nonce", sign(object{"nonce": "n"}), "got an id_token"},
		{"a logout token", sign(object{"events": object{"http://schemas.openid.net/event/backchannel-logout": object{}}}), "tells of events"},
		{"jti missing", sign(object{"jti": nil}), `claim "jti"`},
		{"jti empty", sign(object{"jti": ""}), `claim "jti"`},
		{"jti of another type", sign(object{"jti": 5}), `claim "jti"`},
		{"iat missing", sign(object{"iat": nil}), `claim "iat"`},
		{"typ missing", head(`{"alg":"RS256","kid":"rs256"}`), "typ: expected JWT or at+jwt"},
		{"typ empty", head(`{"alg":"RS256","kid":"rs256","typ":""}`), "typ: expected JWT or at+jwt"},
		{"typ with a parameter", head(`{"alg":"RS256","kid":"rs256","typ":"at+jwt; v=1"}`), "typ: expected JWT or at+jwt"},
		{"typ with a space", head(`{"alg":"RS256","kid":"rs256","typ":" JWT"}`), "typ: expected JWT or at+jwt"},
		{"typ with a dotted capital I", head(`{"alg":"RS256","kid":"rs256","typ":"applİcation/at+jwt"}`), "typ: expected JWT or at+jwt"},
		{"typ of a logout token", head(`{"alg":"RS256","kid":"rs256","typ":"logout+jwt"}`), "typ: expected"},
		{"typ of a proof of possession", head(`{"alg":"RS256","kid":"rs256","typ":"dpop+jwt"}`), "typ: expected"},
		{"typ of a client's assertion", head(`{"alg":"RS256","kid":"rs256","typ":"client-authentication+jwt"}`), "typ: expected"},
		{"typ of an introspection answer", head(`{"alg":"RS256","kid":"rs256","typ":"token-introspection+jwt"}`), "typ: expected"},
		{"typ of another type", head(`{"alg":"RS256","kid":"rs256","typ":1}`), "expected a string"},
		// §2.9, §3.10 what the token says about keys
		{"kid missing", head(`{"alg":"RS256","typ":"JWT"}`), "kid: expected the id of a key"},
		{"kid empty", head(`{"alg":"RS256","kid":"","typ":"JWT"}`), "kid: expected the id of a key"},
		{"kid of another type", head(`{"alg":"RS256","kid":1,"typ":"JWT"}`), `"kid": expected a string`},
		{"kid null", head(`{"alg":"RS256","kid":null,"typ":"JWT"}`), `"kid": expected a string`},
		{"kid of 257 bytes", head(`{"alg":"RS256","kid":"` + strings.Repeat("k", 257) + `","typ":"JWT"}`), "got 257 bytes"},
		{"kid that climbs folders", signText(`{"alg":"RS256","kid":"../../../../dev/null","typ":"JWT"}`, payload, otherRSA), "kid: expected one of the keys"},
		{"kid for a database", signText(`{"alg":"RS256","kid":"x' UNION SELECT 'key';--","typ":"JWT"}`, payload, otherRSA), "kid: expected one of the keys"},
		{"kid for a shell", signText(`{"alg":"RS256","kid":"|id","typ":"JWT"}`, payload, otherRSA), "kid: expected one of the keys"},
		{"kid that is a URL", signText(`{"alg":"RS256","kid":"https://evil.example.com/k","typ":"JWT"}`, payload, otherRSA), "kid: expected one of the keys"},
		{"kid in another case", signText(`{"alg":"RS256","kid":"RS256","typ":"JWT"}`, payload, rsaKey), "kid: expected one of the keys"},
		{"jwk: its own key", signText(`{"alg":"RS256","kid":"rs256","typ":"JWT","jwk":`+evilJWK+`}`, payload, otherRSA), `"jwk": expected none`},
		{"jku: a place for keys", signText(`{"alg":"RS256","kid":"rs256","typ":"JWT","jku":"https://evil.example.com/keys"}`, payload, otherRSA), `"jku": expected none`},
		{"jku: the right place", head(`{"alg":"RS256","kid":"rs256","typ":"JWT","jku":"https://id.example.com/oauth/v2/keys"}`), `"jku": expected none`},
		{"x5u: a place for certificates", head(`{"alg":"RS256","kid":"rs256","typ":"JWT","x5u":"https://evil.example.com/c"}`), `"x5u": expected none`},
		{"x5c: its own certificate", head(`{"alg":"RS256","kid":"rs256","typ":"JWT","x5c":["MIIB"]}`), `"x5c": expected none`},
		{"crit: an extension", head(`{"alg":"RS256","kid":"rs256","typ":"JWT","crit":["x"],"x":1}`), `"crit": expected none`},
		{"crit: empty", head(`{"alg":"RS256","kid":"rs256","typ":"JWT","crit":[]}`), `"crit": expected none`},
		{"b64: payload as it is", head(`{"alg":"RS256","kid":"rs256","typ":"JWT","crit":["b64"],"b64":false}`), `expected none`},
		{"b64 alone", head(`{"alg":"RS256","kid":"rs256","typ":"JWT","b64":false}`), `"b64": expected none`},
		// duplicates and case variants
		{"alg twice", head(`{"alg":"none","alg":"RS256","kid":"rs256","typ":"JWT"}`), `"alg" once, got it twice`},
		{"kid twice", head(`{"alg":"RS256","kid":"rs512","kid":"rs256","typ":"JWT"}`), `"kid" once, got it twice`},
		{"typ twice", head(`{"alg":"RS256","kid":"rs256","typ":"JWT","typ":"JWT"}`), `"typ" once, got it twice`},
		{"ALG besides", head(`{"alg":"RS256","ALG":"none","kid":"rs256","typ":"JWT"}`), `"alg", got another spelling`},
		{"Kid in another case", head(`{"alg":"RS256","Kid":"rs256","typ":"JWT"}`), `"kid", got another spelling`},
		{"kid with the Kelvin sign", head(`{"alg":"RS256","kid":"rs256","\u212aid":"rs512","typ":"JWT"}`), `"kid", got another spelling`},
		{"alg twice, one escaped", head(`{"alg":"RS256","\u0061lg":"none","kid":"rs256","typ":"JWT"}`), `"alg" once, got it twice`},
		{"a header twice that nobody knows", head(`{"alg":"RS256","kid":"rs256","typ":"JWT","x":1,"x":2}`), "got one twice"},
		{"a header twice whose name is a URN", head(`{"alg":"RS256","kid":"rs256","typ":"JWT","urn:x":1,"urn:x":2}`), "got one twice"},
		{"a header in two cases that nobody knows", head(`{"alg":"RS256","kid":"rs256","typ":"JWT","x":1,"X":2}`), "got one twice"},
		{"JKU in another case", head(`{"alg":"RS256","kid":"rs256","typ":"JWT","JKU":"https://evil.example.com"}`), `"jku", got another spelling`},
		{"exp twice", member(`"exp":99999999999`), `"exp" once, got it twice`},
		{"iss twice", member(`"iss":"https://evil.example.com"`), `"iss" once, got it twice`},
		{"aud twice", member(`"aud":"999"`), `"aud" once, got it twice`},
		{"sub twice", member(`"sub":"1"`), `"sub" once, got it twice`},
		{"jti twice", member(`"jti":"1"`), `"jti" once, got it twice`},
		{"nbf twice", member(`"nbf":0`), `"nbf" once, got it twice`},
		{"iat twice", member(`"iat":0`), `"iat" once, got it twice`},
		{"NBF besides", member(`"NBF":0`), `"nbf", got another spelling`},
		{"NONCE in another case", member(`"Nonce":"x"`), `"nonce", got another spelling`},
		{"EVENTS in another case", member(`"Events":{}`), `"events", got another spelling`},
		{"EXP besides", member(`"EXP":99999999999`), `"exp", got another spelling`},
		{"Iss besides", member(`"Iss":"https://id.example.com"`), `"iss", got another spelling`},
		{"sub with a long s besides", member(`"ſub":"1"`), `"sub", got another spelling`},
		{"at_hash in another case", member(`"AT_HASH":"x"`), `"at_hash", got another spelling`},
		{"c_hash in another case", member(`"C_Hash":"x"`), `"c_hash", got another spelling`},
		{"azp in another case", member(`"AZP":"x"`), `"azp", got another spelling`},
		{"the client's roles twice", member(`"` + clientsRoles + `":{},"` + clientsRoles + `":{}`), "got it twice"},
		{"roles twice", member(`"` + rolesClaim + `":{"owner":{"1":"x"}}`), "got it twice"},
		{"roles in another case besides", member(`"` + strings.ToUpper(rolesClaim) + `":{"owner":{"1":"x"}}`), "got another spelling"},
		{"roles of another type", without(rolesClaim, `"`+rolesClaim+`":["owner"]`), rolesClaim},
		// dates
		{"exp missing", sign(object{"exp": nil}), `claim "exp"`},
		{"exp null", without("exp", `"exp":null`), `claim "exp": expected a number of seconds, got null`},
		{"exp a text", sign(object{"exp": "99999999999"}), `claim "exp": expected a number`},
		{"exp past", sign(object{"exp": time.Now().Unix() - 31}), "expired at"},
		{"exp past as a float", without("exp", `"exp":1.5`), "expired at"},
		{"exp 0", sign(object{"exp": 0}), "expired at"},
		{"exp negative", sign(object{"exp": -1}), "expired at"},
		{"exp 1e400", without("exp", `"exp":1e400`), "at most year 9999"},
		{"exp 1e18", without("exp", `"exp":1e18`), "at most year 9999"},
		{"exp beyond 64 bits", without("exp", `"exp":18446744073709551616`), "at most year 9999"},
		{"exp of many digits", without("exp", `"exp":`+strings.Repeat("9", 5000)), "at most year 9999"},
		{"exp the largest of 64 bits", without("exp", `"exp":9223372036854775807`), "at most year 9999"},
		{"exp NaN", without("exp", `"exp":NaN`), "not JSON"},
		{"exp in hex", without("exp", `"exp":0xffffffffff`), "not JSON"},
		{"exp an array", without("exp", `"exp":[99999999999]`), `claim "exp"`},
		{"nbf to come", sign(object{"nbf": soon}), "valid only from"},
		{"nbf a text", sign(object{"nbf": "0"}), `claim "nbf"`},
		{"nbf 1e400", without("nbf", `"nbf":1e400`), "at most year 9999"},
		{"iat to come", sign(object{"iat": soon}), "issued at"},
		{"iat a text", sign(object{"iat": "0"}), `claim "iat"`},
		{"iat -1e400", without("iat", `"iat":-1e400`), "at most year 9999"},
		// the form of the token
		{"padding", encodedHeader + "=." + encodedPayload + "." + signature, "base64url without padding"},
		{"base64 of the other alphabet", encodedHeader + "." + encodedPayload + "+/." + signature, "base64url without padding"},
		{"a line break in the header", encodedHeader[:4] + "\n" + encodedHeader[4:] + "." + encodedPayload + "." + signature, "line break"},
		{"a line break in the payload", encodedHeader + "." + encodedPayload[:4] + "\r\n" + encodedPayload[4:] + "." + signature, "line break"},
		{"a line break after all", valid + "\n", "line break"},
		{"a space before all", " " + valid, "base64url without padding"},
		{"another spelling of the same signature", valid[:len(valid)-1] + otherSpelling(valid[len(valid)-1]), "base64url without padding"},
		{"three empty parts", "..", "not JSON"},
		{"no header", "." + encodedPayload + "." + signature, "not JSON"},
		{"no payload", encodedHeader + ".." + signature, "not JSON"},
		{"one part", "opaque", "three parts, got 1"},
		{"two parts", encodedHeader + "." + encodedPayload, "three parts, got 2"},
		{"four parts", valid + ".x", "three parts, got 4"},
		{"empty", "", "three parts, got 1"},
		{"16 KiB and a byte", sign(object{"x": strings.Repeat("x", maxToken)}), "at most 16384 bytes"},
		{"NULs", "\x00.\x00.\x00", "base64url without padding"},
	}
}

func TestEveryAttackIsRefused(t *testing.T) {
	i := newIssuer()
	v := i.verifier(t)
	_, err := v.Verify(t.Context(), sign(nil))
	require.NoError(t, err, "the token that the attacks are made of is good")
	names := make(map[string]bool)
	for _, a := range attacks() {
		require.False(t, names[a.rule], "two rows are called %q", a.rule)
		names[a.rule] = true
		t.Run(a.rule, func(t *testing.T) {
			// A fresh one each time, so that no row profits from what another left behind.
			id, err := i.verifier(t).Verify(t.Context(), a.token)
			assert.Nil(t, id)
			require.ErrorIs(t, err, postern.ErrInvalidToken)
			assert.ErrorContains(t, err, a.says)
			assert.NotContains(t, err.Error(), sign(nil)[100:200], "errors show nothing of the token")
			assert.Less(t, len(err.Error()), 600)
		})
	}
	assert.Empty(t, i.others, "nothing is fetched but the issuer's keys")
}

func TestAnAttackLeavesNothingInTheCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newIssuer().verifier(t)
		for _, a := range attacks() {
			for range 2 {
				_, err := v.Verify(t.Context(), a.token)
				require.ErrorIs(t, err, postern.ErrInvalidToken, a.rule)
			}
		}
		assert.Zero(t, v.tokens.Counts().Entries)
	})
}

// derSignature signs as most of ECDSA's users do, but not JOSE (RFC 7518 §3.4).
func derSignature(signed string) []byte {
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, p256Key, digest[:])
	if err != nil {
		panic(err)
	}
	return must(asn1.Marshal(struct{ R, S *big.Int }{r, s}))
}

// beyondOrder adds the group's order to the second half of a good signature, which RFC 8032 §5.1.7 refuses: else one token would
// have several signatures.
func beyondOrder(payload string) string {
	token := signText(`{"alg":"EdDSA","kid":"eddsa","typ":"JWT"}`, payload, ed25519Key)
	signature := must(base64.RawURLEncoding.DecodeString(lastPart(token)))
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	s := slices.Clone(signature[32:]) // little-endian
	slices.Reverse(s)
	new(big.Int).Add(new(big.Int).SetBytes(s), order).FillBytes(s)
	slices.Reverse(s)
	return token[:strings.LastIndexByte(token, '.')+1] + base64.RawURLEncoding.EncodeToString(append(signature[:32:32], s...))
}

func lastPart(token string) string { return token[strings.LastIndexByte(token, '.')+1:] }

func utf16(text string) []byte {
	var b bytes.Buffer
	for _, c := range []byte(text) {
		b.Write([]byte{0, c})
	}
	return b.Bytes()
}

// otherSpelling changes the bits of a last character that decode to nothing: 256 bytes leave four.
func otherSpelling(last byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, last)^1])
}
