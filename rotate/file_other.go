//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package rotate

import (
	"errors"
	"io/fs"
	"os"
)

func tryLock(string) (unlock func(), err error) {
	return nil, errors.New("expected a system with file locks, got one without: use a Store of your own")
}

func keepOwner(*os.File, fs.FileInfo) error { return nil }

func syncDir(string) error { return nil }
