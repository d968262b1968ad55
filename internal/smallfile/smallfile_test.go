package smallfile_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/internal/smallfile"
)

func TestReadTakesRegularFilesUpToTheLimit(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(path, []byte("12345"), 0o600))
	link := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink(path, link))
	for _, name := range []string{path, link} {
		data, info, err := smallfile.Read(name, 5)
		require.NoError(t, err)
		assert.Equal(t, "12345", string(data))
		assert.EqualValues(t, 5, info.Size())
	}
	_, _, err := smallfile.Read(path, 4)
	assert.ErrorContains(t, err, "expected at most 4 bytes, got more")
	assert.NotContains(t, err.Error(), "1234")
	_, _, err = smallfile.Read(dir, 4)
	assert.ErrorContains(t, err, "got a directory")
	_, _, err = smallfile.Read("", 4)
	assert.ErrorContains(t, err, "empty path")
	_, _, err = smallfile.Read(filepath.Join(dir, "gone"), 4)
	assert.ErrorIs(t, err, fs.ErrNotExist)
	_, _, err = smallfile.Read(os.DevNull, 4)
	assert.ErrorContains(t, err, "expected a regular file")
}
