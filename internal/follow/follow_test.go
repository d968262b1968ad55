package follow_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/postern-go/postern/internal/follow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a followed file in a bubble, whose clock stands in the year 2000 unless slept.
type fixture struct {
	t    *testing.T
	path string
	file *follow.File[string]
	log  *bytes.Buffer
}

func parse(data []byte) (string, error) {
	text, ok := strings.CutSuffix(string(data), ".")
	if !ok {
		return "", fmt.Errorf("expected a full stop at the end, got %d bytes without", len(data))
	}
	return text, nil
}

func open(t *testing.T, path string) *fixture {
	t.Helper()
	var log bytes.Buffer
	file, err := follow.Open(config(path, &log))
	require.NoError(t, err)
	return &fixture{t: t, path: path, file: file, log: &log}
}

func config(path string, log *bytes.Buffer) follow.Config[string] {
	logger := slog.New(slog.NewTextHandler(log, nil))
	return follow.Config[string]{Path: path, Limit: 16, Parse: parse, What: "pass phrase", Logger: logger}
}

// write writes in place, at the bubble's time.
func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	require.NoError(t, os.Chtimes(path, time.Now(), time.Now()))
}

func (f *fixture) after(d time.Duration, want string) {
	f.t.Helper()
	time.Sleep(d) // the bubble's clock
	assert.Equal(f.t, want, f.file.Get())
}

func (f *fixture) said(text string) int { return strings.Count(f.log.String(), text) }

func TestChangesAreNoticedOnUse(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, path string){
		"a write in place": func(t *testing.T, path string) { write(t, path, "new.") },
		"a rename over it": func(t *testing.T, path string) {
			write(t, path+".tmp", "new.")
			require.NoError(t, os.Rename(path+".tmp", path))
		},
		"gone and back": func(t *testing.T, path string) {
			require.NoError(t, os.Remove(path))
			write(t, path, "new.")
		},
		"the same size and time": func(t *testing.T, path string) {
			info, err := os.Stat(path)
			require.NoError(t, err)
			write(t, path, "new.")
			require.NoError(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "phrase")
				write(t, path, "old.")
				f := open(t, path)
				change(t, path)
				f.after(follow.Interval-time.Nanosecond, "old")
				f.after(time.Nanosecond, "new")
				assert.Equal(t, 1, f.said("took up a new"))
			})
		})
	}
}

func TestKubernetesSymlinkSwap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		for version, text := range map[string]string{"..1": "old.", "..2": "new."} {
			require.NoError(t, os.Mkdir(filepath.Join(dir, version), 0o700))
			write(t, filepath.Join(dir, version, "phrase"), text)
		}
		require.NoError(t, os.Symlink("..1", filepath.Join(dir, "..data")))
		path := filepath.Join(dir, "phrase")
		require.NoError(t, os.Symlink(filepath.Join("..data", "phrase"), path))
		f := open(t, path)
		require.NoError(t, os.Symlink("..2", filepath.Join(dir, "..data_tmp")))
		require.NoError(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
		require.NoError(t, os.RemoveAll(filepath.Join(dir, "..1")))
		f.after(0, "old")
		f.after(follow.Interval, "new")
	})
}

func TestHalfWrittenKeepsTheOldAndSaysSoOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "phrase")
		write(t, path, "old.")
		f := open(t, path)
		for _, more := range []string{"", "n", "ne", "ne"} { // by somebody slow
			write(t, path, more)
			f.after(2*follow.Interval, "old")
		}
		assert.Equal(t, 1, f.said("level=WARN"), f.log)
		assert.Contains(t, f.log.String(), "full stop")
		write(t, path, "new.")
		f.after(follow.Interval, "new")
		write(t, path, "thi")
		f.after(2*follow.Interval, "new")
		assert.Equal(t, 2, f.said("level=WARN"), "a second trouble is said again")
	})
}

func TestAFreshFileMustBeFoundTheSameTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "phrase")
		write(t, path, "old.")
		f := open(t, path)
		time.Sleep(follow.Interval)
		write(t, path, "ne.") // half of "ne.w.", and right by itself
		f.after(0, "old")
		time.Sleep(time.Second / 2)
		write(t, path, "ne.w.")
		f.after(time.Second/2, "old")
		f.after(time.Second, "ne.w")
		assert.Equal(t, 1, f.said("took up a new"))
		assert.Zero(t, f.said("level=WARN"))
	})
}

func TestATimeInTheFutureIsNoHindrance(t *testing.T) {
	for ahead, wait := range map[time.Duration]time.Duration{
		30 * time.Second: time.Second, // by a file server's clock: to be found the same twice
		time.Hour:        0,           // it says nothing
	} {
		synctest.Test(t, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "phrase")
			write(t, path, "old.")
			f := open(t, path)
			require.NoError(t, os.WriteFile(path, []byte("new."), 0o600))
			future := time.Now().Add(follow.Interval + ahead)
			require.NoError(t, os.Chtimes(path, future, future))
			if f.after(follow.Interval-time.Nanosecond, "old"); wait > 0 {
				f.after(time.Nanosecond, "old")
			}
			f.after(wait+time.Nanosecond, "new")
		})
	}
}

func TestGoneKeepsTheOldAndSaysSoOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "phrase")
		write(t, path, "old.")
		f := open(t, path)
		require.NoError(t, os.Remove(path))
		for range 5 {
			f.after(follow.Interval, "old")
		}
		assert.Equal(t, 1, f.said("level=WARN"))
		write(t, path, "old.")
		f.after(follow.Interval, "old")
		require.NoError(t, os.Remove(path))
		f.after(follow.Interval, "old")
		assert.Equal(t, 2, f.said("level=WARN"), "gone again is said again")
	})
}

func TestTooLongKeepsTheOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "phrase")
		write(t, path, "old.")
		f := open(t, path)
		write(t, path, strings.Repeat("x", 1<<20)+".")
		f.after(follow.Interval, "old")
		assert.Contains(t, f.log.String(), "at most 16 bytes")
	})
}

func TestRefreshDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "phrase")
		write(t, path, "old.")
		f := open(t, path)
		write(t, path, "new.")
		assert.Equal(t, "old", f.file.Refresh(), "once a second at most")
		time.Sleep(time.Second)
		assert.Equal(t, "new", f.file.Refresh())
	})
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	for name, test := range map[string]struct{ path, want string }{
		"no file":     {filepath.Join(dir, "none"), "no such file"},
		"a directory": {dir, "expected a file, got a directory"},
		"too long":    {write("long", strings.Repeat("x", 17)), "expected at most 16 bytes"},
		"wrong":       {write("wrong", "s3cret"), "full stop"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := follow.Open(config(test.path, &bytes.Buffer{}))
			require.ErrorContains(t, err, test.want)
			assert.ErrorContains(t, err, test.path)
			assert.NotContains(t, err.Error(), "s3cret")
		})
	}
}

func TestConcurrentUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "phrase")
		write(t, path, "old.")
		f := open(t, path)
		write(t, path, "new.")
		time.Sleep(follow.Interval)
		var group sync.WaitGroup
		for range 32 {
			group.Go(func() {
				assert.Contains(t, []string{"old", "new"}, f.file.Get())
				f.file.Refresh()
			})
		}
		group.Wait()
		assert.Equal(t, "new", f.file.Get())
		assert.Equal(t, 1, f.said("took up a new"), "one caller looks, the others do not wait")
	})
}

func BenchmarkGet(b *testing.B) {
	path := filepath.Join(b.TempDir(), "phrase")
	require.NoError(b, os.WriteFile(path, []byte("old."), 0o600))
	file, err := follow.Open(config(path, &bytes.Buffer{}))
	require.NoError(b, err)
	for b.Loop() {
		file.Get()
	}
}
