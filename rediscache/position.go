package rediscache

import (
	"cmp"
	"errors"
	"strconv"
	"strings"
)

// position is a place in the journal: the id of an entry of a Redis stream.
type position struct{ ms, seq uint64 }

func (p position) compare(q position) int {
	return cmp.Or(cmp.Compare(p.ms, q.ms), cmp.Compare(p.seq, q.seq))
}

func (p position) before(q position) bool { return p.compare(q) < 0 }

func (p position) String() string {
	return strconv.FormatUint(p.ms, 10) + "-" + strconv.FormatUint(p.seq, 10)
}

func parsePosition(id string) (position, error) {
	ms, seq, _ := strings.Cut(id, "-")
	var p position
	var errMS, errSeq error
	p.ms, errMS = strconv.ParseUint(ms, 10, 64)
	p.seq, errSeq = strconv.ParseUint(seq, 10, 64)
	if errMS != nil || errSeq != nil {
		return position{}, errors.New("rediscache: expected the id of a stream entry, got something else")
	}
	return p, nil
}

func later(p, q position) position {
	if p.before(q) {
		return q
	}
	return p
}
