package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/internal/strictjson"
)

const (
	wellKnown = "/.well-known/openid-configuration"
	// maxDocument limits every answer but those for which the caller names a limit, in bytes.
	maxDocument = 1 << 20
	// discoveryTimeout limits one discovery with all its tries. It goes on when the caller that began it leaves.
	discoveryTimeout = time.Minute
	// After a discovery that failed, none begins for a time that doubles from minPause to maxPause; in an outage it stays minPause.
	minPause = time.Second
	maxPause = time.Minute
)

// endpoints as the document names them, unchecked but for the issuer.
type endpoints map[Endpoint]string

// discover fetches the document (OpenID Connect Discovery 1.0 §4).
func (i *Issuer) discover(ctx context.Context) (endpoints, error) {
	document := strings.TrimSuffix(i.issuer, "/") + wellKnown // §4.1: without a terminating slash
	resp, err := Retry(ctx, func() (*Response, error) { return i.GetJSON(ctx, document, maxDocument) })
	if err != nil && ctx.Err() != nil { // our limit, not that of any caller
		err = Unusable(fmt.Errorf("expected an answer within %s, got none: is the server reachable from here?", discoveryTimeout))
		return nil, &callError{call: "GET " + document, err: err, again: true}
	}
	if err != nil {
		return nil, err
	}
	found, err := parseDiscovery(string(resp.Body), i.issuer)
	if err != nil {
		return nil, resp.Unusable(err)
	}
	return found, nil
}

func parseDiscovery(text, issuer string) (endpoints, error) {
	object, err := strictjson.Parse(text, "issuer", string(Token), string(Introspection), string(Revocation), string(JWKS))
	if err != nil {
		return nil, fmt.Errorf("expected a discovery document: %w: %s", err, isIt)
	}
	value, _ := object.Get("issuer")
	got, err := strictjson.String(value)
	if err != nil {
		return nil, fmt.Errorf("expected a discovery document with an issuer: %w: %s", err, isIt)
	}
	if got != issuer { // §4.3: exactly
		return nil, differentIssuer(issuer, got)
	}
	found := make(endpoints)
	for _, e := range []Endpoint{Token, Introspection, Revocation, JWKS} {
		value, ok := object.Get(string(e))
		if !ok {
			continue
		}
		if found[e], err = strictjson.String(value); err != nil {
			return nil, fmt.Errorf("expected a discovery document: %s: %w: %s", e, err, isIt)
		}
	}
	return found, nil
}

func differentIssuer(want, got string) error {
	shown := Sanitise(got)
	switch {
	case got == want+"/":
		return fmt.Errorf("expected the issuer %s, got it with a slash at the end: set Issuer to %s", want, shown)
	case got+"/" == want:
		return fmt.Errorf("expected the issuer %s, got it without the slash at the end: set Issuer to %s", want, shown)
	case strings.EqualFold(got, want):
		return fmt.Errorf("expected the issuer %s, got it in other upper or lower case: set Issuer to %s", want, shown)
	}
	return fmt.Errorf("expected the issuer %s, got %s: set Issuer to the one that the server is known by, or behind a proxy name its host in Header as x-zitadel-instance-host", want, shown)
}

// discovery keeps what was found, lets concurrent callers share a fetch, and remembers a failure for a while. Where what was
// found is of no use to a caller, it looks again after maxPause: the server may have been put right.
type discovery struct {
	mu      sync.Mutex
	found   endpoints
	running *fetch
	failed  error
	pause   *backoff.ExponentialBackOff
	until   time.Time // of the pause
}

type fetch struct {
	done  chan struct{}
	found endpoints
	err   error
}

func (d *discovery) get(ctx context.Context, discover func(context.Context) (endpoints, error), useful func(endpoints) bool) (endpoints, error) {
	d.mu.Lock()
	if d.found != nil && (useful(d.found) || d.running == nil && time.Now().Before(d.until)) {
		defer d.mu.Unlock()
		return d.found, nil
	}
	if err := ctx.Err(); err != nil {
		d.mu.Unlock()
		return nil, err
	}
	if d.running == nil {
		if time.Now().Before(d.until) {
			defer d.mu.Unlock()
			return nil, d.failed
		}
		d.running = &fetch{done: make(chan struct{})}
		go d.run(context.WithoutCancel(ctx), d.running, discover)
	}
	running := d.running
	d.mu.Unlock()
	select {
	case <-running.done:
		return running.found, running.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (d *discovery) run(ctx context.Context, f *fetch, discover func(context.Context) (endpoints, error)) {
	ctx, cancel := context.WithTimeout(ctx, discoveryTimeout)
	defer cancel()
	f.err = Unusable(errors.New("expected an answer, got a panic from the HTTP client's transport"))
	defer func() {
		_ = recover() // in a goroutine of ours it would end the program
		d.end(f)
	}()
	f.found, f.err = discover(ctx)
}

func (d *discovery) end(f *fetch) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running, d.failed = nil, f.err
	if f.err == nil {
		d.found, d.until = f.found, time.Now().Add(maxPause)
	} else { // what was found before stays good for those whom it was useful to
		d.until = time.Now().Add(d.nextPause(f.err))
	}
	close(f.done)
}

func (d *discovery) nextPause(err error) time.Duration {
	if d.pause == nil {
		d.pause = &backoff.ExponentialBackOff{InitialInterval: minPause, RandomizationFactor: 0.2, Multiplier: 2, MaxInterval: maxPause}
		d.pause.Reset()
	}
	pause := d.pause.NextBackOff()
	refusal, answered := errors.AsType[*postern.Error](err)
	if call, ok := errors.AsType[*callError](err); ok && call.again && !(answered && refusal.StatusCode == http.StatusTooManyRequests) {
		d.pause.Reset() // an outage, whose tries have pauses of their own, and whose end should not go unnoticed
		pause = minPause
	}
	if answered {
		pause = max(pause, min(refusal.RetryAfter, maxPause))
	}
	return pause
}
