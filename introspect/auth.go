package introspect

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"

	"github.com/postern-go/postern/internal/assertion"
	"github.com/postern-go/postern/internal/oauth"
	"github.com/postern-go/postern/internal/skew"
	"github.com/postern-go/postern/keyfile"
)

// Auth is how an API proves to the server who it is. Basic and PrivateKeyJWT make one; there are no others.
type Auth interface {
	client(cfg Config) (client, error)
}

// Basic authenticates by id and secret (RFC 6749 §2.3.1). ZITADEL verifies the secret's hash on every call, which costs it more
// than a signature.
func Basic(clientID, clientSecret string) Auth {
	return &basic{clientID: clientID, secret: &clientSecret}
}

// PrivateKeyJWT authenticates by an assertion (RFC 7523 §2.2) signed with an API application's key: what keyfile.Read or
// keyfile.Open returns, or a Source of yours. An assertion is good for 4.5 minutes, and is signed once and used for four fifths of that;
// a server that takes each one only once gets a new one with every call from the first refusal of that kind on.
func PrivateKeyJWT(key keyfile.Source) Auth { return &privateKey{key: key} }

// client adds credentials to calls.
type client interface {
	// id is the client id.
	id(ctx context.Context) (string, error)
	// credential names the credential in use, or is empty: when it changes, what was said about the one before says nothing any more.
	credential(ctx context.Context) string
	// call posts with the credentials, and again when they are refused and there are others to try.
	call(ctx context.Context, post post) (*oauth.Response, error)
}

type post func(credentials url.Values, authorize func(*http.Request)) (*oauth.Response, error)

// basic holds the secret behind a pointer, which is all that printing it shows.
type basic struct {
	clientID string
	secret   *string
}

func (b *basic) String() string   { return "introspect.Basic(" + b.clientID + ")" }
func (b *basic) GoString() string { return b.String() }

func (b *basic) client(Config) (client, error) {
	var errs []error
	if b.clientID == "" {
		errs = append(errs, errors.New("Auth: Basic: expected the API application's client id, got an empty one"))
	}
	switch secret := *b.secret; {
	case secret == "":
		errs = append(errs, errors.New("Auth: Basic: expected the API application's client secret, got an empty one"))
	case strings.ContainsFunc(secret, unicode.IsControl):
		errs = append(errs, errors.New("Auth: Basic: expected a client secret without control characters, got one with: a line break at its end may come from a file, cut it off"))
	}
	return b, errors.Join(errs...)
}

func (b *basic) id(context.Context) (string, error) { return b.clientID, nil }

func (b *basic) credential(context.Context) string { return "" } // never changes

func (b *basic) call(_ context.Context, post post) (*oauth.Response, error) {
	authorize := oauth.Basic(b.clientID, *b.secret)
	return post(nil, func(r *http.Request) {
		authorize(r)
		replayable(r)
	})
}

// replayable lets net/http send the request again when a connection that was kept turns out to be closed: asking twice is no
// harm. The header itself is not sent; see net/http.Transport.
func replayable(r *http.Request) { r.Header["Idempotency-Key"] = nil }

type privateKey struct{ key keyfile.Source }

func (p *privateKey) String() string   { return "introspect.PrivateKeyJWT" }
func (p *privateKey) GoString() string { return p.String() }

func (p *privateKey) client(cfg Config) (client, error) {
	if p.key == nil {
		return nil, errors.New("Auth: PrivateKeyJWT: expected an API application's key, got nil")
	}
	clock := skew.New(cfg.Logger)
	signer, err := assertion.New(assertion.Config{Key: p.key, Want: keyfile.Application, Audience: cfg.Issuer, Clock: clock})
	if err != nil {
		return nil, fmt.Errorf("Auth: PrivateKeyJWT: %w", err)
	}
	return &keyClient{key: p.key, signer: signer, clock: clock}, nil
}

type keyClient struct {
	key    keyfile.Source
	signer *assertion.Signer
	clock  *skew.Clock
	once   atomic.Bool // the server takes each assertion once

	mu   sync.Mutex
	last string // the assertion sent last
	sent int    // how often
}

func (c *keyClient) id(ctx context.Context) (string, error) {
	key, err := c.key.Key(ctx)
	switch {
	case err != nil:
		return "", err
	case key == nil:
		return "", errors.New("expected a key, got nil from its Source")
	}
	return key.ClientID, nil
}

func (c *keyClient) credential(ctx context.Context) string {
	key, err := c.key.Key(ctx)
	if err != nil || key == nil {
		return ""
	}
	return key.ID
}

func (c *keyClient) call(ctx context.Context, post post) (*oauth.Response, error) {
	if c.once.Load() {
		return c.fresh(ctx, post)
	}
	text, err := c.signer.Reusable(ctx)
	if err != nil {
		return nil, &ownError{err}
	}
	c.count(text, 1)
	resp, err := c.send(post, text, true)
	if !refused(err) {
		return resp, err
	}
	// What was signed may be out of date: the key was replaced, or the refusal's date has shown that our clock is off.
	if renewed, failed := c.signer.Reusable(ctx); failed == nil && renewed != text {
		text = renewed
		c.count(text, 1)
		resp, err = c.send(post, text, true)
	}
	if !refused(err) || c.count(text, 0) < 2 {
		return resp, err
	}
	// Or the server has remembered its jti (RFC 7523 §3, point 7).
	resp, err = c.fresh(ctx, post)
	if err == nil {
		c.once.Store(true)
	}
	return resp, err
}

func (c *keyClient) fresh(ctx context.Context, post post) (*oauth.Response, error) {
	text, err := c.signer.Fresh(ctx)
	if err != nil {
		return nil, &ownError{err}
	}
	return c.send(post, text, false)
}

func (c *keyClient) send(post post, assertion string, again bool) (*oauth.Response, error) {
	resp, err := post(url.Values{
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion":      {assertion},
	}, func(r *http.Request) {
		if again {
			replayable(r)
		}
	})
	if resp != nil {
		c.clock.Observe(resp.Header, resp.Sent, resp.Received)
	}
	return resp, err
}

// count adds n to how often the assertion was sent and returns that.
func (c *keyClient) count(text string, n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if text != c.last {
		if n == 0 {
			return 0
		}
		c.last, c.sent = text, 0
	}
	c.sent += n
	return c.sent
}
