package middleware

import "strings"

// maxHeader bounds the value of the Authorization header, in bytes. ZITADEL's opaque tokens take about 300, its JWTs with
// many roles a few thousand; what is longer is not worth hashing.
const maxHeader = 8 << 10

// tokenOf takes the token out of the values of the Authorization header, or says why there is none: NoToken or
// MalformedHeader. It takes exactly one value of the form that RFC 6750 §2.1 gives,
//
//	credentials = "Bearer" 1SP b64token
//
// with the scheme in any case (RFC 9110 §11.1), but for the characters of the b64token, which are left to Gate.verify.
func tokenOf(values []string) (token string, reason Reason) {
	switch {
	case len(values) == 0:
		return "", NoToken
	case len(values) > 1, len(values[0]) > maxHeader:
		return "", MalformedHeader
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	switch isBearer := strings.EqualFold(scheme, "Bearer"); {
	case isBearer && token != "":
		return token, ""
	case !isBearer && isScheme(scheme):
		return "", NoToken
	}
	return "", MalformedHeader
}

// isScheme tells whether s is a token as RFC 9110 §5.6.2 means it, of which schemes are made.
func isScheme(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", c))
	})
}
