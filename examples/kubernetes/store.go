package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/postern-go/postern/rotate"
)

// secretStore keeps a credential under one name of a Kubernetes Secret, with the record beside it. It needs the rights to get and to
// patch that Secret.
type secretStore struct {
	client *http.Client
	url    string // of the Secret
	token  string // path of the service account's token, which the kubelet renews
	name   string // of the credential in the Secret's data
}

var _ rotate.Store = (*secretStore)(nil)

// inCluster finds the API server as every pod may: by two variables, and the service account's directory.
func inCluster(getenv func(string) string, account, secret, name string) (*secretStore, error) {
	host, port := getenv("KUBERNETES_SERVICE_HOST"), getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" || secret == "" || name == "" {
		return nil, errors.New("expected KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT, which every pod has, SECRET_NAME and SECRET_KEY")
	}
	namespace, err := os.ReadFile(filepath.Join(account, "namespace"))
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(filepath.Join(account, "ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("expected certificates in the service account's ca.crt, got none")
	}
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("expected an *http.Transport in http.DefaultTransport")
	}
	transport = transport.Clone()
	transport.Proxy = nil // the API server is in the cluster
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	return &secretStore{
		client: &http.Client{Transport: transport, Timeout: 15 * time.Second},
		url: "https://" + net.JoinHostPort(host, port) + "/api/v1/namespaces/" + url.PathEscape(strings.TrimSpace(string(namespace))) +
			"/secrets/" + url.PathEscape(secret),
		token: filepath.Join(account, "token"),
		name:  name,
	}, nil
}

// Lock does nothing: a Save that is not the successor of its Load is refused, and so of two runs one stops.
func (s *secretStore) Lock(context.Context) (func(), error) { return func() {}, nil }

// Load reads the Secret, which must be there: whoever may create one may create any.
func (s *secretStore) Load(ctx context.Context) (rotate.Record, error) {
	got, err := s.call(ctx, http.MethodGet, nil)
	if err != nil {
		return rotate.Record{}, err
	}
	return rotate.NewRecord(got.Data[s.name], got.Data[s.name+".state"], got.Metadata.ResourceVersion), nil
}

// Save changes credential and record as one, if nobody changed the Secret since. Whatever else is in it stays.
func (s *secretStore) Save(ctx context.Context, r rotate.Record) (string, error) {
	var patch secret
	patch.Metadata.ResourceVersion = r.Version()
	patch.Data = map[string][]byte{s.name: r.Credential(), s.name + ".state": r.State()}
	got, err := s.call(ctx, http.MethodPatch, &patch)
	if err != nil {
		return "", err
	}
	return got.Metadata.ResourceVersion, nil
}

// secret is what is read and written of a Secret; JSON carries its data in base64, as Kubernetes has it.
type secret struct {
	Metadata struct {
		ResourceVersion string `json:"resourceVersion"`
	} `json:"metadata"`
	Data map[string][]byte `json:"data"`
}

const maxAnswer = 4 << 20 // bytes; a Secret has at most 1 MiB

func (s *secretStore) call(ctx context.Context, method string, patch *secret) (*secret, error) {
	token, err := os.ReadFile(s.token)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(patch)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, s.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if patch == nil {
		req.Body, req.ContentLength = http.NoBody, 0
	} else {
		req.Header.Set("Content-Type", "application/merge-patch+json")
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusConflict:
		return nil, rotate.ErrConflict
	case http.StatusForbidden:
		return nil, fmt.Errorf("%s %s: the service account may not: give it get and patch on this Secret", method, s.url)
	case http.StatusNotFound:
		return nil, fmt.Errorf("%s %s: there is no such Secret: create it, empty or with the first credential", method, s.url)
	default:
		return nil, fmt.Errorf("%s %s: %s", method, s.url, resp.Status)
	}
	var got secret
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&got); err != nil {
		return nil, fmt.Errorf("%s %s: expected a Secret, got something else", method, s.url)
	}
	if got.Metadata.ResourceVersion == "" {
		return nil, fmt.Errorf("%s %s: expected a resourceVersion, got none", method, s.url)
	}
	return &got, nil
}
