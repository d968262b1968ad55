package oauth

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/internal/strictjson"
)

// maxRetryAfter limits what a server may ask us to wait.
const maxRetryAfter = 24 * time.Hour

// refused makes the error of an answer that is neither success nor redirect, and says whether the call may be made again.
func refused(resp *Response, body []byte, limit int64, secret redactor) (err error, again bool) {
	e := &postern.Error{StatusCode: resp.StatusCode, RetryAfter: retryAfter(resp)}
	if isJSON(resp.Header) && int64(len(body)) <= limit {
		e.Code, e.Description = parseRefusal(string(body), secret)
	}
	blocked := resp.StatusCode == http.StatusTooManyRequests && bytes.Contains(body[:min(len(body), maxSearched)], []byte("instance is blocked"))
	e.Hint = hint(e, blocked)
	if e.Code != "" && resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests {
		return e, false
	}
	switch resp.StatusCode {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		again = true
	case http.StatusTooManyRequests:
		again = !blocked // lasts until the quota is reset
	}
	return Unusable(e), again
}

// parseRefusal reads an OAuth error (RFC 6749 §5.2).
func parseRefusal(body string, secret redactor) (code, description string) {
	object, err := strictjson.Parse(body, "error", "error_description")
	if err != nil {
		return "", ""
	}
	text := func(name string) string {
		value, _ := object.Get(name)
		s, _ := strictjson.String(value)
		return s
	}
	code = text("error")
	if !isCode(code) || secret.holds(code) {
		code = ""
	}
	return code, secret.clean(text("error_description"))
}

// isCode is stricter than RFC 6749 §5.2: codes are words.
func isCode(code string) bool {
	return code != "" && len(code) <= 64 && !strings.ContainsFunc(code, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("_-.", r))
	})
}

// retryAfter reads the header of that name, seconds or a date (RFC 9110 §10.2.3), a date by the server's own clock.
func retryAfter(resp *Response) time.Duration {
	value := resp.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil || errors.Is(err, strconv.ErrRange) { // then it is the largest there is
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		now = resp.Received
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}

// hint explains the answers that ZITADEL is known to give. What only the caller knows, such as when its key expires, the caller
// adds.
func hint(e *postern.Error, blocked bool) string {
	said := func(text string) bool { return strings.Contains(e.Description, text) }
	switch {
	case blocked:
		return "ZITADEL has blocked the instance, until its quota is reset or raised: asking again sooner does not help"
	case e.StatusCode == http.StatusTooManyRequests:
		return "too many requests: ask less often, and share one source or verifier in the whole program"
	case said("Errors.User.Machine.Secret.Invalid"):
		return "the client secret is wrong, or a newer one was generated since: ZITADEL keeps one secret a service user, generate it again and use that"
	case said("Errors.User.NotActive"):
		return "the service user is deactivated or locked: reactivate or unlock it in ZITADEL"
	case said("Errors.User.NotFound"), said("client not found") && e.Code == "invalid_client":
		return "ZITADEL knows no such client: a service user's client id is its user name (login name), not its id, and it needs a secret generated in this instance"
	case said("scope of your request is missing"):
		return "ask for at least one scope, such as openid"
	case e.Code == "unsupported_grant_type":
		return "the server does not offer this way to get a token: is the issuer that of a ZITADEL?"
	case e.Code == "invalid_client", e.Code == "unauthorized_client":
		return "the server does not accept these client credentials: check id and secret or key, that they belong to this instance, and that the application or user is active"
	case e.Code == "invalid_scope":
		return "a scope is not one that this server gives: check Scopes"
	case e.Code == "" && e.StatusCode == http.StatusNotFound:
		return "nothing is at this address: check the issuer's URL; behind a proxy ZITADEL finds its instance by host name, so Header may have to name it as x-zitadel-instance-host"
	case e.StatusCode >= 500:
		return "the server, or a proxy in front of it, is in trouble: its log says why, and later it may answer"
	case e.Code == "":
		return "this is not an answer of an OAuth endpoint: is the issuer's URL right, and does a proxy in front let the request through?"
	}
	return ""
}
