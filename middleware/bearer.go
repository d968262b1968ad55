package middleware

import "strings"

// maxHeader bounds the value of the Authorization header, in bytes. ZITADEL's opaque tokens take about 300, its JWTs with
// many roles a few thousand; what is longer is not worth hashing.
const maxHeader = 8 << 10

// bearer takes the token out of the values of the Authorization header, or says why there is none: NoToken or
// MalformedHeader. It takes exactly one value of the form that RFC 6750 §2.1 gives,
//
//	credentials = "Bearer" 1SP b64token
//	b64token    = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="
//
// with the scheme in any case (RFC 9110 §11.1).
func bearer(values []string) (token string, reason Reason) {
	switch {
	case len(values) == 0:
		return "", NoToken
	case len(values) > 1, len(values[0]) > maxHeader:
		return "", MalformedHeader
	}
	scheme, token, found := strings.Cut(values[0], " ")
	switch {
	case !strings.EqualFold(scheme, "Bearer"):
		if isScheme(scheme) {
			return "", NoToken
		}
		return "", MalformedHeader
	case !found, !isB64Token(token):
		return "", MalformedHeader
	}
	return token, ""
}

// isB64Token looks eight bytes up at a time, in less than half the time of looking at each: every request pays for it.
func isB64Token(s string) bool {
	s = strings.TrimRight(s, "=")
	if s == "" {
		return false
	}
	bad := false
	for ; len(s) >= 8; s = s[8:] {
		bad = bad || notB64[s[0]]|notB64[s[1]]|notB64[s[2]]|notB64[s[3]]|notB64[s[4]]|notB64[s[5]]|notB64[s[6]]|notB64[s[7]] != 0
	}
	for i := range len(s) {
		bad = bad || notB64[s[i]] != 0
	}
	return !bad
}

// notB64 has a 1 for every byte that a b64token has not.
var notB64 = func() (table [256]byte) {
	for i := range table {
		if c := byte(i); !alphanumeric(c) && strings.IndexByte("-._~+/", c) < 0 {
			table[i] = 1
		}
	}
	return table
}()

// isScheme tells whether s is a token as RFC 9110 §5.6.2 means it, of which schemes are made.
func isScheme(s string) bool {
	for i := range len(s) {
		if !alphanumeric(s[i]) && strings.IndexByte("!#$%&'*+-.^_`|~", s[i]) < 0 {
			return false
		}
	}
	return s != ""
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
