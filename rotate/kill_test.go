package rotate

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/zitadeltest"
)

// attempt is one process.
func attempt(w *world, change ...func(*Config)) error {
	_, err := w.rotator(change...).Run(w.t.Context())
	return err
}

// everyStep interrupts the work at each of its steps in turn, in a world of its own, and reports how many there were.
func everyStep(t *testing.T, kind Kind, dies bool, play func(t *testing.T, w *world, arm func()) (struck string)) {
	t.Helper()
	steps := 0
	for done := false; !done; steps++ {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, kind, zitadeltest.Config{InMemory: true})
			struck := play(t, w, func() { w.faults.arm(steps, dies) })
			done = struck == ""
			if t.Failed() {
				t.Logf("interrupted at step %d: %s\n%s", steps, struck, w.log)
				done = true
			}
		})
	}
	t.Logf("%d steps", steps-1)
	assert.Greater(t, steps, 15, "the steps were not reached")
}

// outcome checks that an interruption is an error. A call that fails may be made again, as when a new credential is proven.
func outcome(t *testing.T, struck string, dies bool, err error) {
	t.Helper()
	switch {
	case struck == "":
		require.NoError(t, err)
	case dies:
		require.ErrorIs(t, err, errCut)
	}
}

var interruptions = map[string]bool{"the process dies": true, "a call fails": false}

// A renewal and the removal that follows, interrupted anywhere: the stored credential always works, at most two of its own are
// left after the next run, those of others stay, and in the end there is one, and new.
func TestRenewalInterruptedAtEveryStep(t *testing.T) {
	for _, kind := range []Kind{PAT, Key} {
		for name, dies := range interruptions {
			t.Run(string(kind)+", "+name, func(t *testing.T) {
				everyStep(t, kind, dies, func(t *testing.T, w *world, arm func()) string {
					w.addForeign()
					first := w.bootstrap().Current
					time.Sleep(21 * day) // the bubble's clock: due
					arm()
					err := attempt(w)
					if err == nil {
						time.Sleep(defaultGrace)
						err = attempt(w) // removes the old one
					}
					struck := w.faults.disarm()
					w.works()
					outcome(t, struck, dies, err)
					for range 2 { // renews and removes what is still to be renewed and removed
						_, err := w.rotator().Run(t.Context())
						require.NoError(t, err)
						w.works()
						assert.LessOrEqual(t, len(w.own()), 2)
						time.Sleep(defaultGrace)
					}
					report, err := w.rotator().Run(t.Context())
					require.NoError(t, err)
					w.works()
					assert.Equal(t, []string{report.Current.ID}, w.own())
					assert.NotEqual(t, first.ID, report.Current.ID)
					assert.Empty(t, report.Waiting)
					assert.Empty(t, report.Left)
					return struck
				})
			})
		}
	}
}

// The first credential, made by an administrator.
func TestFirstCreationInterruptedAtEveryStep(t *testing.T) {
	for _, kind := range []Kind{PAT, Key} {
		for name, dies := range interruptions {
			t.Run(string(kind)+", "+name, func(t *testing.T) {
				everyStep(t, kind, dies, func(t *testing.T, w *world, arm func()) string {
					w.addForeign()
					arm()
					err := attempt(w, w.byAdmin)
					struck := w.faults.disarm()
					outcome(t, struck, dies, err)
					report, err := w.rotator(w.byAdmin).Run(t.Context())
					require.NoError(t, err)
					w.works()
					assert.Equal(t, []string{report.Current.ID}, w.own())
					return struck
				})
			})
		}
	}
}

// An administrator who renews what has run out.
func TestRenewalOfADeadOneInterruptedAtEveryStep(t *testing.T) {
	for name, dies := range interruptions {
		t.Run(name, func(t *testing.T) {
			everyStep(t, PAT, dies, func(t *testing.T, w *world, arm func()) string {
				w.addForeign()
				w.bootstrap()
				time.Sleep(40 * day)
				arm()
				err := attempt(w, w.byAdmin)
				struck := w.faults.disarm()
				outcome(t, struck, dies, err)
				for range 2 {
					_, err := w.rotator(w.byAdmin).Run(t.Context())
					require.NoError(t, err)
					w.works()
					assert.LessOrEqual(t, len(w.own()), 2)
					time.Sleep(defaultGrace)
				}
				report, err := w.rotator().Run(t.Context())
				require.NoError(t, err)
				assert.Equal(t, []string{report.Current.ID}, w.own())
				return struck
			})
		})
	}
}
