package zitadeltest

import (
	"crypto/rand"
	"math/big"
	"strconv"
	"strings"
	"sync/atomic"
)

// lastID is shared by the servers of a process, so that ids of one mean nothing to another.
var lastID atomic.Uint64

func init() {
	n, _ := rand.Int(rand.Reader, big.NewInt(1<<40)) // never fails, see crypto/rand
	lastID.Store(400_000_000_000_000_000 + n.Uint64()<<16)
}

// newID makes an id as ZITADEL does: 18 digits that grow.
func newID() string { return strconv.FormatUint(lastID.Add(1<<16+38), 10) }

const secretAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// newSecret makes a secret of letters and digits: 64 for clients, 36 for webhooks.
func newSecret(length int) string {
	var b strings.Builder
	for b.Len() < length {
		n, _ := rand.Int(rand.Reader, big.NewInt(int64(len(secretAlphabet))))
		b.WriteByte(secretAlphabet[n.Int64()])
	}
	return b.String()
}

// hashed looks like the bcrypt hash of a secret, which events tell. It is no hash of anything.
func hashed() string { return "$2a$14$" + newSecret(53) }
