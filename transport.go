package postern

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"

	"github.com/postern-go/postern/internal/basetransport"
	"github.com/postern-go/postern/internal/bearer"
	"github.com/postern-go/postern/internal/isnil"
	"github.com/postern-go/postern/internal/origin"
)

// Transport is an http.RoundTripper that puts the source's token on requests to the origins that are named, as
// "Authorization: Bearer …" (RFC 6750 §2.1), and on no others. Its zero value refuses every request; what is wrong with its fields
// is what the first request's error says, all of it.
//
//   - A request to another origin is an error. A redirect to one goes out without the token, and coming back from there does not
//     bring it again. Where a request sets Host to another name than its URL's, that name must be among the origins too.
//   - A request that carries Authorization already, by header or as user:password in its URL, is refused, not overwritten.
//   - When the server answers 401, the token is invalidated (see Invalidator) and, where the body can be had again (none, or
//     GetBody) and the source gives another token, the request is sent once more with that. Otherwise the caller gets the 401.
//     A token that is refused the moment it is new is not invalidated for a minute: another one would fare no better,
//     and the token endpoint is not asked for one on each request.
//   - The request is not changed, and not sent when its context has ended. Its body is closed on every path. The token is not
//     in Response.Request, which is the caller's request.
//
// A Transport is safe for concurrent use. Its fields must not be changed, nor the struct copied, after its first use.
type Transport struct {
	// Source gives the tokens. Required.
	Source TokenSource
	// Origins are scheme and host, and the port where it is not the scheme's own: "https://api.example.com",
	// "http://localhost:8080", or "https://*.example.com" for every host with exactly one label in place of the star. The token
	// goes to every path of an origin. Case does not matter, and international names may be written either way.
	// At least one is required.
	Origins []string
	// Base sends the requests. Default: a clone of http.DefaultTransport that keeps 32 idle connections a host and is shared by
	// all of this module.
	Base http.RoundTripper
	// AllowHTTP lets tokens travel unencrypted to origins with http:// that are not this machine.
	AllowHTTP bool

	once    sync.Once
	err     error
	origins []*origin.Pattern
	base    http.RoundTripper

	stamp  atomic.Pointer[stamp]
	futile atomic.Pointer[futile]
}

// NewClient returns a client that puts src's token on requests to those origins; see Transport for the rules, and
// Transport.Origins for how they are written. Requests to other origins fail. The client has no timeout: give requests a context.
func NewClient(src TokenSource, origins ...string) *http.Client {
	return &http.Client{Transport: &Transport{Source: src, Origins: slices.Clone(origins)}}
}

// futileFor is how long a token that was refused when it was new is left alone.
const futileFor = time.Minute

// stamp is a token as it goes onto requests. The slice is shared by all of them, as the request's own header values are.
type stamp struct {
	token, kind string
	header      []string
}

type futile struct {
	token string
	since time.Time
}

// RoundTrip sends the request. See Transport.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	stamped, err := t.admit(req)
	if err != nil {
		closeBody(req)
		return nil, err
	}
	ctx := req.Context()
	var token *oauth2.Token
	if stamped {
		token, err = t.Source.TokenCtx(ctx)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		closeBody(req)
		return nil, err
	}
	if !stamped {
		return t.base.RoundTrip(req)
	}
	resp, err := t.send(req, token)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	return t.again(req, resp, token)
}

// CloseIdleConnections closes those of Base.
func (t *Transport) CloseIdleConnections() {
	t.once.Do(t.prepare)
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// again answers a 401: with a second try where a token that is really another can be had, else with the 401 itself.
func (t *Transport) again(req *http.Request, resp *http.Response, refused *oauth2.Token) (*http.Response, error) {
	if f := t.futile.Load(); f != nil && f.token == refused.AccessToken && time.Since(f.since) < futileFor {
		return resp, nil
	}
	if i, ok := t.Source.(Invalidator); ok {
		i.Invalidate(refused.AccessToken)
	}
	bodiless := req.Body == nil || req.Body == http.NoBody
	if !bodiless && req.GetBody == nil {
		return resp, nil
	}
	ctx := req.Context()
	fresh, err := t.Source.TokenCtx(ctx)
	if err != nil || fresh == nil || fresh.AccessToken == refused.AccessToken || ctx.Err() != nil {
		return resp, nil
	}
	second := *req
	if !bodiless {
		if second.Body, err = req.GetBody(); err != nil {
			return resp, nil
		}
	}
	if resp.Body != nil { // as that of a RoundTripper in a test may be
		// Read to its end, a short answer leaves the connection free for the second try.
		io.CopyN(io.Discard, resp.Body, 4<<10)
		resp.Body.Close()
	}
	if err := ctx.Err(); err != nil { // while it was read
		closeBody(&second)
		return nil, err
	}
	resp, err = t.send(&second, fresh)
	if err != nil {
		return nil, err
	}
	resp.Request = req
	if resp.StatusCode == http.StatusUnauthorized {
		t.futile.Store(&futile{fresh.AccessToken, time.Now()})
	}
	return resp, nil
}

// send sends a copy of req with the token, and closes its body if it does not come to that.
func (t *Transport) send(req *http.Request, token *oauth2.Token) (*http.Response, error) {
	value, err := t.headerOf(token)
	if err != nil {
		closeBody(req)
		return nil, err
	}
	carries := req.URL.User != nil // http.Client makes a header of it
	for k, v := range req.Header {
		carries = carries || len(k) == len("Authorization") && len(v) > 0 && strings.EqualFold(k, "Authorization")
	}
	if carries {
		closeBody(req)
		return nil, fmt.Errorf("postern: request to %s carries an Authorization header already (or user info in its URL); remove it, or send the request with a client that adds no token", show(req.URL))
	}
	out := *req
	if out.Header = maps.Clone(req.Header); out.Header == nil {
		out.Header = http.Header{}
	}
	out.Header["Authorization"] = value
	resp, err := t.base.RoundTrip(&out)
	switch {
	case err != nil:
		return nil, err
	case resp == nil:
		return nil, fmt.Errorf("postern: Transport.Base (%T) returned neither a response nor an error", t.base)
	}
	resp.Request = req // it says where a redirect came from, and must not show the token
	return resp, nil
}

// headerOf returns the token as the values of an Authorization header. ZITADEL's APIs know the scheme as "Bearer" and not as
// "bearer", whatever token_type said.
func (t *Transport) headerOf(token *oauth2.Token) ([]string, error) {
	if token == nil {
		return nil, errors.New("postern: the token source returned neither a token nor an error; it must return one of them")
	}
	if s := t.stamp.Load(); s != nil && s.token == token.AccessToken && s.kind == token.TokenType {
		return s.header, nil
	}
	if kind := token.TokenType; kind != "" && !strings.EqualFold(kind, "Bearer") {
		return nil, fmt.Errorf("postern: the token source returned a token of type %.20q; only bearer tokens may be sent as such", kind)
	}
	if err := bearer.Check(token.AccessToken); err != nil { // RFC 6750 §2.1
		return nil, fmt.Errorf("postern: the token source returned what cannot be sent: %w", err)
	}
	s := &stamp{token.AccessToken, token.TokenType, []string{"Bearer " + token.AccessToken}}
	t.stamp.Store(s)
	return s.header, nil
}

// prepare checks the fields, once.
func (t *Transport) prepare() {
	var errs []error
	if isnil.Is(t.Source) {
		errs = append(errs, errors.New("Source is nil; set it, for instance to a source of package pat or jwtprofile"))
	}
	if len(t.Origins) == 0 {
		errs = append(errs, errors.New(`Origins is empty; name those that may have the token, such as "https://api.example.com"`))
	}
	for _, s := range t.Origins {
		p, err := origin.Parse(s)
		if err == nil {
			err = p.Secure(t.AllowHTTP)
		}
		errs = append(errs, err)
		t.origins = append(t.origins, p)
	}
	switch {
	case t.Base == nil:
		t.base = basetransport.Transport()
	case isnil.Is(t.Base):
		errs = append(errs, fmt.Errorf("Base is a nil %T; leave it unset for the default", t.Base))
	default:
		t.base = t.Base
	}
	if err := errors.Join(errs...); err != nil {
		t.err = fmt.Errorf("postern: Transport refuses all requests: %w", err)
	}
}

// admit decides whether the request goes out with the token (true), without it (false), or not at all.
func (t *Transport) admit(req *http.Request) (bool, error) {
	t.once.Do(t.prepare)
	switch {
	case t.err != nil:
		return false, t.err
	case req.URL == nil:
		return false, errors.New("postern: request without a URL")
	}
	switch named := t.named(req); {
	case req.Response != nil: // a redirect
		return named && t.neverLeft(req), nil
	case !named:
		return false, t.refusal(req)
	default:
		return true, nil
	}
}

// named reports whether the request goes to one of the origins, by its URL and by its Host.
func (t *Transport) named(req *http.Request) bool {
	// An opaque URL is sent as it is, and a proxy follows it instead of Host.
	if req.URL == nil || req.URL.Opaque != "" || !t.match(req.URL) {
		return false
	}
	return req.Host == "" || req.Host == req.URL.Host || t.match(&url.URL{Scheme: req.URL.Scheme, Host: req.Host})
}

func (t *Transport) match(u *url.URL) bool {
	for _, o := range t.origins {
		if o.Match(u) {
			return true
		}
	}
	return false
}

// maxHops bounds the walk along a chain of redirects.
const maxHops = 100

// neverLeft reports whether every hop of the redirects that led to req was to a named origin. http.Client links a redirected
// request to the response that caused it, and a response to its request. A chain with a missing link is not trusted.
func (t *Transport) neverLeft(req *http.Request) bool {
	for range maxHops {
		if req.Response == nil {
			return true
		}
		if req = req.Response.Request; req == nil || !t.named(req) {
			return false
		}
	}
	return false
}

func (t *Transport) refusal(req *http.Request) error {
	switch {
	case req.URL.Opaque != "":
		return errors.New("postern: request with an opaque URL refused: set its Host and RawPath instead, so that it is plain where it goes")
	case t.match(req.URL):
		return fmt.Errorf("postern: request to %s with Host %q refused: the server may give it to whom that name belongs to; add its origin to Origins if the token may go there",
			show(req.URL), req.Host)
	}
	return fmt.Errorf("postern: request to %s refused: its origin is not among Origins %q; add it if the token may go there", show(req.URL), t.Origins)
}

// show writes a URL's origin, without user info, path and query, which may hold secrets.
func show(u *url.URL) string {
	return fmt.Sprintf("%q", (&url.URL{Scheme: u.Scheme, Host: u.Host}).String())
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}
