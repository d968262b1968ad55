// Package basetransport holds the one HTTP transport that this library uses where its user names none.
package basetransport

import (
	"crypto/tls"
	"net/http"
	"sync"
	"time"
)

const (
	// Timeout is how long one OAuth call may take in all, the answer's body included.
	Timeout = 15 * time.Second
	// idlePerHost is how many idle connections to one host are kept: all calls go to one issuer, where net/http's 2 would
	// have a burst of callers dial again each time.
	idlePerHost = 32
)

// Transport returns a clone of http.DefaultTransport, made at the first call and shared from then on: proxies from the
// environment, HTTP/2, TLS 1.2 at least, 32 idle connections a host kept for 90 seconds. A program that has put something
// other than an *http.Transport into http.DefaultTransport gets that.
var Transport = sync.OnceValue(func() http.RoundTripper {
	standard, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	t := standard.Clone()
	t.MaxIdleConnsPerHost = max(t.MaxIdleConnsPerHost, idlePerHost)
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = &tls.Config{}
	}
	t.TLSClientConfig.MinVersion = max(t.TLSClientConfig.MinVersion, tls.VersionTLS12)
	return t
})

// Client returns a new client over the shared Transport that gives up after Timeout.
func Client() *http.Client { return &http.Client{Transport: Transport(), Timeout: Timeout} }
