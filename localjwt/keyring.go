package localjwt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/internal/guard"
	"github.com/postern-go/postern/internal/oauth"
)

const (
	defaultKeysAge = 5 * time.Minute // where Cache-Control names no age; ZITADEL names this one
	minKeysAge     = time.Minute
	maxKeysAge     = time.Hour
	maxOutage      = 24 * time.Hour   // how long keys serve while the issuer cannot be asked for newer ones
	searchPause    = 10 * time.Second // between fetches on account of unknown kids, and after a failed one
	firstPause     = time.Second      // between failed fetches while there is no key at all
	fetchTimeout   = 10 * time.Second
	maxWaiting     = 256         // requests that wait for a fetch on account of an unknown kid, and kids noted as looked for in vain
	missedFor      = time.Minute // how long one is noted
	manyMissed     = 3           // so many of them, and somebody invents kids
)

// keyring holds the issuer's keys and keeps them fresh without a goroutine of its own: whoever asks for a key starts the
// fetch that is due, and waits for it only where nothing else will do.
type keyring struct {
	fetch  func(ctx context.Context) (*answer, error)
	logger *slog.Logger

	set atomic.Pointer[keySet] // nil before the first fetch

	mu       sync.Mutex
	flight   *flight              // the one fetch under way or about to start
	failure  error                // of the last fetch
	failed   time.Time            // when one last failed
	searched time.Time            // when the last one on account of an unknown kid began
	missed   map[string]time.Time // the kids that were looked for in vain since a new key came, and when
	waiting  int                  // requests that wait on account of an unknown kid
}

// answer is a key set as the issuer sent it.
type answer struct {
	body         []byte
	cacheControl []string
	sent         time.Time // when it was asked for: later keys are not in it
}

// keySet is never changed.
type keySet struct {
	keys map[string]*key
	sent time.Time
	// From renew on the set is fetched again in the background; from old on only because nobody asked in between, so the
	// next one to ask waits for the fetch; from end on it serves no more.
	renew, old, end time.Time
}

// flight is one fetch that any number of goroutines wait for.
type flight struct {
	search bool // on account of an unknown kid
	done   chan struct{}
	err    error // set before done is closed
}

func newKeyring(issuer *oauth.Issuer, logger *slog.Logger) *keyring {
	if logger == nil {
		logger = slog.Default()
	}
	return &keyring{logger: logger, missed: make(map[string]time.Time), fetch: func(ctx context.Context) (*answer, error) {
		url, err := issuer.URL(ctx, oauth.JWKS)
		if err != nil {
			return nil, err
		}
		resp, err := oauth.Retry(ctx, func() (*oauth.Response, error) { return issuer.GetJSON(ctx, url, maxKeySet) })
		if err != nil {
			return nil, err
		}
		return &answer{resp.Body, resp.Header.Values("Cache-Control"), resp.Sent}, nil
	}}
}

// current returns the key set to go by. It blocks only when there is none that serves, or when the one in hand is old for
// want of requests.
func (r *keyring) current(ctx context.Context, now time.Time) (*keySet, error) {
	if set := r.set.Load(); set != nil && now.Before(set.renew) {
		return set, nil
	}
	r.mu.Lock()
	set := r.set.Load() // again: somebody may have been faster
	if set != nil && now.Before(set.renew) {
		r.mu.Unlock()
		return set, nil
	}
	serves := set != nil && now.Before(set.end)
	if !serves && r.failure != nil && now.Before(r.failed.Add(firstPause)) {
		defer r.mu.Unlock()
		return nil, unavailable(r.failure)
	}
	f := r.join(0, false)
	r.mu.Unlock()
	if serves && now.Before(set.old) {
		return set, nil
	}
	err := f.wait(ctx)
	switch {
	case err == nil:
		return r.set.Load(), nil
	case ctx.Err() != nil:
		return nil, err
	case serves:
		return set, nil
	}
	return nil, unavailable(err)
}

// find returns the key with that id, or nil when the issuer publishes none. An unknown id may be that of a key younger than
// the set in hand: then find waits for a set that was asked for after find was called. All who wait share one fetch, which
// begins searchPause after the one before at the earliest, so that a rotation refuses no request. Where one unknown id comes
// after the other, nobody waits any more, and the set in hand, which is no older than searchPause then, decides.
func (r *keyring) find(ctx context.Context, id string) (*key, error) {
	asked := time.Now()
	set, err := r.current(ctx, asked)
	for {
		if err != nil {
			return nil, err
		}
		if k := set.keys[id]; k != nil {
			return k, nil
		}
		if !set.sent.Before(asked) {
			r.miss(id)
			return nil, nil
		}
		if set, err = r.search(ctx, id, asked); set == nil && err == nil {
			return nil, nil
		}
	}
}

// search waits for the next key set, unless there is one that was asked for after asked. It returns nil without one when the
// set in hand decides.
func (r *keyring) search(ctx context.Context, id string, asked time.Time) (*keySet, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	set, pause := r.set.Load(), time.Until(r.searched.Add(searchPause))
	switch {
	case !set.sent.Before(asked):
		r.mu.Unlock()
		return set, nil
	case r.failure == nil && pause > 0 && r.invented(id):
		r.mu.Unlock()
		return nil, nil
	case r.failure != nil && time.Since(r.failed) < searchPause:
		defer r.mu.Unlock()
		return nil, unavailable(r.failure)
	case r.waiting >= maxWaiting:
		r.mu.Unlock()
		return nil, unavailable(fmt.Errorf("%d requests wait for the issuer's next key set already", maxWaiting))
	}
	r.waiting++
	f := r.join(pause, true)
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.waiting--
		r.mu.Unlock()
	}()
	if err := f.wait(ctx); err != nil {
		if ctx.Err() == nil {
			err = unavailable(err)
		}
		return nil, err
	}
	return r.set.Load(), nil
}

// miss notes that the key with that id was looked for in vain.
func (r *keyring) miss(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.missed, func(_ string, at time.Time) bool { return time.Since(at) >= missedFor })
	if len(r.missed) < maxWaiting {
		r.missed[id] = time.Now()
	}
}

// invented tells that the key with that id is not worth waiting for. r.mu is held.
func (r *keyring) invented(id string) bool {
	_, missed := r.missed[id]
	return missed || len(r.missed) >= manyMissed
}

// join returns the fetch under way, or else starts one after a delay. r.mu is held.
func (r *keyring) join(delay time.Duration, search bool) *flight {
	if r.flight == nil {
		r.flight = &flight{search: search, done: make(chan struct{})}
		go r.fly(r.flight, delay)
	}
	return r.flight
}

func (f *flight) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fly fetches the key set. It belongs to all who wait for it, so no single one's context ends it.
func (r *keyring) fly(f *flight, delay time.Duration) {
	if delay > 0 {
		time.Sleep(delay)
	}
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	started := time.Now()
	set, err := r.load(ctx)

	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.replace(set)
	} else {
		r.postpone()
		r.failed = time.Now()
	}
	if f.search {
		r.searched = started
	}
	if (err == nil) != (r.failure == nil) {
		r.report(err)
	}
	f.err, r.failure, r.flight = err, err, nil
	close(f.done)
}

func (r *keyring) load(ctx context.Context) (_ *keySet, err error) {
	defer guard.Panic(r.logger, &err)
	a, err := r.fetch(ctx)
	switch {
	case err != nil && ctx.Err() != nil: // ours, not that of any caller, and must not pass for theirs
		return nil, fmt.Errorf("expected the key set within %s, got none", fetchTimeout)
	case err != nil:
		return nil, err
	}
	keys, skipped, err := parseKeys(a.body)
	if err != nil {
		return nil, err
	}
	for _, err := range skipped {
		r.logger.Debug("localjwt: a key of the issuer is left out", "reason", err)
	}
	age := keysAge(a.cacheControl)
	return &keySet{
		keys: keys, sent: a.sent,
		renew: a.sent.Add(age * 4 / 5), old: a.sent.Add(age), end: a.sent.Add(maxOutage),
	}, nil
}

// replace makes set the one to go by and marks the keys that it has no more. r.mu is held.
func (r *keyring) replace(set *keySet) {
	stayed := 0
	if before := r.set.Load(); before != nil {
		for id, old := range before.keys {
			if same := set.keys[id]; same != nil && same.equal(old) {
				set.keys[id] = old
				stayed++
			} else {
				old.gone.Store(true)
			}
		}
	}
	if stayed < len(set.keys) {
		clear(r.missed)
	}
	r.set.Store(set)
}

// postpone lets the set in hand serve on, without anybody waiting, until it is time for another try. Who comes much later than
// that waits again: meanwhile the issuer may be back, and have taken a key away. r.mu is held.
func (r *keyring) postpone() {
	if set := r.set.Load(); set != nil {
		later, now := *set, time.Now()
		later.renew, later.old = now.Add(searchPause), now.Add(maxKeysAge)
		if later.renew.After(set.end) {
			later.renew = set.end
		}
		r.set.Store(&later)
	}
}

func (r *keyring) report(err error) {
	if err == nil {
		r.logger.Info("localjwt: the issuer's keys can be fetched again")
	} else if set := r.set.Load(); set != nil {
		r.logger.Warn("localjwt: the issuer's keys cannot be fetched; those in hand serve on", "error", err, "until", set.end)
	} else {
		r.logger.Warn("localjwt: the issuer's keys cannot be fetched, and there are none in hand", "error", err)
	}
}

func unavailable(err error) error {
	if errors.Is(err, postern.ErrUnavailable) {
		return fmt.Errorf("the issuer's keys: %w", err)
	}
	return fmt.Errorf("the issuer's keys: %w: %w", postern.ErrUnavailable, err)
}

// keysAge reads how long the key set may be kept (RFC 9111 §5.2.2), within bounds.
func keysAge(cacheControl []string) time.Duration {
	age := defaultKeysAge
	for directive := range strings.SplitSeq(strings.Join(cacheControl, ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			return minKeysAge
		case "max-age":
			seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
			switch {
			case errors.Is(err, strconv.ErrRange):
				age = maxKeysAge
			case err == nil:
				age = time.Duration(seconds) * time.Second
			}
		}
	}
	return min(max(age, minKeysAge), maxKeysAge)
}
