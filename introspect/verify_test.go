package introspect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/internal/formed"
)

func TestOneCallATokenHoweverManyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: func(r *http.Request) (int, string) { time.Sleep(time.Second); return active(r) }}
		v := newVerifier(t, s)
		var ok atomic.Int64
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				id, err := v.Verify(t.Context(), "cold")
				if err == nil && id.Subject() == "user of cold" {
					ok.Add(1)
				}
			})
		}
		wg.Wait()
		require.Equal(t, int64(1000), ok.Load())
		require.Equal(t, 1, s.count())
	})
}

func TestEachCallerLeavesAtItsOwnDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		s := &stub{answer: func(r *http.Request) (int, string) { time.Sleep(3 * time.Second); return active(r) }}
		v := newVerifier(t, s)
		var wg sync.WaitGroup
		for _, patience := range []time.Duration{time.Second, 2 * time.Second, 5 * time.Second} {
			wg.Go(func() { // the one that began the call is among those that leave
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				_, err := v.Verify(ctx, "cold")
				if patience > 3*time.Second {
					assert.NoError(t, err)
					assert.Equal(t, 3*time.Second, time.Since(began))
				} else {
					assert.ErrorIs(t, err, context.DeadlineExceeded)
					assert.Equal(t, patience, time.Since(began))
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		require.Equal(t, 1, s.count())
		require.NoError(t, verifyErr(v, "cold"), "what was asked for is remembered")
		require.Equal(t, 1, s.count())
	})
}

func TestTTLBoundsHowLongAnAnswerIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: active}
		v := newVerifier(t, s)
		require.NoError(t, verifyErr(v, "token"))
		time.Sleep(defaultTTL / 2)
		require.NoError(t, verifyErr(v, "token"))
		require.Equal(t, 1, s.count())
		time.Sleep(defaultTTL / 2)
		require.NoError(t, verifyErr(v, "token"))
		require.Equal(t, 2, s.count())
		require.Equal(t, uint64(2), v.Stats().Misses, "it had to be waited for")
	})
}

func TestTTLIsJitteredAndNeverLonger(t *testing.T) {
	r := newRules(Config{Issuer: issuer, TTL: 100 * time.Second, NegativeTTL: time.Second}, time.Hour)
	seen := map[time.Duration]bool{}
	for range 100 {
		entry, err := r.judge([]byte(`{"active":true}`), time.Now())
		require.NoError(t, err)
		require.LessOrEqual(t, entry.Fresh, 100*time.Second)
		require.GreaterOrEqual(t, entry.Fresh, 90*time.Second)
		require.Equal(t, entry.Fresh-entry.Fresh/5, entry.Renew, "the last fifth")
		seen[entry.Fresh] = true
	}
	require.Greater(t, len(seen), 50)
}

func TestARevokedTokenIsRefusedWithinTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var revoked atomic.Bool
		s := &stub{answer: func(r *http.Request) (int, string) {
			if revoked.Load() {
				return inactive(r)
			}
			return active(r)
		}}
		v := newVerifier(t, s)
		require.NoError(t, verifyErr(v, "token"))
		revoked.Store(true)
		began := time.Now()
		for verifyErr(v, "token") == nil {
			time.Sleep(time.Second)
		}
		require.LessOrEqual(t, time.Since(began), defaultTTL)
	})
}

// The server may have looked at the token long before its answer arrives, and a revocation come between.
func TestTTLCountsFromWhenTheServerWasAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: func(r *http.Request) (int, string) { defer time.Sleep(8 * time.Second); return active(r) }}
		v := newVerifier(t, s)
		began := time.Now()
		require.NoError(t, verifyErr(v, "token"))
		s.say(inactive)
		require.NoError(t, verifyErr(v, "token"))
		time.Sleep(time.Until(began.Add(defaultTTL)))
		require.ErrorIs(t, verifyErr(v, "token"), postern.ErrInvalidToken)
	})
}

func TestAnAnswerSlowerThanTTLIsForThoseWhoWaitedForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: func(r *http.Request) (int, string) { time.Sleep(3 * time.Second); return active(r) }}
		v := newVerifier(t, s, func(c *Config) { c.TTL = time.Second })
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { assert.NoError(t, verifyErr(v, "token")) })
		}
		wg.Wait()
		require.Equal(t, 1, s.count())
		require.NoError(t, verifyErr(v, "token"))
		require.Equal(t, 2, s.count())
	})
}

func TestARefusalIsRememberedForNegativeTTL(t *testing.T) {
	for name, c := range map[string]struct {
		ttl, negative time.Duration
		want          time.Duration
	}{
		"5 seconds by default":  {0, 0, 5 * time.Second},
		"as set":                {0, 2 * time.Second, 2 * time.Second},
		"never longer than TTL": {time.Second, 30 * time.Second, time.Second},
		"off when negative":     {0, -1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &stub{answer: inactive}
				v := newVerifier(t, s, func(cfg *Config) { cfg.TTL, cfg.NegativeTTL = c.ttl, c.negative })
				require.ErrorIs(t, verifyErr(v, "token"), postern.ErrInvalidToken)
				if c.want > 0 {
					time.Sleep(c.want - 1)
					require.ErrorIs(t, verifyErr(v, "token"), postern.ErrInvalidToken)
					require.Equal(t, 1, s.count())
					time.Sleep(time.Nanosecond)
				}
				require.ErrorIs(t, verifyErr(v, "token"), postern.ErrInvalidToken)
				require.Equal(t, 2, s.count())
			})
		})
	}
}

func TestAHitInTheLastFifthRenewsAndNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: func(r *http.Request) (int, string) { time.Sleep(time.Second); return active(r) }}
		v := newVerifier(t, s)
		require.NoError(t, verifyErr(v, "hot"))
		for range 600 { // ten minutes
			time.Sleep(time.Second)
			began := time.Now()
			require.NoError(t, verifyErr(v, "hot"))
			require.Zero(t, time.Since(began), "waited")
		}
		time.Sleep(2 * time.Second)
		// A life of 54 to 60 seconds, renewed after 43 to 48 of them and a second of the call.
		require.InDelta(t, 600/46, s.count(), 2)
		require.Equal(t, uint64(s.count()-1), v.Stats().Renewals)
		require.Equal(t, uint64(1), v.Stats().Misses)
	})
}

// Package middleware lets nothing in that cannot be a token. Verify takes any text, and goes on renewing what it remembers of it.
func TestWhoIsStrictKeepsNobodyFromRenewing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: active}
		v := newVerifier(t, s)
		strict := func(token string) error { _, err := formed.Of(v)(t.Context(), token); return err }
		require.ErrorIs(t, strict("two words"), formed.ErrForm)
		require.Zero(t, s.count())
		require.NoError(t, verifyErr(v, "two words"))
		require.NoError(t, strict("word"))
		require.NoError(t, verifyErr(v, "word"))
		require.Equal(t, 2, s.count())
		require.ErrorIs(t, strict("two words"), formed.ErrForm, "though it is remembered")
		time.Sleep(50 * time.Second)
		require.ErrorIs(t, strict("two words"), formed.ErrForm)
		synctest.Wait()
		require.Equal(t, 2, s.count())
		require.NoError(t, verifyErr(v, "two words"))
		synctest.Wait()
		require.Equal(t, 3, s.count())
		require.Equal(t, uint64(1), v.Stats().Renewals)
	})
}

func TestARenewalThatSaysInactiveTakesEffectAtOnce(t *testing.T) {
	for _, negative := range []time.Duration{0, -1} { // remembered or not
		synctest.Test(t, func(t *testing.T) {
			s := &stub{answer: active}
			v := newVerifier(t, s, func(c *Config) { c.NegativeTTL, c.MaxStale = negative, time.Hour })
			require.NoError(t, verifyErr(v, "token"))
			time.Sleep(50 * time.Second)
			s.say(inactive)
			require.NoError(t, verifyErr(v, "token"), "the hit that begins the renewal")
			synctest.Wait()
			require.ErrorIs(t, verifyErr(v, "token"), postern.ErrInvalidToken)
			require.Equal(t, uint64(1), v.Stats().TurnedInactive)
		})
	}
}

func TestARenewalThatFailsIsTriedAgainAndHarmsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: active}
		v := newVerifier(t, s)
		require.NoError(t, verifyErr(v, "token"))
		time.Sleep(50 * time.Second)
		s.say(status(503, ""))
		for range 3 {
			require.NoError(t, verifyErr(v, "token"))
			synctest.Wait()
			time.Sleep(defaultTTL / 50)
		}
		require.Equal(t, 4, s.count())
		s.say(active)
		require.NoError(t, verifyErr(v, "token"))
		synctest.Wait()
		time.Sleep(20 * time.Second)
		require.NoError(t, verifyErr(v, "token"))
		require.Equal(t, 5, s.count())
		require.Equal(t, uint64(1), v.Stats().Misses)
	})
}

func TestARenewalThatFindsTheQueueFullIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: active}
		v := newVerifier(t, s, func(c *Config) { c.MaxConcurrent = 1 })
		const tokens, room = 40, 1 + queuePerCall
		use := func() {
			for i := range tokens {
				require.NoError(t, verifyErr(v, fmt.Sprint(i)))
			}
		}
		use()
		s.say(func(r *http.Request) (int, string) { time.Sleep(100 * time.Millisecond); return active(r) })
		time.Sleep(49 * time.Second)
		use()
		require.Equal(t, uint64(tokens-room), v.Stats().TurnedAway)
		time.Sleep(4 * time.Second)
		require.Equal(t, tokens+room, s.count())
		use()
		time.Sleep(4 * time.Second)
		require.Equal(t, tokens+tokens, s.count())
		require.Equal(t, uint64(tokens), v.Stats().Misses)
	})
}

func TestATokenAboutToEndIsNotRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := time.Now().Add(50 * time.Second).Unix()
		s := &stub{answer: func(*http.Request) (int, string) { return 200, answer(map[string]any{"exp": end}) }}
		v := newVerifier(t, s)
		for range 50 {
			require.NoError(t, verifyErr(v, "token"))
			time.Sleep(time.Second)
		}
		require.Equal(t, 1, s.count())
	})
}

func TestCallsInFlightAreLimitedAndTheQueueToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := &stub{answer: func(r *http.Request) (int, string) { <-release; return active(r) }}
		v := newVerifier(t, s, func(c *Config) { c.MaxConcurrent = 4 })
		var ok, unavailable atomic.Int64
		var wg sync.WaitGroup
		const room = 3 + 4*queuePerCall // 3 of 4 calls are for unknown tokens
		for i := range room + 50 {
			wg.Go(func() {
				began := time.Now()
				switch err := verifyErr(v, fmt.Sprint(i)); {
				case err == nil:
					ok.Add(1)
				case errors.Is(err, postern.ErrUnavailable):
					assert.Zero(t, time.Since(began), "at once")
					unavailable.Add(1)
				}
			})
		}
		synctest.Wait()
		stats := v.Stats()
		require.Equal(t, 3, stats.InFlight)
		require.Equal(t, 4*queuePerCall, stats.Queue)
		require.Equal(t, uint64(50), stats.TurnedAway)
		close(release)
		wg.Wait()
		require.Equal(t, int64(room), ok.Load())
		require.Equal(t, int64(50), unavailable.Load())
		require.LessOrEqual(t, s.most(), 4)
		synctest.Wait() // the flight ends a moment after its callers know
		require.Zero(t, v.Stats().InFlight)
		require.Zero(t, v.Stats().Queue)
	})
}

func TestInventedTokensDoNotStarveKnownOnes(t *testing.T) {
	for _, limit := range []int{1, 2, 3, 4} {
		t.Run(fmt.Sprint("MaxConcurrent ", limit), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { floodOfInventedTokens(t, limit) }) })
	}
}

func floodOfInventedTokens(t *testing.T, limit int) {
	const slow = 5 * time.Second
	s := &stub{answer: active}
	v := newVerifier(t, s, func(c *Config) { c.MaxConcurrent = limit })
	require.NoError(t, verifyErr(v, "known"))
	require.NoError(t, verifyErr(v, "known and unused"))
	s.say(func(r *http.Request) (int, string) {
		if strings.HasPrefix(r.PostForm.Get("token"), "known") {
			return active(r)
		}
		time.Sleep(slow) // the server is busy with the flood
		return inactive(r)
	})
	flood, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range 200 * limit {
		wg.Go(func() {
			for n := 0; flood.Err() == nil; n++ {
				_, _ = v.Verify(flood, fmt.Sprint(i, " ", n))
				time.Sleep(time.Second)
			}
		})
	}
	for range 120 {
		time.Sleep(time.Second)
		began := time.Now()
		require.NoError(t, verifyErr(v, "known"))
		require.Zero(t, time.Since(began))
	}
	// The other's answer ran out a minute ago, and still it goes before strangers: at once, or where there is one call at most as
	// soon as that is over.
	time.Sleep(slow / 2) // no call ends just now
	began := time.Now()
	require.NoError(t, verifyErr(v, "known and unused"))
	if limit > 1 {
		require.Zero(t, time.Since(began))
	}
	require.LessOrEqual(t, time.Since(began), slow)
	require.LessOrEqual(t, s.most(), limit)
	require.Positive(t, v.Stats().TurnedAway)
	stop()
	wg.Wait()
	time.Sleep(time.Minute)
}

func TestNobodyIsAskedForWhoLeftTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: func(r *http.Request) (int, string) { time.Sleep(2 * time.Second); return active(r) }}
		v := newVerifier(t, s, func(c *Config) { c.MaxConcurrent = 1 })
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				_, _ = v.Verify(ctx, fmt.Sprint(i))
			})
		}
		wg.Wait()
		time.Sleep(time.Minute)
		require.Equal(t, 2, s.count())
	})
}

func TestStatsCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: func(r *http.Request) (int, string) {
			if r.PostForm.Get("token") == "bad" {
				return inactive(r)
			}
			return active(r)
		}}
		v := newVerifier(t, s)
		for range 3 {
			_ = verifyErr(v, "good")
			_ = verifyErr(v, "bad")
		}
		v.EvictSubject("nobody")
		s.say(status(500, ""))
		_ = verifyErr(v, "another")
		require.Equal(t, Stats{
			Hits: 4, Negative: 2, Misses: 3, Calls: 3, Failures: 1, Breaker: "closed", Entries: 2, Evictions: 1,
		}, v.Stats())
	})
}

func TestAHitAllocatesNothing(t *testing.T) {
	v := newVerifier(t, &stub{answer: active})
	require.NoError(t, verifyErr(v, "token"))
	ctx := t.Context()
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		if _, err := v.Verify(ctx, "token"); err != nil {
			t.Fail()
		}
	}))
}

func TestARememberedRefusalAllocatesNothing(t *testing.T) {
	v := newVerifier(t, &stub{answer: inactive})
	require.Error(t, verifyErr(v, "token"))
	ctx := t.Context()
	require.Zero(t, testing.AllocsPerRun(1000, func() { _, _ = v.Verify(ctx, "token") }))
}

// Neither tokens nor what was made of them on the way to the server: the heap, as it is dumped, has none.
func TestNoTokenIsKept(t *testing.T) {
	v := newVerifier(t, nil, func(c *Config) { c.HTTPClient = &http.Client{Transport: &counting{}} })
	const part = "t0ken"
	var wg sync.WaitGroup
	wg.Go(func() { // so that no token is on this stack
		for i := range 50 {
			token := strings.Repeat(part, 20) + fmt.Sprint(i)
			assert.NoError(t, verifyErr(v, "good-"+token))
			assert.NoError(t, verifyErr(v, "good-"+token))
			assert.Error(t, verifyErr(v, "bad-"+token))
			v.EvictToken("evicted-" + token)
		}
	})
	wg.Wait()
	file, err := os.Create(filepath.Join(t.TempDir(), "heap"))
	require.NoError(t, err)
	defer file.Close()
	heap() // collects
	heap()
	debug.WriteHeapDump(file.Fd())
	dump, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	require.Contains(t, string(dump), strings.Repeat("x", 900), "of the answers")
	require.Zero(t, bytes.Count(dump, bytes.Repeat([]byte(part), 20)))
	require.Equal(t, 100, v.Stats().Entries)
}

func TestOneIdentityServesAllHits(t *testing.T) {
	v := newVerifier(t, &stub{answer: active})
	first, err := v.Verify(t.Context(), "token")
	require.NoError(t, err)
	second, err := v.Verify(t.Context(), "token")
	require.NoError(t, err)
	require.Same(t, first, second)
}

func TestNothingPrintsASecret(t *testing.T) {
	s := &stub{answer: active}
	var cfg Config
	v := newVerifier(t, s, func(c *Config) { c.HTTPClient = &http.Client{Transport: s}; cfg = *c })
	require.NoError(t, verifyErr(v, "opaque-token"))
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, value := range []any{v, *v, cfg, &cfg, cfg.Auth, v.Stats(), struct{ Auth Auth }{cfg.Auth}} {
			text := fmt.Sprintf(format, value)
			require.NotContains(t, text, "s3cret", format)
			require.NotContains(t, text, fmt.Sprintf("%x", "s3cret"), format)
			require.NotContains(t, text, "opaque-token", format)
		}
	}
}

func TestNewReportsEveryMistakeAtOnce(t *testing.T) {
	_, err := New(Config{
		Issuer: "http://issuer.example", Auth: Basic("", ""), TTL: -1, MaxStale: 8 * 24 * time.Hour, MaxEntries: -1, MaxConcurrent: -1,
		Timeout: -1, Audience: []string{""}, IntrospectionURL: "ftp://issuer.example",
		Header: http.Header{"Authorization": {"Bearer s3cret"}}, Shared: (*secondLevel)(nil),
	})
	require.Error(t, err)
	for _, field := range []string{
		"Issuer:", "Basic: expected the API application's client id", "Basic: expected the API application's client secret", "TTL:", "MaxStale:",
		"MaxEntries:", "MaxConcurrent:", "Timeout:", "Audience:", "IntrospectionURL:", "Header:", "Shared:",
	} {
		require.ErrorContains(t, err, field)
	}
	require.NotContains(t, err.Error(), "s3cret")

	_, err = New(Config{Issuer: issuer, MaxEntries: math.MaxInt})
	require.ErrorContains(t, err, "Auth:")
	require.ErrorContains(t, err, "MaxEntries:")
	_, err = New(Config{Issuer: issuer, Auth: PrivateKeyJWT(nil)})
	require.ErrorContains(t, err, "PrivateKeyJWT")
}

func TestNewAsksNobody(t *testing.T) {
	s := &stub{answer: active}
	newVerifier(t, s)
	require.Zero(t, s.count())
}

func TestConfigIsCopied(t *testing.T) {
	audience := []string{"api"}
	v := newVerifier(t, &stub{answer: status(200, `{"active":true,"aud":"api"}`)}, func(c *Config) { c.Audience = audience })
	audience[0] = "another"
	require.NoError(t, verifyErr(v, "token"))
}
