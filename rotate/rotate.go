package rotate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/postern-go/postern"
)

const (
	defaultLife  = 30 * 24 * time.Hour
	defaultGrace = 10 * time.Minute
	minLife      = time.Minute
)

// Config says what is renewed, where, and how often. Issuer, Kind and Store are required.
type Config struct {
	// Issuer is the server's URL: "https://acme.zitadel.cloud".
	Issuer string
	// Kind is PAT or Key.
	Kind Kind
	// Store keeps the credential. All who share a credential share its Store.
	Store Store
	// Life is how long a new credential lives, less a second or two, and less up to a hundredth of it, 10 minutes at most, at
	// random. Zero means 30 days; a minute is the least.
	// Renewal is due at two thirds of life.
	Life time.Duration
	// Grace is how long the old credential stays after the new one is stored, for other replicas to take that up. Zero means 10
	// minutes. It must be shorter than a third of Life, so that at most two credentials are there at any time.
	Grace time.Duration
	// KeyType is what is generated when Kind is Key. Zero means RSA2048.
	KeyType KeyType
	// Source makes the calls, when that is not the stored credential itself: an administrator's, with ORG_USER_MANAGER or
	// ORG_OWNER. With it and UserID the first credential can be made into an empty Store.
	Source postern.TokenSource
	// UserID is whose credential it is. Empty means the user of the stored credential.
	UserID string
	// HTTPClient is copied, and redirects are turned off. Nil means a shared one that gives up after 15 seconds.
	HTTPClient *http.Client
	// Header is sent with each call: x-zitadel-instance-host behind some proxies.
	Header http.Header
	// AllowHTTP permits plain http to other hosts than loopback.
	AllowHTTP bool
	// Progress, when set, is told each step as it begins, in words for people. It must not block.
	Progress func(step string)
	// Logger is told what was made and removed, by id. Nil means slog.Default().
	Logger *slog.Logger
}

// Rotator renews one credential. It is safe for concurrent use, and holds nothing between runs: what it has to remember is in
// the Store.
type Rotator struct {
	cfg    Config
	client *Client // calls as Config.Source, or nobody
}

// ErrGrace is what Rotate returns while the credential before the last renewal still waits for its removal: a third one would
// be too many.
var ErrGrace = errors.New("the credential before the last renewal is still in its grace period")

// Report is what a run found and did.
type Report struct {
	// UserID is whose credential it is.
	UserID string
	// Current is the stored credential now. Its ID is empty when it is not known, as of a PAT that was put into the Store by hand
	// by a user who has several.
	Current Credential
	// Renewed says that this run stored a new one.
	Renewed bool
	// Removed are the ids of the credentials that this run removed.
	Removed []string
	// Left is the id of a credential that the new one replaced and that stays, because no record names it for certain; or
	// "unknown" when not even the id is known. It ends when it expires, or when you remove it. Empty: there is none.
	Left string
	// Waiting is the id of the credential that is removed when its grace period ends, or empty.
	Waiting string
	// Next is when the next run has something to do.
	Next time.Time
}

// New checks cfg, reports every mistake at once, and does no I/O.
func New(cfg Config) (*Rotator, error) {
	if cfg.Life == 0 {
		cfg.Life = defaultLife
	}
	if cfg.Grace == 0 {
		cfg.Grace = defaultGrace
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Progress == nil {
		cfg.Progress = func(string) {}
	}
	cfg.Header = cfg.Header.Clone()
	source := cfg.Source
	if source == nil {
		source = nobody{}
	}
	client, err := NewClient(ClientConfig{
		Issuer: cfg.Issuer, Source: source, HTTPClient: cfg.HTTPClient, Header: cfg.Header, AllowHTTP: cfg.AllowHTTP,
	})
	errs := []error{err}
	if cfg.Kind != PAT && cfg.Kind != Key {
		errs = append(errs, fmt.Errorf("rotate: Kind: expected PAT or Key, got %q", string(cfg.Kind)))
	}
	if cfg.Store == nil {
		errs = append(errs, errors.New("rotate: Store: expected one, got nil: NewFileStore makes one of files"))
	}
	if cfg.Life < minLife {
		errs = append(errs, fmt.Errorf("rotate: Life: expected at least %s, got %s", minLife, cfg.Life))
	}
	if cfg.Grace < 0 || cfg.Grace >= cfg.Life/3 {
		errs = append(errs, fmt.Errorf("rotate: Grace: expected less than a third of Life (%s), and not less than none, got %s", cfg.Life/3, cfg.Grace))
	}
	if cfg.KeyType < RSA2048 || cfg.KeyType > P256 {
		errs = append(errs, fmt.Errorf("rotate: KeyType: expected RSA2048, RSA3072, RSA4096 or P256, got %d", cfg.KeyType))
	}
	if err := checkID("rotate: UserID", cfg.UserID, false); err != nil {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Rotator{cfg: cfg, client: client}, nil
}

// Run does what is due, and nothing else: it completes or undoes what an interrupted run left behind, removes the old
// credential when its grace period is over, and renews the current one when two thirds of its life, or of Life, are gone, or
// its expiry is not known. With an empty Store, a Source and a UserID, it makes the first.
//
// It may be called as often as one likes, by as many replicas as one likes. After an error, whatever happened is on record, the
// stored credential is as good as before, and the next run goes on from there. Errors wrap postern.ErrUnavailable when the
// server could not be asked, postern.ErrInvalidToken when it refused the credential, ctx's error when that ended first.
func (r *Rotator) Run(ctx context.Context) (Report, error) { return r.run(ctx, false) }

// Rotate does what Run does, and renews the current credential even if that is not due yet. While the one before is in its
// grace period it returns an error that wraps ErrGrace and changes nothing.
func (r *Rotator) Rotate(ctx context.Context) (Report, error) { return r.run(ctx, true) }

// nobody is the Source of a Client that always calls as somebody.
type nobody struct{ postern.TokenSource }
