package introspect

import (
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern"
)

var evictMethods = map[string]func(*Verifier){
	"EvictToken":   func(v *Verifier) { v.EvictToken("token") },
	"EvictTokenID": func(v *Verifier) { v.EvictTokenID("id of token") },
	"EvictSubject": func(v *Verifier) { v.EvictSubject("user of token") },
	"EvictAll":     func(v *Verifier) { v.EvictAll() },
}

func TestEvictionHoldsForEveryVerifyThatBeginsAfterIt(t *testing.T) {
	for name, evict := range evictMethods {
		t.Run(name, func(t *testing.T) {
			s := &stub{answer: active}
			v := newVerifier(t, s)
			require.NoError(t, verifyErr(v, "token"))
			require.NoError(t, verifyErr(v, "other"))
			evict(v)
			s.say(inactive)
			require.ErrorIs(t, verifyErr(v, "token"), postern.ErrInvalidToken)
			if name != "EvictAll" {
				require.NoError(t, verifyErr(v, "other"), "no concern of it")
			}
		})
	}
}

func TestEvictionOfASession(t *testing.T) {
	s := &stub{answer: status(200, `{"active":true,"jti":"V2_1-at_2"}`)}
	v := newVerifier(t, s)
	require.NoError(t, verifyErr(v, "token"))
	v.EvictTokenID("V2_2")
	require.NoError(t, verifyErr(v, "token"))
	require.Equal(t, 1, s.count())
	v.EvictTokenID("V2_1")
	require.NoError(t, verifyErr(v, "token"))
	require.Equal(t, 2, s.count())
}

func TestEvictionOfARefusal(t *testing.T) {
	for _, name := range []string{"EvictToken", "EvictAll"} {
		s := &stub{answer: inactive}
		v := newVerifier(t, s)
		require.Error(t, verifyErr(v, "token"))
		evictMethods[name](v)
		s.say(active)
		require.NoError(t, verifyErr(v, "token"))
	}
}

// The call began before the eviction, so its answer may be from before: who came after the eviction must not get it, and nobody
// may get it from memory.
func TestEvictionVoidsCallsInFlight(t *testing.T) {
	for name, evict := range evictMethods {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				first := make(chan struct{})
				s := &stub{answer: func(r *http.Request) (int, string) { <-first; return active(r) }} // as it was before
				v := newVerifier(t, s)
				var wg sync.WaitGroup
				wg.Go(func() { assert.NoError(t, verifyErr(v, "token"), "began before the eviction") })
				synctest.Wait()
				evict(v)
				s.say(inactive)
				for range 10 {
					wg.Go(func() { assert.ErrorIs(t, verifyErr(v, "token"), postern.ErrInvalidToken, "began after the eviction") })
				}
				synctest.Wait()
				close(first)
				wg.Wait()
				require.Equal(t, 2, s.count(), "those who came after share one call")
				require.ErrorIs(t, verifyErr(v, "token"), postern.ErrInvalidToken)
				require.Equal(t, 2, s.count())
			})
		})
	}
}

// Of the others only the answer tells whether they concern it.
func TestAfterEvictTokenAndEvictAllNobodyWaitsForTheCallThatTheyVoid(t *testing.T) {
	for _, name := range []string{"EvictToken", "EvictAll"} {
		synctest.Test(t, func(t *testing.T) {
			s := &stub{answer: stalled}
			v := newVerifier(t, s)
			go func() { _ = verifyErr(v, "token") }()
			synctest.Wait()
			evictMethods[name](v)
			s.say(active)
			began := time.Now()
			require.NoError(t, verifyErr(v, "token"))
			require.Zero(t, time.Since(began))
			time.Sleep(defaultTimeout)
			require.NoError(t, verifyErr(v, "token"), "the call that was given up harms nothing")
			require.Equal(t, 2, s.count())
		})
	}
}

func TestEvictionVoidsARenewalInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: active}
		v := newVerifier(t, s)
		require.NoError(t, verifyErr(v, "token"))
		time.Sleep(50 * time.Second)
		s.say(func(r *http.Request) (int, string) { time.Sleep(time.Second); return active(r) })
		require.NoError(t, verifyErr(v, "token"))
		synctest.Wait()
		v.EvictSubject("user of token")
		time.Sleep(2 * time.Second)
		s.say(inactive)
		require.ErrorIs(t, verifyErr(v, "token"), postern.ErrInvalidToken)
	})
}

func TestAnEvictionThatIsNoConcernOfACallLeavesItShared(t *testing.T) {
	for _, say := range []func(*http.Request) (int, string){active, inactive} {
		synctest.Test(t, func(t *testing.T) {
			s := &stub{answer: func(r *http.Request) (int, string) { time.Sleep(time.Second); return say(r) }}
			v := newVerifier(t, s, func(c *Config) { c.NegativeTTL = -1 }) // so that who does not share an inactive answer asks again
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() { _ = verifyErr(v, "token") })
				synctest.Wait()
				v.EvictSubject("somebody else")
			}
			wg.Wait()
			require.Equal(t, 1, s.count())
		})
	}
}
