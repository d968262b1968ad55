package introspect

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestFlood sends invented tokens at full speed while a thousand good ones are in use. The number is 50,000, or what
// POSTERN_FLOOD says: the release is held to two million, without the race detector, whose memory would be measured, too.
func TestFlood(t *testing.T) {
	invented := 50_000
	if n, err := strconv.Atoi(os.Getenv("POSTERN_FLOOD")); err == nil {
		invented = n
	}
	const hot, limit = 1000, defaultMaxConcurrent
	s := &counting{}
	v := newVerifier(t, nil, func(c *Config) { c.HTTPClient = &http.Client{Transport: s} })
	tokens := make([]string, hot)
	for i := range tokens {
		tokens[i] = fmt.Sprintf("good-%0280d", i) // as long as ZITADEL's
		require.NoError(t, verifyErr(v, tokens[i]))
	}
	quiet, flooded := make([]time.Duration, 0, 1<<20), make([]time.Duration, 0, 1<<20)
	quiet = valid(t, v, tokens, quiet, func(round int) bool { return round < 200_000 })
	before, misses := heap(), v.Stats().Misses

	var pause sync.RWMutex // while the heap is looked at, so that what is being thrown away is not taken for what is kept
	var sent, over atomic.Int64
	var wg sync.WaitGroup
	for range 1500 {
		wg.Go(func() {
			for {
				n := sent.Add(1)
				if n > int64(invented) {
					return
				}
				pause.RLock()
				if verifyErr(v, fmt.Sprintf("bad-%0281d", n)) == nil {
					over.Add(1)
				}
				pause.RUnlock()
			}
		})
	}
	peak := before
	flooded = valid(t, v, tokens, flooded, func(round int) bool {
		if round%200_000 == 0 {
			pause.Lock()
			peak = max(peak, heap())
			pause.Unlock()
		}
		return sent.Load() <= int64(invented)
	})
	wg.Wait()
	peak = max(peak, heap())
	stats := v.Stats()
	misses = stats.Misses - misses - uint64(invented)
	t.Logf("%d invented tokens, %d of them turned away; good ones: at least %d uses, %d misses; at most %d calls in flight; live heap grew by %.1f MB",
		invented, stats.TurnedAway, len(flooded), misses, s.most.Load(), float64(int64(peak)-int64(before))/1e6)
	t.Logf("of the good requests half took at most the first, 99 %% the second, 99.9 %% the third: %s without the flood, %s with it", percentiles(quiet), percentiles(flooded))
	require.Zero(t, over.Load(), "let in")
	require.Less(t, float64(misses), 0.001*float64(len(flooded)), "hot misses under 0.1 %")
	require.LessOrEqual(t, s.most.Load(), int64(limit))
	if !raceEnabled {
		require.Less(t, int64(peak)-int64(before), int64(32<<20))
	}
	require.LessOrEqual(t, stats.Entries, defaultMaxEntries)
}

// TestMemory holds a token with an answer of 1 KB to 2 KiB. The number of tokens is 20,000, or what POSTERN_MEMORY says: the
// release is held to a million.
func TestMemory(t *testing.T) {
	tokens := 20_000
	if n, err := strconv.Atoi(os.Getenv("POSTERN_MEMORY")); err == nil {
		tokens = n
	}
	before := heap()
	v := newVerifier(t, nil, func(c *Config) {
		c.HTTPClient, c.TTL, c.MaxEntries = &http.Client{Transport: &counting{}}, time.Hour, 2*tokens
	})
	for i := range tokens {
		require.NoError(t, verifyErr(v, fmt.Sprintf("good-%0280d", i)))
	}
	grown := float64(heap() - before)
	entries := v.Stats().Entries // after the heap, so that the Verifier is still there
	each := grown / float64(entries)
	require.Greater(t, each, 1000.0, "the answers alone take that")
	t.Logf("%d tokens, %d of them kept in a cache with twice the places: %.0f bytes each", tokens, entries, each)
	require.Greater(t, entries, tokens*9/10)
	if !raceEnabled {
		require.Less(t, each, 2048.0)
	}
}

// valid uses good tokens as long as more says so, and returns how long each use took.
func valid(t *testing.T, v *Verifier, tokens []string, took []time.Duration, more func(round int) bool) []time.Duration {
	r := rand.New(rand.NewPCG(1, 2))
	for round := 0; more(round); round++ {
		began := time.Now()
		if err := verifyErr(v, tokens[r.IntN(len(tokens))]); err != nil {
			t.Error(err)
		}
		if len(took) < cap(took) { // so that what is measured does not grow
			took = append(took, time.Since(began))
		} else {
			took[r.IntN(len(took))] = time.Since(began)
		}
	}
	return took
}

func percentiles(took []time.Duration) []time.Duration {
	slices.Sort(took)
	return []time.Duration{took[len(took)/2], took[len(took)*99/100], took[len(took)*999/1000]}
}

// heap returns how many bytes are in use.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// counting is a server that knows good tokens by their name, and keeps nothing.
type counting struct{ inFlight, most atomic.Int64 }

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	now := c.inFlight.Add(1)
	defer c.inFlight.Add(-1)
	for most := c.most.Load(); now > most && !c.most.CompareAndSwap(most, now); most = c.most.Load() {
	}
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	_ = r.Body.Close()
	s := stub{answer: inactive}
	if strings.HasPrefix(r.PostForm.Get("token"), "good-") {
		s.answer = status(200, answer(map[string]any{"sub": "1", "about": strings.Repeat("x", 900)}))
	}
	runtime.Gosched()
	return s.RoundTrip(r)
}

var raceEnabled bool
