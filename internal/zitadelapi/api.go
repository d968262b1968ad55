// Package zitadelapi calls ZITADEL's REST APIs: the user service v2, and auth v1 and management v1 where v2 has no equal or
// the server is older. Packages rotate and cmd/postern stand on it.
package zitadelapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/internal/basetransport"
	"github.com/postern-go/postern/internal/origin"
)

// maxAnswer is how many bytes of an answer are read.
const maxAnswer = 1 << 20

// Config says where the APIs are and who calls them.
type Config struct {
	Issuer     string              // required: "https://acme.zitadel.cloud"
	Source     postern.TokenSource // required
	HTTPClient *http.Client        // nil means the shared one; redirects are turned off in a copy
	Header     http.Header         // added to each call, e.g. x-zitadel-orgid; copied
	AllowHTTP  bool                // plain http to other hosts than loopback
}

// Client calls one server as one user. It is safe for concurrent use.
type Client struct {
	base   string
	source postern.TokenSource
	http   *http.Client
	header http.Header
	ahead  *atomic.Int64 // nanoseconds that the server's clock is ahead of this machine's, when that is more than tolerated
}

// tolerated is how far two clocks may lie apart to count as one.
const tolerated = 5 * time.Minute

// New checks cfg and does no I/O.
func New(cfg Config) (*Client, error) {
	var errs []error
	base := strings.TrimRight(cfg.Issuer, "/")
	if u, err := url.Parse(base); err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		errs = append(errs, errors.New(`Issuer: expected the server's URL, such as "https://acme.zitadel.cloud", without user, query or fragment`))
	} else if err := origin.Secure(u, cfg.AllowHTTP); err != nil {
		errs = append(errs, fmt.Errorf("Issuer: %w", err))
	}
	if cfg.Source == nil {
		errs = append(errs, errors.New("Source: expected a token source, got nil"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	client := basetransport.Client()
	if cfg.HTTPClient != nil {
		*client = *cfg.HTTPClient
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{base: base, source: cfg.Source, http: client, header: cfg.Header.Clone(), ahead: new(atomic.Int64)}, nil
}

// Now returns the time by the server's clock, as the last answer's Date told it, where this machine's is more than five minutes off.
func (c *Client) Now() time.Time { return time.Now().Add(c.Ahead()) }

// Ahead returns how far the server's clock is ahead of this machine's; 0 stands for up to five minutes either way.
func (c *Client) Ahead() time.Duration { return time.Duration(c.ahead.Load()) }

func (c *Client) observe(header http.Header) {
	date, err := http.ParseTime(header.Get("Date"))
	if err != nil || header.Get("Age") != "" { // a cache tells an old time
		return
	}
	ahead := time.Until(date)
	if ahead.Abs() <= tolerated {
		ahead = 0
	}
	c.ahead.Store(int64(ahead))
}

// As returns a Client for the same server that calls as somebody else.
func (c *Client) As(source postern.TokenSource) *Client {
	other := *c
	other.source = source
	return &other
}

// Call sends in as JSON, unless it is nil, and reads the answer into out, unless that is nil. There is one try. A call that the
// server refused is an *Error. When nothing is known of what became of it, the error wraps postern.ErrUnavailable.
func (c *Client) Call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	token, err := c.source.TokenCtx(ctx)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return err
	}
	for name, values := range c.header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	req.Header.Set("Accept", "application/json")
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", "Bearer "+token.AccessToken)
	resp, err := c.http.Do(req)
	if err != nil {
		return unavailable(ctx, method, path, err)
	}
	defer resp.Body.Close()
	c.observe(resp.Header)
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return unavailable(ctx, method, path, err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return refusal(method, path, resp, answer, token.AccessToken)
	}
	if len(answer) > maxAnswer {
		return unavailable(ctx, method, path, fmt.Errorf("expected at most %d bytes of answer, got more", maxAnswer))
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return unavailable(ctx, method, path, errors.New("expected a JSON object of the method's shape, got something else"))
	}
	return nil
}

// unavailable keeps the context's own error recognisable: a caller that gave up says nothing about the server.
func unavailable(ctx context.Context, method, path string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s %s: %w", method, path, context.Cause(ctx))
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // without the URL, which is said already
	}
	return fmt.Errorf("%s %s: %w: %w", method, path, postern.ErrUnavailable, err)
}
