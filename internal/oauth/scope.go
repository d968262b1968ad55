package oauth

import (
	"errors"
	"fmt"
	"strings"
)

// Scope joins scopes for a request (RFC 6749 §3.3), or the defaults where there are none. Each must be one scope.
func Scope(scopes []string, defaults ...string) (string, error) {
	if len(scopes) == 0 {
		scopes = defaults
	}
	var errs []error
	for i, scope := range scopes {
		if scope == "" || strings.ContainsFunc(scope, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			errs = append(errs, fmt.Errorf("Scopes[%d]: expected one scope, of printable ASCII without spaces, quotes and backslashes, got %q: "+
				"give each as an element of its own", i, scope))
		}
	}
	return strings.Join(scopes, " "), errors.Join(errs...)
}
