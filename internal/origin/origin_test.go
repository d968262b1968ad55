package origin_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/internal/origin"
)

func TestLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost":         true,
		"LocalHost":         true,
		"acme.localhost":    true,
		"127.0.0.1":         true,
		"127.255.0.3":       true,
		"::1":               true,
		"::ffff:127.0.0.1":  true,
		"":                  false,
		".localhost":        false,
		"localhost.":        false,
		"evillocalhost":     false,
		"localhost.evil.io": false,
		"128.0.0.1":         false,
		"127.1":             false,
		"2130706433":        false,
		"0x7f.0.0.1":        false,
		"0127.0.0.1":        false,
		"::2":               false,
		"::1%eth0":          false,
		"0.0.0.0":           false,
		"lo\u212aalhost":    false,
		"127.0.0.1.nip.io":  false,
	} {
		assert.Equal(t, want, origin.Loopback(host), "host %q", host)
	}
}

func TestOf(t *testing.T) {
	for in, want := range map[string]string{
		"https://api.example.com":         "https://api.example.com:443",
		"https://api.example.com/a/b?c#d": "https://api.example.com:443",
		"HTTPS://API.Example.COM:443":     "https://api.example.com:443",
		"https://api.example.com:":        "https://api.example.com:443",
		"https://api.example.com:0443":    "https://api.example.com:443",
		"http://api.example.com":          "http://api.example.com:80",
		"http://api.example.com:8080":     "http://api.example.com:8080",
		"https://[::1]":                   "https://[::1]:443",
		"https://[0:0:0:0:0:0:0:1]:8443":  "https://[::1]:8443",
		"https://[FE80::1%25eth0]":        "https://[fe80::1%25eth0]:443",
		"https://[fe80::1%25a%5Db]":       "",
		"https://192.0.2.1":               "https://192.0.2.1:443",
		"https://bücher.example":          "https://xn--bcher-kva.example:443",
		"https://BÜCHER.example":          "https://xn--bcher-kva.example:443",
		"https://xn--bcher-kva.example":   "https://xn--bcher-kva.example:443",
		"https://api\u3002example.com":    "https://api.example.com:443",
		"https://①27.0.0.1":               "https://127.0.0.1:443",
		"https://user@api.example.com":    "https://api.example.com:443",
		"ftp://api.example.com":           "",
		"api.example.com":                 "",
		"//api.example.com":               "",
		"https://":                        "",
		"https:///path":                   "",
		"https:api.example.com":           "",
		"https://api.example.com:0":       "",
		"https://api.example.com:65536":   "",
		"https://api.example.com.":        "",
		"https://api..example.com":        "",
		"https://.example.com":            "",
		"https://*.example.com":           "",
		"https://api,example.com":         "",
	} {
		u, err := url.Parse(in)
		require.NoError(t, err, in)
		assert.Equal(t, want, origin.Of(u), in)
	}
	assert.Empty(t, origin.Of(nil))
}

// URLs that no parser gives, but that a program can put together.
func TestOfHandMadeURLs(t *testing.T) {
	for _, host := range []string{
		"api.example.com@evil.example", "evil.example#.example.com", "evil.example/.example.com", "evil.example\\.example.com",
		"[api.example.com]", "api.example.com:443:80", "api.example.com:http", "api.example.com ", "api.example.com\x00",
		"bücher.example:443:80", "\u00ad127.0.0.1::80", "a b.example.com", strings.Repeat("a.", 130) + "example.com",
	} {
		assert.Empty(t, origin.Of(&url.URL{Scheme: "https", Host: host}), "host %q", host)
	}
}

func TestSecure(t *testing.T) {
	for _, test := range []struct {
		url       string
		allowHTTP bool
		want      string
	}{
		{"https://api.example.com", false, ""},
		{"http://localhost:8080", false, ""},
		{"http://127.0.0.1", false, ""},
		{"http://[::1]:80", false, ""},
		{"http://api.example.com", true, ""},
		{"http://api.example.com", false, "AllowHTTP"},
		{"http://localhost.evil.example", false, "AllowHTTP"},
		{"ftp://localhost", true, "expected https://host"},
		{"https://", false, "expected https://host"},
	} {
		u, err := url.Parse(test.url)
		require.NoError(t, err)
		if err := origin.Secure(u, test.allowHTTP); test.want == "" {
			assert.NoError(t, err, test.url)
		} else {
			assert.ErrorContains(t, err, test.want, test.url)
		}
	}
	assert.Error(t, origin.Secure(nil, true))
	err := origin.Secure(&url.URL{Scheme: "http", Host: "x.example", User: url.UserPassword("u", "hunter2"), RawQuery: "token=hunter2"}, false)
	assert.NotContains(t, err.Error(), "hunter2")
}

func TestPattern(t *testing.T) {
	for _, test := range []struct {
		pattern, url string
		want         bool
	}{
		{"https://api.example.com", "https://api.example.com/x", true},
		{"https://api.example.com/", "https://API.example.com:443/x", true},
		{"https://api.example.com:443", "https://api.example.com", true},
		{"https://API.example.com", "https://api.example.com", true},
		{"https://api.example.com", "http://api.example.com", false},
		{"https://api.example.com", "http://api.example.com:443", false},
		{"https://api.example.com", "https://api.example.com:8443", false},
		{"https://api.example.com", "https://example.com", false},
		{"https://api.example.com", "https://api.example.com.evil.example", false},
		{"https://api.example.com", "https://evilapi.example.com", false},
		{"https://bücher.example", "https://bücher.example", true},
		{"https://bücher.example", "https://xn--bcher-kva.example", true},
		{"https://xn--bcher-kva.example", "https://BÜCHER.example", true},
		{"https://bücher.example", "https://bucher.example", false},
		{"https://[::1]:8443", "https://[0::1]:8443", true},
		{"http://127.0.0.1:1", "http://127.0.0.1:2", false},
		{"https://*.example.com", "https://a.example.com", true},
		{"https://*.example.com", "https://A.EXAMPLE.com:443", true},
		{"https://*.example.com", "https://ü.example.com", true},
		{"https://*.bücher.example", "https://a.xn--bcher-kva.example", true},
		{"https://*.example.com:8443", "https://a.example.com:8443", true},
		{"http://*.localhost", "http://acme.localhost", true},
		{"https://*.example.com", "https://example.com", false},
		{"https://*.example.com", "https://a.b.example.com", false},
		{"https://*.example.com", "https://a\u3002b.example.com", false},
		{"https://*.example.com", "https://.example.com", false},
		{"https://*.example.com", "https://evilexample.com", false},
		{"https://*.example.com", "https://*.example.com", false},
		{"https://*.example.com", "https://a.example.com:444", false},
		{"https://*.example.com", "http://a.example.com", false},
	} {
		p, err := origin.Parse(test.pattern)
		require.NoError(t, err, test.pattern)
		u, err := url.Parse(test.url)
		require.NoError(t, err, test.url)
		assert.Equal(t, test.want, p.Match(u), "%s matches %s", test.pattern, test.url)
	}
	assert.False(t, new(origin.Pattern).Match(&url.URL{Scheme: "https", Host: ""}))
	p, err := origin.Parse("https://*.Example.com")
	require.NoError(t, err)
	assert.Equal(t, "https://*.example.com:443", p.String())
	assert.False(t, p.Match(nil))
}

func TestPatternSecure(t *testing.T) {
	for pattern, secure := range map[string]bool{
		"https://api.example.com": true, "http://[::1]:80": true, "http://*.localhost:1": true, "http://api.example.com": false,
	} {
		p, err := origin.Parse(pattern)
		require.NoError(t, err)
		assert.Equal(t, secure, p.Secure(false) == nil, pattern)
		assert.NoError(t, p.Secure(true), pattern)
	}
}

func TestParseRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"":                                    "empty",
		"api.example.com":                     "expected https://",
		"//api.example.com":                   "expected https://",
		"ftp://api.example.com":               "expected https://",
		"https:api.example.com":               "expected https://",
		"https://":                            "expected https://",
		"https://api.example.com/v1":          `write "https://api.example.com"`,
		"https://api.example.com?x":           "more than scheme",
		"https://api.example.com?":            "more than scheme",
		"https://api.example.com#":            "more than scheme",
		"https://api.example.com#x":           "more than scheme",
		"https://user:hunter2@example.com":    "user info",
		"https://api.example.com:99999":       "valid port",
		"https://api.*.example.com":           "whole first label",
		"https://a*.example.com":              "whole first label",
		"https://*":                           "whole first label",
		"https://*.":                          "whole first label",
		"https://*.*.example.com":             "whole first label",
		"https://*.com":                       "domain of yours",
		"https://*.127.0.0.1":                 "domain of yours",
		"https://*.0.0.1":                     "domain of yours",
		"https://hunter2:pass word@x.example": "no URL",
		"user:hunter2@api.example.com":        "without http:// or https://",
		"//user:hunter2@":                     "user info",
	} {
		_, err := origin.Parse(in)
		require.Error(t, err, in)
		assert.ErrorContains(t, err, want, in)
		assert.NotContains(t, err.Error(), "hunter2")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"https://api.example.com", "https://*.example.com", "http://[::1]:80", "https://bücher.example", "https://u:p@x/", "https://*.com", "https://[fe80::1%25eth0]", "https://[fe80::1%25a%5Db]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := origin.Parse(s)
		if err != nil {
			return
		}
		again, err := origin.Parse(p.String())
		require.NoError(t, err, "%q gave %q", s, p)
		require.Equal(t, p.String(), again.String())
		if u, err := url.Parse(s); err == nil && origin.Of(u) != "" {
			require.True(t, p.Match(u), "%q does not match itself", s)
			require.True(t, again.Match(u), "%q does not match its canonical form", s)
		}
	})
}

func TestMatchAllocatesNothing(t *testing.T) {
	for pattern, target := range map[string]string{
		"https://api.example.com": "https://api.example.com/v1", "https://*.example.com": "https://a.example.com/v1",
	} {
		p, err := origin.Parse(pattern)
		require.NoError(t, err)
		u, err := url.Parse(target)
		require.NoError(t, err)
		require.True(t, p.Match(u))
		assert.Zero(t, testing.AllocsPerRun(100, func() { p.Match(u) }), pattern)
	}
}
