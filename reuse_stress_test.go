package postern_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"golang.org/x/oauth2"

	"github.com/postern-go/postern"
)

var stress = flag.Duration("stress", time.Second, "how long TestReuseStress runs; 30s says more")

// 1000 goroutines over one source, with random deadlines, failures, panics, hangs and invalidations: nobody hangs, one call at a
// time is under way, nobody is given a token that they have invalidated, and no goroutine is left (TestMain looks). How late
// callers returned after their deadline is reported, not judged: it is mostly the machine's doing.
//
//	go test -race -run TestReuseStress -v -stress 30s .
func TestReuseStress(t *testing.T) {
	var inside, together atomic.Int64
	failed := errors.New("failed on purpose")
	src := &stub{answer: func(ctx context.Context, n int64) (*oauth2.Token, error) {
		if inside.Add(1) > 1 {
			together.Add(1)
		}
		defer inside.Add(-1)
		took := rand.N(30 * time.Millisecond)
		switch rand.N(20) {
		case 0:
			panic("panicked on purpose")
		case 1, 2:
			return nil, failed
		case 3:
			return nil, &postern.Error{StatusCode: 400, Code: "invalid_grant", RetryAfter: time.Nanosecond}
		case 4: // deaf to its context
			<-time.After(2 * took)
		default:
			if err := pause(ctx, took); err != nil {
				return nil, err
			}
		}
		return &oauth2.Token{AccessToken: strconv.FormatInt(n, 10), Expiry: time.Now().Add(time.Millisecond + rand.N(200*time.Millisecond))}, nil
	}}
	credential := func(context.Context) string { return strconv.FormatInt(rand.Int64N(2), 10) } // refusals are mostly forgotten
	reuse := postern.Reuse(src, postern.ReuseConfig{FetchTimeout: 25 * time.Millisecond, Credential: credential, Logger: quiet()})
	invalidate := reuse.(postern.Invalidator).Invalidate

	var (
		callers  sync.WaitGroup
		mu       sync.Mutex
		late     []time.Duration
		control  []time.Duration // how late goroutines return that only wait for their deadline
		outcomes = map[string]int{}
		end      = time.Now().Add(*stress)
	)
	for range 1000 {
		callers.Go(func() {
			var mine, idle []time.Duration
			counts := map[string]int{}
			dropped := ""
			for time.Now().Before(end) {
				deadline := time.Now().Add(rand.N(40 * time.Millisecond))
				ctx, cancel := context.WithDeadline(t.Context(), deadline)
				token, err := reuse.TokenCtx(ctx)
				returned := time.Now()
				var answer *postern.Error
				switch {
				case err == nil:
					counts["token"]++
					assert.NotEqual(t, dropped, token.AccessToken, "given again after Invalidate")
					if rand.N(50) == 0 {
						dropped = token.AccessToken
						invalidate(dropped)
						counts["invalidated"]++
					}
				case errors.Is(err, context.DeadlineExceeded):
					counts["deadline"]++
					mine = append(mine, returned.Sub(deadline))
				case errors.Is(err, failed), errors.Is(err, postern.ErrUnavailable), errors.As(err, &answer):
					counts["failure"]++
				case strings.Contains(err.Error(), "had ended"): // it lived for a millisecond, and the machine was busy
					counts["failure"]++
				default:
					counts["panic"]++
					assert.ErrorContains(t, err, "token source panicked: string")
				}
				if rand.N(10) == 0 {
					<-ctx.Done()
					idle = append(idle, time.Since(deadline))
				}
				pause(ctx, rand.N(5*time.Millisecond))
				cancel()
			}
			mu.Lock()
			defer mu.Unlock()
			late = append(late, mine...)
			control = append(control, idle...)
			for what, n := range counts {
				outcomes[what] += n
			}
		})
	}
	callers.Wait()
	assert.Zero(t, together.Load(), "calls of the source beside another")
	// A busy machine may bring none while the thousand run; after them there must be one, and go test's own timeout says if not.
	for _, err := reuse.Token(); err != nil; _, err = reuse.Token() {
		<-time.After(time.Millisecond)
	}
	t.Logf("%v in %s, %d calls of the source", outcomes, *stress, src.calls.Load())
	t.Logf("after their deadline, callers returned by %s", spread(late))
	t.Logf("goroutines that only waited for theirs by  %s", spread(control))
	for inside.Load() > 0 { // the last, deaf one
		<-time.After(time.Millisecond)
	}
}

func spread(late []time.Duration) string {
	if len(late) == 0 {
		return "none"
	}
	slices.Sort(late)
	n := len(late)
	return fmt.Sprintf("%s in the median, %s in 99 of 100, at most %s (%d)", late[n/2], late[n*99/100], late[n-1], n)
}
