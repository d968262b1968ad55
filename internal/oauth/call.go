package oauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/postern-go/postern"
)

// Response is an answer, read to its end.
type Response struct {
	// StatusCode and Header are the answer's head.
	StatusCode int
	Header     http.Header
	// Body is the answer's body, whole; of an error there is none.
	Body []byte
	// Sent is when the request began to be sent, Received when the head of the answer was there.
	Sent, Received time.Time

	call string
}

// Unusable makes the error of an answer that has everything but sense: err says what was expected and what came.
func (r *Response) Unusable(err error) error { return &callError{call: r.call, err: Unusable(err)} }

// PostForm sends form to the URL and returns the answer, which is 2xx, JSON by its content type, and at most 1 MiB. It tries
// once; see Retry.
//
// authorize, which may be nil, adds credentials to the request. Secrets are cut out of whatever the server says: those given,
// the values of form fields that are secret by their name, and the credentials that authorize added.
//
// The error says which call failed. It wraps an *postern.Error where the server answered by an error, and postern.ErrUnavailable where
// the answer tells nothing about the credential: none came, 5xx, 429, a redirect, another content type, too long a body, an
// error that is not one of OAuth. When ctx has ended it wraps ctx's error, and only then one of package context. With the
// error of an answer the Response is returned, too, without a body.
func (i *Issuer) PostForm(ctx context.Context, url string, form url.Values, authorize func(*http.Request), secrets ...string) (*Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, errors.New("expected a URL to send a form to, got text that is not one")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	i.prepare(req)
	if authorize != nil {
		authorize(req)
	}
	return i.do(req, maxDocument, func() redactor { return newRedactor(slices.Concat(secrets, sentSecrets(form, req.Header))) })
}

// Basic returns an authorize function for PostForm that adds id and secret as RFC 6749 §2.3.1 says: each form-url-encoded, then
// joined and in base64.
func Basic(id, secret string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret)) }
}

// GetJSON fetches a document of at most limit bytes. All else is as PostForm says.
func (i *Issuer) GetJSON(ctx context.Context, url string, limit int64) (*Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, errors.New("expected a URL to fetch, got text that is not one")
	}
	i.prepare(req)
	req.Header.Set("Cache-Control", "no-cache") // who asks wants the server's word, not that of a cache on the way (RFC 9111 §5.2.1.4)
	return i.do(req, limit, func() redactor { return redactor{} })
}

func (i *Issuer) prepare(req *http.Request) {
	for name, values := range i.header {
		req.Header[name] = slices.Clone(values)
	}
	req.Header.Set("Accept", "application/json")
	if i.host != "" {
		req.Host = i.host
	}
}

func (i *Issuer) do(req *http.Request, limit int64, secret func() redactor) (*Response, error) {
	call := req.Method + " " + plainURL(req.URL)
	failed := func(err error, again bool) error { return &callError{call: call, err: err, again: again} }
	sent := time.Now()
	answer, err := i.client.Do(req)
	received := time.Now()
	if err != nil {
		return nil, failed(noAnswer(req, err, secret), true)
	}
	defer answer.Body.Close()
	resp := &Response{StatusCode: answer.StatusCode, Header: answer.Header, Sent: sent, Received: received, call: call}
	body, err := io.ReadAll(io.LimitReader(answer.Body, limit+1))
	if err != nil {
		return nil, failed(noAnswer(req, err, secret), true)
	}
	switch code := answer.StatusCode; {
	case code >= 300 && code < 400:
		return resp, failed(Unusable(redirected(answer, secret())), false)
	case code < 200 || code >= 300:
		err, again := refused(resp, body, limit, secret())
		return resp, failed(err, again)
	case int64(len(body)) > limit:
		return resp, failed(Unusable(fmt.Errorf("expected an answer of at most %d bytes, got more: %s", limit, isIt)), false)
	case !isJSON(answer.Header):
		return resp, failed(Unusable(fmt.Errorf("expected an answer of application/json, got %s: %s", contentType(answer.Header), isIt)), false)
	}
	resp.Body = body
	return resp, nil
}

// isIt is what there is to find out about an answer that ZITADEL does not give.
const isIt = "is the issuer's URL that of ZITADEL, and not of a login page or proxy?"

// noAnswer makes the error of a call that the server did not answer.
func noAnswer(req *http.Request, err error, secret func() redactor) error {
	if ended := req.Context().Err(); ended != nil {
		return ended
	}
	late := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
	if e, ok := errors.AsType[*url.Error](err); ok {
		late = late || e.Timeout()
		err = e.Err // without method and URL, which callError has
	}
	if late { // not wrapped: it would pass for the end of the caller's context
		return Unusable(errors.New("expected an answer in time, got none: is the server reachable from here?"))
	}
	shown := secret()
	text := "expected an answer, got none (" + shown.clean(err.Error()) + "): check the address, and the network, proxies and certificates on the way"
	if shown.holds(err.Error()) { // and so that nobody unwraps it, either
		return Unusable(errors.New(text))
	}
	return Unusable(&textError{text: text, err: err})
}

func redirected(answer *http.Response, secret redactor) error {
	to := "nowhere"
	if location, err := answer.Location(); err == nil {
		to = secret.clean(location.Scheme + "://" + location.Host) // the rest may repeat what was sent
	}
	return &postern.Error{
		StatusCode: answer.StatusCode,
		Hint: fmt.Sprintf("expected an answer, got a redirect to %s, which is not followed because credentials would go there: "+
			"if that is the same ZITADEL, use its URL as issuer; if it is a login page, ZITADEL is behind a proxy that must let this path through", to),
	}
}

// Unusable wraps err, which says why nothing is known, so that it is postern.ErrUnavailable.
func Unusable(err error) error { return fmt.Errorf("%w: %w", postern.ErrUnavailable, err) }

// callError says which call failed, and whether the same call may be made again.
type callError struct {
	call  string
	err   error
	again bool
}

func (e *callError) Error() string { return e.call + ": " + e.err.Error() }
func (e *callError) Unwrap() error { return e.err }

// textError shows another text than the error it wraps.
type textError struct {
	text string
	err  error
}

func (e *textError) Error() string { return e.text }
func (e *textError) Unwrap() error { return e.err }

func isJSON(header http.Header) bool {
	media, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	return err == nil && (media == "application/json" || strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json"))
}

func contentType(header http.Header) string {
	if media, _, err := mime.ParseMediaType(header.Get("Content-Type")); err == nil && len(media) <= 64 {
		return Sanitise(media)
	}
	return "none that can be read"
}

// plainURL is the URL without its query.
func plainURL(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}
