package rotate

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

const sharingViolation = syscall.Errno(32)

// tryLock opens the lock file so that nobody else can open it, or returns errLocked.
func tryLock(path string) (unlock func(), err error) {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	handle, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, sharingViolation) {
		return nil, errLocked
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return func() { syscall.CloseHandle(handle) }, nil
}

// keepOwner leaves the owner to the directory's inheritance.
func keepOwner(*os.File, fs.FileInfo) error { return nil }

// syncDir does nothing: Windows keeps the order of renames itself and has no such call.
func syncDir(string) error { return nil }
