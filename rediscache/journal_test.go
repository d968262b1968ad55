package rediscache

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/introspect"
)

func at(n uint64) position { return position{n, 0} }

// journalOf returns a journal that was read from its first entry, a restart at 1, to the last.
func journalOf(entries ...entry) *journal {
	j := newJournal(newID())
	j.begin(append([]entry{restart(1)}, entries...), time.Now())
	return j
}

func restart(n uint64) entry {
	return entry{at(n), &message{id: newID(), sent: time.Now(), restart: true}}
}

func eviction(n uint64, e introspect.Eviction) entry {
	return entry{at(n), &message{id: newID(), sent: time.Now(), Eviction: e}}
}

func ofUser(n uint64, user string) entry { return eviction(n, introspect.Eviction{Subject: user}) }

func answerAt(n uint64) answer {
	return answer{introspect.SharedAnswer{TokenID: "pat", Subject: "user", Asked: time.Now()}, at(n)}
}

func TestAnAnswerIsUsableFromTheLastEvictionThatConcernsItToTheLastEntryRead(t *testing.T) {
	j := journalOf(ofUser(10, "somebody else"), ofUser(20, "user"), ofUser(30, "somebody else"))
	for n, want := range map[uint64]bool{5: false, 10: false, 19: false, 20: true, 25: true, 30: true, 31: false} {
		assert.Equal(t, want, j.usable("name", "issuer", answerAt(n)), n)
	}
}

func TestNothingIsUsableFromBeforeWhatWasRead(t *testing.T) {
	late := newJournal(newID())
	_, ok := late.begin([]entry{ofUser(10, "x"), ofUser(20, "x")}, time.Now()) // older entries were cut off
	require.True(t, ok)
	assert.False(t, late.usable("name", "issuer", answerAt(9)))
	assert.True(t, late.usable("name", "issuer", answerAt(10)))
}

func TestNothingIsUsableBeforeTheJournalWasRead(t *testing.T) {
	j := newJournal(newID())
	assert.False(t, j.usable("name", "issuer", answerAt(0)))
	_, ok := j.begin(nil, time.Now())
	assert.False(t, ok, "an empty journal has to be begun first")
	assert.False(t, j.usable("name", "issuer", answerAt(0)))
	_, ok = j.extend(position{}, nil, time.Now())
	assert.False(t, ok)
}

func TestARestartEndsWhatWasStoredBefore(t *testing.T) {
	j := journalOf(ofUser(10, "x"))
	n, ok := j.extend(at(10), []entry{ofUser(10, "x"), restart(20)}, time.Now())
	require.True(t, ok)
	assert.True(t, n.restarted)
	assert.False(t, j.usable("name", "issuer", answerAt(10)))
	assert.True(t, j.usable("name", "issuer", answerAt(20)))
}

func TestAJournalWithoutItsLastEntryIsLost(t *testing.T) {
	for name, entries := range map[string][]entry{
		"empty": nil, "shorter": {ofUser(9, "x")}, "cut off": {ofUser(11, "x")},
	} {
		j := journalOf(ofUser(10, "x"))
		_, ok := j.extend(at(10), entries, time.Now())
		assert.False(t, ok, name)
		assert.False(t, j.usable("name", "issuer", answerAt(10)), name)
		_, ok = j.positionAt(time.Now())
		assert.False(t, ok, name)
	}
}

func TestAShorterJournalHasToBeBegunAnew(t *testing.T) {
	j := journalOf(ofUser(10, "x"), ofUser(20, "user"))
	j.lose()
	_, ok := j.begin([]entry{restart(1), ofUser(10, "x")}, time.Now()) // 20 was lost in a failover
	assert.False(t, ok)
	n, ok := j.begin([]entry{restart(1), ofUser(10, "x"), restart(21)}, time.Now())
	assert.True(t, ok)
	assert.True(t, n.restarted)
	assert.False(t, j.usable("name", "issuer", answerAt(20)))
	assert.True(t, j.usable("name", "issuer", answerAt(21)))
}

func TestAJournalThatGoesOnWithoutWhatWasReadHasToBeBegunAnew(t *testing.T) {
	j := journalOf(ofUser(10, "x"), ofUser(20, "user"))
	failedOver := []entry{restart(1), ofUser(10, "x"), ofUser(30, "y")} // 20 was lost, and somebody has gone on
	_, ok := j.extend(at(20), failedOver[2:], time.Now())
	assert.False(t, ok)
	_, ok = j.begin(failedOver, time.Now())
	assert.False(t, ok, "who reads this journal for the first time does not know of 20")
	failedOver = append(failedOver, restart(40))
	_, ok = j.begin(failedOver, time.Now())
	assert.True(t, ok)
	late := newJournal(newID())
	_, ok = late.begin(failedOver, time.Now())
	require.True(t, ok)
	assert.False(t, late.usable("name", "issuer", answerAt(10)))
}

func TestNothingFromBeforeItWasForgottenIsUsable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := journalOf(ofUser(90, "user"))
		before := answerAt(90)
		j.forget()
		_, ok := j.begin([]entry{restart(5)}, time.Now()) // positions that were used before come again
		require.True(t, ok)
		_, ok = j.extend(at(5), []entry{{at: at(5)}, {at: at(90)}}, time.Now())
		require.True(t, ok)
		assert.False(t, j.usable("name", "issuer", before))
		time.Sleep(clockMargin)
		assert.True(t, j.usable("name", "issuer", answerAt(90)))
	})
}

func TestADeletionEndsWhatAFastClockSaysWasAskedForAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := journalOf()
		j.delete("name")
		fast := answerAt(1)
		fast.Asked = time.Now().Add(clockMargin - time.Millisecond) // by the clock of another replica
		assert.False(t, j.usable("name", "issuer", fast))
		assert.True(t, j.usable("another", "issuer", fast))
		fast.Asked = time.Now().Add(clockMargin)
		assert.True(t, j.usable("name", "issuer", fast))
	})
}

func TestWhoMissedEntriesEvictsEverything(t *testing.T) {
	j := journalOf(ofUser(10, "x"))
	j.lose()
	n, ok := j.begin([]entry{ofUser(100, "y"), ofUser(110, "z")}, time.Now())
	require.True(t, ok)
	assert.Contains(t, n.evictions, introspect.Eviction{All: true})
	assert.False(t, j.usable("name", "issuer", answerAt(99)))

	j = journalOf(ofUser(10, "x"))
	j.lose()
	n, ok = j.begin([]entry{restart(100)}, time.Now())
	require.True(t, ok)
	assert.Empty(t, n.evictions, "a journal begun anew cut nothing off that was read")
}

func TestALateJoinerTellsItsFirstLevelOnlyWhatCameAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := ofUser(10, "long before")
		time.Sleep(time.Minute)
		j := newJournal(newID())
		time.Sleep(time.Minute) // Redis is down
		after := ofUser(20, "after")
		n, _ := j.begin([]entry{restart(1), before, after}, time.Now())
		assert.Equal(t, []introspect.Eviction{{Subject: "after"}}, n.evictions)
		old := answerAt(5)
		old.Subject = "long before"
		assert.False(t, j.usable("name", "issuer", old), "but none of it is used")
	})
}

func TestAMessageThatCannotBeReadEndsWhatIsOlder(t *testing.T) {
	j := journalOf(ofUser(10, "x"), entry{at: at(20)})
	assert.False(t, j.usable("name", "issuer", answerAt(19)))
	assert.True(t, j.usable("name", "issuer", answerAt(20)))
}

func TestAnAnswerAskedForBeforeAnEvictionIsNotUsedWhereverTheEvictionStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := answerAt(30)
		time.Sleep(time.Second)
		j := journalOf(ofUser(20, "user"), entry{at: at(30)}) // places are chosen by who writes Redis
		assert.False(t, j.usable("name", "issuer", before))
		assert.True(t, j.usable("name", "issuer", answerAt(30)))

		replayed := ofUser(40, "user")
		replayed.message.sent = time.Now().Add(-time.Hour)
		j.extend(at(30), []entry{{at: at(30)}, replayed}, time.Now())
		before.at = at(40)
		assert.False(t, j.usable("name", "issuer", before), "an older message makes nothing usable again")
	})
}

func TestASenderWhoseClockIsAheadPutsNothingOutOfUseThatIsAskedForLater(t *testing.T) {
	fast := ofUser(10, "user")
	fast.message.sent = time.Now().Add(time.Hour)
	assert.True(t, journalOf(fast).usable("name", "issuer", answerAt(10)))
}

func TestEachMessageCountsOnce(t *testing.T) {
	first := ofUser(10, "user")
	j := journalOf(first)
	n, ok := j.extend(at(10), []entry{{at: at(10)}, {at(20), first.message}}, time.Now())
	require.True(t, ok)
	assert.Empty(t, n.evictions)
	assert.True(t, j.usable("name", "issuer", answerAt(10)), "asked after the first")
}

func TestOneLookupReadsTheJournalForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := journalOf()
		assert.False(t, j.due())
		time.Sleep(recheck/2 + 1)
		assert.True(t, j.due(), "one asks ahead of time")
		assert.False(t, j.due(), "the others need not")
		time.Sleep(recheck / 2)
		assert.True(t, j.due(), "nobody may go on without")
		assert.True(t, j.due())
		j.extend(at(1), []entry{restart(1)}, time.Now())
		assert.False(t, j.due())
	})
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	j := journalOf()
	last := uint64(1)
	for i := range uint64(maxConcerns + 10) {
		from := last
		last++
		_, ok := j.extend(at(from), []entry{{at: at(from)}, ofUser(last, fmt.Sprint(i))}, time.Now())
		require.True(t, ok)
	}
	assert.LessOrEqual(t, len(j.dead), maxConcerns)
	assert.LessOrEqual(t, len(j.seen), maxConcerns)
	assert.LessOrEqual(t, len(j.learned), maxLearned)
	forgotten := answerAt(1)
	forgotten.Subject = "0"
	assert.False(t, j.usable("name", "issuer", forgotten), "what was forgotten ends everything before it")
	assert.True(t, j.usable("name", "issuer", answerAt(last)))

	for i := range maxConcerns + 10 {
		j.delete(fmt.Sprint(i))
	}
	assert.LessOrEqual(t, len(j.deleted), maxConcerns)
	assert.False(t, j.usable("0", "issuer", answerAt(last)))
}

func TestPositionsAreThoseOfTheTimeOfAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := time.Now()
		time.Sleep(time.Second)
		j := journalOf(ofUser(10, "x"))
		time.Sleep(time.Second)
		asked := time.Now()
		time.Sleep(time.Second)
		j.extend(at(10), []entry{{at: at(10)}, ofUser(20, "x")}, time.Now())
		time.Sleep(time.Second)
		p, ok := j.positionAt(asked)
		assert.True(t, ok)
		assert.Equal(t, at(10), p)
		p, _ = j.positionAt(time.Now())
		assert.Equal(t, at(20), p)
		_, ok = j.positionAt(before)
		assert.False(t, ok, "nothing was known then")
	})
}

func TestAnEvictionHoldsHereUntilItIsInTheJournal(t *testing.T) {
	j := journalOf()
	o := newOutbox(j)
	e := introspect.Eviction{Subject: "user"}
	first, second := newID(), newID()
	o.add(e, first)
	o.add(e, second)
	assert.False(t, j.usable("name", "issuer", answerAt(1)))
	o.taken(first)
	o.read(first)
	assert.False(t, j.usable("name", "issuer", answerAt(1)), "the second still waits")
	assert.Equal(t, 1, o.waiting())
	o.read(second)
	o.read(second)
	assert.True(t, j.usable("name", "issuer", answerAt(1)), "from here on the journal decides")
	assert.Zero(t, o.waiting())
}

func TestTooManyWaitingEvictionsBecomeOneOfEverything(t *testing.T) {
	j := journalOf()
	o := newOutbox(j)
	for i := range maxOutgoing + 5 {
		o.add(introspect.Eviction{Issuer: "issuer", Subject: fmt.Sprint(i)}, newID())
	}
	m, ok := o.next()
	require.True(t, ok)
	assert.Equal(t, introspect.Eviction{All: true}, m.Eviction)
	assert.Less(t, o.waiting(), 10)
	assert.False(t, j.usable("name", "any issuer", answerAt(1)))
}

func TestDeliveredEvictionsAreSentAgainForAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(journalOf())
		m := newID()
		o.add(introspect.Eviction{All: true}, m)
		o.read(m)
		time.Sleep(resendFor)
		o.resend()
		assert.Equal(t, 1, o.waiting())
		o.read(m)
		time.Sleep(time.Second)
		o.resend()
		assert.Zero(t, o.waiting())

		for range 2 * maxOutgoing {
			m := newID()
			o.add(introspect.Eviction{Subject: "user"}, m)
			o.read(m)
		}
		assert.LessOrEqual(t, len(o.messages), maxOutgoing/2+1)
		for _, m := range o.messages {
			assert.Equal(t, introspect.Eviction{Subject: "user"}, m.Eviction, "what was delivered never becomes everything")
		}
		assert.Empty(t, o.journal.pending)
	})
}

func TestADeliveredEvictionHoldsUntilItIsReadHoweverLongThatTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := journalOf()
		o := newOutbox(j)
		m := newID()
		o.add(introspect.Eviction{Subject: "user"}, m)
		o.taken(m)
		time.Sleep(2 * resendFor)
		o.add(introspect.Eviction{Subject: "another"}, newID())
		assert.False(t, j.usable("name", "issuer", answerAt(1)))
		o.read(m)
		assert.True(t, j.usable("name", "issuer", answerAt(1)))
	})
}

func TestPositions(t *testing.T) {
	for _, text := range []string{"", "-", "1", "1-", "-1", "1-2-3", "a-b", "18446744073709551616-0", "-1-0"} {
		_, err := parsePosition(text)
		assert.Error(t, err, text)
	}
	p, err := parsePosition("1795340448123-7")
	require.NoError(t, err)
	assert.Equal(t, "1795340448123-7", p.String())
	assert.True(t, position{1, 2}.before(position{1, 3}))
	assert.True(t, position{1, 9}.before(position{2, 0}))
	assert.False(t, position{2, 0}.before(position{2, 0}))
}
