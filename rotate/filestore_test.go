//go:build unix

package rotate

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func saved(t *testing.T, s *FileStore, credential string) Record {
	t.Helper()
	r, err := s.Load(t.Context())
	require.NoError(t, err)
	_, err = s.Save(t.Context(), r.with([]byte(credential), []byte("{}")))
	require.NoError(t, err)
	r, err = s.Load(t.Context())
	require.NoError(t, err)
	return r
}

func TestFilesHaveMode0600WhateverTheUmask(t *testing.T) {
	before := syscall.Umask(0o777)
	s := NewFileStore(filepath.Join(t.TempDir(), "pat"))
	syscall.Umask(0)
	defer syscall.Umask(before)
	unlock, err := s.Lock(t.Context())
	require.NoError(t, err)
	defer unlock()
	saved(t, s, "first")
	require.NoError(t, os.Chmod(s.Path(), 0o644))
	saved(t, s, "second")
	syscall.Umask(0o777)
	saved(t, s, "third")
	for _, path := range []string{"", ".previous", ".state", ".lock"} {
		info, err := os.Stat(s.Path() + path)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode(), path)
	}
}

func TestThePreviousCredentialIsKept(t *testing.T) {
	s := NewFileStore(filepath.Join(t.TempDir(), "pat"))
	saved(t, s, "first")
	saved(t, s, "second")
	r := saved(t, s, "second")
	assert.Equal(t, "second", string(r.Credential()))
	previous, err := os.ReadFile(s.Path() + ".previous")
	require.NoError(t, err)
	assert.Equal(t, "first", string(previous))
	files, err := os.ReadDir(filepath.Dir(s.Path()))
	require.NoError(t, err)
	assert.Len(t, files, 3, "nothing else is left")
}

func TestNothingStoredIsEmpty(t *testing.T) {
	r, err := NewFileStore(filepath.Join(t.TempDir(), "pat")).Load(t.Context())
	require.NoError(t, err)
	assert.Empty(t, r.Credential())
	assert.Empty(t, r.State())
	assert.Equal(t, "rotate.Record(credential of 0 bytes, state of 0 bytes)", Record{}.String())
}

func TestWhatWasChangedByHandIsNotOverwritten(t *testing.T) {
	for _, name := range []string{"", ".state"} {
		s := NewFileStore(filepath.Join(t.TempDir(), "pat"))
		r := saved(t, s, "first")
		require.NoError(t, os.WriteFile(s.Path()+name, []byte("by hand"), 0o600))
		_, err := s.Save(t.Context(), r.with([]byte("second"), nil))
		require.ErrorIs(t, err, ErrConflict)
		got, err := os.ReadFile(s.Path() + name)
		require.NoError(t, err)
		assert.Equal(t, "by hand", string(got))
	}
}

func TestALeftoverOfAKilledProcessIsReplacedAndALinkIsNotFollowed(t *testing.T) {
	dir := t.TempDir()
	victim := filepath.Join(dir, "victim")
	require.NoError(t, os.WriteFile(victim, []byte("untouched"), 0o644))
	s := NewFileStore(filepath.Join(dir, "pat"))
	require.NoError(t, os.Symlink(victim, s.Path()+".next"))
	require.NoError(t, os.WriteFile(s.Path()+".state.next", []byte("half"), 0o600))
	assert.Equal(t, "first", string(saved(t, s, "first").Credential()))
	got, err := os.ReadFile(victim)
	require.NoError(t, err)
	assert.Equal(t, "untouched", string(got))
}

func TestALinkIsNotReplaced(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "real"), []byte("first"), 0o600))
	s := NewFileStore(filepath.Join(dir, "pat"))
	require.NoError(t, os.Symlink("real", s.Path()))
	r, err := s.Load(t.Context())
	require.NoError(t, err)
	_, err = s.Save(t.Context(), r.with(r.Credential(), []byte("{}")))
	require.ErrorContains(t, err, "name the file itself", "before anything is created")
	assert.NoFileExists(t, s.Path()+".state")
}

func TestTooMuchIsNotRead(t *testing.T) {
	s := NewFileStore(filepath.Join(t.TempDir(), "pat"))
	require.NoError(t, os.WriteFile(s.Path(), make([]byte, maxCredential+1), 0o600))
	_, err := s.Load(t.Context())
	require.ErrorContains(t, err, "at most")
	require.NoError(t, os.WriteFile(s.Path(), nil, 0o600))
	require.NoError(t, os.WriteFile(s.Path()+".state", make([]byte, maxState+1), 0o600))
	_, err = s.Load(t.Context())
	require.ErrorContains(t, err, "at most")
}

func TestTheLockLetsOneThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "pat")
		var inside, most atomic.Int32
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				unlock, err := NewFileStore(path).Lock(t.Context())
				if !assert.NoError(t, err) {
					return
				}
				most.Store(max(most.Load(), inside.Add(1)))
				time.Sleep(time.Second) // the bubble's clock
				inside.Add(-1)
				unlock()
			})
		}
		group.Wait()
		assert.EqualValues(t, 1, most.Load())
	})
}

func TestTheLockIsWaitedForUntilTheContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewFileStore(filepath.Join(t.TempDir(), "pat"))
		unlock, err := s.Lock(t.Context())
		require.NoError(t, err)
		defer unlock()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err = s.Lock(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "held by another process")
		_, err = NewFileStore("").Lock(t.Context())
		require.ErrorContains(t, err, "empty")
		_, err = NewFileStore("/nowhere/at/all").Lock(t.Context())
		require.ErrorContains(t, err, "/nowhere/at/all")
	})
}

func TestTheOwnerIsKept(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may give files away")
	}
	s := NewFileStore(filepath.Join(t.TempDir(), "pat"))
	require.NoError(t, os.WriteFile(s.Path(), []byte("first"), 0o600))
	require.NoError(t, os.Chown(s.Path(), 1234, 1235))
	saved(t, s, "second")
	info, err := os.Stat(s.Path())
	require.NoError(t, err)
	stat, ok := info.Sys().(*syscall.Stat_t)
	require.True(t, ok)
	assert.EqualValues(t, 1234, stat.Uid)
	assert.EqualValues(t, 1235, stat.Gid)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
}
