package introspect

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/postern-go/postern/internal/cache"
	"github.com/postern-go/postern/internal/isnil"
	"github.com/postern-go/postern/internal/oauth"
)

// Config says whom to ask and what to remember. Issuer and Auth are needed; the zero value of all else is a default for use.
type Config struct {
	// Issuer is the server's URL, exactly as its discovery document and its tokens (iss) have it.
	Issuer string
	// Auth is how this API proves to the server who it is: Basic or PrivateKeyJWT.
	Auth Auth
	// Audience, if not empty, is whom a token must be meant for: at least one of these client or project ids.
	Audience []string

	// TTL is how long after the question an answer is used before the server is asked again: how late, at most, a revocation is
	// noticed that no Evict method was called for. Up to a tenth less, at random, so that not all entries end at once. An answer
	// that takes longer than TTL serves only those who wait for it. Default: 1 minute. At most 24 hours.
	TTL time.Duration
	// NegativeTTL is how long after its arrival a refusal is used. Default: 5 seconds. Never longer than TTL. Negative: refusals are
	// not remembered.
	NegativeTTL time.Duration
	// MaxStale is how much longer an answer stands in while the server cannot be asked, which includes that it has not answered
	// within a fifth of Timeout, or by the deadline of the caller's context. The call then goes on, and what it brings takes
	// effect at once. Default: 0, no answer stands in. At most 7 days. A token that is revoked while the server cannot be asked
	// stays good for TTL and MaxStale together.
	MaxStale time.Duration
	// MaxEntries bounds the answers remembered. Default: 100,000, which take 1 to 2 KiB each. 1 counts as 2. At most
	// 100,000,000. Twice the number of tokens in use is a good size: in a fuller cache some of them push each other out.
	MaxEntries int
	// MaxConcurrent bounds the calls in flight, and 32 times as many wait in a queue. Default: 32.
	MaxConcurrent int
	// Timeout bounds one call, discovery of the endpoint included. Default: 10 seconds. A caller waits no longer than its own
	// context says.
	Timeout time.Duration

	// HTTPClient is copied, and the copy follows no redirects. Nil means a client tuned for one server.
	HTTPClient *http.Client
	// Header is added to every request, such as x-zitadel-instance-host behind a proxy.
	Header http.Header
	// AllowHTTP allows http to other hosts than loopback. Credentials and tokens are then readable on the way.
	AllowHTTP bool
	// IntrospectionURL overrides the endpoint that discovery finds; it may have another origin than Issuer.
	IntrospectionURL string
	// Logger is told about refused credentials (error), other failures to ask (warning), both once a minute, the breaker (warning,
	// info) and bursts of tokens that turn inactive (warning). Nil means slog.Default().
	Logger *slog.Logger
	// Shared is a second level of answers and evictions for a fleet. Nil means none.
	Shared Shared
}

const (
	defaultTTL           = time.Minute
	defaultNegativeTTL   = 5 * time.Second
	defaultMaxEntries    = 100_000
	defaultMaxConcurrent = 32
	defaultTimeout       = 10 * time.Second

	maxTTL      = 24 * time.Hour
	maxMaxStale = 7 * 24 * time.Hour
	mostEntries = 100_000_000

	// queuePerCall is how many calls wait for each that may be in flight.
	queuePerCall = 32
	// A token is known to have been good for knownFor times TTL after its answer ran out, or MaxStale.
	knownFor = 10
	// While an old answer can stand in, callers wait for a call that is younger than Timeout/patience only.
	patience = 5
)

// New returns a Verifier. It asks nobody; a server that cannot be reached shows in Verify. The error reports every mistake in
// cfg.
func New(cfg Config) (*Verifier, error) {
	cfg.TTL = cmp.Or(cfg.TTL, defaultTTL)
	cfg.NegativeTTL = min(cmp.Or(cfg.NegativeTTL, defaultNegativeTTL), cfg.TTL)
	cfg.MaxEntries = cmp.Or(cfg.MaxEntries, defaultMaxEntries)
	cfg.MaxConcurrent = cmp.Or(cfg.MaxConcurrent, defaultMaxConcurrent)
	cfg.Timeout = cmp.Or(cfg.Timeout, defaultTimeout)
	cfg.Audience = slices.Clone(cfg.Audience)
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	errs := cfg.mistakes()
	issuer, err := oauth.New(oauth.Config{
		Issuer: cfg.Issuer, HTTPClient: cfg.HTTPClient, Header: cfg.Header, AllowHTTP: cfg.AllowHTTP,
		Endpoints: map[oauth.Endpoint]string{oauth.Introspection: cfg.IntrospectionURL},
	})
	errs = append(errs, err)
	var client client
	if cfg.Auth == nil {
		errs = append(errs, errors.New("Auth: expected introspect.Basic or introspect.PrivateKeyJWT, got nil"))
	} else {
		client, err = cfg.Auth.client(cfg)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("introspect: %w", err)
	}
	known := max(cfg.MaxStale, knownFor*cfg.TTL)
	v := &verifier{
		cfg: cfg, issuer: issuer, client: client, rules: newRules(cfg, known),
		cache: cache.New[verdict](cache.Config{MaxEntries: cfg.MaxEntries, MaxLife: cfg.TTL + known}),
	}
	v.breakers = [2]*gobreaker.CircuitBreaker[said]{newBreaker("unknown tokens"), newBreaker("tokens known to be good")}
	v.flights.init(cfg.MaxConcurrent, v.fly, v.cache.Peek)
	v.watchShared()
	return &Verifier{v}, nil
}

func (cfg Config) mistakes() (errs []error) {
	within := func(name string, d, most time.Duration) {
		if d < 0 || most > 0 && d > most {
			errs = append(errs, fmt.Errorf("%s: expected 0 to %s, got %s", name, most, d))
		}
	}
	within("TTL", cfg.TTL, maxTTL)
	within("MaxStale", cfg.MaxStale, maxMaxStale)
	within("Timeout", cfg.Timeout, time.Hour)
	if cfg.MaxEntries < 0 || cfg.MaxEntries > mostEntries {
		errs = append(errs, fmt.Errorf("MaxEntries: expected a number of entries up to %d, got %d", mostEntries, cfg.MaxEntries))
	}
	if cfg.MaxConcurrent < 0 {
		errs = append(errs, fmt.Errorf("MaxConcurrent: expected a number of calls, got %d", cfg.MaxConcurrent))
	}
	if slices.Contains(cfg.Audience, "") {
		errs = append(errs, errors.New("Audience: expected client or project ids, got an empty one"))
	}
	if cfg.Shared != nil && isnil.Is(cfg.Shared) {
		errs = append(errs, fmt.Errorf("Shared: expected a second level, got a nil %T: check the error of its constructor, or leave Shared unset for none", cfg.Shared))
	}
	return errs
}
