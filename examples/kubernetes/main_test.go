package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/rotate"
	"github.com/postern-go/postern/zitadeltest"
)

// cluster is an API server with one Secret.
type cluster struct {
	mu      sync.Mutex
	version int
	data    map[string]string // in base64
	refuse  int               // this status instead of an answer
}

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var patch struct {
		Metadata struct{ ResourceVersion string }
		Data     map[string]string
	}
	switch {
	case c.refuse != 0:
		w.WriteHeader(c.refuse)
		return
	case r.Header.Get("Authorization") != "Bearer account-token":
		w.WriteHeader(http.StatusUnauthorized)
		return
	case r.URL.Path != "/api/v1/namespaces/shop/secrets/app-zitadel":
		w.WriteHeader(http.StatusNotFound)
		return
	case r.Method == http.MethodPatch && r.Header.Get("Content-Type") == "application/merge-patch+json":
		if err := json.NewDecoder(r.Body).Decode(&patch); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if patch.Metadata.ResourceVersion != fmt.Sprint(c.version) {
			w.WriteHeader(http.StatusConflict)
			return
		}
		for name, value := range patch.Data {
			c.data[name] = value
		}
		c.version++
	case r.Method != http.MethodGet:
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{
		"kind": "Secret", "metadata": map[string]string{"name": "app-zitadel", "resourceVersion": fmt.Sprint(c.version)}, "data": c.data,
	})
}

// pod is a pod of that cluster.
func pod(t *testing.T, c *cluster) *secretStore {
	t.Helper()
	server := httptest.NewTLSServer(c)
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	require.NoError(t, err)
	host, port, err := net.SplitHostPort(u.Host)
	require.NoError(t, err)
	dir := t.TempDir()
	for name, text := range map[string][]byte{
		"namespace": []byte("shop"), "token": []byte("account-token\n"),
		"ca.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	getenv := func(name string) string {
		return map[string]string{"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}[name]
	}
	store, err := inCluster(getenv, dir, "app-zitadel", "pat")
	require.NoError(t, err)
	t.Cleanup(store.client.CloseIdleConnections)
	return store
}

func (c *cluster) get(t *testing.T, name string) string {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	text, err := base64.StdEncoding.DecodeString(c.data[name])
	require.NoError(t, err)
	return string(text)
}

func TestTheCredentialInASecretIsRenewed(t *testing.T) {
	server := zitadeltest.Start(t)
	user := server.AddServiceUser("bot")
	first := user.PAT(time.Now().Add(time.Hour))
	c := &cluster{version: 7, data: map[string]string{"pat": base64.StdEncoding.EncodeToString([]byte(first)), "other": "a2VwdA=="}}
	store := pod(t, c)
	getenv := func(name string) string { return map[string]string{"ZITADEL_ISSUER": server.Issuer()}[name] }

	var out bytes.Buffer
	require.NoError(t, run(t.Context(), getenv, store, &out))
	assert.Contains(t, out.String(), "nothing is due")
	r, err := rotate.New(rotate.Config{Issuer: server.Issuer(), Kind: rotate.PAT, Store: store})
	require.NoError(t, err)
	report, err := r.Rotate(t.Context())
	require.NoError(t, err)
	assert.True(t, report.Renewed)
	assert.NotEqual(t, first, c.get(t, "pat"))
	assert.Equal(t, "kept", c.get(t, "other"))
	assert.Contains(t, c.get(t, "pat.state"), report.Current.ID)

	out.Reset()
	require.NoError(t, run(t.Context(), getenv, store, &out))
	assert.Contains(t, out.String(), "nothing is due")
}

func TestWhatSomebodyElseSavedIsNotOverwritten(t *testing.T) {
	c := &cluster{version: 7, data: map[string]string{}}
	store := pod(t, c)
	record, err := store.Load(t.Context())
	require.NoError(t, err)
	assert.Empty(t, record.Credential())
	version, err := store.Save(t.Context(), rotate.NewRecord([]byte("one"), nil, record.Version()))
	require.NoError(t, err)
	assert.Equal(t, "8", version)
	_, err = store.Save(t.Context(), rotate.NewRecord([]byte("two"), nil, record.Version()))
	require.ErrorIs(t, err, rotate.ErrConflict)
	assert.Equal(t, "one", c.get(t, "pat"))
}

func TestRefusalsSayWhatToDo(t *testing.T) {
	c := &cluster{data: map[string]string{}}
	store := pod(t, c)
	for status, want := range map[int]string{403: "get and patch", 404: "create it", 500: "500"} {
		c.refuse = status
		_, err := store.Load(t.Context())
		require.ErrorContains(t, err, want)
	}
	_, err := inCluster(func(string) string { return "" }, t.TempDir(), "", "")
	require.ErrorContains(t, err, "SECRET_NAME")
}
