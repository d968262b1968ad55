// Package smallfile reads the files that hold a credential: small, regular, and never more of them than a limit.
package smallfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode"
)

// Read returns the content of the regular file at path, which may be a symbolic link, with its state at that time. A file
// that is missing, of another kind, or longer than limit bytes is an error that says what to do; the file's content is in
// none of them, not even when it was given in place of the path. A named pipe is refused rather than waited for.
func Read(path string, limit int64) ([]byte, fs.FileInfo, error) {
	if path == "" {
		return nil, nil, errors.New("expected the path of a file, got an empty path: name the file")
	}
	if !isPath(path) {
		return nil, nil, errors.New("expected the path of a file, got text that is none: is it what stands in the file?")
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, unreadable(path, err)
	}
	if err := regular(path, info); err != nil {
		return nil, nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, unreadable(path, err)
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil { // what was opened, which may have been put there since
		return nil, nil, unreadable(path, err)
	}
	if err := regular(path, info); err != nil {
		return nil, nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, nil, unreadable(path, err)
	}
	if int64(len(data)) > limit {
		return nil, nil, fmt.Errorf("%s: expected at most %d bytes, got more: is it the right file?", path, limit)
	}
	return data, info, nil
}

func regular(path string, info fs.FileInfo) error {
	switch mode := info.Mode(); {
	case mode.IsRegular():
		return nil
	case mode.IsDir():
		return fmt.Errorf("%s: expected a file, got a directory: name the file in it", path)
	default:
		return fmt.Errorf("%s: expected a regular file, got another kind of file (%s)", path, mode.Type())
	}
}

// maxElement is the longest name of a file that file systems take, in bytes.
const maxElement = 255

// isPath reports whether path can be one. A token is too long, and a key, in its JSON or not, is PEM.
func isPath(path string) bool {
	if strings.Contains(path, "-----BEGIN ") {
		return false
	}
	for element := range strings.FieldsFuncSeq(path, func(r rune) bool { return r < 0x80 && os.IsPathSeparator(byte(r)) }) {
		if len(element) > maxElement {
			return false
		}
	}
	return !strings.ContainsFunc(path, unicode.IsControl)
}

// unreadable says of an error of the file system what to do about it.
func unreadable(path string, err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err // without the path, which is shown already
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: expected a file, got none (%w): check the path", path, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: expected a file that this process may read, got one that it may not (%w): check the file's owner and mode, and those of its directory", path, err)
	}
	return fmt.Errorf("%s: expected a file that can be read, got an error (%w): check the path", path, err)
}
