package cache

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// naive is what a Cache would be without bounds, speed and other goroutines: it keeps everything, and looks at every eviction
// that there ever was.
type naive struct {
	entries   map[string]naiveEntry
	evictions []func(naiveEntry) bool
}

type naiveEntry struct {
	token string
	Entry[string]
	since     time.Time
	evictions int // that there were when the call began
	renewed   bool
}

func (n *naive) void(e naiveEntry) bool {
	for _, concerns := range n.evictions[e.evictions:] {
		if concerns(e) {
			return true
		}
	}
	return false
}

func (e naiveEntry) within(d time.Duration) bool {
	now := time.Now()
	return now.Before(e.since.Add(d)) && (e.Expiry.IsZero() || now.Before(e.Expiry)) && !now.Before(e.NotBefore)
}

func (n *naive) get(token string) (naiveEntry, State) {
	e, ok := n.entries[token]
	switch {
	case !ok || n.void(e):
		return e, Miss
	case e.within(e.Fresh):
		if e.Renew > 0 && !e.renewed && !time.Now().Before(e.since.Add(e.Renew)) {
			e.renewed = true
			n.entries[token] = e
			return e, Due
		}
		return e, Fresh
	case e.within(e.Fresh + max(e.Keep, e.Stale)):
		return e, Stale
	}
	return e, Miss
}

func (n *naive) put(token string, evictions int, e Entry[string]) {
	entry := naiveEntry{token: token, Entry: e, since: time.Now(), evictions: evictions}
	if !e.Since.IsZero() {
		entry.since = e.Since
	}
	if !n.void(entry) {
		n.entries[token] = entry
	}
}

// TestModel does a million random things to a Cache and to a naive one, and wants the same of both: look up, store what calls
// bring that overlap and land in any order, evict, and let time pass.
func TestModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const longest, overlap = 100 * time.Second, 10 * time.Second
		r := rand.New(rand.NewPCG(20, 26))
		c := New[string](Config{MaxEntries: 1 << 14, MaxLife: longest + overlap})
		n := &naive{entries: map[string]naiveEntry{}}
		type call struct {
			token     string
			mark      Mark
			evictions int
			began     time.Time
		}
		var calls []call
		seen := map[State]int{}
		seconds := func(n int) time.Duration { return time.Duration(r.IntN(n*1000)) * time.Millisecond }
		for i := range 1_000_000 {
			user, number := r.IntN(20), r.IntN(10)
			token := fmt.Sprint(user, "/", number)
			subject, session, id := fmt.Sprint("user", user), fmt.Sprint("session", user, number/2), fmt.Sprint("id", token)
			switch op := r.IntN(1000); {
			case op < 600:
				item, state := c.Get(c.Key(token))
				entry, want := n.get(token)
				seen[state]++
				if state != want || state != Miss && item.Value != entry.Value || state != Miss && item.Bad() != entry.Bad {
					t.Fatalf("operation %d: %s: got state %d, expected %d of %+v", i, token, state, want, entry)
				}
				if state == Stale {
					require.Equal(t, entry.within(entry.Fresh+entry.Stale), c.Usable(item))
				}
			case op < 750:
				calls = append(calls, call{token, c.Mark(), len(n.evictions), time.Now()})
			case op < 900 && len(calls) > 0:
				at := r.IntN(len(calls))
				landed := calls[at]
				calls = append(calls[:at], calls[at+1:]...)
				if time.Since(landed.began) > overlap {
					continue
				}
				_, _ = fmt.Sscanf(landed.token, "%d/%d", &user, &number)
				e := Entry[string]{
					Value: fmt.Sprint(landed.token, " of ", i), Bad: r.IntN(4) == 0, Fresh: seconds(40), Stale: seconds(30), Keep: seconds(60),
					TokenID: "id" + landed.token, Session: fmt.Sprint("session", user, number/2), Subject: fmt.Sprint("user", user),
				}
				if r.IntN(2) == 0 {
					e.Renew = e.Fresh / 2
				}
				if r.IntN(2) == 0 {
					e.Since = landed.began
				}
				if r.IntN(3) == 0 {
					e.Expiry = time.Now().Add(seconds(60) - 5*time.Second)
				}
				if r.IntN(10) == 0 {
					e.NotBefore = time.Now().Add(seconds(5))
				}
				_, _ = c.Put(c.Key(landed.token), landed.mark, e)
				n.put(landed.token, landed.evictions, e)
			case op < 905:
				c.EvictKey(c.Key(token))
				n.evictions = append(n.evictions, func(e naiveEntry) bool { return e.token == token })
			case op < 907:
				c.EvictTokenID(id)
				n.evictions = append(n.evictions, func(e naiveEntry) bool { return e.TokenID == id })
			case op < 908:
				c.EvictTokenID(session)
				n.evictions = append(n.evictions, func(e naiveEntry) bool { return e.Session == session })
			case op < 909:
				c.EvictSubject(subject)
				n.evictions = append(n.evictions, func(e naiveEntry) bool { return e.Subject == subject })
			case op == 909 && r.IntN(10) == 0:
				c.EvictAll()
				n.evictions = append(n.evictions, func(naiveEntry) bool { return true })
			default:
				time.Sleep(seconds(1) / 4)
			}
		}
		for _, state := range []State{Miss, Fresh, Due, Stale} {
			require.Greater(t, seen[state], 1000, "state %d", state)
		}
		counts := c.Counts()
		require.Zero(t, counts.Replaced, "the bounded one must not have dropped anything for want of room")
		require.Equal(t, uint64(seen[Fresh]+seen[Due]), counts.Hits)
	})
}
