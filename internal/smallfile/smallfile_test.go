package smallfile_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
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
	assert.ErrorContains(t, err, filepath.Join(dir, "gone")+": expected a file, got none (no such file or directory): check the path")
	_, _, err = smallfile.Read(filepath.Join(path, "below"), 4)
	assert.ErrorContains(t, err, "expected a file that can be read, got an error (not a directory): check the path")
	_, _, err = smallfile.Read(os.DevNull, 4)
	assert.ErrorContains(t, err, "expected a regular file")
}

// Who confuses a file's name with what stands in it must not find that in a log.
func TestTextThatIsNoPathIsNotShown(t *testing.T) {
	for name, text := range map[string]string{
		"a token":          strings.Repeat("hunter2.", 32),
		"a key file":       "{\n  \"key\": \"hunter2\"}",
		"a line with NULs": "hunter2\x00",
		"a key's JSON":     `{"key":"-----BEGIN RSA PRIVATE KEY-----\nhunter2/hunter2"}`,
	} {
		_, _, err := smallfile.Read(text, 4)
		require.ErrorContains(t, err, "expected the path of a file, got text that is none", name)
		assert.NotContains(t, err.Error(), "hunter2", name)
	}
	long := strings.Repeat(strings.Repeat("d", 255)+"/", 3)
	_, _, err := smallfile.Read(long, 4)
	assert.ErrorIs(t, err, fs.ErrNotExist, "a long path of names that may be is one")
}
