package rediscache

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postern-go/postern/introspect"
)

// Limits of the journal. Where one is reached, older answers are no longer used: never the other way round.
const (
	// journalLength is about how many entries the journal in Redis keeps.
	journalLength = 10_000
	// maxConcerns bounds what a process remembers of evictions, one by one.
	maxConcerns = 4 * journalLength
	// maxLearned bounds how far back a process knows how much of the journal it had read.
	maxLearned = 1024
	// replayWindow is how old a message may be to evict from the first level, which keeps nothing that long: TTL and MaxStale
	// of introspect.Config are at most a day and a week.
	replayWindow = 8 * 24 * time.Hour
	// clockMargin is by how much clocks of replicas may differ, where they matter at all.
	clockMargin = 10 * time.Second
)

// entry is a message at its place in the journal. A nil message is one that was not sealed with a secret of this process.
type entry struct {
	at      position
	message *message
}

func (e entry) restarts() bool { return e.message != nil && e.message.restart }

// journal is what this process has read of the journal in Redis, and which answers may be used because of it.
//
// An answer carries the position up to which its asker had read the journal before it asked. It may be used when that is not
// before any eviction that concerns it. For that to be known the answer must not be older than the first entry that was read
// (floor) and not newer than the last (applied).
//
// Who writes Redis chooses the positions, though: it may give an eviction one that comes before an answer's. So an answer that
// was asked for before the eviction was sent, by the clocks that are sealed in both, is not used either. Clocks alone never
// make an answer usable.
type journal struct {
	self    id
	started time.Time

	mu             sync.Mutex
	ready          bool
	floor, applied position
	learned        []learned            // what was read when, in order
	dead           map[concern]ending   // the last eviction of each
	pending        map[concern]int      // evictions of this process that are not in the journal yet, counted
	deleted        map[string]time.Time // names of answers that the server took back
	deletedAll     time.Time            // as if every name had been deleted then
	seen           map[id]struct{}      // messages, to hear each once
	checked        time.Time            // when it was last asked what is new, by an answer that came
	claimed        time.Time            // when somebody set out to ask ahead of time
}

type learned struct {
	when time.Time
	at   position
}

// ending is an eviction: its place, and when it was sent.
type ending struct {
	at   position
	sent time.Time
}

func (e ending) ends(a answer) bool { return a.at.before(e.at) || a.Asked.Before(e.sent) }

// news is what reading brought for others to act on.
type news struct {
	evictions []introspect.Eviction // for the first level
	own       []id                  // messages of this process that are in the journal now
	restarted bool                  // the journal began anew, and what was in it may be lost
}

// concern is what an eviction is about: one token or session, one user, or (with an empty id) everything, of one issuer or
// (with an empty one) of all.
type concern struct {
	kind   byte
	issuer string
	id     string
}

func concernOf(e introspect.Eviction) concern {
	switch {
	case e.All:
		return concern{kindAll, e.Issuer, ""}
	case e.TokenID != "":
		return concern{kindTokenID, e.Issuer, sessionOf(e.TokenID)}
	}
	return concern{kindSubject, e.Issuer, e.Subject}
}

// sessionOf returns the session of a token id, which stands before "-at_", or the id itself. Whether a token or its session
// is evicted, all tokens of the session go: to ask for them again costs little.
func sessionOf(tokenID string) string {
	session, _, _ := strings.Cut(tokenID, "-at_")
	return session
}

func newJournal(self id) *journal {
	return &journal{
		self: self, started: time.Now(),
		dead: map[concern]ending{}, pending: map[concern]int{}, deleted: map[string]time.Time{}, seen: map[id]struct{}{},
	}
}

// state returns up to where the journal was read, and whether that is of use.
func (j *journal) state() (applied position, ready bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.applied, j.ready
}

// lose says that what is in Redis is not what was read: nothing may be used until it was read anew.
func (j *journal) lose() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ready = false
}

// forget has positions begin anew, as in a process that starts. What was asked for until now is out of use.
func (j *journal) forget() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ready = false
	j.floor, j.applied, j.learned = position{}, position{}, nil
	clear(j.dead)
	j.deletedAll = time.Now()
}

// begin takes the whole journal, read from its first entry. It returns false when that is empty, or lacks what was read of it
// earlier, and nobody has said so: then entries were lost, others may lack some that nobody can tell, and the journal has to be
// begun anew first.
func (j *journal) begin(entries []entry, asked time.Time) (news, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(entries) == 0 {
		return news{}, false
	}
	oldest, first := entries[0], j.applied == position{}
	gap := j.applied.before(oldest.at)
	if !first && !gap && !slices.ContainsFunc(entries, func(e entry) bool {
		return e.at == j.applied || j.applied.before(e.at) && e.restarts()
	}) {
		return news{}, false
	}
	n := j.read(entries, first)
	if gap {
		j.floor = later(j.floor, oldest.at)
		if !first && !oldest.restarts() {
			n.evictions = append(n.evictions, introspect.Eviction{All: true}) // what was cut off in between is not known
		}
	}
	j.ready, j.checked = true, asked
	return n, true
}

// extend takes all entries from position from on, asked for at that time. The first of them is the one at from; if it is not,
// the journal is no longer what was read, and nothing may be used until it was read anew.
func (j *journal) extend(from position, entries []entry, asked time.Time) (news, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.ready || len(entries) == 0 || entries[0].at != from {
		j.ready = false
		return news{}, false
	}
	j.checked = asked
	return j.read(entries, false), true
}

// due reports whether the caller has to ask what is new: because nobody has for too long, or as the one who does so for all
// before it is.
func (j *journal) due() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := time.Now()
	if now.Sub(j.checked) > recheck {
		return true
	}
	if now.Sub(j.checked) > recheck/2 && now.Sub(j.claimed) > recheck/2 {
		j.claimed = now
		return true
	}
	return false
}

// read takes the entries that are new. When the journal is read for the first time, the first level has to hear only of what
// was sent since this process began.
func (j *journal) read(entries []entry, first bool) (n news) {
	now := time.Now()
	for _, e := range entries {
		if !j.applied.before(e.at) {
			continue
		}
		j.applied = e.at
		m := e.message
		if m == nil { // perhaps an eviction, sealed with a secret that this process was not given: whose is not known
			j.floor = e.at
			continue
		}
		if e.restarts() {
			j.floor, n.restarted = e.at, true
			continue
		}
		if len(j.dead) >= maxConcerns || len(j.seen) >= maxConcerns {
			j.floor = e.at
			clear(j.dead)
			clear(j.seen)
		}
		if m.sender == j.self {
			n.own = append(n.own, m.id)
		}
		if _, again := j.seen[m.id]; again { // replayed, or sent again by who could not know that it had arrived
			continue
		}
		j.seen[m.id] = struct{}{}
		c := concernOf(m.Eviction)
		sent := m.sent
		if sent.After(now) { // a clock that is ahead of ours puts nothing out of use that is asked for later
			sent = now.Truncate(time.Millisecond)
		}
		if before := j.dead[c].sent; sent.Before(before) {
			sent = before
		}
		j.dead[c] = ending{e.at, sent}
		switch {
		case m.sender == j.self: // its first level heard of it when it was published
		case now.Sub(m.sent) > replayWindow || first && m.sent.Before(j.started.Add(-clockMargin)):
		default:
			n.evictions = append(n.evictions, m.Eviction)
		}
	}
	if len(j.learned) == 0 || j.learned[len(j.learned)-1].at != j.applied {
		if len(j.learned) >= maxLearned {
			j.learned = append(j.learned[:0], j.learned[maxLearned/2:]...)
		}
		j.learned = append(j.learned, learned{now, j.applied})
	}
	return n
}

// positionAt returns up to where the journal was read at that time, or false when that is no longer, or was not, known.
func (j *journal) positionAt(when time.Time) (position, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.ready {
		return position{}, false
	}
	for i := len(j.learned) - 1; i >= 0; i-- {
		if !j.learned[i].when.After(when) {
			return j.learned[i].at, true
		}
	}
	return position{}, false
}

// usable reports whether nothing is known to have ended the answer since it was asked for, and nothing can have that is not
// known.
func (j *journal) usable(name, issuer string, a answer) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.ready || a.at.before(j.floor) || j.applied.before(a.at) {
		return false
	}
	taken, ok := j.deleted[name]
	if ok && a.Asked.Before(taken.Add(clockMargin)) || a.Asked.Before(j.deletedAll.Add(clockMargin)) {
		return false
	}
	for _, of := range []string{issuer, ""} {
		for _, c := range []concern{{kindTokenID, of, sessionOf(a.TokenID)}, {kindSubject, of, a.Subject}, {kindAll, of, ""}} {
			if j.pending[c] > 0 || j.dead[c].ends(a) {
				return false
			}
		}
	}
	return true
}

// delete puts what was stored under that name before now out of use.
func (j *journal) delete(name string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.deleted) >= maxConcerns {
		clear(j.deleted)
		j.deletedAll = time.Now()
	}
	j.deleted[name] = time.Now()
}

// hold puts what the eviction concerns out of use until it is in the journal. release ends that.
func (j *journal) hold(e introspect.Eviction) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.pending[concernOf(e)]++
}

func (j *journal) release(e introspect.Eviction) {
	j.mu.Lock()
	defer j.mu.Unlock()
	c := concernOf(e)
	if j.pending[c]--; j.pending[c] <= 0 {
		delete(j.pending, c)
	}
}
