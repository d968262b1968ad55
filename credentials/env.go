package credentials

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// variables are all that either way knows, without their prefix, in the order in which errors list them.
var variables = []string{"PAT", "PAT_FILE", "KEY_FILE", "KEY_JSON", "CLIENT_ID", "CLIENT_SECRET", "CLIENT_SECRET_FILE"}

// env is what the environment says.
type env struct {
	prefix string
	issuer string
	values map[string]string // by name without prefix; empty ones are left out
	empty  []string
	way    string // the one that was chosen
}

func read(prefix string) *env {
	e := &env{prefix: prefix, issuer: os.Getenv("ZITADEL_ISSUER"), values: make(map[string]string)}
	for _, name := range variables {
		switch value, ok := os.LookupEnv(prefix + name); {
		case value != "":
			e.values[name] = value
		case ok:
			e.empty = append(e.empty, name)
		}
	}
	return e
}

func (e *env) name(variable string) string { return e.prefix + variable }

// check finds the one way that is set, and reports every mistake.
func (e *env) check(ways ...string) error {
	var set []string
	for _, way := range ways {
		if e.values[way] != "" {
			set = append(set, way)
		}
	}
	errs := []error{checkIssuer(e.issuer)}
	secret, file := e.values["CLIENT_SECRET"] != "", e.values["CLIENT_SECRET_FILE"] != ""
	id := e.values["CLIENT_ID"] != ""
	switch {
	case id && !secret && !file:
		errs = append(errs, fmt.Errorf("expected %s or %s with %s, got neither%s",
			e.name("CLIENT_SECRET"), e.name("CLIENT_SECRET_FILE"), e.name("CLIENT_ID"), e.listed()))
	case secret && file:
		errs = append(errs, fmt.Errorf("expected one of %s and %s, got both%s: unset one", e.name("CLIENT_SECRET"), e.name("CLIENT_SECRET_FILE"), e.listed()))
	case !id && (secret || file):
		errs = append(errs, fmt.Errorf("expected %s with the client secret, got none%s", e.name("CLIENT_ID"), e.listed()))
	}
	switch len(set) {
	case 1:
		e.way = set[0]
	case 0:
		if !secret && !file { // or it is half a way, which is said already
			errs = append(errs, fmt.Errorf("expected one of %s to be set, got none%s", e.list(ways), e.listed()))
		}
	default:
		errs = append(errs, fmt.Errorf("expected one way to authenticate, got %d%s: unset all but one", len(set), e.listed()))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return e.checkFiles()
}

// listed tells what is set, by name.
func (e *env) listed() string {
	var parts []string
	for _, name := range variables {
		if e.values[name] != "" {
			parts = append(parts, e.name(name))
		}
	}
	for _, name := range e.empty {
		parts = append(parts, e.name(name)+" (empty)")
	}
	if len(parts) == 0 {
		return ""
	}
	return ": set are " + strings.Join(parts, ", ")
}

// checkFiles looks whether the files that are named are there. The value of a variable that names none is shown only where it can be
// nothing but a path, later, by who opens it: a secret may have been put where its file belongs.
func (e *env) checkFiles() error {
	for _, name := range []string{e.way, "CLIENT_SECRET_FILE"} {
		path := e.values[name]
		if !strings.HasSuffix(name, "_FILE") || path == "" || filepath.IsAbs(path) || strings.HasPrefix(path, ".") {
			continue
		}
		_, err := os.Stat(path)
		if failed, ok := errors.AsType[*fs.PathError](err); ok {
			return fmt.Errorf("%s: expected the path of a file, got what names none that can be read (%w): check the path, which is not shown as it may be a secret",
				e.name(name), failed.Err)
		}
	}
	return nil
}

func (e *env) list(names []string) string {
	full := make([]string, len(names))
	for i, name := range names {
		full[i] = e.name(name)
	}
	return strings.Join(full, ", ")
}
