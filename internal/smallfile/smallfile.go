// Package smallfile reads the files that hold a credential: small, regular, and never more of them than a limit.
package smallfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Read returns the content of the regular file at path, which may be a symbolic link, with its state at that time. A file
// that is missing, of another kind, or longer than limit bytes is an error that says what to do; the file's content is in
// none of them. A named pipe is refused rather than waited for.
func Read(path string, limit int64) ([]byte, fs.FileInfo, error) {
	if path == "" {
		return nil, nil, errors.New("expected the path of a file, got an empty path")
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if err := regular(path, info); err != nil {
		return nil, nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil { // what was opened, which may have been put there since
		return nil, nil, err
	}
	if err := regular(path, info); err != nil {
		return nil, nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, nil, err
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
