package zitadeltest

import (
	"fmt"
	"net/http"
)

// apiError is an error as ZITADEL's APIs tell it: a gRPC code, an id that names the place in the server and a text.
type apiError struct {
	code     int
	id, msg  string
	nameless bool // from a place that has no id and leaves a gap for it
}

func (e *apiError) Error() string {
	if e.id == "" && !e.nameless {
		return e.msg
	}
	return fmt.Sprintf("%s (%s)", e.msg, e.id)
}

// gRPC codes that the server uses.
const (
	codeInvalidArgument    = 3
	codeNotFound           = 5
	codeAlreadyExists      = 6
	codePermissionDenied   = 7
	codeResourceExhausted  = 8
	codeFailedPrecondition = 9
	codeUnimplemented      = 12
	codeInternal           = 13
	codeUnauthenticated    = 16
)

func invalidArgument(id, msg string) error {
	return &apiError{code: codeInvalidArgument, id: id, msg: msg}
}
func notFound(id, msg string) error      { return &apiError{code: codeNotFound, id: id, msg: msg} }
func alreadyExists(id, msg string) error { return &apiError{code: codeAlreadyExists, id: id, msg: msg} }
func permissionDenied(id, msg string) error {
	return &apiError{code: codePermissionDenied, id: id, msg: msg}
}
func failedPrecondition(id, msg string) error {
	return &apiError{code: codeFailedPrecondition, id: id, msg: msg}
}
func unauthenticated(id, msg string) error {
	return &apiError{code: codeUnauthenticated, id: id, msg: msg}
}

func (e *apiError) status() int {
	switch e.code {
	case codeInvalidArgument, codeFailedPrecondition:
		return http.StatusBadRequest
	case codeNotFound:
		return http.StatusNotFound
	case codeAlreadyExists:
		return http.StatusConflict
	case codePermissionDenied:
		return http.StatusForbidden
	case codeResourceExhausted:
		return http.StatusTooManyRequests
	case codeUnauthenticated:
		return http.StatusUnauthorized
	case codeUnimplemented:
		return http.StatusNotImplemented
	}
	return http.StatusInternalServerError
}
