package zitadelapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/postern-go/postern"
)

// The codes of gRPC that ZITADEL's REST APIs put into an error's body.
const (
	codeNotFound         = 5
	codeAlreadyExists    = 6
	codePermissionDenied = 7
	codeUnimplemented    = 12
	codeUnauthenticated  = 16
)

// noMembership is the detail of the refusal of a caller who has no role at all where the call looks for one.
const noMembership = "AUTHZ-cdgFk"

// Error is the refusal of a call. In its chain are the *postern.Error and, where it fits, postern.ErrInvalidToken or
// postern.ErrUnavailable.
type Error struct {
	call     string
	answer   *postern.Error
	code     int    // gRPC, or 0
	detail   string // ZITADEL's id of the place in its source, such as "AUTHZ-cdgFk", or ""
	sentinel error
}

func (e *Error) Error() string {
	if e.sentinel != nil {
		return fmt.Sprintf("%s: %s: %s", e.call, e.sentinel, e.answer)
	}
	return fmt.Sprintf("%s: %s", e.call, e.answer)
}

// Unwrap returns what the server said and what to decide on.
func (e *Error) Unwrap() []error {
	if e.sentinel == nil {
		return []error{e.answer}
	}
	return []error{e.answer, e.sentinel}
}

// Refused reports whether the server said no and did nothing. Of any other failure it is not known what became of the call.
func Refused(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.answer.StatusCode == http.StatusTooManyRequests ||
		e.answer.StatusCode >= 400 && e.answer.StatusCode < 500 && e.answer.StatusCode != http.StatusRequestTimeout)
}

// Unimplemented reports whether the server does not know the method: it is older.
func Unimplemented(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.answer.StatusCode {
	case http.StatusNotImplemented, http.StatusMethodNotAllowed:
		return true
	case http.StatusNotFound: // of the gateway, not of a method
		return e.detail == "" && (e.code == 0 || e.code == codeNotFound && e.answer.Description == "Not Found")
	}
	return e.code == codeUnimplemented
}

// NotFound reports whether the server says that there is no such thing, or hides it from a caller without a right to see it.
func NotFound(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.answer.StatusCode == http.StatusNotFound
}

// AlreadyExists reports whether what was to be created is there.
func AlreadyExists(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.code == codeAlreadyExists
}

// Denied reports whether the caller has no right to the call.
func Denied(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.code == codePermissionDenied || e.answer.StatusCode == http.StatusForbidden || e.detail == noMembership)
}

// refusal makes an error of an answer that is no success. The token is cut out of whatever the server says.
func refusal(method, path string, resp *http.Response, body []byte, token string) error {
	e := &Error{call: method + " " + path, answer: &postern.Error{StatusCode: resp.StatusCode}}
	var said struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
		Details []struct {
			ID string `json:"id"`
		} `json:"details"`
	}
	if len(body) <= maxAnswer && json.Unmarshal(body, &said) == nil {
		e.code = said.Code
		e.answer.Description = Sanitise(said.Message, token)
		if len(said.Details) > 0 {
			e.detail = Sanitise(said.Details[0].ID, token)
		}
	}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 && seconds <= 24*3600 {
		e.answer.RetryAfter = time.Duration(seconds) * time.Second
	}
	e.judge(path)
	return e
}

// judge names the likely cause and its cure.
func (e *Error) judge(path string) {
	status := e.answer.StatusCode
	switch {
	case status == http.StatusUnauthorized || e.code == codeUnauthenticated:
		e.sentinel = postern.ErrInvalidToken
		e.answer.Hint = "the credential has run out, was removed, or is of another server"
	case status == http.StatusTooManyRequests:
		e.sentinel = postern.ErrUnavailable
		e.answer.Hint = "the instance is blocked, by its quota or by a proxy before it: wait"
	case status >= 500 && !Unimplemented(e), status >= 300 && status < 400:
		e.sentinel = postern.ErrUnavailable
		if status < 400 {
			e.answer.Hint = "redirects are not followed: give the issuer as it stands in the server's discovery"
		}
	case Denied(e) && strings.HasPrefix(path, "/management/v1/"):
		e.answer.Hint = "management v1 asks for the role ORG_USER_MANAGER or ORG_OWNER; " +
			"on servers with the user service v2 a service user needs none for its own credentials"
	case Denied(e) && strings.HasPrefix(path, "/v2/users"):
		e.answer.Hint = "without a role a service user manages its own credentials only; " +
			"for those of others the caller needs the role ORG_USER_MANAGER or ORG_OWNER"
	}
}

// Sanitise makes text of a server's fit for an error: printable ASCII, 200 bytes at most, without the secrets.
func Sanitise(text string, secrets ...string) string {
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "[hidden]")
		}
	}
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, text)
	return text[:min(len(text), 200)]
}
