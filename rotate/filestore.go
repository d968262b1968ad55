package rotate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/postern-go/postern/internal/smallfile"
)

const (
	maxCredential = 64 << 10 // bytes
	lockPoll      = 50 * time.Millisecond
)

// FileStore keeps a credential in a file that programs read: pat.FromFile and keyfile.Open take up the new one within seconds.
// Beside it stand
//
//	pat.previous   the credential before
//	pat.state      what the Rotator remembers, without secrets
//	pat.lock       which only one process at a time holds
//
// Each file is written whole, synced and renamed into its place, and so is its directory, so that a crash leaves the old or the new.
// All have mode 0600; one that was there keeps its owner, so that root may renew what a service reads. The directory must be
// writable.
type FileStore struct {
	path string
	step func(name string) error // tests interrupt here
}

// NewFileStore makes a Store of the file at path, whether that is there yet or not. It does no I/O.
func NewFileStore(path string) *FileStore {
	return &FileStore{path: path, step: func(string) error { return nil }}
}

// Path returns where the credential is.
func (s *FileStore) Path() string { return s.path }

// Lock takes the lock file, and waits for it until ctx ends. The operating system gives it free when the process ends.
func (s *FileStore) Lock(ctx context.Context) (unlock func(), err error) {
	if s.path == "" {
		return nil, errors.New("expected the path of the credential's file, got an empty one")
	}
	ticker := time.NewTicker(lockPoll)
	defer ticker.Stop()
	for {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%s.lock is held by another process: %w", s.path, context.Cause(ctx))
		}
		unlock, err := tryLock(s.path + ".lock")
		if !errors.Is(err, errLocked) {
			return unlock, err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

var errLocked = errors.New("locked")

// Load reads the credential and the state. A file that is missing counts as empty.
func (s *FileStore) Load(context.Context) (Record, error) {
	credential, err := readOrNone(s.path, maxCredential)
	if err != nil {
		return Record{}, err
	}
	state, err := readOrNone(s.path+".state", maxState)
	if err != nil {
		return Record{}, err
	}
	return NewRecord(credential, state, version(credential, state)), nil
}

// Save writes what has changed, the credential first. It refuses with ErrConflict when a file was changed by hand since Load, and
// a credential's file that is a link at once, before there is a credential that cannot take its place.
func (s *FileStore) Save(ctx context.Context, r Record) (string, error) {
	if _, err := replaceable(s.path); err != nil {
		return "", err
	}
	stored, err := s.Load(ctx)
	if err != nil {
		return "", err
	}
	if stored.Version() != r.Version() {
		return "", fmt.Errorf("%s: %w", s.path, ErrConflict)
	}
	old, credential := stored.Credential(), r.Credential()
	if !bytes.Equal(old, credential) {
		if len(old) > 0 {
			if err := s.write(s.path+".previous", old); err != nil {
				return "", err
			}
		}
		if err := s.write(s.path, credential); err != nil {
			return "", err
		}
	}
	if err := s.write(s.path+".state", r.State()); err != nil {
		return "", err
	}
	return version(credential, r.State()), nil
}

func version(credential, state []byte) string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%d ", len(credential))
	sum.Write(credential)
	sum.Write(state)
	return hex.EncodeToString(sum.Sum(nil))
}

func readOrNone(path string, limit int64) ([]byte, error) {
	data, _, err := smallfile.Read(path, limit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// write puts a file into its place. The lock keeps others away from the name beside it that it uses.
func (s *FileStore) write(path string, data []byte) error {
	was, err := replaceable(path)
	if err != nil {
		return err
	}
	next := path + ".next"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a process that was killed
		return err
	}
	if err := s.step("create " + path); err != nil {
		return err
	}
	file, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := s.fill(file, was, data); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", path, err), file.Close(), os.Remove(next))
	}
	if err := file.Close(); err != nil {
		return err
	}
	if err := s.step("rename " + path); err != nil {
		return err
	}
	if err := os.Rename(next, path); err != nil {
		return err
	}
	if err := s.step("sync the directory of " + path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// replaceable returns the file at path, or nil where there is none, and refuses what a rename would not replace but destroy.
func replaceable(path string) (fs.FileInfo, error) {
	was, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err == nil && !was.Mode().IsRegular():
		return nil, fmt.Errorf("%s: expected a regular file to replace, got %s: name the file itself", path, was.Mode().Type())
	}
	return was, err
}

// fill writes a new file to its end.
func (s *FileStore) fill(file *os.File, was fs.FileInfo, data []byte) error {
	if err := file.Chmod(0o600); err != nil && !errors.Is(err, errors.ErrUnsupported) { // whatever the umask
		return err
	}
	if was != nil {
		if err := keepOwner(file, was); err != nil {
			return fmt.Errorf("expected to be allowed to keep the file's owner, run as that user or as root: %w", err)
		}
	}
	if err := s.step("write " + file.Name()); err != nil {
		return err
	}
	if _, err := file.Write(data); err != nil {
		return err
	}
	if err := s.step("sync " + file.Name()); err != nil {
		return err
	}
	return file.Sync()
}
