package oauth

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
)

// maxText is the length to which text of the server's is cut, in bytes.
const maxText = 200

// Sanitise returns what may be shown of a text of the server's: its printable ASCII, line breaks as spaces, at most 200 bytes.
func Sanitise(text string) string { return cut(printable(text)) }

func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			return ' '
		case r < ' ' || r > '~':
			return -1
		}
		return r
	}, text)
}

func cut(text string) string {
	if len(text) > maxText {
		return text[:maxText-3] + "..."
	}
	return text
}

// maxSearched is how much of a server's text is searched for secrets, in bytes; what lies beyond is not shown.
const maxSearched = 4096

// partLength is how many bytes of a secret in a row, or all of a shorter one, give it away.
const partLength = 12

// redactor cuts secrets, and recognisable parts of them, out of text.
type redactor struct{ secrets []string }

func newRedactor(secrets []string) redactor {
	var r redactor
	for _, s := range secrets {
		for _, form := range []string{s, url.QueryEscape(s), url.PathEscape(s)} {
			if form = printable(form); form != "" { // as the text will be that is searched
				r.secrets = append(r.secrets, form)
			}
		}
	}
	return r
}

// clean returns the text sanitised, cut, and with [redacted] in place of what was secret.
func (r redactor) clean(text string) string {
	text = printable(text[:min(len(text), maxSearched)])
	hidden := make([]bool, len(text))
	for _, secret := range r.secrets {
		n := min(len(secret), partLength)
		for i := 0; i+n <= len(text); i++ {
			if strings.Contains(secret, text[i:i+n]) {
				for j := i; j < i+n; j++ {
					hidden[j] = true
				}
			}
		}
	}
	var b strings.Builder
	for i := range len(text) {
		switch {
		case !hidden[i]:
			b.WriteByte(text[i])
		case i == 0 || !hidden[i-1]:
			b.WriteString("[redacted]")
		}
	}
	return cut(b.String())
}

// holds reports whether the text has anything secret in it.
func (r redactor) holds(text string) bool { return r.clean(text) != Sanitise(text) }

// sentSecrets lists what a request carries that nobody else may see.
func sentSecrets(form url.Values, header http.Header) []string {
	var secrets []string
	for _, name := range []string{"assertion", "client_assertion", "client_secret", "token", "refresh_token", "subject_token", "actor_token", "password", "code"} {
		secrets = append(secrets, form[name]...)
	}
	for _, value := range header["Authorization"] {
		_, credentials, _ := strings.Cut(value, " ")
		secrets = append(secrets, credentials)
		if decoded, err := base64.StdEncoding.DecodeString(credentials); err == nil {
			if _, password, ok := strings.Cut(string(decoded), ":"); ok {
				secrets = append(secrets, password)
				if raw, err := url.QueryUnescape(password); err == nil {
					secrets = append(secrets, raw)
				}
			}
		}
	}
	return secrets
}
