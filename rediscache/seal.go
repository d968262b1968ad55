package rediscache

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/postern-go/postern/introspect"
)

// format is the version of everything stored. It stands in front in clear and is part of what is authenticated, so that a
// value of another version can neither be read as this one nor passed off as it.
const format = 1

// Limits of what is stored, in bytes. An answer beyond them is not shared.
const (
	maxClaims = 64 << 10
	maxName   = 1 << 10  // token id, subject, issuer
	maxAnswer = 68 << 10 // a sealed answer: what is read from Redis at most
	maxEntry  = 4 << 10  // a sealed journal entry
)

var (
	errSealed   = errors.New("rediscache: a value in Redis was not sealed with this fleet's secret for this use, or was changed")
	errTooLarge = errors.New("rediscache: an answer is too large to be shared")
)

// answer is an introspection answer with the place in the journal up to which it was asked for.
type answer struct {
	introspect.SharedAnswer
	at position
}

func (k *keys) sealAnswer(key introspect.SharedKey, a answer) ([]byte, error) {
	if len(a.Claims) > maxClaims || len(a.TokenID) > maxName || len(a.Subject) > maxName {
		return nil, errTooLarge
	}
	aead, err := k.answer(key)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, 64+len(a.TokenID)+len(a.Subject)+len(a.Claims))
	b = binary.BigEndian.AppendUint64(b, a.at.ms)
	b = binary.BigEndian.AppendUint64(b, a.at.seq)
	b = binary.BigEndian.AppendUint64(b, uint64(a.Asked.UnixMilli()))
	b = binary.BigEndian.AppendUint64(b, uint64(a.Expires.UnixMilli()))
	b = appendText(b, a.TokenID)
	b = appendText(b, a.Subject)
	b = append(b, a.Claims...)
	return aead.Seal([]byte{format}, nil, b, answerContext(key)), nil
}

func (k *keys) openAnswer(key introspect.SharedKey, sealed []byte) (answer, error) {
	if len(sealed) == 0 || len(sealed) > maxAnswer || sealed[0] != format {
		return answer{}, errSealed
	}
	aead, err := k.answer(key)
	if err != nil {
		return answer{}, err
	}
	plain, err := aead.Open(nil, nil, sealed[1:], answerContext(key))
	if err != nil {
		return answer{}, errSealed
	}
	return parseAnswer(plain)
}

func parseAnswer(plain []byte) (answer, error) {
	r := reader{rest: plain}
	var a answer
	a.at = position{r.uint64(), r.uint64()}
	a.Asked = time.UnixMilli(int64(r.uint64()))
	a.Expires = time.UnixMilli(int64(r.uint64()))
	a.TokenID, a.Subject = r.text(), r.text()
	a.Claims = r.rest
	if r.short {
		return answer{}, errSealed
	}
	return a, nil
}

// answerContext is the associated data of an answer: like its name and its key it says whose answer to whom it is.
func answerContext(key introspect.SharedKey) []byte {
	return append([]byte{format}, packed("answer", key.Issuer, key.ClientID, key.Token)...)
}

// id names a replica or a message. It is random.
type id [16]byte

// message is an entry of the journal: an eviction, or the mark of a journal begun anew.
type message struct {
	id, sender id
	sent       time.Time
	restart    bool
	introspect.Eviction
}

const (
	kindRestart = iota
	kindTokenID
	kindSubject
	kindAll
)

func (k *keys) sealMessage(prefix string, m message) []byte {
	kind, about := byte(kindRestart), ""
	switch {
	case m.restart:
	case m.All:
		kind = kindAll
	case m.TokenID != "":
		kind, about = kindTokenID, m.TokenID
	default:
		kind, about = kindSubject, m.Subject
	}
	b := append([]byte{kind}, m.id[:]...)
	b = append(b, m.sender[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(m.sent.UnixMilli()))
	b = appendText(b, m.Issuer)
	b = appendText(b, about)
	return k.journal.Seal([]byte{format}, nil, b, journalContext(prefix))
}

func (k *keys) openMessage(prefix string, sealed []byte) (message, error) {
	if len(sealed) == 0 || len(sealed) > maxEntry || sealed[0] != format {
		return message{}, errSealed
	}
	plain, err := k.journal.Open(nil, nil, sealed[1:], journalContext(prefix))
	if err != nil {
		return message{}, errSealed
	}
	return parseMessage(plain)
}

func parseMessage(plain []byte) (message, error) {
	r := reader{rest: plain}
	var m message
	kind := r.bytes(1)
	copy(m.id[:], r.bytes(len(m.id)))
	copy(m.sender[:], r.bytes(len(m.sender)))
	m.sent = time.UnixMilli(int64(r.uint64()))
	m.Issuer = r.text()
	about := r.text()
	if r.short || len(r.rest) != 0 {
		return message{}, errSealed
	}
	switch kind[0] {
	case kindRestart:
		m.restart = true
	case kindTokenID:
		m.TokenID = about
	case kindSubject:
		m.Subject = about
	case kindAll:
		m.All = true
	default:
		return message{}, errSealed
	}
	return m, nil
}

func journalContext(prefix string) []byte {
	return append([]byte{format}, packed("journal", prefix)...)
}

// appendText takes a text of at most maxName bytes.
func appendText(b []byte, text string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(text))), text...)
}

// reader takes a sealed value apart. Reading beyond the end gives zeros and sets short.
type reader struct {
	rest  []byte
	short bool
}

func (r *reader) bytes(n int) []byte {
	if n > len(r.rest) {
		r.rest, r.short = nil, true
		return make([]byte, n)
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) uint64() uint64 { return binary.BigEndian.Uint64(r.bytes(8)) }
func (r *reader) text() string   { return string(r.bytes(int(binary.BigEndian.Uint16(r.bytes(2))))) }
