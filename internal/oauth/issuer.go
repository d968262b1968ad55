// Package oauth asks an OpenID provider: discovery, and one bounded client for every form and document.
//
//	issuer, err := oauth.New(oauth.Config{Issuer: cfg.Issuer, HTTPClient: cfg.HTTPClient, Header: cfg.Header})
//	url, err := issuer.URL(ctx, oauth.Introspection)
//	resp, err := issuer.PostForm(ctx, url, form, authorize, secret)
//
// What comes from the server is read to a limit, has the content type it should have, and never sends us elsewhere. Errors
// hold nothing that was sent as a secret, and of what was received only the error's code and description, sanitised.
package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/postern-go/postern/internal/basetransport"
	"github.com/postern-go/postern/internal/origin"
)

// Endpoint is the name of an endpoint in the discovery document.
type Endpoint string

// The endpoints that this module asks.
const (
	Token         Endpoint = "token_endpoint"
	Introspection Endpoint = "introspection_endpoint"
	Revocation    Endpoint = "revocation_endpoint"
	JWKS          Endpoint = "jwks_uri"
)

// option is the field of a user's Config that overrides the endpoint.
func (e Endpoint) option() string {
	switch e {
	case Token:
		return "TokenURL"
	case Introspection:
		return "IntrospectionURL"
	case Revocation:
		return "RevocationURL"
	}
	return "JWKSURL"
}

// Config says whom to ask and how.
type Config struct {
	// Issuer is the provider's URL, which may have a path, exactly as its discovery document says it.
	Issuer string
	// HTTPClient is copied; the copy follows no redirect and has a timeout. Nil means a client that is shared by all.
	HTTPClient *http.Client
	// Header is added to every request; it is copied.
	Header http.Header
	// AllowHTTP lets plain http go to other hosts than loopback.
	AllowHTTP bool
	// Endpoints override those of the discovery document; the empty string does not. They may have another origin.
	Endpoints map[Endpoint]string
}

// Issuer is one provider. It is safe for concurrent use.
type Issuer struct {
	issuer    string
	origin    string
	client    *http.Client
	header    http.Header
	host      string // sent as Host when Header names one
	allowHTTP bool
	override  map[Endpoint]string
	discovery discovery
}

// New checks cfg and reports every mistake at once. It does no I/O.
func New(cfg Config) (*Issuer, error) {
	i := &Issuer{issuer: cfg.Issuer, allowHTTP: cfg.AllowHTTP, override: make(map[Endpoint]string)}
	parsed, err := parseURL(cfg.Issuer, cfg.AllowHTTP)
	if err == nil && (parsed.RawQuery != "" || parsed.ForceQuery) {
		err = errors.New("expected a URL without a query, got one: name the issuer as its discovery document does")
	}
	errs := []error{named("Issuer", err)}
	if err == nil {
		i.origin = origin.Of(parsed)
	}
	for _, e := range []Endpoint{Token, Introspection, Revocation, JWKS} {
		if override := cfg.Endpoints[e]; override != "" {
			_, err := parseURL(override, cfg.AllowHTTP)
			errs = append(errs, named(e.option(), err))
			i.override[e] = override
		}
	}
	i.header, i.host, err = copyHeader(cfg.Header)
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	client := basetransport.Client()
	if cfg.HTTPClient != nil {
		client = cfg.HTTPClient
	}
	copied := *client
	copied.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if copied.Timeout == 0 {
		copied.Timeout = basetransport.Timeout
	}
	i.client = &copied
	return i, nil
}

// Issuer returns the issuer's URL as it was given.
func (i *Issuer) Issuer() string { return i.issuer }

// URL returns where the endpoint is: where the Config says, and otherwise where the issuer's discovery document says, which is
// fetched on first use, with retries, and kept. An endpoint of another origin than the issuer's is refused unless the Config
// names it. Concurrent callers share one fetch, and each stops waiting when its ctx ends. After a failure the server is not
// asked again for a while; the error of a call in that time is the one remembered. So it is, for a minute, after a document that has
// no such endpoint, or one that is refused.
func (i *Issuer) URL(ctx context.Context, e Endpoint) (string, error) {
	if override := i.override[e]; override != "" {
		return override, nil
	}
	found, err := i.discovery.get(ctx, i.discover, func(found endpoints) bool { _, err := i.endpoint(found, e); return err == nil })
	if err != nil {
		return "", fmt.Errorf("discovery of %s: %w", i.issuer, err)
	}
	return i.endpoint(found, e)
}

// endpoint picks one out of what was found, and holds it against the rules.
func (i *Issuer) endpoint(found endpoints, e Endpoint) (string, error) {
	endpoint := found[e]
	if endpoint == "" {
		return "", Unusable(fmt.Errorf("discovery of %s: expected %s, got none: set %s if the server has one", i.issuer, e, e.option()))
	}
	parsed, err := parseURL(endpoint, i.allowHTTP)
	if err != nil {
		return "", Unusable(fmt.Errorf("discovery of %s: %s: %w", i.issuer, e, err))
	}
	if got := origin.Of(parsed); got != i.origin {
		return "", Unusable(fmt.Errorf("discovery of %s: %s: expected the issuer's origin %s, got %s: set %s if credentials may go there",
			i.issuer, e, i.origin, Sanitise(got), e.option()))
	}
	return endpoint, nil
}

// parseURL returns an absolute http(s) URL without user info and fragment, or an error that shows no part of text: it may
// hold a password.
func parseURL(text string, allowHTTP bool) (*url.URL, error) {
	if text == "" {
		return nil, errors.New("expected a URL such as https://my-instance.zitadel.cloud, got nothing")
	}
	u, err := url.Parse(text)
	switch {
	case err != nil && strings.Contains(text, "://"):
		return nil, errors.New("expected a URL such as https://my-instance.zitadel.cloud, got text that is not one: leave out spaces, and write the port as a number")
	case err != nil || !slices.Contains([]string{"http", "https"}, u.Scheme):
		return nil, errors.New("expected a URL that begins with https://, got one with another scheme or none: write https:// before the host")
	case u.Hostname() == "":
		return nil, errors.New("expected a URL with a host, such as https://my-instance.zitadel.cloud, got one without")
	case u.User != nil:
		return nil, errors.New("expected a URL without user name and password, got them: give credentials in the fields for them")
	case strings.Contains(text, "#"):
		return nil, errors.New("expected a URL without a fragment, got one: leave out # and what follows")
	}
	return u, origin.Secure(u, allowHTTP)
}

func copyHeader(header http.Header) (copied http.Header, host string, err error) {
	copied = make(http.Header)
	var errs []error
	for name, values := range header {
		canonical := http.CanonicalHeaderKey(name)
		switch {
		case !headerName(name):
			errs = append(errs, errors.New("Header: expected names of letters, digits and hyphens, got another"))
		case slices.Contains([]string{"Authorization", "Proxy-Authorization", "Accept", "Content-Type", "Content-Length", "Transfer-Encoding", "Connection"}, canonical):
			errs = append(errs, fmt.Errorf("Header: %s is not for you to set: leave it out", canonical))
		case slices.ContainsFunc(values, func(v string) bool { return strings.ContainsAny(v, "\r\n\x00") }):
			errs = append(errs, fmt.Errorf("Header: %s: expected a value of one line, got a line break or a NUL", canonical))
		case canonical == "Host":
			if len(values) > 0 {
				host = values[0] // net/http takes Host from the request, not from its header
			}
		default:
			copied[canonical] = append(copied[canonical], values...)
		}
	}
	return copied, host, errors.Join(errs...)
}

func headerName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_')
	})
}

func named(field string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", field, err)
}
