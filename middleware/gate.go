package middleware

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/internal/formed"
	"github.com/postern-go/postern/internal/isnil"
)

// Config says how a Gate answers. Its zero value is ready for use; New copies it.
type Config struct {
	// Realm names the protected space in challenges (RFC 9110 §11.5), in printable ASCII. Default: "api".
	Realm string
	// Resource describes the API to clients that look for its authorization server (RFC 9728): challenges then carry
	// resource_metadata, and Gate.Metadata serves the document. Default: nil, neither.
	Resource *Resource
	// ErrorPage writes the body of a refusal in place of the constant JSON, and its Content-Type. Status, challenge,
	// Retry-After and Cache-Control are set before; a status that ErrorPage writes itself is ignored, so that a mistake in it
	// cannot turn a refusal into a 200. Its request carries no Authorization header. Default: nil, JSON.
	ErrorPage func(w http.ResponseWriter, r *http.Request, refused Refusal)
	// AllowPreflight lets CORS preflights through without a token, because browsers send none with them: OPTIONS with Origin
	// and Access-Control-Request-Method, and without Authorization. They reach the handler without an Identity, so set it
	// only when a CORS handler stands behind the gate; one in front needs nothing. Default: false.
	AllowPreflight bool
	// HideAuthorization takes the Authorization header away from the handler's request, so that a handler that logs or
	// forwards headers cannot leak the token. Default: false, because gates can be nested and the token may be meant to be
	// used; it costs a copy of the header map a request. (postern.Transport never forwards it by accident: it refuses
	// requests that already carry an Authorization header.)
	HideAuthorization bool
	// Logger gets what points to a mistake in the Verifier: a panic, no Identity, an error of no known kind. Never a token.
	// Default: slog.Default().
	Logger *slog.Logger
}

// Gate makes handlers that only certain callers reach. It cannot be changed and is safe for concurrent use.
type Gate struct {
	verify   formed.Verify // and not the Verifier's: it lets nothing else than b64tokens through
	config   Config
	metadata string // URL of the RFC 9728 document, or empty
}

// New returns a Gate that asks v whose token it is. It panics, telling every mistake, when v is nil or holds a nil pointer,
// and when the Config has a value that no response could carry: both are wiring mistakes, to be seen at the start.
func New(v postern.Verifier, cfg Config) *Gate {
	var errs []error
	if isnil.Is(v) {
		errs = append(errs, errors.New("verifier: expected one, such as introspect.New returns, got nil; check the error of its constructor"))
	}
	if cfg.Realm == "" {
		cfg.Realm = "api"
	}
	if !printable(cfg.Realm) {
		errs = append(errs, fmt.Errorf("Config.Realm: expected printable ASCII, got %q", cfg.Realm))
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	g := &Gate{config: cfg}
	if cfg.Resource != nil {
		g.config.Resource = cfg.Resource.clone()
		url, err := cfg.Resource.metadataURL()
		if err != nil {
			errs = append(errs, fmt.Errorf("Config.Resource: %w", err))
		}
		g.metadata = url
	}
	if err := errors.Join(errs...); err != nil {
		panic(fmt.Errorf("middleware.New: %w", err))
	}
	g.verify = formed.Of(v)
	return g
}

// Require lets a request through when its token is good and all checks pass.
//
// Require() without checks admits every token that the server calls active, and with ZITADEL that is any personal access token
// of the whole instance, whoever it belongs to: ZITADEL tells every API that a PAT is meant for it. Add what a caller must
// have in your project: Role, or RoleInOrg when the API serves several organisations. Org keeps to the users of one's own
// organisation, and ClientID to the tokens of one client, which no PAT is.
//
// The checks are copied. Require panics on a nil handler.
func (g *Gate) Require(checks ...Check) func(http.Handler) http.Handler {
	return g.rule(false, checks)
}

// Optional lets anonymous requests through as they are, and requests with a bearer token as Require does: a bad token, a failed
// check or an outage is refused, never taken for anonymous. Anonymous means no Authorization header, or one of another
// scheme, which is the handler's to judge. The handler tells them apart with postern.FromContext.
//
// A response that differs between the two and may be cached needs Vary: Authorization, which is the handler's to set.
func (g *Gate) Optional(checks ...Check) func(http.Handler) http.Handler {
	return g.rule(true, checks)
}

// rule is what stands in front of one handler, or several with the same demands.
type rule struct {
	*Gate
	optional bool
	checks   []Check
	answers  map[Reason]answer
}

func (g *Gate) rule(optional bool, checks []Check) func(http.Handler) http.Handler {
	p := &rule{Gate: g, optional: optional, checks: slices.Clone(checks), answers: g.answers(checks)}
	return func(next http.Handler) http.Handler {
		if isnil.Is(next) {
			panic("middleware: expected a handler to protect, got nil")
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.serve(w, r, next) })
	}
}

func (p *rule) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if p.config.AllowPreflight && isPreflight(r) {
		next.ServeHTTP(w, r)
		return
	}
	token, reason := tokenOf(r.Header["Authorization"])
	if reason == NoToken && p.optional {
		next.ServeHTTP(w, r)
		return
	}
	if reason != "" {
		p.refuse(w, r, Refusal{Reason: reason})
		return
	}
	id, refused := p.ask(r.Context(), token)
	if id == nil {
		p.refuse(w, r, refused)
		return
	}
	for _, check := range p.checks {
		if !check.passes(r, id) {
			p.refuse(w, r, Refusal{Reason: CheckFailed, Check: check.String()})
			return
		}
	}
	admitted := r.WithContext(postern.NewContext(r.Context(), id))
	if p.config.HideAuthorization {
		admitted.Header = withoutAuthorization(r.Header)
	}
	next.ServeHTTP(w, admitted)
	// The server removes a form's temporary files by the request that it made, so tell that one of them.
	if admitted.MultipartForm != nil {
		r.MultipartForm = admitted.MultipartForm
	}
}

// isPreflight tells a CORS preflight (Fetch standard, §3.2.2) from other OPTIONS requests. Browsers never put credentials on
// one, so a request with any is none.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" &&
		r.Header.Get("Access-Control-Request-Method") != "" && len(r.Header["Authorization"]) == 0
}

func withoutAuthorization(h http.Header) http.Header {
	h = maps.Clone(h)
	delete(h, "Authorization")
	return h
}
