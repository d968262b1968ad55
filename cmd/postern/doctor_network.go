package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/postern-go/postern/internal/basetransport"
)

func checkName(ctx context.Context, p *patient) (string, string, error) {
	u, err := url.Parse(p.server.Issuer())
	if err != nil {
		return "", "", err
	}
	if proxy, _ := http.ProxyFromEnvironment(&http.Request{URL: u}); proxy != nil {
		return "left to the proxy " + proxy.Host, "", nil
	}
	if net.ParseIP(u.Hostname()) != nil {
		return u.Hostname() + " is an address", "", nil
	}
	addresses, err := net.DefaultResolver.LookupHost(ctx, u.Hostname())
	if err != nil {
		return "", "correct the host in ZITADEL_ISSUER, or this machine's name server (see /etc/resolv.conf)", err
	}
	return u.Hostname() + " is " + strings.Join(addresses, ", "), "", nil
}

// connectTimeout bounds the one request that only looks whether there is a way.
const connectTimeout = 10 * time.Second

func checkConnection(ctx context.Context, p *patient) (string, string, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(p.server.Issuer(), "/")+"/.well-known/openid-configuration", nil)
	if err != nil {
		return "", "", err
	}
	if p.client == nil {
		p.client = basetransport.Client()
	}
	client := *p.client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	p.sent = time.Now()
	resp, err := client.Do(req)
	p.received = time.Now()
	if err != nil {
		return "", connectFix(err), err
	}
	resp.Body.Close()
	p.answer = resp
	if resp.StatusCode != http.StatusOK {
		return "", statusFix(resp), fmt.Errorf("expected 200 for %s, got %s", req.URL.Path, resp.Status)
	}
	return sayTLS(resp.TLS), "", nil
}

// statusFix tells what a server means that answers, and not with its discovery document.
func statusFix(resp *http.Response) string {
	switch status := resp.StatusCode; {
	case status == http.StatusTooManyRequests:
		return "the instance is blocked, by its quota or by a proxy before it: raise the quota, or wait; to ask again sooner does not help"
	case status >= 500:
		return "the server or a proxy before it has trouble: look at its health, and try again later"
	case status >= 300 && status < 400:
		return "redirects are not followed, for credentials would go there: make ZITADEL_ISSUER the URL that it leads to, if that is ZITADEL's"
	}
	return "is that a ZITADEL? Behind a proxy it finds its instance by the host name, which the proxy must pass on"
}

// connectFix tells the failures of a connection apart by their types.
func connectFix(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the certificate is by an authority that this machine does not know: install that authority's certificate, or name its file in SSL_CERT_FILE"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the certificate is for another host: correct ZITADEL_ISSUER, or the server's certificate"
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return "the certificate is not valid now: renew it at the server, or set this machine's clock"
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "proxyconnect" {
		return "the proxy cannot be reached: correct HTTPS_PROXY or HTTP_PROXY, or except the server's host in NO_PROXY"
	}
	switch {
	case errors.Is(err, http.ErrSchemeMismatch):
		return "the server does not speak TLS on that port: correct scheme or port in ZITADEL_ISSUER"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: correct the port in ZITADEL_ISSUER, or start the server"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "no answer: a firewall may be in between, or the server is stuck"
	}
	return "look at the network between here and there; a proxy is taken from HTTPS_PROXY"
}
