package middleware

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/postern-go/postern/internal/origin"
)

const wellKnown = "/.well-known/oauth-protected-resource"

// Resource describes an API to clients that know only its URL, so that they find where to get a token (RFC 9728 §2). MCP
// clients ask for it.
type Resource struct {
	// ID is the API's URL as its clients write it, such as "https://api.example.com/orders": https, or http to loopback, without
	// query, fragment or a slash at the end of its path. Required.
	ID string
	// AuthorizationServers are the issuers whose tokens the API takes: for ZITADEL the issuer URL. Default: none named.
	AuthorizationServers []string
	// Scopes are those worth asking for, such as postern.ScopeProjectAudience(projectID). Default: none named.
	Scopes []string
	// Name is for people. Default: none.
	Name string
	// Documentation is a URL for developers. Default: none.
	Documentation string
}

// Validate reports every mistake in r. New panics with what it reports, so a program that has r from its settings asks first.
func (r *Resource) Validate() error {
	_, err := r.metadataURL()
	return err
}

// Metadata returns where the description of Config.Resource lives, and a handler that serves it, as http.ServeMux.Handle
// takes them:
//
//	mux.Handle(gate.Metadata())
//
// The path is /.well-known/oauth-protected-resource followed by the path of Resource.ID (RFC 9728 §3.1). The handler answers GET and
// HEAD, and CORS preflights for browser clients, on whatever path it is mounted: it also fits the bare well-known path, which
// some clients try when an API lives under a path. It needs no token, and must not: a client reads it to get one. It panics when
// there is no Config.Resource.
func (g *Gate) Metadata() (path string, h http.Handler) {
	if g.config.Resource == nil {
		panic("middleware.Gate.Metadata: expected Config.Resource to be set, got nil")
	}
	u, err := url.Parse(g.metadata)
	if err != nil {
		panic(err) // New made it
	}
	return u.EscapedPath(), metadataHandler(g.config.Resource.document())
}

func (r *Resource) clone() *Resource {
	c := *r
	c.AuthorizationServers, c.Scopes = slices.Clone(c.AuthorizationServers), slices.Clone(c.Scopes)
	return &c
}

// metadataURL checks r and puts the well-known part between the host and path of its ID (RFC 9728 §3.1).
func (r *Resource) metadataURL() (string, error) {
	u, err := checkURL(r.ID)
	errs := []error{wrap("ID", err)}
	if err == nil && u.Path != "/" && strings.HasSuffix(u.Path, "/") {
		errs = append(errs, wrap("ID", fmt.Errorf("expected no slash at the end of the path, got %q; drop it", r.ID)))
	}
	for _, s := range r.AuthorizationServers {
		_, err := checkURL(s)
		errs = append(errs, wrap("AuthorizationServers", err))
	}
	if slices.Contains(r.Scopes, "") {
		errs = append(errs, wrap("Scopes", errors.New("expected scopes, got an empty one")))
	}
	if r.Documentation != "" {
		if _, err := url.ParseRequestURI(r.Documentation); err != nil {
			errs = append(errs, wrap("Documentation", err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return "", err
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	return u.Scheme + "://" + u.Host + wellKnown + path, nil
}

// document is the JSON of RFC 9728 §2.
func (r *Resource) document() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(struct {
		Resource             string   `json:"resource"`
		AuthorizationServers []string `json:"authorization_servers,omitempty"`
		Scopes               []string `json:"scopes_supported,omitempty"`
		BearerMethods        []string `json:"bearer_methods_supported"`
		Name                 string   `json:"resource_name,omitempty"`
		Documentation        string   `json:"resource_documentation,omitempty"`
	}{r.ID, r.AuthorizationServers, r.Scopes, []string{"header"}, r.Name, r.Documentation})
	if err != nil {
		panic(err) // strings always encode
	}
	return b.Bytes()
}

func metadataHandler(document []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*") // public and the same for everybody
		switch r.Method {
		case http.MethodGet, http.MethodHead:
			h.Set("Content-Type", "application/json")
			h.Set("Content-Length", strconv.Itoa(len(document)))
			h.Set("Cache-Control", "public, max-age=300")
			if r.Method == http.MethodGet {
				_, _ = w.Write(document) // the client may have gone
			}
		case http.MethodOptions:
			h.Set("Allow", "GET, HEAD, OPTIONS")
			h.Set("Access-Control-Allow-Methods", "GET, HEAD")
			h.Set("Access-Control-Allow-Headers", "*")
			w.WriteHeader(http.StatusNoContent)
		default:
			h.Set("Allow", "GET, HEAD, OPTIONS")
			w.WriteHeader(http.StatusMethodNotAllowed)
		}
	})
}

// checkURL takes a URL that identifies an API or an issuer (RFC 9728 §1.2, RFC 8414 §2).
func checkURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil: // its text repeats what may hold a password
		return nil, errors.New("expected a URL such as https://api.example.com, got none")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(s, "#") || !printable(s):
		return nil, fmt.Errorf("expected scheme, host and perhaps a path in ASCII, as in https://api.example.com/orders, got %q", u.Redacted())
	case origin.Secure(u, false) != nil:
		return nil, fmt.Errorf("expected https, or http to this machine, and a valid host, as in https://api.example.com, got %q", s)
	}
	return u, nil
}

func wrap(field string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", field, err)
}
