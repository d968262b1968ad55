package rotate

import (
	"context"
	"errors"
	"fmt"
)

// Store keeps one credential, and beside it what a Rotator remembers about it. NewFileStore makes one of files; a secret
// manager needs these three methods.
type Store interface {
	// Lock keeps every other Rotator of this credential out, in this process and in others, until unlock is called or the
	// process ends, whichever comes first. It waits until ctx ends. Where Save compares versions, a lock may be lost early, as a
	// lease is, or be none at all: of two who renew at once, one then stops with ErrConflict.
	Lock(ctx context.Context) (unlock func(), err error)
	// Load returns what is stored. Where nothing is, both parts are empty and the error is nil.
	Load(ctx context.Context) (Record, error)
	// Save stores both parts for good: when it returns no error, they outlive a crash. Where the two cannot be changed as one, the
	// credential changes first. It returns the version that the Record has now. A Record that is not the successor of what is
	// stored, by its Version, is refused with ErrConflict. After any other error either part may be stored.
	Save(ctx context.Context, r Record) (version string, err error)
}

// ErrConflict is what a Store's Save returns when somebody else saved since the Load, and what a Rotator's errors wrap then, and
// where a Store does not have what it saved. The Rotator stops, and the next run starts from what is stored.
var ErrConflict = errors.New("somebody else changed the stored credential")

// Record is what a Store keeps. Printing it shows no secret. It cannot be changed.
type Record struct{ body **recordBody } // twice a pointer: a verb that suits none prints what the first points to

type recordBody struct {
	credential, state []byte
	version           string
}

// NewRecord makes a Record of the credential as programs read it (a PAT, or a key file), and of what the Rotator remembers, JSON
// without secrets. The version is the Store's own: what tells one Record from its successor, or empty.
func NewRecord(credential, state []byte, version string) Record {
	body := &recordBody{credential: clone(credential), state: clone(state), version: version}
	return Record{&body}
}

// Credential returns a copy of the credential: a personal access token, or the content of a key file. It is secret.
func (r Record) Credential() []byte { return clone(r.get().credential) }

// State returns a copy of what the Rotator remembers: ids, dates and digests.
func (r Record) State() []byte { return clone(r.get().state) }

// Version returns the version of the stored Record that this one comes from.
func (r Record) Version() string { return r.get().version }

// String tells the sizes of the parts.
func (r Record) String() string {
	return fmt.Sprintf("rotate.Record(credential of %d bytes, state of %d bytes)", len(r.get().credential), len(r.get().state))
}

// Format prints what String returns for every verb and flag.
func (r Record) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(r.String())) }

func (r Record) get() recordBody {
	if r.body == nil {
		return recordBody{}
	}
	return **r.body
}

// with returns the successor of r.
func (r Record) with(credential, state []byte) Record {
	return NewRecord(credential, state, r.Version())
}

func clone(b []byte) []byte { return append([]byte(nil), b...) }
