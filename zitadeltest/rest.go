package zitadeltest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// call is a call of the REST APIs while it is answered.
type call struct {
	*Server
	r    *http.Request
	user *user // who calls
	org  *org  // the organisation called for: x-zitadel-orgid, or the user's own
	body json.RawMessage
}

// route is a method of the REST APIs.
type route struct {
	pattern string // as http.ServeMux takes it
	perm    string // what the caller needs on the organisation; authenticated: only a token; empty: not even that
	answer  func(*call) (any, error)
}

const authenticated = "authenticated"

var deletesWithBody = []string{"DELETE /management/v1/users/{user}/metadata/_bulk", "DELETE /v2/sessions/{session}"}

// object is a JSON object.
type object = map[string]any

type serverKey struct{}

// routesREST is made once in a process: it costs more than the rest of a server's start. The server comes with the call.
var routesREST = sync.OnceValue(func() *http.ServeMux {
	mux := http.NewServeMux()
	for _, routes := range [][]route{
		orgRoutes, userRoutes, credentialRoutes, metadataRoutes, grantRoutes, projectRoutes, appRoutes,
		userV2Routes, credentialV2Routes, sessionRoutes, actionRoutes,
	} {
		for _, rt := range routes {
			mux.HandleFunc(rt.pattern, func(w http.ResponseWriter, r *http.Request) {
				r.Context().Value(serverKey{}).(*Server).serveREST(w, r, rt)
			})
		}
	}
	return mux
})

func (s *Server) rest() http.Handler {
	mux := routesREST()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if allowBrowsers(w.Header(), r) {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		// ZITADEL's gateway knows no HEAD, while a ServeMux takes it for a GET.
		if _, pattern := mux.Handler(r); pattern != "" && r.Method != http.MethodHead {
			mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), serverKey{}, s)))
			return
		}
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
			other := r.Clone(r.Context())
			other.Method = method
			if _, pattern := mux.Handler(other); pattern != "" {
				writeJSON(w, http.StatusMethodNotAllowed, object{"code": codeUnimplemented, "message": "Method Not Allowed"})
				return
			}
		}
		writeError(w, notFound("", "Not Found"))
	})
}

// allowBrowsers lets pages from anywhere call, and tells whether a browser only asked if it may.
func allowBrowsers(h http.Header, r *http.Request) (asked bool) {
	origin, method := r.Header.Get("Origin"), r.Header.Get("Access-Control-Request-Method")
	asked = r.Method == http.MethodOptions && method != ""
	h.Set("Vary", "Origin")
	if asked {
		h.Set("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
	}
	if origin == "" {
		return asked
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Credentials", "true")
	if !asked {
		h.Set("Access-Control-Expose-Headers", "Location, Content-Length")
		return false
	}
	h.Set("Access-Control-Allow-Methods", method)
	if headers := r.Header.Get("Access-Control-Request-Headers"); headers != "" {
		h.Set("Access-Control-Allow-Headers", headers)
	}
	return true
}

// serveREST follows the order of ZITADEL's gateway: the body is parsed first, then come token, permission and the call itself. What
// comes with a GET is not looked at, nor what comes with most DELETEs.
func (s *Server) serveREST(w http.ResponseWriter, r *http.Request, rt route) {
	body := json.RawMessage("{}")
	if r.Method != http.MethodGet && (r.Method != http.MethodDelete || slices.Contains(deletesWithBody, rt.pattern)) {
		var err error
		if body, err = readJSON(r.Body); err != nil {
			writeError(w, err)
			return
		}
	}
	if !isV2(r) {
		setNoStore(w.Header())
	}
	if s.faults.blocked.Load() {
		writeError(w, &apiError{code: codeResourceExhausted, id: "LIMITS-molsj", msg: "Errors.Limits.Instance.Blocked"})
		return
	}
	answer, err := s.answerREST(r, rt, body)
	if err != nil {
		if strings.HasPrefix(err.Error(), "proto: ") { // the gateway's own words: the API never saw the call
			dropNoStore(w.Header())
		}
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(body) // the caller went away
}

// answerREST tells errors in English, but ZITADEL translates only what the call itself says and not why it was refused.
func (s *Server) answerREST(r *http.Request, rt route, body json.RawMessage) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &call{Server: s, r: r, body: body}
	if err := c.admit(rt.perm); err != nil {
		return nil, err
	}
	answer, err := rt.answer(c)
	return answer, translated(err)
}

func isV2(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/v2/") }

func (c *call) admit(perm string) error {
	if perm == "" {
		return nil
	}
	if err := c.authenticate(); err != nil || perm == authenticated {
		return err
	}
	return c.permit(perm)
}

func translated(err error) error {
	if api := new(apiError); errors.As(err, &api) && english[api.msg] != "" {
		return &apiError{code: api.code, id: api.id, msg: english[api.msg]}
	}
	return err
}

// authenticate takes the scheme as exactly "Bearer ". ZITADEL's APIs ask for their own project in the audience, except of personal
// access tokens.
func (c *call) authenticate() error {
	header := c.r.Header.Get("Authorization")
	if header == "" {
		return unauthenticated("", "auth header missing")
	}
	parts := strings.Split(header, "Bearer ")
	if len(parts) != 2 {
		return unauthenticated("AUTH-7fs1e", "invalid auth header")
	}
	t, err := c.verifyToken(parts[1])
	if err != nil || !t.isPAT && !slices.Contains(t.audience, c.zitadelProject) {
		return unauthenticated("AUTH-7fs1e", "Errors.Token.Invalid")
	}
	c.user, c.org = t.user, t.user.org
	if id := c.r.Header.Get("X-Zitadel-Orgid"); id != "" {
		if c.org = c.state.org(id); c.org == nil {
			return permissionDenied("AUTH-Bs7Ds", "Organisation doesn't exist")
		}
	}
	return nil
}

// readJSON reads a body as the gateway does: none is as good as {}.
func readJSON(r io.Reader) (json.RawMessage, error) {
	dec := json.NewDecoder(r)
	var body json.RawMessage
	switch err := dec.Decode(&body); {
	case errors.Is(err, io.EOF):
		return json.RawMessage("{}"), nil
	case err != nil:
		return nil, invalidArgument("", err.Error())
	}
	return body, nil
}

func writeError(w http.ResponseWriter, err error) {
	var api *apiError
	if !errors.As(err, &api) {
		api = &apiError{code: codeInternal, msg: "An internal error occurred"}
	}
	body := object{"code": api.code, "message": api.Error()}
	if api.id != "" || api.nameless {
		detail := object{"@type": "type.googleapis.com/zitadel.v1.ErrorDetail", "message": api.msg}
		if api.id != "" {
			detail["id"] = api.id
		}
		body["details"] = []object{detail}
	}
	if api.code == codeUnauthenticated {
		w.Header().Set("Www-Authenticate", api.Error())
	}
	writeJSON(w, api.status(), body)
}

// timestamp writes a time as protobuf's JSON does: with 0, 3, 6 or 9 digits after the second.
func timestamp(t time.Time) string {
	t = t.UTC()
	switch n := t.Nanosecond(); {
	case n == 0:
		return t.Format("2006-01-02T15:04:05Z")
	case n%1e6 == 0:
		return t.Format("2006-01-02T15:04:05.000Z")
	case n%1e3 == 0:
		return t.Format("2006-01-02T15:04:05.000000Z")
	}
	return t.Format("2006-01-02T15:04:05.000000000Z")
}

// seconds writes a duration as protobuf's JSON does.
func seconds(d time.Duration) string {
	whole, n := d/time.Second, d%time.Second
	switch {
	case n == 0:
		return fmt.Sprintf("%ds", whole)
	case n%1e6 == 0:
		return fmt.Sprintf("%d.%03ds", whole, n/1e6)
	case n%1e3 == 0:
		return fmt.Sprintf("%d.%06ds", whole, n/1e3)
	}
	return fmt.Sprintf("%d.%09ds", whole, n)
}
