package rotate

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/postern-go/postern/zitadeltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const day = 24 * time.Hour

// world is a server, a service user without any role, with credentials of others beside its own, and a store in a file.
type world struct {
	t       *testing.T
	kind    Kind
	server  *zitadeltest.Server
	user    *zitadeltest.User
	admin   *Client
	path    string
	foreign []string // ids
	faults  *faults
	log     *logBuffer
}

func newWorld(t *testing.T, kind Kind, cfg zitadeltest.Config) *world {
	t.Helper()
	w := &world{t: t, kind: kind, server: zitadeltest.Start(t, cfg), path: filepath.Join(tempDir(t), "credential"), faults: &faults{}, log: &logBuffer{}}
	w.user = w.server.AddServiceUser("ci-bot")
	admin, err := NewClient(ClientConfig{
		Issuer: w.server.Issuer(), Source: personal{&secret{pat: w.server.AdminPAT()}}, HTTPClient: w.server.Client(),
	})
	require.NoError(t, err)
	w.admin = admin
	return w
}

// tempDir is in memory where the system has such a place: the many renewals of these tests would sync a disk some thousand times.
func tempDir(t *testing.T) string {
	t.Helper()
	const memory = "/dev/shm"
	if info, err := os.Stat(memory); err != nil || !info.IsDir() {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(memory, "rotate")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(dir)) })
	return dir
}

// addForeign makes credentials that no record names, one of them with the expiry that a renewal could choose.
func (w *world) addForeign() {
	w.t.Helper()
	for _, expires := range []time.Time{w.server.Now().Add(30 * day), w.server.Now().Add(50 * day), {}} {
		if w.kind == PAT {
			w.user.PAT(expires)
		} else {
			w.user.KeyJSON(expires)
		}
	}
	for _, c := range w.list() {
		w.foreign = append(w.foreign, c.ID)
	}
}

func (w *world) config(store Store) Config {
	return Config{
		Issuer: w.server.Issuer(), Kind: w.kind, Store: store, KeyType: P256,
		HTTPClient: &http.Client{Transport: w.faults.around(w.server.Transport())},
		Logger:     slog.New(slog.NewTextHandler(w.log, nil)),
	}
}

// rotator is a fresh process: nothing but the files is left of those before.
func (w *world) rotator(change ...func(*Config)) *Rotator {
	w.t.Helper()
	store := NewFileStore(w.path)
	store.step = w.faults.check
	cfg := w.config(&faultyStore{store, w.faults})
	for _, c := range change {
		c(&cfg)
	}
	r, err := New(cfg)
	require.NoError(w.t, err)
	return r
}

// byAdmin has an administrator make the credential.
func (w *world) byAdmin(cfg *Config) {
	cfg.Source, cfg.UserID = personal{&secret{pat: w.server.AdminPAT()}}, w.user.ID
}

// bootstrap makes the first credential as it should be made.
func (w *world) bootstrap() Report {
	w.t.Helper()
	report, err := w.rotator(w.byAdmin).Run(w.t.Context())
	require.NoError(w.t, err)
	require.True(w.t, report.Renewed)
	return report
}

func (w *world) list() []Credential {
	w.t.Helper()
	all, err := w.admin.List(w.t.Context(), w.kind, w.user.ID)
	require.NoError(w.t, err)
	return all
}

// own are the credentials that the rotators made and did not remove.
func (w *world) own() []string {
	w.t.Helper()
	ids := []string{}
	left := len(w.foreign)
	for _, c := range w.list() {
		if contains([]Credential{c}, c.ID) && !strings.Contains(strings.Join(w.foreign, " "), c.ID) {
			ids = append(ids, c.ID)
		} else {
			left--
		}
	}
	assert.Zero(w.t, left, "a credential that no intent names was removed")
	return ids
}

// works asks the server with the stored credential.
func (w *world) works() {
	w.t.Helper()
	raw, err := os.ReadFile(w.path)
	require.NoError(w.t, err)
	w.worksBy(raw)
}

func (w *world) worksBy(raw []byte) {
	w.t.Helper()
	s, err := parseSecret(w.kind, raw)
	require.NoError(w.t, err)
	r := Rotator{cfg: Config{Issuer: w.server.Issuer(), HTTPClient: w.server.Client()}}
	source, err := r.source(s)
	require.NoError(w.t, err)
	me, err := w.admin.as(source).api.Me(w.t.Context())
	require.NoError(w.t, err, "the stored credential does not work")
	assert.Equal(w.t, w.user.ID, me.ID)
}

// logBuffer is a log that several goroutines write.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// faults interrupts the work at its n-th step: where the store is used, where a file is changed, before a request leaves, after its
// answer came. Where the process is to die, every step from there on fails, so that nothing of it reaches files and server any more.
type faults struct {
	mu   sync.Mutex
	left int // steps to go; negative: not armed, or over
	dies bool
	dead bool
	at   string // where it struck

	hooked string // calls call once, at the skip-th step of that name
	skip   int
	call   func()
}

var errCut = errors.New("cut off")

// arm strikes at the n-th step from now, counted from 0.
func (f *faults) arm(n int, dies bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left, f.dies, f.dead, f.at = n+1, dies, false, ""
}

// disarm lets everything pass again, and says where it struck.
func (f *faults) disarm() (at string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left, f.dead = 0, false
	return f.at
}

// hook makes a call at the n-th step of that name, counted from 0.
func (f *faults) hook(name string, n int, call func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hooked, f.skip, f.call = name, n, call
}

// unhook takes the hook off again, and says whether it was called.
func (f *faults) unhook() (called bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	called = f.call == nil
	f.call = nil
	return called
}

func (f *faults) check(at string) error {
	f.mu.Lock()
	if f.call != nil && f.hooked == at {
		if f.skip--; f.skip < 0 {
			call := f.call
			f.call = nil
			f.mu.Unlock()
			call()
			f.mu.Lock()
		}
	}
	defer f.mu.Unlock()
	if f.left > 0 {
		if f.left--; f.left == 0 {
			f.at, f.dead = at, f.dies
			return errCut
		}
	}
	if f.dead {
		return errCut
	}
	return nil
}

func (f *faults) around(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		if err := f.check("before " + r.Method + " " + r.URL.Path); err != nil {
			return nil, err
		}
		resp, err := next.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		if err := f.check("after " + r.Method + " " + r.URL.Path); err != nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			return nil, err
		}
		return resp, nil
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

type faultyStore struct {
	Store
	*faults
}

func (s *faultyStore) Load(ctx context.Context) (Record, error) {
	if err := s.check("before load"); err != nil {
		return Record{}, err
	}
	return s.Store.Load(ctx)
}

func (s *faultyStore) Save(ctx context.Context, r Record) (string, error) {
	if err := s.check("before save"); err != nil {
		return "", err
	}
	version, err := s.Store.Save(ctx, r)
	if err == nil {
		err = s.check("after save")
	}
	return version, err
}
