package localjwt

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/postern-go/postern/internal/strictjson"
)

const (
	maxToken = 16 << 10 // bytes of a token; ZITADEL's JWTs have about one thousand
	maxKeyID = 256      // bytes of a kid; ZITADEL's have 18
)

// methods is the allow-list of algorithms (RFC 8725 §3.1): no HMAC, so that no public key is ever taken for a secret, and no
// "none". A method comes from here by the key's own algorithm, never by what a token says alone.
var methods = map[string]jwt.SigningMethod{
	"RS256": jwt.SigningMethodRS256,
	"RS384": jwt.SigningMethodRS384,
	"RS512": jwt.SigningMethodRS512,
	"PS256": jwt.SigningMethodPS256,
	"ES256": jwt.SigningMethodES256,
	"ES384": jwt.SigningMethodES384,
	"EdDSA": jwt.SigningMethodEdDSA,
}

// isJWT tells by the number of parts (RFC 7515 §7.1): three. Opaque tokens of ZITADEL are encrypted and have five.
func isJWT(token string) bool { return strings.Count(token, ".") == 2 }

// jws is a token taken apart, its header checked.
type jws struct {
	algorithm, keyID string
	payload          string // decoded
	signed           string // what the signature is over: header and payload as they came
	signature        []byte
}

// parse takes a token of three parts apart. What it lets through has one spelling only: other bytes never decode to the same
// header and payload.
func parse(token string) (*jws, error) {
	if len(token) > maxToken {
		return nil, fmt.Errorf("expected at most %d bytes, got %d", maxToken, len(token))
	}
	first, last := strings.IndexByte(token, '.'), strings.LastIndexByte(token, '.')
	header, err := decode(token[:first])
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	payload, err := decode(token[first+1 : last])
	if err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	signature, err := decode(token[last+1:])
	if err != nil {
		return nil, fmt.Errorf("signature: %w", err)
	}
	t := &jws{payload: string(payload), signed: token[:last], signature: signature}
	if err := t.readHeader(string(header)); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	return t, nil
}

// types of a token, in any case (RFC 9068 §4, RFC 7515 §4.1.9). ZITADEL writes JWT.
var types = []string{"JWT", "at+jwt", "application/at+jwt"}

// headers are the names that decide something here, so that they may stand only once and in no other spelling.
var headers = append([]string{"alg", "kid", "typ"}, refusedHeaders...)

// refusedHeaders ask for something that an access token of ZITADEL never needs: extensions that must be understood (crit,
// b64), another token inside (cty), encryption or compression (enc, zip), and keys that the token brings along or points to,
// which would let whoever made the token choose the key (RFC 8725 §3.10). Nothing here is ever fetched.
var refusedHeaders = []string{"crit", "b64", "cty", "enc", "zip", "jku", "x5u", "jwk", "x5c"}

func (t *jws) readHeader(text string) error {
	header, err := strictjson.Parse(text, headers...)
	if err != nil {
		return err
	}
	var typ string
	seen := make(map[string]bool, len(header))
	for _, m := range header {
		name := strings.ToLower(m.Name)
		if seen[name] { // RFC 7515 §4, whatever it means
			return errors.New("expected each name once and in one spelling, got one twice")
		}
		seen[name] = true
		var err error
		switch m.Name {
		case "alg":
			t.algorithm, err = strictjson.String(m.Value)
		case "kid":
			t.keyID, err = strictjson.String(m.Value)
		case "typ":
			typ, err = strictjson.String(m.Value)
		default:
			if slices.Contains(refusedHeaders, m.Name) {
				err = errors.New("expected none in an access token")
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", show(m.Name), err)
		}
	}
	if methods[t.algorithm] == nil {
		return fmt.Errorf("alg: expected RS256, RS384, RS512, PS256, ES256, ES384 or EdDSA, got %s", show(t.algorithm))
	}
	if t.keyID == "" || len(t.keyID) > maxKeyID {
		return fmt.Errorf("kid: expected the id of a key, 1 to %d bytes, got %d bytes", maxKeyID, len(t.keyID))
	}
	if !slices.ContainsFunc(types, func(t string) bool { return strings.EqualFold(typ, t) }) {
		return fmt.Errorf("typ: expected JWT or at+jwt, got %s", show(typ))
	}
	return nil
}

// claims are those that decide whether a token gives access. They implement jwt.Claims.
type claims struct {
	issuer, subject, id         string
	audience                    []string
	expiry, notBefore, issuedAt *jwt.NumericDate
	ofIDToken, ofEvent, azp     bool // has a claim that only such a token has; has azp, which an id_token may have
	ofClientsProject            bool // has clientsRoles
}

// clientsRoles are the roles in the project of the client that asked for the token. Tokens that users get through an application have
// them. An introspecting API gets those in its own project by that name, which is why an Identity's HasRole asks them first:
// here that would make an admin of some other project an admin.
const clientsRoles = "urn:zitadel:iam:org:project:roles"

// readClaims reads what decides, strictly; postern.ParseIdentity is as strict about all the rest.
func readClaims(payload string) (*claims, error) {
	object, err := strictjson.Parse(payload, "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "at_hash", "c_hash", "nonce", "events", "azp",
		clientsRoles)
	if err != nil {
		return nil, err
	}
	var c claims
	for _, m := range object {
		var err error
		switch m.Name {
		case "iss":
			c.issuer, err = strictjson.String(m.Value)
		case "sub":
			c.subject, err = strictjson.String(m.Value)
		case "jti":
			c.id, err = strictjson.String(m.Value)
		case "aud":
			c.audience, err = strictjson.Strings(m.Value)
		case "exp":
			c.expiry, err = date(strictjson.Time(m.Value))
		case "nbf":
			c.notBefore, err = date(strictjson.TimeUp(m.Value))
		case "iat":
			c.issuedAt, err = date(strictjson.Time(m.Value))
		case "at_hash", "c_hash", "nonce":
			c.ofIDToken = true
		case "events":
			c.ofEvent = true
		case "azp":
			c.azp = true
		case clientsRoles:
			c.ofClientsProject = true
		}
		if err != nil {
			return nil, fmt.Errorf("claim %q: %w", m.Name, err)
		}
	}
	return &c, nil
}

// without returns a JSON object, which was parsed before, without what it has by that name.
func without(object, name string) string {
	all, _ := strictjson.Parse(object)
	var kept []string
	for _, m := range all {
		if m.Name != name {
			quoted, _ := json.Marshal(m.Name)
			kept = append(kept, string(quoted)+":"+m.Value)
		}
	}
	return "{" + strings.Join(kept, ",") + "}"
}

func date(t time.Time, err error) (*jwt.NumericDate, error) {
	if err != nil {
		return nil, err
	}
	return jwt.NewNumericDate(t), nil
}

// The methods of jwt.Claims.
func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.expiry, nil }
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error)       { return c.issuedAt, nil }
func (c *claims) GetNotBefore() (*jwt.NumericDate, error)      { return c.notBefore, nil }
func (c *claims) GetIssuer() (string, error)                   { return c.issuer, nil }
func (c *claims) GetSubject() (string, error)                  { return c.subject, nil }
func (c *claims) GetAudience() (jwt.ClaimStrings, error)       { return c.audience, nil }

// Validate implements jwt.ClaimsValidator with what makes the token an access token (RFC 8725 §3.12): ZITADEL's have sub,
// iat and jti; an id_token has no jti but at_hash or azp, and a logout token has events.
func (c *claims) Validate() error {
	switch {
	case c.ofIDToken || c.azp && c.id == "":
		return errors.New("expected an access token, got an id_token: send the access_token of the same answer")
	case c.ofEvent:
		return errors.New("expected an access token, got a token that tells of events")
	case c.id == "":
		return errors.New("claim \"jti\": expected the token's id, got none")
	case c.subject == "":
		return errors.New("claim \"sub\": expected the user's id, got none")
	case c.issuedAt == nil:
		return errors.New("claim \"iat\": expected when the token was issued, got nothing")
	}
	return nil
}

// policy is what the claims of a good token say.
type policy struct {
	issuer    string
	audience  []string
	leeway    time.Duration
	validator *jwt.Validator
}

func newPolicy(issuer string, audience []string, leeway time.Duration) *policy {
	return &policy{issuer, audience, leeway, jwt.NewValidator(
		jwt.WithIssuer(issuer), jwt.WithAudience(audience...), jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway))}
}

// check lets golang-jwt decide and says what came where it refuses.
func (p *policy) check(c *claims) error {
	err := p.validator.Validate(c)
	if err == nil {
		return nil
	}
	return cmp.Or(p.explain(c), err)
}

// explain finds the reason that helps most. Texts of the token come cut and quoted: nobody has vouched for them yet.
func (p *policy) explain(c *claims) error {
	switch now := time.Now(); {
	case c.issuer != p.issuer:
		return fmt.Errorf("claim \"iss\": expected %q, got %s", p.issuer, show(c.issuer))
	case !slices.ContainsFunc(c.audience, func(aud string) bool { return slices.Contains(p.audience, aud) }):
		return fmt.Errorf("claim \"aud\": expected one of %q, got %s; ask for the token with postern.ScopeProjectAudience",
			p.audience, show(strings.Join(c.audience, " ")))
	case c.expiry == nil:
		return errors.New("claim \"exp\": expected when the token ends, got nothing")
	case !now.Before(c.expiry.Add(p.leeway)):
		return fmt.Errorf("expired at %s, %s ago", stamp(c.expiry), now.Sub(c.expiry.Time).Round(time.Second))
	case c.notBefore != nil && now.Before(c.notBefore.Add(-p.leeway)):
		return fmt.Errorf("valid only from %s, in %s: compare the clocks", stamp(c.notBefore), c.notBefore.Sub(now).Round(time.Second))
	case c.issuedAt != nil && now.Before(c.issuedAt.Add(-p.leeway)):
		return fmt.Errorf("issued at %s, in %s: compare the clocks", stamp(c.issuedAt), c.issuedAt.Sub(now).Round(time.Second))
	}
	return c.Validate()
}

func stamp(d *jwt.NumericDate) string { return d.UTC().Format(time.RFC3339) }

// decode reads base64url without padding in its canonical form. encoding/base64 skips line breaks, which would give one
// token many spellings.
func decode(part string) ([]byte, error) {
	if strings.ContainsAny(part, "\r\n") {
		return nil, errors.New("expected base64url, got a line break in it")
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return nil, errors.New("expected base64url without padding in its canonical form (RFC 7515 §2)")
	}
	return data, nil
}

// show quotes foreign text for an error: ASCII only, at most 80 bytes of it.
func show(text string) string {
	if len(text) > 80 {
		return fmt.Sprintf("%+q…", text[:80])
	}
	return fmt.Sprintf("%+q", text)
}
