package zitadeltest

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/op"
)

// routes is the whole server: the OAuth endpoints on zitadel/oidc's framework, the REST APIs beside them. What an orchestrator asks to
// see whether the server is up belongs to no instance.
func (s *Server) routes() http.Handler {
	oauth := noStore(op.RegisterServer(provider{Server: s}, endpoints,
		op.WithFallbackLogger(slog.New(slog.DiscardHandler))))
	blockable := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.faults.blocked.Load() {
			http.Error(w, "Your ZITADEL instance is blocked.", http.StatusTooManyRequests)
			return
		}
		oauth.ServeHTTP(w, r)
	})
	instance := s.onlyInstance(blockable, s.rest())
	return s.observe(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/debug/healthz":
			_, _ = io.WriteString(w, "ok")
		case "/debug/ready", "/debug/validate":
			writeJSON(w, http.StatusOK, "ok")
		default:
			instance.ServeHTTP(w, r)
		}
	}))
}

func isOAuth(path string) bool {
	return strings.HasPrefix(path, "/oauth/v2") || strings.HasPrefix(path, "/oidc/v1") ||
		strings.HasPrefix(path, "/.well-known/openid-configuration")
}

// noStore forbids caching unless the handler says otherwise. ZITADEL does so on all OAuth endpoints but the keys.
func noStore(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != endpoints.JwksURI.Relative() {
			setNoStore(w.Header())
		}
		next.ServeHTTP(w, r)
	})
}

func setNoStore(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("Expires", time.Unix(0, 0).UTC().Format(http.TimeFormat))
}

func dropNoStore(h http.Header) {
	for _, name := range []string{"Cache-Control", "Pragma", "Expires"} {
		h.Del(name)
	}
}
