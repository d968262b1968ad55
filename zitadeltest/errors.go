package zitadeltest

import (
	"fmt"
	"net/http"
)

// apiError is an error as ZITADEL's APIs tell it: a gRPC code, an id that names the place in the server and a text.
type apiError struct {
	code    int
	id, msg string
}

func (e *apiError) Error() string {
	if e.id == "" {
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

func invalidArgument(id, msg string) error    { return &apiError{codeInvalidArgument, id, msg} }
func notFound(id, msg string) error           { return &apiError{codeNotFound, id, msg} }
func alreadyExists(id, msg string) error      { return &apiError{codeAlreadyExists, id, msg} }
func permissionDenied(id, msg string) error   { return &apiError{codePermissionDenied, id, msg} }
func failedPrecondition(id, msg string) error { return &apiError{codeFailedPrecondition, id, msg} }
func unauthenticated(id, msg string) error    { return &apiError{codeUnauthenticated, id, msg} }

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
