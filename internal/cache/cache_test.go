package cache

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const minute = time.Minute

func put(c *Cache[string], token string, e Entry[string]) *Item[string] {
	if e.Value == "" {
		e.Value = token
	}
	item, _ := c.Put(c.Key(token), c.Mark(), e)
	return item
}

func state(c *Cache[string], token string) State {
	item, s := c.Get(c.Key(token))
	if (item == nil) != (s == Miss) || item != nil && item.Value != token {
		panic("another token's item, or none with a state")
	}
	return s
}

func TestAnEntryIsFreshThenStaleThenGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New[string](Config{MaxEntries: 100, MaxLife: time.Hour})
		require.Equal(t, Miss, state(c, "a"))
		item := put(c, "a", Entry[string]{Fresh: minute, Stale: minute})
		require.Equal(t, Fresh, state(c, "a"))
		time.Sleep(minute - 1)
		require.Equal(t, Fresh, state(c, "a"))
		require.NotNil(t, c.Peek(c.Key("a")))
		time.Sleep(time.Nanosecond)
		require.Equal(t, Stale, state(c, "a"))
		require.Nil(t, c.Peek(c.Key("a")))
		require.True(t, c.Usable(item))
		time.Sleep(minute - 1)
		require.Equal(t, Stale, state(c, "a"))
		time.Sleep(time.Nanosecond)
		require.Equal(t, Miss, state(c, "a"))
		require.False(t, c.Usable(item))
	})
}

// The wall clock can be set back, and the monotonic one stands still while a machine sleeps.
func TestAnEndIsPassedWhenTheFirstOfTwoClocksSaysSo(t *testing.T) {
	set := end{mono: 100, wall: 1000}
	for _, row := range []struct {
		d      time.Duration
		latest int64
		want   end
	}{{50, math.MaxInt64, end{150, 1050}}, {50, 1020, end{120, 1020}}, {50, 1000, set}} {
		ends := set.after(row.d, row.latest)
		require.Equal(t, row.want, ends)
		require.False(t, ends.passed(end{ends.mono - 1, ends.wall - 1}))
		require.True(t, ends.passed(end{ends.mono, 0}), "the clock was set back")
		require.True(t, ends.passed(end{0, ends.wall}), "the machine slept")
	}
}

func TestLivesCountFromSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New[string](Config{MaxEntries: 100, MaxLife: time.Hour})
		since := time.Now()
		time.Sleep(10 * time.Second)
		item := put(c, "a", Entry[string]{Since: since, Renew: 20 * time.Second, Fresh: 30 * time.Second, Stale: 30 * time.Second, Keep: minute})
		for _, row := range []struct {
			after  time.Duration
			want   State
			usable bool
		}{
			{20*time.Second - 1, Fresh, true}, {20 * time.Second, Due, true}, {30*time.Second - 1, Fresh, true},
			{30 * time.Second, Stale, true}, {minute, Stale, false}, {90 * time.Second, Miss, false},
		} {
			time.Sleep(time.Until(since.Add(row.after)))
			require.Equal(t, row.want, state(c, "a"), row.after)
			require.Equal(t, row.usable, c.Usable(item), row.after)
		}
	})
}

func TestGetAtGoesByTheClockGiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New[string](Config{MaxEntries: 100, MaxLife: time.Hour})
		put(c, "a", Entry[string]{Fresh: minute, Renew: time.Second})
		now := time.Now()
		for _, row := range []struct {
			clock time.Time
			want  State
		}{{now, Fresh}, {now.Add(time.Second), Due}, {now.Add(minute - 1), Fresh}, {now.Add(minute), Miss}, {now.Add(minute).Round(0), Miss}, {time.Time{}, Fresh}} {
			_, got := c.GetAt(row.clock, c.Key("a"))
			require.Equal(t, row.want, got, row.clock)
		}
	})
}

func TestAKeptEntryIsKnownAndNotUsable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New[string](Config{MaxEntries: 100, MaxLife: time.Hour})
		item := put(c, "a", Entry[string]{Fresh: minute, Keep: minute})
		require.True(t, c.Usable(item))
		time.Sleep(minute)
		require.Equal(t, Stale, state(c, "a"))
		require.False(t, c.Usable(item))
		time.Sleep(minute)
		require.Equal(t, Miss, state(c, "a"))
	})
}

func TestExpiryEndsFreshAndStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New[string](Config{MaxEntries: 100, MaxLife: time.Hour})
		item := put(c, "fresh", Entry[string]{Fresh: minute, Stale: minute, Expiry: time.Now().Add(30 * time.Second)})
		put(c, "stale", Entry[string]{Fresh: minute, Stale: minute, Expiry: time.Now().Add(90 * time.Second)})
		time.Sleep(30*time.Second - 1)
		require.Equal(t, Fresh, state(c, "fresh"))
		time.Sleep(time.Nanosecond)
		require.Equal(t, Miss, state(c, "fresh"))
		require.False(t, c.Usable(item))
		time.Sleep(minute - 1)
		require.Equal(t, Stale, state(c, "stale"))
		time.Sleep(time.Nanosecond)
		require.Equal(t, Miss, state(c, "stale"))
	})
}

func TestNotBeforeDelaysUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New[string](Config{MaxEntries: 100, MaxLife: time.Hour})
		item := put(c, "a", Entry[string]{Fresh: minute, NotBefore: time.Now().Add(time.Second)})
		require.Equal(t, Miss, state(c, "a"))
		require.False(t, c.Usable(item))
		time.Sleep(time.Second)
		require.Equal(t, Fresh, state(c, "a"))
		require.True(t, c.Usable(item))
	})
}

func TestTimesBeyondTheYear2262AreNoEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New[string](Config{MaxEntries: 100, MaxLife: time.Hour})
		put(c, "never ends", Entry[string]{Fresh: minute, Expiry: time.Unix(253402300799, 0)})
		put(c, "ended long ago", Entry[string]{Fresh: minute, Expiry: time.Unix(-253402300799, 0)})
		require.Equal(t, Fresh, state(c, "never ends"))
		require.Equal(t, Miss, state(c, "ended long ago"))
	})
}

func TestMaxLifeCutsFreshAndKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New[string](Config{MaxEntries: 100, MaxLife: minute})
		put(c, "a", Entry[string]{Fresh: time.Hour, Stale: time.Hour})
		b := put(c, "b", Entry[string]{Fresh: minute / 2, Stale: time.Hour})
		time.Sleep(minute - 1)
		require.Equal(t, Fresh, state(c, "a"))
		require.Equal(t, Stale, state(c, "b"))
		require.True(t, c.Usable(b))
		time.Sleep(time.Nanosecond)
		require.Equal(t, Miss, state(c, "a"))
		require.Equal(t, Miss, state(c, "b"))
		require.False(t, c.Usable(b))
	})
}

func TestDueIsSaidToOneCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New[string](Config{MaxEntries: 100, MaxLife: time.Hour})
		put(c, "a", Entry[string]{Fresh: minute, Renew: 48 * time.Second})
		time.Sleep(48*time.Second - 1)
		require.Equal(t, Fresh, state(c, "a"))
		time.Sleep(time.Nanosecond)
		require.Equal(t, Due, state(c, "a"))
		require.Equal(t, Fresh, state(c, "a"))
		item, _ := c.Get(c.Key("a"))
		c.RenewLater(item, time.Second)
		require.Equal(t, Fresh, state(c, "a"))
		time.Sleep(time.Second)
		require.Equal(t, Due, state(c, "a"))
	})
}

func TestARefusalTakesTheEntrysPlaceAndTheOtherWayRound(t *testing.T) {
	c := New[string](Config{MaxEntries: 100, MaxLife: time.Hour})
	for _, bad := range []bool{false, true, false} {
		put(c, "a", Entry[string]{Fresh: minute, Bad: bad})
		item, s := c.Get(c.Key("a"))
		require.Equal(t, Fresh, s)
		require.Equal(t, bad, item.Bad())
		require.Equal(t, 1, c.Counts().Entries)
		require.Same(t, item, c.Peek(c.Key("a")))
	}
	counts := c.Counts()
	require.Equal(t, uint64(3), counts.Hits)
	require.Equal(t, uint64(1), counts.Refusals)
}

func TestEvictionVoidsWhatItConcernsAndNothingElse(t *testing.T) {
	for name, evict := range map[string]func(c *Cache[string]){
		"key":     func(c *Cache[string]) { c.EvictKey(c.Key("a")) },
		"tokenID": func(c *Cache[string]) { c.EvictTokenID("id of a") },
		"session": func(c *Cache[string]) { c.EvictTokenID("session of a") },
		"subject": func(c *Cache[string]) { c.EvictSubject("user of a") },
		"all":     func(c *Cache[string]) { c.EvictAll() },
	} {
		t.Run(name, func(t *testing.T) {
			c := New[string](Config{MaxEntries: 100, MaxLife: time.Hour})
			store := func() (*Item[string], *Item[string]) {
				return put(c, "a", Entry[string]{Fresh: minute, TokenID: "id of a", Session: "session of a", Subject: "user of a"}),
					put(c, "b", Entry[string]{Fresh: minute, TokenID: "id of b", Session: "session of b", Subject: "user of b"})
			}
			mark := c.Mark()
			a, b := store()
			evict(c)
			require.Equal(t, Miss, state(c, "a"))
			require.Nil(t, c.Peek(c.Key("a")))
			require.True(t, c.Void(a))
			require.False(t, c.Usable(a))
			require.Equal(t, name == "all", c.Void(b))
			require.Equal(t, name == "all", state(c, "b") == Miss)

			_, ok := c.Put(c.Key("a"), mark, Entry[string]{Value: "a", Fresh: minute, TokenID: "id of a", Session: "session of a", Subject: "user of a"})
			require.False(t, ok, "the call began before the eviction")
			require.Equal(t, name == "key" || name == "all", c.Evicted(c.Key("a")) > mark, "as far as the key tells")
			require.Equal(t, name == "all", c.Evicted(c.Key("b")) > mark)
			require.Equal(t, Miss, state(c, "a"))
			store()
			require.Equal(t, Fresh, state(c, "a"), "the call began after the eviction")
		})
	}
}

func TestAnEvictedKeyTakesNoPlace(t *testing.T) {
	for _, bad := range []bool{true, false} {
		c := New[string](Config{MaxEntries: 100, MaxLife: time.Hour})
		put(c, "a", Entry[string]{Fresh: minute, Bad: bad})
		put(c, "b", Entry[string]{Fresh: minute, Bad: bad})
		c.EvictKey(c.Key("a"))
		require.Equal(t, 1, c.Counts().Entries)
	}
}

func TestEvictingAnEmptyIDEvictsNothing(t *testing.T) {
	c := New[string](Config{MaxEntries: 100, MaxLife: time.Hour})
	put(c, "no ids", Entry[string]{Fresh: minute})
	c.EvictTokenID("")
	c.EvictSubject("")
	require.Equal(t, Fresh, state(c, "no ids"))
	require.Zero(t, c.Counts().Evictions)
}

func TestForgottenEvictionsVoidWhatBeganBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New[string](Config{MaxEntries: 100, MaxLife: minute})
		slow := c.Mark() // a call that takes longer than any entry lives
		c.EvictSubject("user")
		for i := range 10 {
			time.Sleep(minute)
			put(c, "a", Entry[string]{Fresh: minute})
			require.Equal(t, Fresh, state(c, "a"))
			c.EvictSubject(fmt.Sprint("another ", i))
			require.Equal(t, Fresh, state(c, "a"), "no concern of it")
		}
		require.LessOrEqual(t, len(c.evictions.current)+len(c.evictions.older), 2)
		_, ok := c.Put(c.Key("b"), slow, Entry[string]{Fresh: minute, Subject: "user"})
		require.False(t, ok)
	})
}

func TestTooManyEvictionsEvictAll(t *testing.T) {
	c := New[string](Config{MaxEntries: 100, MaxLife: time.Hour})
	put(c, "a", Entry[string]{Fresh: minute})
	for i := range maxConcerns {
		c.EvictSubject(fmt.Sprint(i))
	}
	require.Equal(t, Fresh, state(c, "a"))
	c.EvictSubject("one more")
	require.Equal(t, Miss, state(c, "a"))
	require.Len(t, c.evictions.current, 1)
}

func TestEntriesNeverExceedMaxEntries(t *testing.T) {
	for _, limit := range []int{-1, 1, 2, 3, 10, 13, 16, 17, 100, 101, 1000} {
		c := New[string](Config{MaxEntries: limit, MaxLife: time.Hour})
		for i := range 5000 {
			put(c, fmt.Sprint(i), Entry[string]{Fresh: minute, Bad: i%2 == 0})
		}
		counts := c.Counts()
		held := 0
		for _, table := range []*table[string]{&c.good, &c.bad} {
			for i := range table.sets {
				for way := range maxWays {
					if table.sets[i].ways[way].Load() != nil {
						held++
					}
				}
			}
		}
		assert.LessOrEqual(t, held, max(limit, 2))
		assert.Greater(t, held, max(limit, 2)-2*maxWays)
		assert.Equal(t, held, counts.Entries)
		assert.Equal(t, uint64(5000-held), counts.Replaced)
	}
}

func TestAFloodReplacesNoEntryInUse(t *testing.T) {
	for name, bad := range map[string]bool{"of refused tokens": true, "of accepted tokens": false} {
		t.Run(name, func(t *testing.T) {
			c := New[string](Config{MaxEntries: 16 * 1024, MaxLife: time.Hour})
			c.Hasher = sameHasher()
			hot := make([]string, 1024)
			for i := range hot {
				hot[i] = fmt.Sprint("hot", i)
				put(c, hot[i], Entry[string]{Fresh: time.Hour})
				require.Equal(t, Fresh, state(c, hot[i]))
			}
			missed := 0
			for i := range 200_000 {
				put(c, fmt.Sprint(i), Entry[string]{Fresh: time.Hour, Bad: bad})
				if token := hot[i%len(hot)]; state(c, token) == Miss {
					missed++
					put(c, token, Entry[string]{Fresh: time.Hour})
				}
			}
			require.Less(t, missed, 200, "0.1 % of the uses")
		})
	}
}

func TestAFloodReplacesNoEntryThatWasInUseBefore(t *testing.T) {
	c := New[string](Config{MaxEntries: 1024, MaxLife: time.Hour})
	const hot = 64
	for i := range hot {
		put(c, fmt.Sprint("hot", i), Entry[string]{Fresh: time.Hour})
		state(c, fmt.Sprint("hot", i))
	}
	for i := range 20_000 {
		put(c, fmt.Sprint(i), Entry[string]{Fresh: time.Hour})
	}
	missed := 0
	for i := range hot {
		if state(c, fmt.Sprint("hot", i)) == Miss {
			missed++
		}
	}
	require.Less(t, missed, hot/8, "but for the few that a token of the flood replaces because it is taken for one that came back")
}

// sameHasher makes the same keys of tokens each time, so that chance does not now and then give two of them the same trace, or one
// set more of them than it has ways.
func sameHasher() Hasher { return Hasher{nh: &[nhWords + 2]uint64{1, 1}} }

// oneSet returns a Cache with one set of seven ways for entries that are no refusals, and fills it with tokens "0" to "6".
func oneSet(e Entry[string]) *Cache[string] {
	c := New[string](Config{MaxEntries: 14, MaxLife: 2 * time.Hour})
	c.Hasher = sameHasher()
	for i := range maxWays {
		put(c, fmt.Sprint(i), e)
	}
	return c
}

func TestOfAFullSetWhatRanOutGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := oneSet(Entry[string]{Fresh: time.Hour})
		put(c, "3", Entry[string]{Fresh: time.Second, Keep: time.Hour})
		time.Sleep(time.Second)
		require.Equal(t, Stale, state(c, "3"))
		put(c, "new", Entry[string]{Fresh: time.Hour})
		for _, token := range []string{"0", "1", "2", "4", "5", "6", "new"} {
			require.Equal(t, Fresh, state(c, token))
		}
		require.Equal(t, uint64(1), c.Counts().Replaced)

		time.Sleep(2 * time.Hour)
		for i := range maxWays {
			put(c, fmt.Sprint("newer ", i), Entry[string]{Fresh: time.Hour})
		}
		require.Equal(t, uint64(1), c.Counts().Replaced, "what is over and done had not to go before its time")
		require.Equal(t, maxWays, c.Counts().Entries)
	})
}

func TestARenewedEntryCountsAsUsedWhenTheOldOneWas(t *testing.T) {
	for _, used := range []bool{true, false} {
		c := oneSet(Entry[string]{Fresh: time.Hour})
		if used {
			state(c, "0")
		}
		put(c, "0", Entry[string]{Fresh: time.Hour})
		put(c, "new", Entry[string]{Fresh: time.Hour})
		require.Equal(t, used, state(c, "0") == Fresh, "it was on trial, being the first that came")
		require.Equal(t, Fresh, state(c, "new"))
	}
}

func TestATokenThatComesBackSoonHasMoreThanATrial(t *testing.T) {
	c := oneSet(Entry[string]{Fresh: time.Hour})
	for _, token := range []string{"back", "one", "back", "two", "three"} {
		put(c, token, Entry[string]{Fresh: time.Hour})
	}
	require.Equal(t, Miss, state(c, "one"))
	require.Equal(t, Miss, state(c, "two"))
	require.Equal(t, Fresh, state(c, "three"))
	require.Equal(t, Fresh, state(c, "back"))
}

func TestASetOfTokensInUseGivesWayToAnother(t *testing.T) {
	c := New[string](Config{MaxEntries: 2048, MaxLife: time.Hour})
	c.Hasher = sameHasher()
	missed := 0
	for generation := range 3 {
		for range 20 {
			missed = 0
			for i := range 512 {
				token := fmt.Sprint(generation, "/", i)
				if state(c, token) == Miss {
					missed++
					put(c, token, Entry[string]{Fresh: time.Hour})
				}
			}
		}
	}
	require.Less(t, missed, 26, "5 % of the tokens: idle ones of older generations must not keep them out")
}

func TestUseAllocatesNothing(t *testing.T) {
	c := New[string](Config{MaxEntries: 100, MaxLife: time.Hour})
	put(c, "a", Entry[string]{Fresh: minute})
	require.Zero(t, testing.AllocsPerRun(100, func() { c.Get(c.Key("a")) }))
}

// TestConcurrentUse is for the race detector, and checks that no reader ever sees another token's value or an evicted one.
func TestConcurrentUse(t *testing.T) {
	c := New[string](Config{MaxEntries: 64, MaxLife: time.Hour})
	var wg sync.WaitGroup
	var evictions atomic.Uint64
	for g := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(g)))
			for range 20_000 {
				token := fmt.Sprint(r.IntN(100))
				switch r.IntN(20) {
				case 0:
					evictions.Add(1)
					c.EvictTokenID(token)
				case 1:
					evictions.Add(1)
					c.EvictKey(c.Key(token))
				case 2, 3, 4, 5, 6:
					put(c, token, Entry[string]{Fresh: minute, Renew: 1, TokenID: token, Bad: r.IntN(2) == 0})
				default:
					state(c, token)
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, evictions.Load(), c.Counts().Evictions, "none is lost, whoever else evicts")
}
