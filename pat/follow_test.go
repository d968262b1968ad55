package pat_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/pat"
	"github.com/postern-go/postern/zitadeltest"
)

const day = 24 * time.Hour

// put writes a file as of the bubble's time.
func put(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	require.NoError(t, os.Chtimes(path, time.Now(), time.Now()))
}

func gives(t *testing.T, src *pat.Source, want string) {
	t.Helper()
	token, err := src.Token()
	require.NoError(t, err)
	assert.Equal(t, want, token.AccessToken)
}

func TestAFileThatIsReplacedIsTakenUpWithin5Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "pat")
		put(t, path, "first\n")
		src, err := pat.FromFile(path)
		require.NoError(t, err)
		put(t, path+".new", "second\n")
		require.NoError(t, os.Rename(path+".new", path))
		gives(t, src, "first")
		time.Sleep(5 * time.Second) // the bubble's clock
		gives(t, src, "second")
	})
}

func TestAMountedSecretIsTakenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		for version, text := range map[string]string{"..2026_1": "first", "..2026_2": "second"} {
			require.NoError(t, os.Mkdir(filepath.Join(dir, version), 0o700))
			put(t, filepath.Join(dir, version, "pat"), text)
		}
		require.NoError(t, os.Symlink("..2026_1", filepath.Join(dir, "..data")))
		require.NoError(t, os.Symlink("..data/pat", filepath.Join(dir, "pat")))
		src, err := pat.FromFile(filepath.Join(dir, "pat"))
		require.NoError(t, err)
		require.NoError(t, os.Symlink("..2026_2", filepath.Join(dir, "..tmp")))
		require.NoError(t, os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")))
		time.Sleep(5 * time.Second)
		gives(t, src, "second")
	})
}

func TestABrokenFileKeepsTheTokenAndIsLoggedOnce(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, path string){
		"gone":      func(t *testing.T, path string) { require.NoError(t, os.Remove(path)) },
		"empty":     func(t *testing.T, path string) { put(t, path, "") },
		"two lines": func(t *testing.T, path string) { put(t, path, "hunter2\nhunter2") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				path := filepath.Join(t.TempDir(), "pat")
				put(t, path, "first")
				src, err := pat.FromFile(path, pat.Logger(slog.New(slog.NewTextHandler(&log, nil))))
				require.NoError(t, err)
				spoil(t, path)
				for range 100 {
					time.Sleep(5 * time.Second)
					gives(t, src, "first")
				}
				assert.Equal(t, 1, strings.Count(log.String(), "level=WARN"), log.String())
				assert.NotContains(t, log.String(), "hunter2")
				put(t, path, "second")
				time.Sleep(5 * time.Second)
				gives(t, src, "second")
			})
		})
	}
}

// However much of ZITADEL's token is written, and however long the rest takes, it is taken up when it is whole.
func TestHalfATokenIsNotTakenUp(t *testing.T) {
	server := zitadeltest.Start(t)
	user := server.AddServiceUser("bot")
	first, second := user.PAT(), user.PAT()
	for _, size := range []int{1, 2, 3, 10, 50, len(second) / 2, len(second) - 60, len(second) - 30, len(second) - 22, len(second) - 1} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			path := filepath.Join(t.TempDir(), "pat")
			put(t, path, first)
			src, err := pat.FromFile(path, pat.Logger(slog.New(slog.NewTextHandler(&log, nil))))
			require.NoError(t, err)
			put(t, path, second[:size])
			for range 3 {
				time.Sleep(10 * time.Second)
				gives(t, src, first)
			}
			assert.Equal(t, 1, strings.Count(log.String(), "level=WARN"), log.String())
			put(t, path, second)
			time.Sleep(5 * time.Second)
			gives(t, src, second)
		})
	}
}

// Older servers' tokens are random to look at, and such a one begins like an encrypted one by chance.
func TestTokensOfOtherKindsAreTakenUp(t *testing.T) {
	for _, next := range []string{"eyJ9vXlQ3x_yZ8kTn5wq", "eyJhbGciOiJub25lIn0.e30.", "second", "ex"} {
		synctest.Test(t, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "pat")
			put(t, path, "first")
			src, err := pat.FromFile(path)
			require.NoError(t, err)
			put(t, path, next)
			time.Sleep(5 * time.Second)
			gives(t, src, next)
		})
	}
}

func TestWhatExpiresSaysIsNotAboutTheNextToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "pat")
		put(t, path, "first")
		end := time.Now().Add(time.Hour)
		src, err := pat.FromFile(path, pat.Expires(end))
		require.NoError(t, err)
		put(t, path, "first\n")
		time.Sleep(5 * time.Second)
		gives(t, src, "first")
		assert.Equal(t, end, src.Expiry(), "a line break makes no other token")
		time.Sleep(2 * time.Hour)
		_, err = src.Token()
		require.ErrorContains(t, err, "expired")
		put(t, path, "second")
		time.Sleep(5 * time.Second)
		gives(t, src, "second")
		assert.Zero(t, src.Expiry())
	})
}

// A server that refuses the token has the file looked at there and then.
func TestARefusedTokenIsLookedUpAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "pat")
		put(t, path, "first")
		src, err := pat.FromFile(path)
		require.NoError(t, err)
		time.Sleep(time.Second)
		put(t, path, "second")
		require.NoError(t, os.Chtimes(path, time.Now(), time.Now().Add(-time.Second)))
		var sent []string
		client := &http.Client{Transport: &postern.Transport{
			Source: src, Origins: []string{"https://api.example"},
			Base: roundTripper(func(r *http.Request) (*http.Response, error) {
				sent = append(sent, r.Header.Get("Authorization"))
				code := http.StatusUnauthorized
				if r.Header.Get("Authorization") == "Bearer second" {
					code = http.StatusOK
				}
				return &http.Response{StatusCode: code, Body: io.NopCloser(strings.NewReader("")), Header: http.Header{}}, nil
			}),
		}}
		resp, err := client.Get("https://api.example/")
		require.NoError(t, err)
		resp.Body.Close()
		assert.Equal(t, http.StatusOK, resp.StatusCode)
		assert.Equal(t, []string{"Bearer first", "Bearer second"}, sent)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestExpiryIsWarnedOfOnUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var called []time.Time
		end := time.Now().Add(30 * day)
		src, err := pat.New(good, pat.Expires(end), pat.Logger(slog.New(slog.NewTextHandler(&log, nil))),
			pat.Warn(0, func(at time.Time) { called = append(called, at) }))
		require.NoError(t, err)
		for range 30 * 24 {
			gives(t, src, good)
			time.Sleep(time.Hour)
		}
		assert.Equal(t, 7, strings.Count(log.String(), "runs out soon"))
		assert.Len(t, called, 7)
		assert.Equal(t, end, called[0])
		assert.NotContains(t, log.String(), good)
	})
}

func TestExpiryIsLearned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "pat")
		put(t, path, "first")
		ends := map[string]time.Time{"first": time.Now().Add(day)}
		asked := 0
		var log bytes.Buffer
		src, err := pat.FromFile(path, pat.Logger(slog.New(slog.NewTextHandler(&log, nil))),
			pat.LearnExpiry(func(_ context.Context, token string) (time.Time, error) {
				asked++
				if end, ok := ends[token]; ok {
					return end, nil
				}
				return time.Time{}, errors.New("not now")
			}))
		require.NoError(t, err)
		assert.Zero(t, src.Expiry())
		for range 10 {
			gives(t, src, "first")
		}
		assert.Equal(t, 1, asked)
		assert.Equal(t, ends["first"], src.Expiry())
		assert.Equal(t, 1, strings.Count(log.String(), "runs out soon"))
		time.Sleep(2 * day)
		gives(t, src, "first") // not refused on the word of an answer
		put(t, path, "second")
		time.Sleep(5 * time.Second)
		for range 10 {
			gives(t, src, "second")
		}
		assert.Equal(t, 2, asked)
		assert.Zero(t, src.Expiry())
		ends["second"] = time.Now().Add(30 * day)
		time.Sleep(time.Hour)
		gives(t, src, "second")
		assert.Equal(t, ends["second"], src.Expiry())
	})
}

func TestOneCallerLearnsAndForFiveSecondsAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked, quick atomic.Int32
		src, err := pat.New(good, pat.LearnExpiry(func(ctx context.Context, _ string) (time.Time, error) {
			asked.Add(1)
			<-ctx.Done()
			return time.Time{}, ctx.Err()
		}))
		require.NoError(t, err)
		var group sync.WaitGroup
		start := time.Now()
		for range 8 {
			group.Go(func() {
				gives(t, src, good)
				if time.Since(start) == 0 {
					quick.Add(1)
				}
			})
		}
		group.Wait()
		assert.Equal(t, 5*time.Second, time.Since(start))
		assert.EqualValues(t, 1, asked.Load())
		assert.EqualValues(t, 7, quick.Load())

		ended, cancel := context.WithCancel(t.Context())
		cancel()
		time.Sleep(time.Hour)
		_, err = src.TokenCtx(ended) // gives up at once, and the next one asks
		require.NoError(t, err)
		gives(t, src, good)
		assert.EqualValues(t, 3, asked.Load())
	})
}
