package introspect

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern"
)

// history is what a naive observer notes down about a token: what the server would have said from when on, and the evictions.
type history struct {
	mu      sync.Mutex
	facts   []fact
	evicted []time.Time
}

type fact struct {
	from   time.Time
	number int // of the fact; negative: not active
	exp    time.Time
}

func (h *history) change(number int, life time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.facts = append(h.facts, fact{from: time.Now(), number: number, exp: time.Now().Add(life)})
}

func (h *history) evict() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.evicted = append(h.evicted, time.Now())
}

func (h *history) now() fact {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.facts[len(h.facts)-1]
}

// since returns the numbers of the facts that held at some time from then on.
func (h *history) since(then time.Time) (numbers []int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, f := range h.facts {
		if i == len(h.facts)-1 || h.facts[i+1].from.After(then) {
			numbers = append(numbers, f.number)
		}
	}
	return numbers
}

// lastEviction is the last that was over before then.
func (h *history) lastEviction(then time.Time) (last time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, at := range h.evicted {
		if at.Before(then) {
			last = at
		}
	}
	return last
}

// TestModel lets time pass, tokens change, be evicted and be asked about at random, with a server whose answers take up to three
// seconds and so overtake each other, and wants of every answer that it was the server's within TTL, after the last eviction,
// and not past exp.
func TestModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const latency = 3 * time.Second
		r := rand.New(rand.NewPCG(6, 7662))
		tokens := map[string]*history{}
		var names []string
		for i := range 40 {
			names = append(names, fmt.Sprint("token", i))
			tokens[names[i]] = &history{facts: []fact{{from: time.Now(), number: 1, exp: time.Now().Add(time.Hour)}}}
		}
		var calls atomic.Int64
		s := &stub{answer: func(r *http.Request) (int, string) {
			token := r.PostForm.Get("token")
			wait := time.Duration(rand.Int64N(int64(latency)))
			time.Sleep(wait / 2)
			said := tokens[token].now()
			time.Sleep(wait / 2)
			calls.Add(1)
			if said.number < 0 {
				return inactive(r)
			}
			return 200, answer(map[string]any{
				"username": strconv.Itoa(said.number), "exp": said.exp.Unix(), "jti": "id of " + token, "sub": "user of " + token,
			})
		}}
		v := newVerifier(t, s, func(c *Config) { c.TTL, c.NegativeTTL, c.MaxConcurrent = 20*time.Second, 4*time.Second, 40 })
		var wrong atomic.Int64
		verify := func(token string) {
			began := time.Now()
			id, err := v.Verify(t.Context(), token)
			h := tokens[token]
			age, number := 20*time.Second, 0
			switch {
			case err == nil:
				number, _ = strconv.Atoi(id.Username())
				if !id.Expiry().After(began) {
					wrong.Add(1)
					t.Errorf("%s: let in past exp", token)
				}
			case errors.Is(err, errInactive) || errors.Is(err, errExpired):
				age = 4*time.Second + latency // it counts from the answer, where it does no harm
			default:
				wrong.Add(1)
				t.Errorf("%s: %v", token, err)
				return
			}
			oldest := began.Add(-age)
			if evicted := h.lastEviction(began); evicted.After(oldest) {
				oldest = evicted
			}
			possible := h.since(oldest)
			ok := slices.Contains(possible, number)
			if err != nil {
				ok = errors.Is(err, errExpired) || slices.ContainsFunc(possible, func(n int) bool { return n < 0 })
			}
			if !ok && wrong.Add(1) < 10 {
				t.Errorf("%s: got %d, %v: expected one of %v", token, number, err, possible)
			}
		}
		var wg sync.WaitGroup
		const operations = 100_000
		for i := range operations {
			token := names[min(r.IntN(40), r.IntN(40), r.IntN(40))] // some are hot
			h := tokens[token]
			switch op := r.IntN(1000); {
			case op < 900:
				if v.v.cache.Peek(v.v.cache.Key(token)) != nil {
					verify(token)
				} else {
					wg.Go(func() { verify(token) })
				}
			case op < 905:
				number := i + 2
				if h.now().number > 0 && r.IntN(2) == 0 {
					number = -number
				}
				h.change(number, time.Duration(r.IntN(90))*time.Second)
			case op < 915: // something changes about an active token, and an event tells of it
				if h.now().number < 0 {
					continue // an inactive answer names no user and no id, so only the token itself evicts it
				}
				h.change(i+2, time.Hour)
				time.Sleep(time.Nanosecond)
				switch r.IntN(3) {
				case 0:
					v.EvictToken(token)
				case 1:
					v.EvictTokenID("id of " + token)
				case 2:
					v.EvictSubject("user of " + token)
				}
				if !slices.ContainsFunc(h.since(time.Now().Add(-30*time.Second)), func(n int) bool { return n < 0 }) {
					h.evict()
				}
				time.Sleep(time.Nanosecond)
			default:
				time.Sleep(time.Duration(r.IntN(300)) * time.Millisecond)
			}
		}
		wg.Wait()
		time.Sleep(2 * latency) // renewals that nobody waits for
		require.Zero(t, wrong.Load())
		stats := v.Stats()
		require.Positive(t, stats.Renewals)
		require.Positive(t, stats.TurnedInactive)
		require.Greater(t, stats.Hits, uint64(operations/2))
		require.Greater(t, calls.Load(), int64(1000))
		require.ErrorIs(t, errExpired, postern.ErrInvalidToken)
	})
}
