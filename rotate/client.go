package rotate

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/internal/zitadelapi"
)

// Kind says what is renewed.
type Kind string

const (
	// PAT is a personal access token.
	PAT Kind = "pat"
	// Key is a machine key of a service user, see package keyfile.
	Key Kind = "key"
)

// Credential is what the server tells of a credential. It holds no secret.
type Credential struct {
	// ID is the PAT's tokenId, the jti of its introspection, or the key's keyId.
	ID string
	// Created is the server's time of creation.
	Created time.Time
	// Expires is when the server stops to accept it. What never ends carries the year 9999.
	Expires time.Time
}

// ClientConfig says where the server is and who manages credentials there.
type ClientConfig struct {
	// Issuer is the server's URL. Required.
	Issuer string
	// Source gives the caller's token. Required. Without any role it manages its own credentials, and those of other service
	// users of its organisation with ORG_USER_MANAGER or ORG_OWNER.
	Source postern.TokenSource
	// HTTPClient is copied, and redirects are turned off. Nil means a shared one that gives up after 15 seconds.
	HTTPClient *http.Client
	// Header is sent with each call: x-zitadel-instance-host behind some proxies, x-zitadel-orgid to act in another
	// organisation.
	Header http.Header
	// AllowHTTP permits plain http to other hosts than loopback.
	AllowHTTP bool
}

// Client lists, makes and removes the PATs and keys of service users. It asks the user service v2; where the server has none,
// management v1, which asks for a role. It is safe for concurrent use. There is one try a call: errors of a server that could
// not be asked wrap postern.ErrUnavailable, those of a caller whose token is refused postern.ErrInvalidToken.
type Client struct {
	api *zitadelapi.Client
	// v1 is until when the server counts as older, in Unix seconds: it may be upgraded, or have been hidden by a proxy.
	v1 *atomic.Int64
}

const olderFor = time.Hour

// NewClient checks cfg, reports every mistake at once, and does no I/O.
func NewClient(cfg ClientConfig) (*Client, error) {
	api, err := zitadelapi.New(zitadelapi.Config(cfg))
	if err != nil {
		return nil, fmt.Errorf("rotate: %w", err)
	}
	return &Client{api: api, v1: new(atomic.Int64)}, nil
}

// as returns a Client that calls as somebody else.
func (c *Client) as(source postern.TokenSource) *Client {
	return &Client{api: c.api.As(source), v1: c.v1}
}

// maxListed is how many credentials of one user are read. A user with more is an error: half a list is no list.
const (
	maxListed = 5000
	pageSize  = 100
)

// List returns all credentials of that kind that a user has, expired ones included. An empty userID means the caller.
func (c *Client) List(ctx context.Context, kind Kind, userID string) ([]Credential, error) {
	all, err := c.list(ctx, kind, userID)
	return all, prefixed(err)
}

func (c *Client) list(ctx context.Context, kind Kind, userID string) ([]Credential, error) {
	userID, err := c.user(ctx, kind, userID)
	if err != nil {
		return nil, err
	}
	var all []Credential
	seen := make(map[string]bool)
	for read := 0; ; {
		page, more, err := c.page(ctx, kind, userID, read)
		switch {
		case err != nil:
			return nil, fmt.Errorf("list %ss: %w", kind, err)
		case more.total > maxListed:
			return nil, fmt.Errorf("list %ss: expected at most %d of one user, got %d: remove those that nobody uses", kind, maxListed, more.total)
		case more.read == 0 && read < more.total:
			return nil, fmt.Errorf("list %ss: expected %d of them, got %d: %w", kind, more.total, read, postern.ErrUnavailable)
		}
		for _, cred := range page {
			if !seen[cred.ID] {
				seen[cred.ID] = true
				all = append(all, cred)
			}
		}
		if read += more.read; read >= more.total {
			return all, nil
		}
	}
}

// AddPAT makes a personal access token that ends at expires, to the second, and returns it. The token is not to be had again.
func (c *Client) AddPAT(ctx context.Context, userID string, expires time.Time) (Credential, string, error) {
	cred, token, err := c.addPAT(ctx, userID, expires.Truncate(time.Second))
	return cred, token, prefixed(err)
}

func (c *Client) addPAT(ctx context.Context, userID string, expires time.Time) (Credential, string, error) {
	var answer created
	cred, err := c.add(ctx, PAT, userID, expires, map[string]any{}, &answer)
	if err == nil && answer.Token == "" {
		err = zitadelapi.Unusable("add pat", "a token")
	}
	if err != nil {
		return Credential{}, "", err
	}
	return cred, answer.Token, nil
}

// AddKey makes a machine key of a public key, RSA of at least 2048 bits or ECDSA on P-256, whose private half stays where it is:
// in memory, in a KMS, in an HSM. It ends at expires, to the second.
func (c *Client) AddKey(ctx context.Context, userID string, public crypto.PublicKey, expires time.Time) (Credential, error) {
	cred, err := c.addKey(ctx, userID, public, expires.Truncate(time.Second))
	return cred, prefixed(err)
}

func (c *Client) addKey(ctx context.Context, userID string, public crypto.PublicKey, expires time.Time) (Credential, error) {
	text, err := encodePublic(public)
	if err != nil {
		return Credential{}, fmt.Errorf("add key: %w", err)
	}
	return c.add(ctx, Key, userID, expires, map[string]any{"publicKey": text}, new(created))
}

// Remove ends a credential. Removing one that the user no longer has is no error.
func (c *Client) Remove(ctx context.Context, kind Kind, userID, id string) error {
	return prefixed(c.remove(ctx, kind, userID, id))
}

func (c *Client) remove(ctx context.Context, kind Kind, userID, id string) error {
	userID, err := c.user(ctx, kind, userID)
	if err != nil {
		return err
	}
	if err := checkID("id", id, true); err != nil {
		return fmt.Errorf("remove %s: %w", kind, err)
	}
	err = c.call(ctx, http.MethodDelete, userPath(userID, kind)+"/"+url.PathEscape(id), nil, nil, nil)
	if zitadelapi.NotFound(err) && !zitadelapi.Denied(err) && !zitadelapi.Unimplemented(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", kind, err)
	}
	return nil
}

// created is the answer to a creation, of v2 and of v1.
type created struct {
	TokenID      string    `json:"tokenId"`
	KeyID        string    `json:"keyId"`
	Token        string    `json:"token"`
	CreationDate time.Time `json:"creationDate"`
	Details      struct {
		CreationDate time.Time `json:"creationDate"`
	} `json:"details"`
}

func (c *Client) add(ctx context.Context, kind Kind, userID string, expires time.Time, in map[string]any, answer *created) (Credential, error) {
	userID, err := c.user(ctx, kind, userID)
	if err != nil {
		return Credential{}, err
	}
	expires = expires.UTC().Truncate(time.Microsecond)
	in["expirationDate"] = expires.Format(time.RFC3339Nano)
	inV1 := map[string]any{}
	if kind == Key {
		inV1["type"] = "KEY_TYPE_JSON"
	}
	for name, value := range in {
		inV1[name] = value
	}
	if err := c.call(ctx, http.MethodPost, userPath(userID, kind), in, inV1, answer); err != nil {
		return Credential{}, fmt.Errorf("add %s: %w", kind, err)
	}
	cred := Credential{ID: answer.TokenID, Created: answer.CreationDate, Expires: expires}
	if kind == Key {
		cred.ID = answer.KeyID
	}
	if cred.Created.IsZero() {
		cred.Created = answer.Details.CreationDate
	}
	if cred.ID == "" || cred.Created.IsZero() {
		return Credential{}, zitadelapi.Unusable("add "+string(kind), "an id and a creation date")
	}
	return cred, nil
}

// listing is how much a page told, and how much there is.
type listing struct{ read, total int }

// page reads a user's credentials from the offset on, as many as the server likes to give.
func (c *Client) page(ctx context.Context, kind Kind, userID string, offset int) ([]Credential, listing, error) {
	in := map[string]any{"filters": []any{map[string]any{"userIdFilter": map[string]string{"id": userID}}}}
	inV1 := map[string]any{}
	if offset > 0 {
		query := map[string]any{"offset": strconv.Itoa(offset), "limit": pageSize}
		in["pagination"], inV1["query"] = query, query
	}
	type total struct {
		TotalResult int `json:"totalResult,string"`
	}
	var answer struct {
		Pagination total `json:"pagination"` // v2
		Details    total `json:"details"`    // v1
		Result     []struct {
			ID           string    `json:"id"`
			UserID       string    `json:"userId"` // v2
			CreationDate time.Time `json:"creationDate"`
			Expiration   time.Time `json:"expirationDate"`
			Details      struct {
				CreationDate time.Time `json:"creationDate"`
			} `json:"details"` // v1
		} `json:"result"`
	}
	err := c.either(
		func() error {
			return c.api.Call(ctx, http.MethodPost, "/v2/users/"+string(kind)+"s/search", in, &answer)
		},
		func() error {
			return c.api.Call(ctx, http.MethodPost, v1Prefix+userPath(userID, kind)+"/_search", inV1, &answer)
		})
	if err != nil {
		return nil, listing{}, err
	}
	page := make([]Credential, 0, len(answer.Result))
	for _, r := range answer.Result {
		if r.UserID != "" && r.UserID != userID {
			continue // a server that ignores the filter shows those of others
		}
		cred := Credential{ID: r.ID, Created: r.CreationDate, Expires: r.Expiration}
		if cred.Created.IsZero() {
			cred.Created = r.Details.CreationDate
		}
		page = append(page, cred)
	}
	return page, listing{len(answer.Result), max(answer.Pagination.TotalResult, answer.Details.TotalResult)}, nil
}

// v1Prefix turns a path of the user service v2, /v2 left out, into one of management v1.
const v1Prefix = "/management/v1"

// call makes a call on the user service v2, or on management v1 when the server does not know it.
func (c *Client) call(ctx context.Context, method, path string, in, inV1, out any) error {
	return c.either(
		func() error { return c.api.Call(ctx, method, "/v2"+path, in, out) },
		func() error { return c.api.Call(ctx, method, v1Prefix+path, inV1, out) })
}

func (c *Client) either(v2, v1 func() error) error {
	if time.Now().Unix() >= c.v1.Load() {
		if err := v2(); !zitadelapi.Unimplemented(err) {
			return err
		}
		c.v1.Store(time.Now().Add(olderFor).Unix())
	}
	return v1()
}

// user checks what goes into a path, and puts the caller in place of an empty userID.
func (c *Client) user(ctx context.Context, kind Kind, userID string) (string, error) {
	if kind != PAT && kind != Key {
		return "", fmt.Errorf("expected the kind %q or %q, got %q", PAT, Key, string(kind))
	}
	if userID != "" {
		if err := checkID("userID", userID, true); err != nil {
			return "", fmt.Errorf("%w", err)
		}
		return userID, nil
	}
	me, err := c.api.Me(ctx)
	if err != nil {
		return "", fmt.Errorf("who calls: %w", err)
	}
	return me.ID, nil
}

func userPath(userID string, kind Kind) string {
	return "/users/" + url.PathEscape(userID) + "/" + string(kind) + "s"
}

func contains(all []Credential, id string) bool {
	for _, cred := range all {
		if cred.ID == id {
			return true
		}
	}
	return false
}

// prefixed says which package an error is of, for those who are outside.
func prefixed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("rotate: %w", err)
}

// encodePublic writes a public key as ZITADEL takes it: PEM, which JSON then carries in base64.
func encodePublic(public crypto.PublicKey) ([]byte, error) {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < 2048 {
			return nil, fmt.Errorf("expected an RSA key of at least 2048 bits, got %d", bits)
		}
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() {
			return nil, fmt.Errorf("expected an ECDSA key on P-256, got %s: ZITADEL verifies RS256, PS256 and ES256 only", key.Curve.Params().Name)
		}
	default:
		return nil, fmt.Errorf("expected an RSA key or an ECDSA key on P-256, got %T: ZITADEL verifies RS256, PS256 and ES256 only", public)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}
