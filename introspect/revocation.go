package introspect

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Evictor is what a RevocationHandler evicts from: a *Verifier, localjwt's, or whatever else remembers tokens. Its methods
// return at once.
type Evictor interface {
	// EvictTokenID forgets the token with that jti or, given the part of a jti before "-at_", all tokens of that session.
	EvictTokenID(id string)
	// EvictSubject forgets every token of the user.
	EvictSubject(userID string)
	// EvictAll forgets every token.
	EvictAll()
}

// RevocationConfig configures NewRevocationHandler.
type RevocationConfig struct {
	// SigningKeys are the keys of the Actions v2 target, as ZITADEL gave them when the target was created; SetupRevocation
	// returns them. At least one; while a key is rolled over, the old one and the new one. White space around a key is not
	// part of it.
	SigningKeys []string
	// Logger gets a warning for an event that is signed and cannot be read, and a debug line for each that evicts; nil means
	// slog.Default().
	Logger *slog.Logger
}

// RevocationHandler receives ZITADEL's events and evicts the tokens that they end. It serves POST only and answers
//
//	200  the event was taken, or concerns no token
//	400  it is signed but is no event, so nothing was evicted; or its body broke off, or took more than 5 seconds
//	401  it is not signed with one of the keys, or more than 5 minutes ago or ahead
//	405  the method is not POST
//	413  it is longer than 1 MiB
//
// without waiting for anything but the body. An event that ends tokens without saying whose evicts everything, which is done
// at once and then at most once a second. Delivering an event again, late, or in another order evicts again and does nothing
// else.
//
// The signature covers time and body: see ZITADEL's Actions v2, and HMAC-SHA256 in RFC 2104.
type RevocationHandler struct{ state *revocation }

// RevocationStats counts what a RevocationHandler received.
type RevocationStats struct {
	// TokenIDs, Subjects and All are the events that evicted one token or session, one user, or everything.
	TokenIDs, Subjects, All uint64
	// Unknown are the events that end no token, or that this version does not know.
	Unknown uint64
	// Refused are the requests that were answered with anything but 200.
	Refused uint64
}

// NewRevocationHandler returns a handler for the endpoint of an Actions v2 target that evicts from verifier. It returns an
// error when a signing key is missing, and panics when verifier is nil.
//
// Every replica's handler may receive the event: behind a load balancer one does, and the verifier's Shared tells the others.
func NewRevocationHandler(verifier Evictor, cfg RevocationConfig) (*RevocationHandler, error) {
	if v, ours := verifier.(*Verifier); verifier == nil || ours && v == nil {
		panic("introspect: NewRevocationHandler: expected a verifier to evict from, got nil")
	}
	state := &revocation{evictor: verifier, logger: cfg.Logger, now: time.Now}
	state.all.evict = verifier.EvictAll
	if state.logger == nil {
		state.logger = slog.Default()
	}
	var keys [][]byte
	var errs []error
	for i, key := range cfg.SigningKeys {
		if key = strings.TrimSpace(key); key == "" {
			errs = append(errs, fmt.Errorf("SigningKeys[%d]: expected the signing key of the Actions v2 target, got an empty one", i))
		}
		keys = append(keys, []byte(key))
	}
	if len(cfg.SigningKeys) == 0 {
		errs = append(errs, errors.New("SigningKeys: expected the signing key of the Actions v2 target, got none: SetupRevocation creates the target and returns its key"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("introspect: revocation: %w", err)
	}
	state.keys = func() [][]byte { return keys }
	return &RevocationHandler{state}, nil
}

// Stats counts what was received since the handler was made. The numbers are each right, but not of the same instant.
func (h *RevocationHandler) Stats() RevocationStats {
	s := h.state
	return RevocationStats{
		TokenIDs: s.tokenIDs.Load(), Subjects: s.subjects.Load(), All: s.alls.Load(),
		Unknown: s.unknown.Load(), Refused: s.refused.Load(),
	}
}

// ServeHTTP takes one event.
func (h *RevocationHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if status := h.state.serve(w, r); status != http.StatusOK {
		h.state.refused.Add(1)
		http.Error(w, http.StatusText(status), status)
	}
}

const (
	maxEventBody = 1 << 20
	bodyTime     = 5 * time.Second
)

// revocation stands behind a pointer, and its keys behind a function: a verb that suits no pointer prints what it points to.
type revocation struct {
	evictor Evictor
	keys    func() [][]byte
	logger  *slog.Logger
	now     func() time.Time
	all     coalesced

	tokenIDs, subjects, alls, unknown, refused atomic.Uint64
}

func (s *revocation) serve(w http.ResponseWriter, r *http.Request) int {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return http.StatusMethodNotAllowed
	}
	// The header is judged before the body is read, so that who cannot sign makes nobody keep a megabyte.
	headers := r.Header.Values("ZITADEL-Signature")
	if len(headers) != 1 {
		return http.StatusUnauthorized
	}
	sig, err := parseSignature(headers[0])
	if err != nil || !sig.recent(s.now()) {
		return http.StatusUnauthorized
	}
	// Who cannot sign can still send slowly. A server without deadlines for reading leaves the body without one.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxEventBody))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return http.StatusRequestEntityTooLarge
	} else if err != nil {
		return http.StatusBadRequest
	}
	if !sig.signs(body, s.keys()) {
		return http.StatusUnauthorized
	}
	event, err := parseEvent(body)
	if err != nil {
		s.logger.Warn("introspect: a signed event cannot be read, tokens that it ends stay in use until their TTL", "error", err)
		return http.StatusBadRequest
	}
	s.take(event)
	return http.StatusOK
}

func (s *revocation) take(e event) {
	c, ends := e.concerns()
	switch {
	case !ends:
		s.unknown.Add(1)
		return
	case c.All:
		s.alls.Add(1)
		s.all.call()
	case c.TokenID != "":
		s.tokenIDs.Add(1)
		s.evictor.EvictTokenID(c.TokenID)
	default:
		s.subjects.Add(1)
		s.evictor.EvictSubject(c.Subject)
	}
	s.logger.Debug("introspect: evicted for an event", "event", e.kind, "token_id", c.TokenID, "subject", c.Subject)
}

// coalesced calls evict at most once a second: at once, and again at the end of the second when it was called for in between.
type coalesced struct {
	evict func()

	mu      sync.Mutex
	last    time.Time
	pending bool
}

func (c *coalesced) call() {
	c.mu.Lock()
	if c.pending {
		c.mu.Unlock()
		return
	}
	if wait := time.Second - time.Since(c.last); wait > 0 && !c.last.IsZero() {
		c.pending = true
		c.mu.Unlock()
		time.AfterFunc(wait, c.run)
		return
	}
	c.mu.Unlock()
	c.run()
}

func (c *coalesced) run() {
	c.mu.Lock()
	c.last, c.pending = time.Now(), false // first: who calls from here on is heard again
	c.mu.Unlock()
	c.evict()
}
