package drill

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/postern-go/postern/rediscache/internal/redisserver"
)

func TestMain(m *testing.M) {
	if IsReplica() {
		if err := Replica(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func TestAFleetOfEight(t *testing.T) {
	var out strings.Builder
	r, err := Run(t.Context(), Config{Processes: 8, Tokens: 50, Revocations: 10, Phase: time.Second}, &out)
	if errors.Is(err, redisserver.ErrMissing) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Log(out.String())

	assert.Equal(t, 8*50, r.CallsWithout)
	assert.GreaterOrEqual(t, r.CallsWith, 50)
	assert.LessOrEqual(t, r.CallsWith, 50+r.GaveUp, "8 to 1, but for what a busy machine did not finish in 20 ms")
	assert.Len(t, r.AfterArrival, 10)
	assert.Len(t, r.Timeline, 5*slotsAPhase)
	assert.Zero(t, r.Wrong(), "no valid token was refused and no invalid one let in")
	answers := map[string]Slot{}
	for _, s := range r.Timeline {
		sum := answers[s.Phase]
		answers[s.Phase] = Slot{OK: sum.OK + s.OK, Refused: sum.Refused + s.Refused}
	}
	for phase, s := range answers {
		assert.Positive(t, s.OK, phase)
		assert.Positive(t, s.Refused, phase)
	}
}
