package rediscache

import (
	"crypto/rand"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/introspect"
	"github.com/postern-go/postern/rediscache/internal/redisserver"
)

// What somebody can do who reads and writes Redis. The fleet secret and the tokens are not theirs.

func TestWhoReadsRedisLearnsNothing(t *testing.T) {
	server := redisserver.ForTest(t)
	attacker := redis(t, server)
	a := newReplica(t, testConfig(server))
	a.put(t, testKey, testAnswer("pat-12345", "user-67890"))
	a.Publish(introspect.Eviction{Issuer: testKey.Issuer, TokenID: "pat-12345"})
	a.Publish(introspect.Eviction{Issuer: testKey.Issuer, Subject: "user-67890"})
	until(t, a.settled)

	keys, err := attacker("KEYS", "*").AsStrSlice()
	require.NoError(t, err)
	require.Len(t, keys, 2)
	for _, key := range keys {
		dump, err := attacker("DUMP", key).ToString() // all that Redis knows under that name
		require.NoError(t, err)
		for _, secret := range []string{
			"pat-12345", "user-67890", "ci-bot", "active", testKey.Token, testKey.ClientID, testKey.Issuer, "issuer.example", string(testSecret),
		} {
			assert.NotContains(t, key+dump, secret)
		}
	}
}

func TestForgedAnswersAreNotUsed(t *testing.T) {
	server := redisserver.ForTest(t)
	attacker := redis(t, server)
	r := newReplica(t, testConfig(server))
	r.put(t, testKey, testAnswer("pat-1", "user-1"))
	name := r.answerKey(r.keys[0].name(testKey))
	genuine, err := attacker("GET", name).ToString()
	require.NoError(t, err)
	set := func(value string) {
		t.Helper()
		require.NoError(t, attacker("SET", name, value).Error())
	}

	forged := uint64(0)
	refuse := func(what string) {
		t.Helper()
		assert.False(t, r.has(t, testKey), what)
		forged++
		assert.Equal(t, forged, r.Stats().Forged, what)
	}
	for i := range len(genuine) {
		changed := []byte(genuine)
		changed[i] ^= 1
		set(rueidis.BinaryString(changed))
		refuse(fmt.Sprintf("byte %d changed", i))
	}
	for n := 1; n < len(genuine); n += 7 {
		set(genuine[:n])
		refuse("cut off")
	}
	set(genuine + "x")
	refuse("made longer")
	noise := make([]byte, len(genuine))
	_, _ = rand.Read(noise)
	set(rueidis.BinaryString(noise))
	refuse("noise")
	set(`{"active":true,"sub":"admin"}`)
	refuse("plain claims")
	other, err := deriveKeys(otherSecret)
	require.NoError(t, err)
	sealed, err := other.sealAnswer(testKey, answer{testAnswer("pat-1", "admin"), r.journal.applied})
	require.NoError(t, err)
	set(rueidis.BinaryString(sealed))
	refuse("sealed with another secret")

	require.NoError(t, attacker("SET", name, strings.Repeat("x", 8<<20)).Error())
	refuse("8 MiB, of which no more is read than an answer can have")

	set(genuine)
	assert.True(t, r.has(t, testKey), "the genuine one is")
}

func TestAnswersSwappedBetweenTokensAreNotUsed(t *testing.T) {
	server := redisserver.ForTest(t)
	attacker := redis(t, server)
	r := newReplica(t, testConfig(server))
	mine, admins := testKey, testKey
	mine.Token, admins.Token = "token-of-the-attacker", "token-of-an-admin"
	r.put(t, mine, testAnswer("pat-1", "attacker"))
	r.put(t, admins, testAnswer("pat-2", "admin"))
	require.NoError(t, attacker("COPY", r.answerKey(r.keys[0].name(admins)), r.answerKey(r.keys[0].name(mine)), "REPLACE").Error())
	assert.False(t, r.has(t, mine))
	assert.EqualValues(t, 1, r.Stats().Forged)
}

func TestAnswersSwappedBetweenAPIsAndIssuersAreNotUsed(t *testing.T) {
	server := redisserver.ForTest(t)
	attacker := redis(t, server)
	r := newReplica(t, testConfig(server))
	r.put(t, testKey, testAnswer("pat-1", "user-1"))
	for _, other := range []introspect.SharedKey{
		{Issuer: testKey.Issuer, ClientID: "billing-api", Token: testKey.Token},
		{Issuer: "https://other.example", ClientID: testKey.ClientID, Token: testKey.Token},
		// What is joined with what is part of the name and the key.
		{Issuer: testKey.Issuer + testKey.ClientID, ClientID: "", Token: testKey.Token},
		{Issuer: testKey.Issuer, ClientID: testKey.ClientID + testKey.Token, Token: ""},
	} {
		assert.False(t, r.has(t, other), "another API has another name")
		before := r.Stats().Forged
		require.NoError(t, attacker("COPY", r.answerKey(r.keys[0].name(testKey)), r.answerKey(r.keys[0].name(other))).Error())
		assert.False(t, r.has(t, other), "and another key")
		assert.Equal(t, before+1, r.Stats().Forged)
	}
}

func TestDowngradedAnswersAreNotUsed(t *testing.T) {
	server := redisserver.ForTest(t)
	attacker := redis(t, server)
	r := newReplica(t, testConfig(server))
	r.put(t, testKey, testAnswer("pat-1", "user-1"))
	name := r.answerKey(r.keys[0].name(testKey))
	genuine, err := attacker("GET", name).ToString()
	require.NoError(t, err)
	require.EqualValues(t, format, genuine[0])
	for version := range 256 {
		if version == format {
			continue
		}
		require.NoError(t, attacker("SET", name, rueidis.BinaryString(append([]byte{byte(version)}, genuine[1:]...))).Error())
		assert.False(t, r.has(t, testKey))
	}
	// A value of this format that was relabelled, by whoever writes another one under the same keys, does not open either.
	aead, err := r.keys[0].answer(testKey)
	require.NoError(t, err)
	body := make([]byte, 100)
	other := aead.Seal([]byte{format}, nil, body, append([]byte{format + 1}, packed("answer", testKey.Issuer, testKey.ClientID, testKey.Token)...))
	_, err = r.keys[0].openAnswer(testKey, other)
	assert.ErrorIs(t, err, errSealed)
}

func TestReplayedAnswersDoNotOutliveAnEviction(t *testing.T) {
	server := redisserver.ForTest(t)
	attacker := redis(t, server)
	a, b := newReplica(t, testConfig(server)), newReplica(t, testConfig(server))
	a.put(t, testKey, testAnswer("pat-1", "user-1"))
	name := a.answerKey(a.keys[0].name(testKey))
	kept, err := attacker("GET", name).ToString()
	require.NoError(t, err)
	e := introspect.Eviction{Issuer: testKey.Issuer, TokenID: "pat-1"}
	a.Publish(e)
	until(t, b.heard(e))
	require.NoError(t, attacker("SET", name, kept).Error())
	for _, r := range []*replica{a, b, newReplica(t, testConfig(server))} {
		assert.False(t, r.has(t, testKey))
	}
}

func TestAJournalWhosePlacesSomebodyChoseBringsNothingBack(t *testing.T) {
	server := redisserver.ForTest(t)
	attacker := redis(t, server)
	place := position{uint64(time.Now().Add(time.Hour).UnixMilli()), 0}
	ahead := func() { require.NoError(t, attacker("XADD", "postern:journal", place.String(), "m", "x").Error()) }

	a := newReplica(t, testConfig(server))
	ahead()
	until(t, func() bool { applied, _ := a.journal.state(); return applied == place })
	a.put(t, testKey, testAnswer("pat-1", "user-1")) // as of a place that is yet to come
	a.Close()
	require.NoError(t, attacker("DEL", "postern:journal").Error())

	b, c := newReplica(t, testConfig(server)), newReplica(t, testConfig(server))
	e := introspect.Eviction{Issuer: testKey.Issuer, TokenID: "pat-1"}
	b.Publish(e)
	until(t, b.settled)
	until(t, c.heard(e))
	ahead()
	for _, r := range []*replica{b, c} {
		until(t, func() bool { applied, _ := r.journal.state(); return applied == place })
		assert.False(t, r.has(t, testKey))
	}
}

func TestWhoUsesUpThePlacesOfTheJournalDoesNotStopEvictions(t *testing.T) {
	for name, then := range map[string][]string{"left so": {"PING"}, "and emptied": {"XTRIM", "postern:journal", "MAXLEN", "0"}} {
		t.Run(name, func(t *testing.T) {
			server := redisserver.ForTest(t)
			attacker := redis(t, server)
			a, b := newReplica(t, testConfig(server)), newReplica(t, testConfig(server))
			last := position{math.MaxUint64, math.MaxUint64}
			require.NoError(t, attacker("XADD", "postern:journal", last.String(), "m", "x").Error())
			for _, r := range []*replica{a, b} {
				until(t, func() bool { applied, _ := r.journal.state(); return applied == last })
			}
			require.NoError(t, attacker(then...).Error())
			e := introspect.Eviction{Issuer: testKey.Issuer, TokenID: "pat-1"}
			a.Publish(e)
			until(t, b.heard(e))
			until(t, a.settled)
			late := newReplica(t, testConfig(server))
			for _, r := range []*replica{a, b, late} {
				until(t, func() bool { // the fleet goes on
					answer := testAnswer("pat-1", "user-1")
					answer.Asked = answer.Asked.Add(clockMargin) // what was asked for until then is out of use
					_ = r.Store(t.Context(), testKey, answer)
					_, ok, _ := late.Load(t.Context(), testKey)
					return ok
				})
			}
		})
	}
}

func TestReplayedAnswersDoNotOutliveTheirSealedExpiry(t *testing.T) {
	server := redisserver.ForTest(t)
	attacker := redis(t, server)
	r := newReplica(t, testConfig(server))
	sealed, err := r.keys[0].sealAnswer(testKey, answer{introspect.SharedAnswer{Expires: time.Now().Add(-time.Millisecond)}, r.journal.applied})
	require.NoError(t, err)
	require.NoError(t, attacker("SET", r.answerKey(r.keys[0].name(testKey)), rueidis.BinaryString(sealed)).Error()) // no TTL
	assert.False(t, r.has(t, testKey))
	assert.EqualValues(t, 1, r.Stats().Misses)
}

func TestForgedAndReplayedMessagesEvictNothing(t *testing.T) {
	server := redisserver.ForTest(t)
	attacker := redis(t, server)
	a, b := newReplica(t, testConfig(server)), newReplica(t, testConfig(server))
	e := introspect.Eviction{Issuer: testKey.Issuer, Subject: "user-1"}
	a.Publish(e)
	until(t, b.heard(e))
	entries, err := attacker("XREVRANGE", "postern:journal", "+", "-", "COUNT", "1").AsXRange()
	require.NoError(t, err)
	genuine := entries[0].FieldValues[field]

	cfg := testConfig(server)
	cfg.Prefix = "another-fleet-with-the-same-secret"
	other := newReplica(t, cfg)
	other.Publish(introspect.Eviction{All: true})
	until(t, other.settled)
	entries, err = attacker("XREVRANGE", "another-fleet-with-the-same-secret:journal", "+", "-", "COUNT", "1").AsXRange()
	require.NoError(t, err)

	for _, words := range [][]string{
		{field, "evict everything"}, {field, genuine[:len(genuine)-1]}, {field, strings.Repeat("x", 1<<20)}, {"other", "field"},
		{field, entries[0].FieldValues[field]}, // of another fleet
	} {
		require.NoError(t, attacker(append([]string{"XADD", "postern:journal", "*"}, words...)...).Error())
	}
	require.NoError(t, attacker("XADD", "postern:journal", "*", field, genuine).Error()) // once more, as it was
	last := introspect.Eviction{Issuer: testKey.Issuer, Subject: "user-2"}
	a.Publish(last)
	until(t, b.heard(last))
	assert.Equal(t, []introspect.Eviction{e, last}, b.evictions(), "each genuine message once")
	assert.EqualValues(t, 5, b.Stats().Forged)
}

func TestMessagesTooOldEvictNothingFromTheFirstLevel(t *testing.T) {
	server := redisserver.ForTest(t)
	r := newReplica(t, testConfig(server))
	add := func(age time.Duration, subject string) {
		sealed := r.keys[0].sealMessage("postern", message{id: newID(), sent: time.Now().Add(-age), Eviction: introspect.Eviction{Subject: subject}})
		require.NoError(t, redis(t, server)("XADD", "postern:journal", "*", field, rueidis.BinaryString(sealed)).Error())
	}
	add(replayWindow+time.Minute, "old")
	add(replayWindow-time.Minute, "recent")
	until(t, func() bool { return len(r.evictions()) > 0 })
	assert.Equal(t, []introspect.Eviction{{Subject: "recent"}}, r.evictions())
}

func TestWhoIsFarBehindUsesNothingUntilAllIsRead(t *testing.T) {
	c, client, redis := newIdle(t)
	require.NoError(t, c.readAll(client))
	from, ready := c.journal.state()
	require.True(t, ready)
	var last string
	var err error
	for range 2 * pageLength {
		last, err = redis("XADD", "postern:journal", "*", field, "flood").ToString()
		require.NoError(t, err)
	}
	err = c.extend(client.Do(t.Context(), c.newsFrom(client, from)), from, time.Now())
	assert.ErrorIs(t, err, errLost)
	_, ready = c.journal.state()
	assert.False(t, ready, "what is on the next page is not known")
	require.NoError(t, c.readAll(client))
	applied, ready := c.journal.state()
	assert.True(t, ready)
	assert.Equal(t, last, applied.String())
	assert.EqualValues(t, 3*pageLength-1, c.Stats().Forged, "each was read once, but for the first page")
}

func TestNothingIsAppendedToAJournalThatWasLost(t *testing.T) {
	c, client, redis := newIdle(t)
	require.NoError(t, c.readAll(client))
	require.NoError(t, redis("DEL", "postern:journal").Error())
	assert.ErrorIs(t, c.send(message{Eviction: introspect.Eviction{All: true}}), errLost)
	there, err := redis("EXISTS", "postern:journal").AsInt64()
	require.NoError(t, err)
	assert.Zero(t, there, "it has to be begun first, so that all know what was lost")
	_, ready := c.journal.state()
	assert.False(t, ready)
}

func TestAJournalThatIsBegunAnewGoesOnWhereTheClockOfRedisIsBehind(t *testing.T) {
	c, client, redis := newIdle(t)
	ahead := position{uint64(time.Now().Add(time.Hour).UnixMilli()), 7}
	require.NoError(t, redis("XADD", "postern:journal", ahead.String(), field, "by another server").Error())
	require.NoError(t, c.readAll(client))
	require.NoError(t, redis("DEL", "postern:journal").Error())
	c.loseJournal()
	require.NoError(t, c.readAll(client))
	applied, ready := c.journal.state()
	assert.True(t, ready)
	assert.True(t, ahead.before(applied))
}

func TestAnEmptyJournalWhosePlacesAreUsedUpIsBegunAnew(t *testing.T) {
	c, client, redis := newIdle(t)
	require.NoError(t, redis("XADD", "postern:journal", position{math.MaxUint64, math.MaxUint64}.String(), field, "x").Error())
	require.NoError(t, redis("XTRIM", "postern:journal", "MAXLEN", "0").Error())
	assert.ErrorContains(t, c.readAll(client), usedUp)
	assert.NoError(t, c.readAll(client))
}

func TestAJournalThatSomebodyCutsIsNotTrusted(t *testing.T) {
	for name, cut := range map[string]func(attacker func(...string) rueidis.RedisResult){
		"deleted": func(attacker func(...string) rueidis.RedisResult) { attacker("DEL", "postern:journal") },
		"last entry gone": func(attacker func(...string) rueidis.RedisResult) {
			attacker("XTRIM", "postern:journal", "MAXLEN", "0")
		},
		"of another type": func(attacker func(...string) rueidis.RedisResult) { attacker("SET", "postern:journal", "x") },
		"begun anew, empty": func(attacker func(...string) rueidis.RedisResult) {
			attacker("DEL", "postern:journal")
			attacker("XADD", "postern:journal", "1-1", "m", "x")
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := redisserver.ForTest(t)
			attacker := redis(t, server)
			a, b := newReplica(t, testConfig(server)), newReplica(t, testConfig(server))
			a.put(t, testKey, testAnswer("pat-1", "user-1"))
			other := testKey
			other.Token = "never evicted"
			a.put(t, other, testAnswer("pat-2", "user-2"))
			e := introspect.Eviction{Issuer: testKey.Issuer, Subject: "user-1"}
			a.Publish(e)
			until(t, b.heard(e))
			cut(attacker)
			if name == "of another type" {
				_, ok, err := newUnready(t, server).Load(t.Context(), testKey)
				assert.False(t, ok)
				assert.Error(t, err)
				attacker("DEL", "postern:journal")
			}
			late := newReplica(t, testConfig(server)) // knows only what the journal says now
			assert.False(t, late.has(t, testKey))
			assert.False(t, late.has(t, other), "older than what the journal tells")
			for _, r := range []*replica{a, b, late} {
				assert.False(t, r.has(t, testKey))
				until(t, func() bool { // and the fleet goes on
					answer := testAnswer("pat-3", "user-3")
					_ = r.Store(t.Context(), other, answer)
					_, ok, _ := late.Load(t.Context(), other)
					return ok
				})
			}
		})
	}
}

func newUnready(t *testing.T, server *redisserver.Server) *replica {
	return startReplica(t, testConfig(server))
}
