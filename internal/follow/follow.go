// Package follow reads a credential from a file and notices when the file changes.
//
// It looks when it is asked, and then at most every 5 seconds: no goroutine, and no poll without callers. It reads the whole
// file and compares what stands in it, so every way to change a file is seen alike: a rename over it, as editors and package
// rotate do it, the swap of a symbolic link further up, as Kubernetes projects secrets, or a write in place.
package follow

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/postern-go/postern/internal/smallfile"
)

const (
	// Interval is the time between two looks at a file.
	Interval = 5 * time.Second
	// settle is how long a file must have been left alone to count as written to its end. A younger one is looked at again
	// after this time, and counts when it is still the same.
	settle = time.Second
	// ahead is how far the clock of a file server may be ahead of this machine's. A time that lies further in the future does not tell
	// when the file was written.
	ahead = time.Minute
)

// Config says which file holds what. Path, Limit, Parse and What are required.
type Config[T any] struct {
	Path  string
	Limit int64                   // bytes; a longer file is refused
	Parse func([]byte) (T, error) // its errors must not show what the file holds
	What  string                  // names the content in logs: "personal access token"
	// Logger hears once of each trouble with the file, and of each new content. Nil means slog.Default().
	Logger *slog.Logger
}

// File holds what a file said when it was last right. It is safe for concurrent use.
type File[T any] struct {
	cfg     Config[T]
	current atomic.Pointer[T]
	start   time.Time
	next    atomic.Int64 // when to look again, since start

	mu      sync.Mutex // held by the one caller who looks; the others go on with what is there
	sum     [sha256.Size]byte
	fresh   [sha256.Size]byte // a new content that may still be half written
	trouble string            // what the log was told last, without numbers
	looked  time.Time
}

// Open reads the file for the first time, and returns an error when it cannot be read, is longer than Limit, is no regular
// file, or is refused by Parse.
func Open[T any](cfg Config[T]) (*File[T], error) {
	data, _, err := smallfile.Read(cfg.Path, cfg.Limit)
	if err != nil {
		return nil, err
	}
	value, err := cfg.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.Path, err)
	}
	now := time.Now()
	f := &File[T]{cfg: cfg, start: now, looked: now, sum: sha256.Sum256(data)}
	f.current.Store(&value)
	f.next.Store(int64(Interval))
	return f, nil
}

// Get returns what the file says, as of the last 5 seconds. A file that is gone, half written or wrong leaves the last good
// content in use.
func (f *File[T]) Get() T {
	if int64(time.Since(f.start)) >= f.next.Load() && f.mu.TryLock() {
		defer f.mu.Unlock()
		f.look()
	}
	return *f.current.Load()
}

// Refresh is Get that does not wait for the 5 seconds, for a content that the server refused. It looks once a second at most.
func (f *File[T]) Refresh() T {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.looked) >= settle {
		f.look()
	}
	return *f.current.Load()
}

func (f *File[T]) look() {
	f.looked = time.Now()
	f.wait(Interval)
	data, info, err := smallfile.Read(f.cfg.Path, f.cfg.Limit)
	if err != nil {
		f.complain(err)
		return
	}
	sum := sha256.Sum256(data)
	if sum == f.sum {
		f.trouble = ""
		return
	}
	if age := f.looked.Sub(info.ModTime()); -ahead < age && age < settle && sum != f.fresh {
		f.fresh = sum
		f.wait(settle)
		return
	}
	value, err := f.cfg.Parse(data)
	if err != nil {
		f.complain(err)
		return
	}
	f.sum, f.trouble = sum, ""
	f.current.Store(&value)
	f.logger().Info("postern: took up a new "+f.cfg.What, "file", f.cfg.Path)
}

func (f *File[T]) wait(d time.Duration) { f.next.Store(int64(time.Since(f.start) + d)) }

// complain says each trouble once: not again before the file was right in between, or wrong in another way. Numbers make no other
// way: they tell the time, or how much of a file is written.
func (f *File[T]) complain(err error) {
	trouble := strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, err.Error())
	if trouble == f.trouble {
		return
	}
	f.trouble = trouble
	f.logger().Warn("postern: the file of the "+f.cfg.What+" is not usable, going on with the one before",
		"file", f.cfg.Path, "err", err)
}

func (f *File[T]) logger() *slog.Logger {
	if f.cfg.Logger != nil {
		return f.cfg.Logger
	}
	return slog.Default()
}
