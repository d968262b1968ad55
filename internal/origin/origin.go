// Package origin is the one rule for URLs: where a token or credential may go. An origin is scheme, host and port, compared
// after the mapping that net/http itself does before it dials, so that what is compared is what would be connected to.
//
//	p, err := origin.Parse("https://*.example.com")
//	ok := p.Match(req.URL)                            // exactly one label in place of the star
//	err = origin.Secure(req.URL, false)               // https, or http to loopback
package origin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Loopback reports whether host, without port and brackets, is this machine: localhost, *.localhost (RFC 6761 §6.3),
// 127.0.0.0/8 or ::1. Other spellings, such as 127.1, 0x7f.1 or localhost with a dot at the end, are not: resolvers
// disagree about them.
func Loopback(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.IsLoopback() && addr.Zone() == ""
	}
	host, ok := cutSuffixFold(host, "localhost")
	return ok && (host == "" || len(host) > 1 && host[len(host)-1] == '.')
}

// Of returns the origin as "scheme://host:port": lower case, the port always there, an IPv6 address in its shortest form in
// brackets, an international name in the ASCII form that is dialled. It returns "" for a URL that has no origin to trust:
// another scheme than http and https, no host, a port out of range, a name with characters that no host name has.
func Of(u *url.URL) string {
	o, ok := parse(u)
	if !ok {
		return ""
	}
	return o.String()
}

// Secure returns nil when credentials may travel to u: https, or http to Loopback, or http anywhere when allowHTTP is set.
// The error says what to change.
func Secure(u *url.URL, allowHTTP bool) error {
	o, ok := parse(u)
	switch {
	case !ok:
		return fmt.Errorf("%s: expected https://host, with a valid host name and port", show(u))
	case o.scheme == "https", allowHTTP, Loopback(o.host):
		return nil
	}
	return fmt.Errorf("%s: plain http shows credentials to everybody on the way; use https, or set AllowHTTP in the code if that network is trusted", show(u))
}

// Pattern is an origin, or with "*." before its host every origin that has exactly one label in place of the star. The zero
// Pattern matches nothing. It is immutable.
type Pattern struct {
	origin
	wildcard bool
	literal  string // unless wildcard, the host as the caller wrote it: requests mostly spell it the same way
}

// Parse reads "https://api.example.com", "http://localhost:8080", "https://[::1]" or "https://*.example.com". Paths (other
// than a single slash), queries, fragments and user info are refused: an origin has none, and ignoring them would
// promise a limit that is not kept.
func Parse(s string) (*Pattern, error) {
	if s == "" {
		return nil, errors.New(`origin is empty; write it as "https://api.example.com"`)
	}
	u, err := url.Parse(s)
	if err != nil {
		// The text may hold user info, and url.Parse repeats it.
		return nil, errors.New(`origin is no URL; write it as "https://api.example.com"`)
	}
	if u.User != nil {
		return nil, fmt.Errorf("origin %s has user info, which an origin has not; leave it out", show(u))
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		if strings.Contains(s, "@") { // user info without a scheme before it is parsed as something else
			return nil, errors.New(`origin without http:// or https://, or with user info; write it as "https://api.example.com"`)
		}
		return nil, fmt.Errorf(`origin %q: expected https:// and a host, as in "https://api.example.com"`, s)
	}
	if u.Opaque != "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(s, "#") {
		return nil, fmt.Errorf("origin %s has more than scheme, host and port, which would limit nothing: the token goes to every path of an origin; write %[1]s", show(u))
	}
	p := &Pattern{literal: u.Host}
	if rest, found := strings.CutPrefix(u.Host, "*."); found {
		p.wildcard, p.literal, u.Host = true, "", rest
	}
	var ok bool
	if p.origin, ok = parse(u); !ok {
		return nil, fmt.Errorf(`origin %q: expected a host name or address and a valid port; a star stands only for the whole first label, as in "https://*.example.com"`, s)
	}
	if p.wildcard && (!strings.Contains(p.host, ".") && p.host != "localhost" || p.address || number(p.host[strings.LastIndexByte(p.host, '.')+1:])) {
		return nil, fmt.Errorf("origin %q: a star needs a domain of yours after it, not a whole top level or an address", s)
	}
	return p, nil
}

// Match reports whether u's origin is the pattern's. A URL that names its host as the pattern does costs no allocation.
func (p *Pattern) Match(u *url.URL) bool {
	return u != nil && p.literal != "" && u.Host == p.literal && u.Scheme == p.scheme || p.matches(u)
}

func (p *Pattern) matches(u *url.URL) bool {
	o, ok := parse(u)
	if !ok || p.host == "" || o.scheme != p.scheme || o.port != p.port {
		return false
	}
	if !p.wildcard {
		return o.host == p.host
	}
	label, ok := strings.CutSuffix(o.host, p.host)
	return ok && len(label) > 1 && strings.IndexByte(label, '.') == len(label)-1
}

// Secure is the function Secure for the pattern itself.
func (p *Pattern) Secure(allowHTTP bool) error {
	return Secure(&url.URL{Scheme: p.scheme, Host: net.JoinHostPort(p.host, p.port)}, allowHTTP)
}

// String returns the pattern as an origin.
func (p *Pattern) String() string {
	o := p.origin
	if p.wildcard {
		o.host = "*." + o.host
	}
	return o.String()
}

type origin struct {
	scheme, host, port string
	address            bool // host is an IP address
}

// String escapes the sign before an IPv6 zone (RFC 6874 §2), so that what it returns can be parsed again.
func (o origin) String() string {
	return o.scheme + "://" + net.JoinHostPort(strings.Replace(o.host, "%", "%25", 1), o.port)
}

func parse(u *url.URL) (o origin, ok bool) {
	if u == nil {
		return origin{}, false
	}
	switch {
	case strings.EqualFold(u.Scheme, "https"):
		o.scheme, o.port = "https", "443"
	case strings.EqualFold(u.Scheme, "http"):
		o.scheme, o.port = "http", "80"
	default:
		return origin{}, false
	}
	if port := u.Port(); port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return origin{}, false
		}
		o.port = strconv.FormatUint(n, 10)
	}
	o.host = u.Hostname()
	if !isASCII(o.host) {
		if o.host, ok = dialled(o.host); !ok {
			return origin{}, false
		}
	}
	// Every address has a colon or ends in a digit. ParseAddr's error for a name would be an allocation.
	if n := len(o.host); n > 0 && (strings.Contains(o.host, ":") || '0' <= o.host[n-1] && o.host[n-1] <= '9') {
		if addr, err := netip.ParseAddr(o.host); err == nil {
			o.host, o.address = addr.String(), true
			return o, addr.Zone() == "" || isName(addr.Zone())
		}
	}
	// Hostname cuts the brackets off whatever is in them; only addresses belong there.
	if strings.HasPrefix(u.Host, "[") || !isName(o.host) {
		return origin{}, false
	}
	o.host = strings.ToLower(o.host)
	return o, true
}

// isName reports whether host is made of the characters of host names, and of labels that are not empty. A dot at the end
// makes another origin, as in browsers, and none that a certificate is made out to.
func isName(host string) bool {
	if len(host) == 0 || len(host) > 253 {
		return false
	}
	previous := byte('.')
	for i := range len(host) {
		c := host[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		case c == '.' && previous != '.':
		default:
			return false
		}
		previous = c
	}
	return previous != '.'
}

// dialled returns what net/http connects to for an international name. The mapping (RFC 5891 with UTS 46) is not exported by
// the standard library, so a transport is asked to dial, and the dialler writes down the name and refuses.
func dialled(host string) (string, bool) {
	if strings.Contains(host, ":") { // what follows would pass for its port
		return "", false
	}
	var address string
	refused := errors.New("not dialled")
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(_ context.Context, _, addr string) (net.Conn, error) {
			address = addr
			return nil, refused
		},
	}
	_, err := transport.RoundTrip(&http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: "http", Host: host}, Header: http.Header{}})
	if !errors.Is(err, refused) {
		return "", false
	}
	name, _, err := net.SplitHostPort(address)
	return name, err == nil && isASCII(name)
}

// show writes a URL for an error text, without user info, path, query and fragment, which may hold secrets.
func show(u *url.URL) string {
	if u == nil {
		return "no URL"
	}
	return strconv.Quote((&url.URL{Scheme: u.Scheme, Host: u.Host}).String())
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// cutSuffixFold is strings.CutSuffix for an ASCII suffix in any case.
func cutSuffixFold(s, suffix string) (string, bool) {
	n := len(s) - len(suffix)
	if n < 0 || !isASCII(s) || !strings.EqualFold(s[n:], suffix) {
		return s, false
	}
	return s[:n], true
}

// number reports whether a host's last label is one, as in an IPv4 address or the end of one (WHATWG URL §3.5, "ends in a number").
func number(label string) bool { return label != "" && strings.Trim(label, "0123456789") == "" }
