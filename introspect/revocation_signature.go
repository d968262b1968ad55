package introspect

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"
)

const (
	signatureTolerance = 300 * time.Second // either way
	maxSignatureHeader = 4096              // bytes
	maxSignatures      = 16                // v1 parts
)

// signature is a ZITADEL-Signature header: "t=<unix seconds>,v1=<hex>", with one v1 for each key in use.
type signature struct {
	at      string // as it stands there: it is part of what is signed
	seconds int64
	v1      [][sha256.Size]byte
}

func parseSignature(header string) (signature, error) {
	var s signature
	if len(header) > maxSignatureHeader {
		return s, errors.New("expected a signature header of at most 4 KiB, got a longer one")
	}
	for part := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "t":
			seconds, err := strconv.ParseUint(value, 10, 63)
			if err != nil || s.at != "" {
				return s, errors.New("expected one t with seconds since 1970, got something else")
			}
			s.at, s.seconds = value, int64(seconds)
		case "v1":
			var mac [sha256.Size]byte
			if n, err := hex.Decode(mac[:], []byte(value[:min(len(value), 2*sha256.Size)])); err != nil || n != sha256.Size || len(value) != 2*sha256.Size {
				return s, errors.New("expected v1 to be 64 hexadecimal digits, got something else")
			}
			if s.v1 = append(s.v1, mac); len(s.v1) > maxSignatures {
				return s, errors.New("expected at most 16 signatures, got more")
			}
		}
	}
	if s.at == "" || len(s.v1) == 0 {
		return s, errors.New("expected t and v1, got a header without one of them")
	}
	return s, nil
}

func (s signature) recent(now time.Time) bool {
	age := now.Unix() - s.seconds
	return -int64(signatureTolerance/time.Second) <= age && age <= int64(signatureTolerance/time.Second)
}

// signs reports whether one of the signatures is of that body under one of the keys. It takes as long for a wrong signature as
// for a right one.
func (s signature) signs(body []byte, keys [][]byte) bool {
	signed := false
	for _, key := range keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(s.at + "."))
		mac.Write(body)
		want := mac.Sum(nil)
		for _, got := range s.v1 {
			signed = hmac.Equal(want, got[:]) || signed
		}
	}
	return signed
}
