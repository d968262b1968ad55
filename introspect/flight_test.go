package introspect

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/internal/cache"
)

// newFlights returns flights that remember nothing, and a function that names them by token.
func newFlights(limit int, fly func(*flight)) (*flights, func(token string) flight) {
	f, keys := &flights{}, cache.New[verdict](cache.Config{})
	f.init(limit, fly, func(cache.Key) *cache.Item[verdict] { return nil })
	return f, func(token string) flight { return flight{key: keys.Key(token), token: token} }
}

func TestAQuarterOfTheCallsIsForKnownTokensAndOneAtLeastIfThereAreTwo(t *testing.T) {
	for limit, strangers := range map[int]int{1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 8: 6, 32: 24, 100: 75} {
		f, _ := newFlights(limit, nil)
		assert.Equal(t, strangers, f.strangers, limit)
	}
}

func TestTheQueueOfKnownTokensIsLimitedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		land := make(chan struct{})
		f, about := newFlights(2, func(f *flight) { <-land; f.err = errLate })
		for i := range 2 + 2*queuePerCall {
			known := about(fmt.Sprint(i))
			known.known = true
			require.True(t, f.renew(known))
		}
		known := about("one more")
		known.known = true
		require.False(t, f.renew(known))
		_, err := f.join(t.Context(), known, 0, 0)
		require.ErrorIs(t, err, errQueueFull)
		close(land)
		synctest.Wait()
		require.Empty(t, f.byKey)
	})
}

func TestRenewalsOfATokenAreOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, land := 0, make(chan struct{})
		f, about := newFlights(4, func(f *flight) { calls++; <-land; f.err = errLate })
		require.True(t, f.renew(about("token")))
		require.True(t, f.renew(about("token")))
		synctest.Wait()
		require.Equal(t, 1, calls)
		close(land)
	})
}

func TestAFlightThatWasReplacedLeavesTheLaterOneShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, land := 0, map[cache.Mark]chan struct{}{1: make(chan struct{}), 2: make(chan struct{})}
		f, about := newFlights(4, func(f *flight) { calls++; <-land[f.mark]; f.err = errLate })
		var wg sync.WaitGroup
		join := func(mark cache.Mark) {
			wg.Go(func() {
				wanted := about("token")
				wanted.mark = mark
				landed, err := f.join(t.Context(), wanted, mark, 0)
				if assert.NoError(t, err) {
					assert.Equal(t, mark, landed.mark)
				}
			})
			synctest.Wait()
		}
		join(1)
		join(2)
		close(land[1])
		synctest.Wait()
		join(2)
		require.Equal(t, 2, calls)
		close(land[2])
		wg.Wait()
	})
}

func TestAFlightThatPanicsLandsAllTheSame(t *testing.T) {
	f, about := newFlights(1, func(*flight) { panic("at the wrong time") })
	for range 2 {
		landed, err := f.join(t.Context(), about("token"), 0, 0)
		require.NoError(t, err)
		require.ErrorIs(t, landed.err, errLost)
	}
}

// endsWhile is a context that has ended, and in which something happens just before its caller learns of it.
type endsWhile struct {
	context.Context
	happens func()
}

func (c endsWhile) Err() error { c.happens(); return c.Context.Err() }

func TestAnAnswerAtTheMomentOfTheDeadlineCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		land := make(chan struct{})
		f, about := newFlights(1, func(f *flight) { <-land; f.err = errLate })
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		landed, err := f.join(endsWhile{ended, func() { close(land); synctest.Wait() }}, about("token"), 0, 0)
		require.NoError(t, err)
		require.ErrorIs(t, landed.err, errLate)
	})
}

// The array of a queue lives on, and a flight holds a token.
func TestWhatLeftTheQueueIsNotKept(t *testing.T) {
	array := []*flight{{token: "a"}, {token: "b"}}
	queue := array
	require.Equal(t, "a", pop(&queue).token)
	require.Equal(t, "b", pop(&queue).token)
	require.Empty(t, queue)
	require.Equal(t, []*flight{nil, nil}, array)
}
