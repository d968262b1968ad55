package basetransport

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTransportIsTunedAndShared(t *testing.T) {
	tuned, ok := Transport().(*http.Transport)
	require.True(t, ok)
	assert.Same(t, tuned, Transport())
	assert.NotSame(t, http.DefaultTransport, tuned)
	assert.Equal(t, uint16(tls.VersionTLS12), tuned.TLSClientConfig.MinVersion)
	assert.GreaterOrEqual(t, tuned.MaxIdleConnsPerHost, idlePerHost)
	assert.NotNil(t, tuned.Proxy, "proxies come from the environment")
	assert.True(t, tuned.ForceAttemptHTTP2)
	assert.Equal(t, Timeout, Client().Timeout)
	assert.NotSame(t, Client(), Client(), "a caller may change its client")
}

func TestTransportRefusesOldTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	server.Config.ErrorLog = nil
	server.StartTLS()
	t.Cleanup(server.Close)
	own := Transport().(*http.Transport).Clone()
	own.TLSClientConfig.RootCAs = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	t.Cleanup(own.CloseIdleConnections)
	_, err := (&http.Client{Transport: own}).Get(server.URL)
	assert.ErrorContains(t, err, "protocol version")
}
