package middleware

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Reason is why a request was refused.
type Reason string

// The reasons, and what is answered for each.
const (
	NoToken         Reason = "no bearer token"                // 401 without an error code (RFC 6750 §3.1)
	MalformedHeader Reason = "malformed Authorization header" // 400 invalid_request
	InvalidToken    Reason = "invalid token"                  // 401 invalid_token
	CheckFailed     Reason = "check failed"                   // 403 insufficient_scope
	Unavailable     Reason = "identity server unavailable"    // 503 with Retry-After
)

// Refusal says why a request was not let through. It holds nothing of the token.
type Refusal struct {
	// Status is the HTTP status of the response.
	Status int
	// Reason is why.
	Reason Reason
	// Check is the name of the check that failed, for CheckFailed. It tells what the API asks for: log it, but think before
	// showing it to a client.
	Check string
	// RetryAfter is what the Retry-After header says, for Unavailable: from 1 second to 1 hour.
	RetryAfter time.Duration
}

const (
	defaultRetryAfter = 5 * time.Second // nobody said when to come back
	maxRetryAfter     = time.Hour       // a server or proxy that says more is not believed
)

// answer is what one reason comes to under one rule, made at construction.
type answer struct {
	status          int
	challenge, body string
}

func (g *Gate) answers(checks []Check) map[Reason]answer {
	var scopes []string
	for _, c := range checks {
		if c.scope != "" {
			scopes = append(scopes, c.scope)
		}
	}
	say := func(status int, code, description string) answer {
		a := answer{status: status, body: `{"error":"` + code + `","error_description":"` + description + `"}` + "\n"}
		switch status {
		case http.StatusServiceUnavailable:
			return a // not the client's to solve
		case http.StatusUnauthorized:
			if code == "unauthorized" { // RFC 6750 §3.1: no error code for a client that has not tried
				code, description = "", ""
			}
		}
		a.challenge = "Bearer realm=" + quote(g.config.Realm)
		if code != "" {
			a.challenge += ", error=" + quote(code) + ", error_description=" + quote(description)
		}
		if len(scopes) > 0 {
			a.challenge += ", scope=" + quote(strings.Join(scopes, " "))
		}
		if g.metadata != "" {
			a.challenge += ", resource_metadata=" + quote(g.metadata)
		}
		return a
	}
	return map[Reason]answer{
		NoToken:         say(401, "unauthorized", "a bearer token is needed"),
		MalformedHeader: say(400, "invalid_request", "expected one header of the form Authorization: Bearer <token>"),
		InvalidToken:    say(401, "invalid_token", "the token is unknown, expired, revoked or meant for another API"),
		CheckFailed:     say(403, "insufficient_scope", "the token does not give access to this"),
		Unavailable:     say(503, "temporarily_unavailable", "the token could not be checked, try again later"),
	}
}

func (p *rule) refuse(w http.ResponseWriter, r *http.Request, refused Refusal) {
	a := p.answers[refused.Reason]
	refused.Status = a.status
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if a.challenge != "" {
		h.Set("WWW-Authenticate", a.challenge)
	}
	if refused.Reason == Unavailable {
		if refused.RetryAfter <= 0 {
			refused.RetryAfter = defaultRetryAfter
		}
		seconds := (min(refused.RetryAfter, maxRetryAfter) + time.Second - 1) / time.Second
		refused.RetryAfter = seconds * time.Second
		h.Set("Retry-After", strconv.Itoa(int(seconds)))
	}
	if p.config.ErrorPage != nil {
		page := &pageWriter{ResponseWriter: w, status: a.status}
		r = r.WithContext(r.Context())
		r.Header = withoutAuthorization(r.Header)
		p.config.ErrorPage(page, r, refused)
		page.WriteHeader(a.status)
		return
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, a.body) // the client may have gone
	}
}

// pageWriter sends one status, whatever the page says.
type pageWriter struct {
	http.ResponseWriter
	status int
	sent   bool
}

func (w *pageWriter) WriteHeader(int) {
	if !w.sent {
		w.sent = true
		w.ResponseWriter.WriteHeader(w.status)
	}
}

func (w *pageWriter) Write(p []byte) (int, error) {
	w.WriteHeader(w.status)
	return w.ResponseWriter.Write(p)
}

// quote makes a quoted-string (RFC 9110 §5.6.4) of printable ASCII, which everything that comes here has been checked to be.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' })
}
