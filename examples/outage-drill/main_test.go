package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/postern-go/postern/zitadeltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The short form of the drill, in no time: the error is every promise that was not kept.
func TestDrill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		err := run(t.Context(), &out, zitadeltest.Config{InMemory: true}, 40, 4*time.Second)
		t.Log("\n" + out.String())
		require.NoError(t, err)
		require.Equal(t, 10, strings.Count(out.String(), "after ZITADEL came back from"))
	})
}

// A drill that cannot fail proves nothing.
func TestJudge(t *testing.T) {
	outage, inactive := phase{outage: true}, phase{name: inactive}
	for _, c := range []struct {
		maxStale  time.Duration
		phase     phase
		good, bad int // the status that one token got
		kept      bool
	}{
		{time.Minute, outage, 200, 401, true},
		{time.Minute, outage, 200, 503, true},
		{time.Minute, outage, 503, 503, false},
		{time.Minute, outage, 401, 503, false},
		{time.Minute, outage, 200, 200, false},
		{0, outage, 503, 503, true},
		{0, outage, 401, 503, false},
		{0, outage, 403, 503, false},
		{0, outage, 200, 200, false},
		{0, inactive, 401, 401, true},
		{0, well, 200, 200, false},
		{0, well, 403, 401, false},
	} {
		d := &drill{maxStale: c.maxStale}
		err := d.judge(c.phase, second{good: map[int]int{c.good: 1}, bad: map[int]int{c.bad: 1}})
		require.Equal(t, c.kept, err == nil, "%+v: %v", c, err)
	}
}

func TestJudgeLast(t *testing.T) {
	outage, inactive := phase{outage: true}, phase{name: inactive}
	for _, c := range []struct {
		maxStale time.Duration
		phase    phase
		good     map[int]int
		kept     bool
	}{
		{time.Minute, outage, map[int]int{200: 1}, true},
		{time.Minute, outage, map[int]int{}, false},
		{0, outage, map[int]int{503: 1}, true},
		{0, outage, map[int]int{503: 1, 200: 1}, false},
		{0, inactive, map[int]int{401: 1}, true},
		{0, inactive, map[int]int{200: 1}, false},
		{0, well, map[int]int{200: 1}, true},
		{0, well, map[int]int{200: 1, 503: 1}, false},
	} {
		d := &drill{maxStale: c.maxStale}
		require.Equal(t, c.kept, d.judgeLast(c.phase, second{good: c.good}) == nil, "%+v", c)
	}
}
