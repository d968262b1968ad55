package rediscache

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/introspect"
	"github.com/postern-go/postern/rediscache/internal/redisserver"
)

func TestWhatOneReplicaStoresAllLoad(t *testing.T) {
	server := redisserver.ForTest(t)
	a, b := newReplica(t, testConfig(server)), newReplica(t, testConfig(server))
	assert.False(t, b.has(t, testKey))
	stored := testAnswer("pat-1", "user-1")
	a.put(t, testKey, stored)
	for _, r := range []*replica{a, b, newReplica(t, testConfig(server))} {
		got, ok := r.get(t, testKey)
		require.True(t, ok)
		assert.JSONEq(t, string(stored.Claims), string(got.Claims))
		assert.Equal(t, []string{"pat-1", "user-1"}, []string{got.TokenID, got.Subject})
		assert.WithinDuration(t, stored.Asked, got.Asked, time.Millisecond)
		assert.WithinDuration(t, stored.Expires, got.Expires, time.Millisecond)
	}
	assert.EqualValues(t, 1, a.Stats().Stored)
	assert.EqualValues(t, 1, b.Stats().Hits)
	assert.EqualValues(t, 1, b.Stats().Misses)
}

func TestAnswersLiveInRedisUntilTheyExpire(t *testing.T) {
	server := redisserver.ForTest(t)
	r := newReplica(t, testConfig(server))
	a := testAnswer("pat-1", "user-1")
	a.Expires = time.Now().Add(time.Minute)
	r.put(t, testKey, a)
	ms, err := redis(t, server)("PTTL", r.answerKey(r.keys[0].name(testKey))).AsInt64()
	require.NoError(t, err)
	assert.LessOrEqual(t, ms, int64(60_000))
	assert.Positive(t, ms)

	a.Expires = time.Now()
	other := testKey
	other.Token = "another"
	require.NoError(t, r.Store(t.Context(), other, a))
	assert.EqualValues(t, 1, r.Stats().Stored, "what has expired is not stored")
}

func TestAnswersTooLargeAreNotShared(t *testing.T) {
	r := newReplica(t, testConfig(redisserver.ForTest(t)))
	a := testAnswer("pat-1", "user-1")
	a.Claims = make([]byte, maxClaims)
	r.put(t, testKey, a)
	got, ok := r.get(t, testKey)
	require.True(t, ok)
	assert.Len(t, got.Claims, maxClaims)
	a.Claims = make([]byte, maxClaims+1)
	assert.ErrorIs(t, r.Store(t.Context(), testKey, a), errTooLarge)
	assert.ErrorIs(t, r.Store(t.Context(), testKey, testAnswer(strings.Repeat("x", maxName+1), "")), errTooLarge)
}

func TestBothSecretsAreValidDuringRotation(t *testing.T) {
	server := redisserver.ForTest(t)
	with := func(secrets ...[]byte) *replica {
		cfg := testConfig(server)
		cfg.Secrets = secrets
		return newReplica(t, cfg)
	}
	before, both, after := with(testSecret), with(testSecret, otherSecret), with(otherSecret, testSecret)
	before.put(t, testKey, testAnswer("pat-1", "user-1"))
	assert.True(t, both.has(t, testKey))
	assert.True(t, after.has(t, testKey))

	newer := testKey
	newer.Token = "newer"
	after.put(t, newer, testAnswer("pat-2", "user-2"))
	assert.True(t, both.has(t, newer))
	last := with(otherSecret)
	assert.True(t, last.has(t, newer))
	assert.False(t, last.has(t, testKey), "the old secret is gone")

	e := introspect.Eviction{Issuer: testKey.Issuer, Subject: "user-1"}
	after.Publish(e)
	until(t, both.heard(e))
	until(t, last.heard(e))
	assert.False(t, both.has(t, testKey))
	assert.Empty(t, before.evictions(), "a replica that was not given the new secret does not understand the new one's messages")
}

func TestAnEvictionSealedWithTheOldSecretHoldsForWhoHasOnlyTheNewOne(t *testing.T) {
	server := redisserver.ForTest(t)
	with := func(secrets ...[]byte) *replica {
		cfg := testConfig(server)
		cfg.Secrets = secrets
		return newReplica(t, cfg)
	}
	before, after := with(testSecret, otherSecret), with(otherSecret, testSecret)
	after.put(t, testKey, testAnswer("pat-1", "user-1"))
	e := introspect.Eviction{Issuer: testKey.Issuer, TokenID: "pat-1"}
	before.Publish(e)
	until(t, before.settled)
	until(t, after.heard(e))
	last := with(otherSecret)
	assert.False(t, last.has(t, testKey))
	last.put(t, testKey, testAnswer("pat-2", "user-1"))
	assert.True(t, last.has(t, testKey), "what is asked after it is shared as before")
}

func TestEvictionReachesEveryReplicaAndEveryAnswerStoredBefore(t *testing.T) {
	const issuer = "https://issuer.example"
	for name, test := range map[string]struct {
		evict       introspect.Eviction
		ends, stays []introspect.SharedAnswer
	}{
		"token id": {introspect.Eviction{Issuer: issuer, TokenID: "pat-1"},
			[]introspect.SharedAnswer{testAnswer("pat-1", "u1")}, []introspect.SharedAnswer{testAnswer("pat-2", "u1"), testAnswer("", "u1")}},
		"session": {introspect.Eviction{Issuer: issuer, TokenID: "V2_1"},
			[]introspect.SharedAnswer{testAnswer("V2_1-at_1", "u1"), testAnswer("V2_1-at_2", "u1")}, []introspect.SharedAnswer{testAnswer("V2_10-at_1", "u1")}},
		"token of a session": {introspect.Eviction{Issuer: issuer, TokenID: "V2_1-at_1"},
			[]introspect.SharedAnswer{testAnswer("V2_1-at_1", "u1")}, []introspect.SharedAnswer{testAnswer("V2_2-at_1", "u1")}},
		"subject": {introspect.Eviction{Issuer: issuer, Subject: "u1"},
			[]introspect.SharedAnswer{testAnswer("a", "u1"), testAnswer("", "u1")}, []introspect.SharedAnswer{testAnswer("u1", "u2"), testAnswer("a", "")}},
		"everything": {introspect.Eviction{Issuer: issuer, All: true},
			[]introspect.SharedAnswer{testAnswer("a", "u1"), testAnswer("", "")}, nil},
		"everything of every issuer": {introspect.Eviction{All: true},
			[]introspect.SharedAnswer{testAnswer("a", "u1")}, nil},
		"subject of every issuer": {introspect.Eviction{Subject: "u1"},
			[]introspect.SharedAnswer{testAnswer("a", "u1")}, []introspect.SharedAnswer{testAnswer("a", "u2")}},
		"another issuer": {introspect.Eviction{Issuer: "https://other.example", All: true},
			nil, []introspect.SharedAnswer{testAnswer("a", "u1")}},
	} {
		t.Run(name, func(t *testing.T) {
			server := redisserver.ForTest(t)
			a, b := newReplica(t, testConfig(server)), newReplica(t, testConfig(server))
			key := func(s string) introspect.SharedKey {
				return introspect.SharedKey{Issuer: issuer, ClientID: "c", Token: s}
			}
			for i, answer := range test.ends {
				answer.Asked = time.Now()
				a.put(t, key("ends"+strconv.Itoa(i)), answer)
			}
			for i, answer := range test.stays {
				answer.Asked = time.Now()
				a.put(t, key("stays"+strconv.Itoa(i)), answer)
			}
			a.Publish(test.evict)
			assert.Equal(t, []introspect.Eviction{test.evict}, a.evictions(), "here at once")
			for i := range test.ends {
				assert.False(t, a.has(t, key("ends"+strconv.Itoa(i))), "here at once")
			}
			until(t, b.heard(test.evict))
			late := newReplica(t, testConfig(server)) // one that was not there when the message came
			until(t, a.settled)
			for _, r := range []*replica{a, b, late} {
				for i := range test.ends {
					assert.False(t, r.has(t, key("ends"+strconv.Itoa(i))))
				}
				for i := range test.stays {
					assert.True(t, r.has(t, key("stays"+strconv.Itoa(i))))
				}
			}
			assert.Len(t, a.evictions(), 1, "its own message evicts nothing again")

			// What is asked after the eviction is shared as before.
			for i, answer := range test.ends {
				answer.Asked = time.Now()
				b.put(t, key("ends"+strconv.Itoa(i)), answer)
				assert.True(t, late.has(t, key("ends"+strconv.Itoa(i))))
			}
		})
	}
}

func TestAnswerAskedBeforeAnEvictionAndStoredAfterItIsNotUsed(t *testing.T) {
	server := redisserver.ForTest(t)
	a, b := newReplica(t, testConfig(server)), newReplica(t, testConfig(server))
	inFlight := testAnswer("pat-1", "user-1")
	e := introspect.Eviction{Issuer: testKey.Issuer, TokenID: "pat-1"}
	a.Publish(e)
	until(t, b.heard(e))
	b.put(t, testKey, inFlight)
	assert.False(t, a.has(t, testKey))
	assert.False(t, b.has(t, testKey))
	assert.False(t, newReplica(t, testConfig(server)).has(t, testKey))
	assert.Positive(t, a.Stats().Evicted)
}

func TestAnswerAskedBeforeTheJournalWasReadIsNotStored(t *testing.T) {
	server := redisserver.ForTest(t)
	asked := testAnswer("pat-1", "user-1")
	r := newReplica(t, testConfig(server))
	assert.ErrorIs(t, r.Store(t.Context(), testKey, asked), errNotReady)
}

func TestClocksOfReplicasNeedNotAgree(t *testing.T) {
	server := redisserver.ForTest(t)
	a, b := newReplica(t, testConfig(server)), newReplica(t, testConfig(server))
	fast := testAnswer("pat-1", "user-1")
	a.put(t, testKey, fast)
	// As a replica would have stored it whose clock is an hour ahead: that clock decides nothing.
	sealed, err := a.keys[0].sealAnswer(testKey, answer{introspect.SharedAnswer{
		Claims: fast.Claims, TokenID: "pat-1", Subject: "user-1", Asked: time.Now().Add(time.Hour), Expires: time.Now().Add(2 * time.Hour),
	}, a.journal.applied})
	require.NoError(t, err)
	require.NoError(t, redis(t, server)("SET", a.answerKey(a.keys[0].name(testKey)), rueidis.BinaryString(sealed)).Error())
	assert.True(t, b.has(t, testKey))
	e := introspect.Eviction{Issuer: testKey.Issuer, Subject: "user-1"}
	a.Publish(e)
	until(t, b.heard(e))
	assert.False(t, b.has(t, testKey))
}

func TestDeletedAnswersAreNotUsedEvenWhenRedisKeepsThem(t *testing.T) {
	server := redisserver.ForTest(t)
	a, b := newReplica(t, testConfig(server)), newReplica(t, testConfig(server))
	a.put(t, testKey, testAnswer("pat-1", "user-1"))
	name := a.answerKey(a.keys[0].name(testKey))
	kept, err := redis(t, server)("GET", name).ToString()
	require.NoError(t, err)

	until(t, func() bool { return a.Delete(t.Context(), testKey) == nil })
	assert.False(t, b.has(t, testKey), "gone for all")

	require.NoError(t, redis(t, server)("SET", name, kept).Error()) // as if the deletion had not reached Redis
	assert.True(t, b.has(t, testKey))
	assert.False(t, a.has(t, testKey), "who was told knows better")

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	other := testKey
	other.Token = "another"
	a.put(t, other, testAnswer("pat-2", "user-2"))
	assert.ErrorIs(t, a.Delete(ended, other), context.Canceled)
	assert.False(t, a.has(t, other), "also where Redis was not asked")
}

func TestOneCacheServesSeveralVerifiers(t *testing.T) {
	server := redisserver.ForTest(t)
	r := newReplica(t, testConfig(server))
	heard := 0
	r.Watch(func(introspect.Eviction) { heard++ })
	r.Publish(introspect.Eviction{All: true})
	assert.Equal(t, 1, heard)
	assert.Len(t, r.evictions(), 1)
}

func TestEvictionsOfNothingAndOfTooMuchText(t *testing.T) {
	r := newReplica(t, testConfig(redisserver.ForTest(t)))
	r.Publish(introspect.Eviction{Issuer: "https://issuer.example"})
	assert.Empty(t, r.evictions(), "concerns nobody")
	r.Publish(introspect.Eviction{Subject: strings.Repeat("x", maxName+1)})
	assert.Equal(t, []introspect.Eviction{{All: true}}, r.evictions(), "rather too much than too little")
}

func TestReplicasWorkAtOnce(t *testing.T) {
	server := redisserver.ForTest(t)
	replicas := []*replica{newReplica(t, testConfig(server)), newReplica(t, testConfig(server)), newReplica(t, testConfig(server))}
	var wg sync.WaitGroup
	for i, r := range replicas {
		for g := range 4 {
			wg.Go(func() {
				for n := range 100 {
					key := testKey
					key.Token = fmt.Sprint(n % 10)
					_ = r.Store(t.Context(), key, testAnswer(key.Token, "user"))
					_, _, _ = r.Load(t.Context(), key)
					if n%25 == 0 {
						r.Publish(introspect.Eviction{TokenID: fmt.Sprintf("%d-%d-%d", i, g, n)})
					}
					if n%33 == 0 {
						_ = r.Delete(t.Context(), key)
					}
				}
			})
		}
	}
	wg.Wait()
	for _, r := range replicas {
		until(t, func() bool { return r.Stats().Waiting == 0 && r.Stats().Sent >= 4*4 && len(r.evictions()) == 3*4*4 })
		assert.EqualValues(t, 2*4*4, r.Stats().Received)
		assert.EqualValues(t, 4*4, r.Stats().Sent)
		assert.Zero(t, r.Stats().Forged)
	}
}

func TestNewReportsEveryMistake(t *testing.T) {
	_, err := New(Config{})
	assert.ErrorContains(t, err, `Redis.InitAddress: expected the address of a server, such as "redis:6379", got none`)
	assert.ErrorContains(t, err, "Secrets: expected one fleet secret, or two while it is changed, got 0")
	redis := rueidis.ClientOption{InitAddress: []string{"localhost:6379"}}
	_, err = New(Config{Redis: redis, Secrets: [][]byte{testSecret, testSecret, []byte("short-secret")}})
	assert.ErrorContains(t, err, "got 3")
	assert.ErrorContains(t, err, "Secrets[1]: expected another secret than Secrets[0], got the same")
	assert.ErrorContains(t, err, "Secrets[2]: expected at least 32 random bytes, got 12")
	assert.NotContains(t, err.Error(), "short-secret")
	redis.ReplicaOnly = true
	_, err = New(Config{Redis: redis, Secrets: [][]byte{testSecret}})
	assert.ErrorContains(t, err, "Redis: expected to read from the primary")
	redis.ReplicaOnly = false
	c, err := New(Config{Redis: redis, Secrets: [][]byte{testSecret[:32]}})
	require.NoError(t, err, "New does no I/O")
	c.Close()
	c.Close() // twice is once
}

func TestCachePrintsNoSecret(t *testing.T) {
	c, err := New(Config{Redis: rueidis.ClientOption{InitAddress: []string{"localhost:1"}, Password: "redis-password"}, Secrets: [][]byte{testSecret}})
	require.NoError(t, err)
	defer c.Close()
	asJSON, err := json.Marshal(map[string]any{"cache": c})
	require.NoError(t, err)
	for _, text := range []string{fmt.Sprintf("%v %+v %#v", c, c, c), fmt.Sprintf(strings.Repeat("%s", 2), c, *c), fmt.Sprintf("%+v", *c), fmt.Sprintf("%+v", struct{ C *Cache }{c}), string(asJSON)} {
		assert.NotContains(t, text, "redis-password")
		assert.NotContains(t, text, "fleet secret")
		assert.NotContains(t, text, strings.Trim(fmt.Sprint(testSecret), "[]"))
	}
}

func TestCloseWaitsForCallsThatNobodyWaitsForAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New(Config{Redis: rueidis.ClientOption{InitAddress: []string{"localhost:6379"}}, Secrets: [][]byte{testSecret}})
		require.NoError(t, err)
		c.slots <- struct{}{} // a call in flight
		closed := false
		go func() { c.Close(); closed = true }()
		synctest.Wait()
		assert.False(t, closed)
		<-c.slots
		synctest.Wait()
		assert.True(t, closed)
	})
}

func TestAfterCloseNothingIsLoadedOrStored(t *testing.T) {
	server := redisserver.ForTest(t)
	r := newReplica(t, testConfig(server))
	r.put(t, testKey, testAnswer("pat-1", "user-1"))
	c, err := New(testConfig(server))
	require.NoError(t, err)
	c.Close() // never used
	_, ok, err := c.Load(t.Context(), testKey)
	assert.False(t, ok)
	assert.ErrorIs(t, err, errNotReady)
	c.Publish(introspect.Eviction{All: true})
}
