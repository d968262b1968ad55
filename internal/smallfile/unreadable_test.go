package smallfile

import (
	"io/fs"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
)

// By the error alone: whoever runs this as root may read every file.
func TestAFileThatThisProcessMayNotRead(t *testing.T) {
	err := unreadable("/run/secrets/pat", &fs.PathError{Op: "open", Path: "/run/secrets/pat", Err: syscall.EACCES})
	assert.ErrorIs(t, err, fs.ErrPermission)
	assert.EqualError(t, err, "/run/secrets/pat: expected a file that this process may read, got one that it may not (permission denied): "+
		"check the file's owner and mode, and those of its directory")
}
