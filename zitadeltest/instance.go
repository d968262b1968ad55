package zitadeltest

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
)

// onlyInstance answers 404 for a host that is none of this instance, as ZITADEL does: behind a proxy the host that counts is sent as
// x-zitadel-instance-host. A server that listens on all addresses knows no host of its own and takes any.
func (s *Server) onlyInstance(oauth, rest http.Handler) http.Handler {
	issuer, err := url.Parse(s.issuer)
	if err != nil {
		panic("zitadeltest: " + err.Error()) // it was made of a listener's address
	}
	own := issuer.Hostname()
	ip := net.ParseIP(own)
	everywhere := ip != nil && ip.IsUnspecified()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Header.Get("X-Zitadel-Instance-Host")
		if host == "" {
			host = r.Host
		}
		public := r.Header.Get("X-Zitadel-Public-Host")
		known := everywhere || hostname(host) == own || loopback(hostname(host)) && loopback(own)
		next := rest
		if isOAuth(r.URL.Path) {
			next = oauth
		}
		if known {
			next.ServeHTTP(w, r)
			return
		}
		text := fmt.Sprintf("unable to set instance using origin &{%s %s http} (ExternalDomain is %s): "+
			"ID=QUERY-1kIjX Message=Instance not found. Make sure you got the domain right. "+
			"Check out https://zitadel.com/docs/apis/introduction#domains "+
			"Parent=(unable to get instance by domain: instanceDomain %s, publicHostname %s: "+
			"ID=QUERY-1kIjX Message=Errors.Instance.NotFound)", host, public, own, hostname(host), hostname(public))
		if isOAuth(r.URL.Path) {
			http.Error(w, text, http.StatusNotFound)
			return
		}
		writeError(w, notFound("", text))
	})
}

func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}

// loopback lets "localhost" stand for 127.0.0.1, since a test server has no other name.
func loopback(name string) bool {
	ip := net.ParseIP(name)
	return name == "localhost" || ip != nil && ip.IsLoopback()
}
