package keyfile

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/postern-go/postern/internal/smallfile"
)

// File is a key file that is followed: when it is replaced, as a secret mounted into a container is, the next call for the key
// gets the new one. Make one with Open.
type File struct {
	path string

	mu   sync.Mutex
	key  *Key
	info fs.FileInfo // of the file when key was read
}

// Open reads the key file at path, as Read does, and returns a Source that reads it again when it has changed.
func Open(path string) (*File, error) {
	key, info, err := read(path, time.Now())
	if err != nil {
		return nil, err
	}
	return &File{path: path, key: key, info: info}, nil
}

// Key returns the key that is in the file now. While the file is missing or not whole, as for a moment when it is replaced,
// that is the key as last read. It never waits for anything but the file system, and ignores ctx.
func (f *File) Key(context.Context) (*Key, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if info, err := os.Stat(f.path); err != nil || smallfile.Same(info, f.info) {
		return f.key, nil
	}
	if key, info, err := read(f.path, time.Now()); err == nil {
		f.key, f.info = key, info
	}
	return f.key, nil
}

// Current returns the key as last read, without a look at the file.
func (f *File) Current() *Key {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.key
}

// String names the file by its path.
func (f *File) String() string { return fmt.Sprintf("keyfile.File(%q)", f.path) }

// Format prints what String returns for every verb and flag.
func (f *File) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(f.String())) }
