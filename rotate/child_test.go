//go:build unix

package rotate

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/zitadeltest"
)

// What a child process is told.
const (
	childPath   = "POSTERN_ROTATE_TEST_PATH"
	childIssuer = "POSTERN_ROTATE_TEST_ISSUER"
	childKind   = "POSTERN_ROTATE_TEST_KIND"
	childStep   = "POSTERN_ROTATE_TEST_STEP"
)

func init() {
	if os.Getenv(childPath) != "" {
		os.Exit(child())
	}
}

// child renews, and is killed at its n-th step by the operating system: nothing is flushed, closed or removed.
func child() int {
	n, err := strconv.Atoi(os.Getenv(childStep))
	if err != nil {
		return 2
	}
	step := func(string) error {
		if n--; n < 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // until it arrives
		}
		return nil
	}
	store := NewFileStore(os.Getenv(childPath))
	store.step = step
	r, err := New(Config{
		Issuer: os.Getenv(childIssuer), Kind: Kind(os.Getenv(childKind)), Store: store, Grace: 1, KeyType: P256,
		Logger: slog.New(slog.DiscardHandler),
		HTTPClient: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodGet {
				return http.DefaultTransport.RoundTrip(r)
			}
			_ = step("")
			resp, err := http.DefaultTransport.RoundTrip(r)
			_ = step("")
			return resp, err
		})},
	})
	if err == nil {
		_, err = r.Rotate(context.Background())
	}
	if err == nil {
		_, err = r.Run(context.Background()) // removes the old one
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// A real process, killed at each change of a file and at each call that changes something at the server.
func TestProcessKilledAtEveryStep(t *testing.T) {
	if testing.Short() {
		t.Skip("starts about forty processes")
	}
	program, err := os.Executable()
	require.NoError(t, err)
	for _, kind := range []Kind{PAT, Key} {
		t.Run(string(kind), func(t *testing.T) {
			w := newWorld(t, kind, zitadeltest.Config{})
			w.addForeign()
			before := w.bootstrap().Current.ID
			grace := func(cfg *Config) { cfg.Grace = 1 }
			for n := 0; ; n++ {
				cmd := exec.CommandContext(t.Context(), program)
				cmd.Env = append(os.Environ(), childPath+"="+w.path, childIssuer+"="+w.server.Issuer(),
					childKind+"="+string(kind), childStep+"="+strconv.Itoa(n))
				out, err := cmd.Output()
				w.works()
				if err == nil {
					assert.Greater(t, n, 12, "the steps were not reached")
					break
				}
				require.ErrorContains(t, err, "killed", "step %d: %s", n, out)

				_, err = w.rotator(grace).Run(t.Context())
				require.NoError(t, err, "step %d", n)
				w.works()
				require.LessOrEqual(t, len(w.own()), 2, "step %d", n)
				report, err := w.rotator(grace).Run(t.Context())
				require.NoError(t, err, "step %d", n)
				require.Equal(t, []string{report.Current.ID}, w.own(), "step %d", n)
			}
			report, err := w.rotator(grace).Run(t.Context())
			require.NoError(t, err)
			w.works()
			assert.Equal(t, []string{report.Current.ID}, w.own())
			assert.NotEqual(t, before, report.Current.ID)
		})
	}
}
