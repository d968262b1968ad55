package localjwt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/internal/cache"
	"github.com/postern-go/postern/internal/isnil"
	"github.com/postern-go/postern/internal/oauth"
)

const (
	defaultLeeway     = 30 * time.Second
	maxLeeway         = 2 * time.Minute
	minRecheck        = time.Second
	defaultMaxEntries = 100_000
	mostEntries       = 100_000_000
	maxRemembered     = 24 * time.Hour // after which a token that lives longer is verified anew
)

// Config says whose tokens a Verifier takes. Issuer and Audience are required.
type Config struct {
	// Issuer is the claim iss of the tokens, to the letter, and where their keys come from: https, or http to loopback.
	Issuer string
	// Audience names whom tokens may be meant for: the API's project id or client id. A token must have one of them in aud
	// (RFC 8725 §3.9).
	Audience []string
	// ProjectID is the project whose roles Identity.HasRole asks. Empty: HasRole reports false, HasProjectRole works.
	ProjectID string
	// Leeway is how far clocks may be apart when exp, nbf and iat are judged. Default: 30 seconds; negative: none. At most 2
	// minutes.
	Leeway time.Duration
	// MaxEntries bounds the verified tokens remembered. Default: 100,000, which take 2 to 4 KiB each. 1 counts as 2. At
	// most 100,000,000. Twice the number of tokens in use is a good size.
	MaxEntries int

	// Introspection takes the tokens that are no JWTs, such as personal access tokens, and JWTs that were evicted. Nil: both
	// are refused. When it is introspect's, what is evicted there by id, by subject or altogether is evicted here, and what is
	// evicted here there. It must ask as an API of the project ProjectID: HasRole on its answers asks the roles of its own.
	Introspection postern.Verifier
	// Recheck is how often Introspection is asked about each JWT in use, so that revocation reaches it: in the background,
	// while requests go on, at most 16 at once. A token that is revoked is refused within Recheck and the time of one call, if it
	// is used meanwhile; one that was not used for longer is let in once more, and then refused. A server that answers fewer
	// questions than there are tokens in use delays that, and tokens that find no room among MaxEntries are asked about more
	// often. Default: 0, never. At least 1 second. Needs Introspection.
	Recheck time.Duration

	// HTTPClient is copied, and the copy follows no redirects. Nil means a client tuned for one server.
	HTTPClient *http.Client
	// Header is added to every request, such as x-zitadel-instance-host behind a proxy.
	Header http.Header
	// AllowHTTP allows http to other hosts than loopback. Whoever is on the way can then exchange the keys.
	AllowHTTP bool
	// JWKSURL overrides the key set's URL that discovery finds; it may have another origin than Issuer.
	JWKSURL string
	// Logger is told when keys cannot be fetched (warning), when they can be again (info), and of published keys that are not
	// used (debug). Nil means slog.Default().
	Logger *slog.Logger
}

// Verifier verifies JWT access tokens of one issuer, and with Config.Introspection takes its other tokens, too. It is safe
// for concurrent use.
type Verifier struct {
	issuer     string
	projectID  string
	policy     *policy
	keys       *keyring
	tokens     *cache.Cache[*entry]
	keeping    sync.Mutex // while a token that is new is put there
	maxEntries int
	evictions  *evictions

	introspection postern.Verifier // or nil
	evicts        bool             // introspection is an evicter
	recheckEvery  time.Duration
	rechecks      rechecks
}

var _ postern.Verifier = (*Verifier)(nil)

// entry is a verified token.
type entry struct {
	*verified
	identity *postern.Identity
	asked    time.Time     // when introspection was asked about the token; zero: never
	clean    atomic.Uint64 // the version of the evictions at which none concerned the token
}

// verified is what of a token never changes.
type verified struct {
	key              *key
	until            time.Time // exp and leeway
	tokenID, subject string
	issued           time.Time // at the latest, by the clock that is behind
}

// New reports every mistake in cfg at once. It does no I/O.
func New(cfg Config) (*Verifier, error) {
	issuer, err := oauth.New(oauth.Config{
		Issuer: cfg.Issuer, HTTPClient: cfg.HTTPClient, Header: cfg.Header, AllowHTTP: cfg.AllowHTTP,
		Endpoints: map[oauth.Endpoint]string{oauth.JWKS: cfg.JWKSURL},
	})
	if err := errors.Join(err, cfg.check()); err != nil {
		return nil, fmt.Errorf("localjwt: %w", err)
	}
	maxEntries := cmp.Or(cfg.MaxEntries, defaultMaxEntries)
	v := &Verifier{
		issuer:        cfg.Issuer,
		projectID:     cfg.ProjectID,
		policy:        newPolicy(cfg.Issuer, slices.Clone(cfg.Audience), cfg.leeway()),
		keys:          newKeyring(issuer, cfg.Logger),
		maxEntries:    maxEntries,
		tokens:        cache.New[*entry](cache.Config{MaxEntries: maxEntries, MaxLife: maxRemembered}),
		evictions:     newEvictions(),
		introspection: cfg.Introspection,
		recheckEvery:  cfg.Recheck,
	}
	_, v.evicts = cfg.Introspection.(evicter)
	v.follow(cfg.Introspection)
	return v, nil
}

// Verify returns whose token it is. For a JWT it needs no call but, now and then, one for the issuer's keys; other tokens
// are introspected.
//
// It returns an error that wraps postern.ErrInvalidToken for a token that gives no access, and one that wraps
// postern.ErrUnavailable while the issuer's keys cannot be had: at all, for a day, or younger ones for a token that names a
// key not seen before. A request with such a token may wait up to 10 seconds for the key set to be asked for again. When ctx
// ends first, its error is returned.
func (v *Verifier) Verify(ctx context.Context, token string) (*postern.Identity, error) {
	if !isJWT(token) {
		return v.verifyOpaque(ctx, token)
	}
	now := time.Now()
	item, state := v.tokens.GetAt(now, v.tokens.Key(token))
	if item != nil {
		serves, err := v.keyServes(ctx, now, item.Value.key)
		if err != nil {
			return nil, err
		}
		if !serves {
			item = nil
		}
	}
	if item == nil {
		e, err := v.verify(ctx, token)
		if err != nil {
			return nil, err
		}
		item, state = v.keep(token, e)
	}
	e := item.Value
	if v.evicted(e) {
		return v.verifyEvicted(ctx, token, e)
	}
	if state == cache.Due {
		v.startRecheck(token, item)
	}
	return e.identity, nil
}

// String names the issuer.
func (v *Verifier) String() string { return "localjwt.Verifier(" + v.issuer + ")" }

// GoString returns what String does.
func (v *Verifier) GoString() string { return v.String() }

// keyServes tells whether the key that signed a remembered token is still one of the issuer's.
func (v *Verifier) keyServes(ctx context.Context, now time.Time, k *key) (bool, error) {
	if !now.Before(v.keys.set.Load().renew) {
		if _, err := v.keys.current(ctx, now); err != nil {
			return false, fmt.Errorf("localjwt: %w", err)
		}
	}
	return !k.gone.Load(), nil
}

// evicted tells whether an eviction concerns a verified token. It is a comparison as long as nothing was evicted meanwhile.
func (v *Verifier) evicted(e *entry) bool {
	version := v.evictions.version.Load()
	if e.clean.Load() == version {
		return false
	}
	if v.evictions.concern(e) {
		return true
	}
	e.clean.Store(version)
	return false
}

// keep remembers a token that is new here. Of several requests with it at once the first does, and the others go by what it
// left, so that the token is rechecked once.
func (v *Verifier) keep(token string, e *entry) (*cache.Item[*entry], cache.State) {
	v.keeping.Lock()
	defer v.keeping.Unlock()
	if item, state := v.tokens.Get(v.tokens.Key(token)); item != nil && item.Value.key == e.key {
		return item, state
	}
	item := v.remember(token, e, v.recheckEvery)
	if v.recheckEvery > 0 {
		return item, cache.Due
	}
	return item, cache.Fresh
}

// remember keeps a verified token until it ends, to be introspected again after a while if that is more than 0.
func (v *Verifier) remember(token string, e *entry, recheck time.Duration) *cache.Item[*entry] {
	item, _ := v.tokens.Put(v.tokens.Key(token), v.tokens.Mark(), cache.Entry[*entry]{
		Value: e, Fresh: maxRemembered, Expiry: e.until, Renew: recheck,
	})
	return item
}

// verify checks everything about a token, what is cheap and needs no key first.
func (v *Verifier) verify(ctx context.Context, token string) (*entry, error) {
	t, err := parse(token)
	if err != nil {
		return nil, refused(err)
	}
	c, err := readClaims(t.payload)
	if err != nil {
		return nil, refused(err)
	}
	if err := v.policy.check(c); err != nil {
		return nil, refused(err)
	}
	k, err := v.keys.find(ctx, t.keyID)
	switch {
	case err != nil:
		return nil, fmt.Errorf("localjwt: %w", err)
	case k == nil:
		return nil, refused(fmt.Errorf("kid: expected one of the keys that %s publishes, got %s", v.issuer, show(t.keyID)))
	}
	if err := k.verify(t); err != nil {
		return nil, refused(err)
	}
	if err := v.policy.check(c); err != nil { // again: the key may have taken a while to come
		return nil, refused(err)
	}
	payload := t.payload
	if c.ofClientsProject {
		payload = without(payload, clientsRoles)
	}
	id, err := postern.ParseIdentity([]byte(payload), v.projectID)
	if err != nil {
		return nil, refused(err)
	}
	issued := c.issuedAt.Time
	if now := time.Now(); now.Before(issued) {
		issued = now // a token that is here has been issued, whatever the issuer's clock says
	}
	e := &entry{
		verified: &verified{key: k, until: c.expiry.Add(v.policy.leeway), tokenID: c.id, subject: c.subject, issued: issued},
		identity: id,
	}
	if v.introspection != nil {
		// There is somebody to ask, so a token about whose age the clocks may disagree is asked about.
		e.issued = e.issued.Add(-v.policy.leeway)
	}
	return e, nil
}

func (v *Verifier) verifyOpaque(ctx context.Context, token string) (*postern.Identity, error) {
	if v.introspection == nil {
		return nil, refused(fmt.Errorf("expected a JWT, which has three parts, got %d; Config.Introspection takes opaque tokens",
			strings.Count(token, ".")+1))
	}
	return v.introspection.Verify(ctx, token)
}

// verifyEvicted lets introspection decide about a token whose signature no longer suffices.
func (v *Verifier) verifyEvicted(ctx context.Context, token string, e *entry) (*postern.Identity, error) {
	if v.introspection == nil {
		return nil, refused(errors.New("evicted since it was issued"))
	}
	asked := time.Now()
	id, err := v.introspection.Verify(ctx, token)
	if err == nil {
		v.vouch(token, e, id, asked)
	}
	return id, err
}

// vouch remembers what introspection said about a verified token, so that the token is taken without asking again until
// something new is known. An answer that introspection made up during an outage is none. A verifier that cannot evict may
// have given an answer older than an eviction: it is asked each time.
func (v *Verifier) vouch(token string, e *entry, id *postern.Identity, asked time.Time) {
	if v.evicts && !id.Stale() {
		recheck := v.recheckEvery
		if recheck > 0 {
			recheck = max(recheck-time.Since(asked), 1)
		}
		v.remember(token, &entry{verified: e.verified, identity: id, asked: asked}, recheck)
	}
}

func refused(err error) error { return fmt.Errorf("localjwt: %w: %w", postern.ErrInvalidToken, err) }

func (cfg *Config) leeway() time.Duration {
	if cfg.Leeway == 0 {
		return defaultLeeway
	}
	return max(cfg.Leeway, 0)
}

func (cfg *Config) check() error {
	var errs []error
	if len(cfg.Audience) == 0 || slices.Contains(cfg.Audience, "") {
		errs = append(errs, errors.New("Audience: expected the project or client id that tokens are meant for, got none or an empty one"))
	}
	if cfg.Leeway > maxLeeway {
		errs = append(errs, fmt.Errorf("Leeway: expected at most %s, got %s", maxLeeway, cfg.Leeway))
	}
	if cfg.MaxEntries < 0 || cfg.MaxEntries > mostEntries {
		errs = append(errs, fmt.Errorf("MaxEntries: expected a number of entries up to %d, got %d", mostEntries, cfg.MaxEntries))
	}
	if cfg.Recheck != 0 && cfg.Recheck < minRecheck {
		errs = append(errs, fmt.Errorf("Recheck: expected 0 or at least %s, got %s", minRecheck, cfg.Recheck))
	}
	if cfg.Introspection != nil && isnil.Is(cfg.Introspection) {
		errs = append(errs, fmt.Errorf("Introspection: expected a Verifier, got a nil %T: check the error of its constructor", cfg.Introspection))
	}
	if cfg.Recheck != 0 && cfg.Introspection == nil {
		errs = append(errs, errors.New("Recheck: expected Introspection beside it, got none"))
	}
	return errors.Join(errs...)
}
