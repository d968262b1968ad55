package keyfile

import (
	"context"
	"fmt"

	"github.com/postern-go/postern/internal/follow"
)

// File is a key file that is followed: when it is replaced, as package rotate, an editor or a mounted secret does it, calls for
// the key get the new one within 5 seconds. Make one with Open. It is safe for concurrent use.
type File struct {
	path string
	file *follow.File[*Key]
}

// Open reads the key file at path, as Read does, and returns a Source that reads it again when it has changed. It looks when the
// key is asked for, and then at most every 5 seconds; nothing runs in the background. A file that is gone, half written or wrong,
// a key of another Type included, leaves the key before in use, and is logged once.
func Open(path string, options ...Option) (*File, error) {
	o := apply(options)
	var before Type
	file, err := follow.Open(follow.Config[*Key]{
		Path: path, Limit: maxSize, What: "key", Logger: o.logger,
		Parse: func(data []byte) (*Key, error) {
			key, err := o.parse(data)
			if err != nil {
				return nil, err
			}
			if before != "" && key.Type != before { // whoever uses the one has no use for the other
				return nil, fmt.Errorf("expected a key of type %q, as before, got type %q", before, key.Type)
			}
			before = key.Type
			return key, nil
		},
	})
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	return &File{path: path, file: file}, nil
}

// Key returns the key that is in the file now, or was when the file was last right. It waits for nothing but the file system, and
// takes no notice of ctx.
func (f *File) Key(ctx context.Context) (*Key, error) { return f.Current().Key(ctx) }

// Current returns the key as Key does, and counts as no use of it: its expiry is not warned of. A File that Open did not make has
// none.
func (f *File) Current() *Key {
	if f == nil || f.file == nil {
		return nil
	}
	return f.file.Get()
}

// String names the file by its path.
func (f *File) String() string { return fmt.Sprintf("keyfile.File(%q)", f.path) }

// Format prints what String returns for every verb and flag.
func (f *File) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(f.String())) }
