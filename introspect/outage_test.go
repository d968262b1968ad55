package introspect

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern"
)

// outages are the ways in which a server cannot be asked.
var outages = map[string]func(*http.Request) (int, string){
	"no connection": status(0, ""),
	"stalls":        stalled,
	"500":           status(500, ""),
	"503":           status(503, ""),
	"429":           status(429, ""),
	"garbage":       status(200, "<html>"),
	"wrong types":   status(200, `{"active":true,"exp":"soon"}`),
	"refuses us":    status(400, `{"error":"unauthorized_client"}`),
}

func TestWithMaxStaleAGoodTokenOutlivesAnOutage(t *testing.T) {
	for name, outage := range outages {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &stub{answer: active}
				v := newVerifier(t, s, func(c *Config) { c.MaxStale = 10 * time.Minute })
				began := time.Now()
				id, err := v.Verify(t.Context(), "token")
				require.NoError(t, err)
				require.False(t, id.Stale())
				s.say(outage)
				time.Sleep(time.Minute)
				for time.Since(began) < 9*time.Minute {
					id, err = v.Verify(t.Context(), "token")
					require.NoError(t, err)
					require.True(t, id.Stale())
					require.Equal(t, "user of token", id.Subject())
					require.ErrorIs(t, verifyErr(v, fmt.Sprint("unknown ", time.Now())), postern.ErrUnavailable)
					time.Sleep(7 * time.Second)
				}
				require.Positive(t, v.Stats().Stale)
				time.Sleep(time.Until(began.Add(11 * time.Minute)))
				require.ErrorIs(t, verifyErr(v, "token"), postern.ErrUnavailable)

				s.say(active)
				time.Sleep(maxPause)
				id, err = v.Verify(t.Context(), "token")
				require.NoError(t, err)
				require.False(t, id.Stale())
			})
		})
	}
}

func TestWithoutMaxStaleAnOutageIsUnavailable(t *testing.T) {
	for name, outage := range outages {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &stub{answer: active}
				v := newVerifier(t, s)
				require.NoError(t, verifyErr(v, "token"))
				s.say(outage)
				time.Sleep(time.Minute)
				err := verifyErr(v, "token")
				require.ErrorIs(t, err, postern.ErrUnavailable)
				require.NotErrorIs(t, err, postern.ErrInvalidToken)
			})
		})
	}
}

// While the server stalls, nobody waits for long for the answer that stands in, and nobody past its own deadline.
func TestWithMaxStaleAnAnswerStandsInForAServerThatDoesNotAnswerInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: active}
		v := newVerifier(t, s, func(c *Config) { c.MaxStale = time.Hour })
		require.NoError(t, verifyErr(v, "token"))
		time.Sleep(time.Minute)
		s.say(stalled)
		waits := func(ctx context.Context, want time.Duration) {
			t.Helper()
			began := time.Now()
			id, err := v.Verify(ctx, "token")
			require.NoError(t, err)
			require.True(t, id.Stale())
			require.Equal(t, want, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		waits(ctx, time.Second)
		waits(t.Context(), time.Second) // a fifth of Timeout after the call began
		waits(t.Context(), 0)
		require.Equal(t, 2, s.count(), "they share one call")
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := v.Verify(short, "another")
		require.ErrorIs(t, err, context.DeadlineExceeded, "for which nothing stands in")
		time.Sleep(defaultTimeout)
		gone, leave := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, leave)
		_, err = v.Verify(gone, "token")
		require.ErrorIs(t, err, context.Canceled)
		time.Sleep(defaultTimeout) // the call ends by its own timeout
	})
}

func TestWithMaxStaleAnAnswerStandsInForACallerWhoseDeadlineIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: active}
		v := newVerifier(t, s, func(c *Config) { c.MaxStale = time.Hour })
		require.NoError(t, verifyErr(v, "token"))
		time.Sleep(time.Minute)
		s.say(func(r *http.Request) (int, string) { time.Sleep(time.Second); return inactive(r) })
		late, cancel := context.WithDeadline(t.Context(), time.Now())
		defer cancel()
		id, err := v.Verify(late, "token")
		require.NoError(t, err)
		require.True(t, id.Stale())
		_, err = v.Verify(late, "another")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		time.Sleep(time.Second)
		require.ErrorIs(t, verifyErr(v, "token"), postern.ErrInvalidToken, "the server was asked all the same")
		require.Zero(t, s.asked("another"))

		without := newVerifier(t, s)
		s.say(active)
		require.NoError(t, verifyErr(without, "known"))
		time.Sleep(time.Minute)
		_, err = without.Verify(late, "known")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		synctest.Wait()
		require.Equal(t, 1, s.asked("known"), "nobody waits, and nothing stands in")
	})
}

func TestWhatASlowServerSaysTakesEffectAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: active}
		v := newVerifier(t, s, func(c *Config) { c.MaxStale = time.Hour })
		require.NoError(t, verifyErr(v, "token"))
		time.Sleep(time.Minute)
		s.say(func(r *http.Request) (int, string) { time.Sleep(5 * time.Second); return inactive(r) })
		id, err := v.Verify(t.Context(), "token")
		require.NoError(t, err)
		require.True(t, id.Stale())
		time.Sleep(4 * time.Second)
		require.ErrorIs(t, verifyErr(v, "token"), postern.ErrInvalidToken)
		require.Equal(t, 2, s.count())
	})
}

// Otherwise who sends a revoked token with short deadlines would be let in for as long as the queue does not empty.
func TestAKnownTokenIsAskedAboutAlthoughItsCallersLeftTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: active}
		v := newVerifier(t, s, func(c *Config) { c.MaxStale, c.MaxConcurrent = time.Hour, 1 })
		require.NoError(t, verifyErr(v, "revoked"))
		time.Sleep(time.Minute)
		s.say(func(r *http.Request) (int, string) { time.Sleep(5 * time.Second); return inactive(r) })
		go func() { _ = verifyErr(v, "slow") }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := v.Verify(ctx, "revoked")
		require.NoError(t, err)
		require.Equal(t, 1, v.Stats().Queue)
		time.Sleep(10 * time.Second)
		require.Equal(t, 2, s.asked("revoked"))
		require.ErrorIs(t, verifyErr(v, "revoked"), postern.ErrInvalidToken)
	})
}

func TestAnAnswerEvictedWhileACallerWaitsDoesNotStandIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: active}
		v := newVerifier(t, s, func(c *Config) { c.MaxStale = time.Hour })
		require.NoError(t, verifyErr(v, "token"))
		time.Sleep(time.Minute)
		s.say(stalled)
		time.AfterFunc(time.Second, v.EvictAll)
		began := time.Now()
		require.ErrorIs(t, verifyErr(v, "token"), postern.ErrUnavailable)
		require.Equal(t, defaultTimeout, time.Since(began), "it has to be waited for")
	})
}

func TestMaxStaleNeverReachesPastExp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := time.Now().Add(2 * time.Minute).Unix()
		s := &stub{answer: func(*http.Request) (int, string) { return 200, answer(map[string]any{"exp": end}) }}
		v := newVerifier(t, s, func(c *Config) { c.MaxStale = time.Hour })
		require.NoError(t, verifyErr(v, "token"))
		s.say(status(503, ""))
		time.Sleep(2*time.Minute - time.Second)
		require.NoError(t, verifyErr(v, "token"))
		time.Sleep(time.Second)
		require.ErrorIs(t, verifyErr(v, "token"), postern.ErrUnavailable)
	})
}

func TestInactiveIsNoOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: active}
		v := newVerifier(t, s, func(c *Config) { c.MaxStale = time.Hour })
		require.NoError(t, verifyErr(v, "token"))
		time.Sleep(time.Minute)
		s.say(inactive)
		require.ErrorIs(t, verifyErr(v, "token"), postern.ErrInvalidToken)
		s.say(status(503, ""))
		time.Sleep(time.Minute)
		require.ErrorIs(t, verifyErr(v, "token"), postern.ErrUnavailable, "the old answer must not come back")
	})
}

func TestAnEvictedAnswerDoesNotStandIn(t *testing.T) {
	for name, evict := range evictMethods {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &stub{answer: active}
				v := newVerifier(t, s, func(c *Config) { c.MaxStale = time.Hour })
				require.NoError(t, verifyErr(v, "token"))
				s.say(status(503, ""))
				time.Sleep(time.Minute)
				require.NoError(t, verifyErr(v, "token"))
				evict(v)
				require.ErrorIs(t, verifyErr(v, "token"), postern.ErrUnavailable)
			})
		})
	}
}

// A token revoked during an outage is refused when TTL and MaxStale are over, or before, when the server is back.
func TestARevokedTokenIsRefusedWithinTTLAndMaxStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: active}
		v := newVerifier(t, s, func(c *Config) { c.MaxStale = 5 * time.Minute })
		began := time.Now()
		require.NoError(t, verifyErr(v, "token"))
		s.say(status(503, ""))
		for verifyErr(v, "token") == nil {
			time.Sleep(time.Second)
		}
		require.LessOrEqual(t, time.Since(began), 6*time.Minute)
		require.Greater(t, time.Since(began), 5*time.Minute+50*time.Second)
	})
}

func TestTheBreakerOpensAfterFiveFailuresAndLetsOneCallASecondThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logs
		s := &stub{answer: status(500, "")}
		v := newVerifier(t, s, func(c *Config) { c.Logger = log.logger() })
		for i := range 100 {
			require.ErrorIs(t, verifyErr(v, fmt.Sprint(i)), postern.ErrUnavailable)
		}
		require.Equal(t, failuresToOpen, s.count())
		require.Equal(t, "open", v.Stats().Breaker)
		require.Equal(t, uint64(failuresToOpen), v.Stats().Failures, "what was not asked did not fail")
		for second := range 10 {
			time.Sleep(openFor + 1)
			for i := range 10 {
				require.ErrorIs(t, verifyErr(v, fmt.Sprint(second, " ", i)), postern.ErrUnavailable)
			}
			require.Equal(t, failuresToOpen+second+1, s.count())
		}
		s.say(active)
		time.Sleep(openFor + 1)
		require.Equal(t, "half-open", v.Stats().Breaker)
		for i := range 10 {
			require.NoError(t, verifyErr(v, fmt.Sprint("good ", i)))
		}
		require.Equal(t, "closed", v.Stats().Breaker)
		require.Equal(t, 1, strings.Count(log.String(), "calls are held back"), log.String())
		require.Equal(t, 1, strings.Count(log.String(), "level=INFO"), log.String())
	})
}

func TestFailuresThatAreNotInARowDoNotOpenTheBreaker(t *testing.T) {
	s := &stub{}
	v := newVerifier(t, s)
	for i := range 4 * failuresToOpen {
		s.say(status(500, ""))
		if i%failuresToOpen == 0 {
			s.say(inactive)
		}
		_ = verifyErr(v, fmt.Sprint(i))
	}
	require.Equal(t, 4*failuresToOpen, s.count())
	require.Equal(t, "closed", v.Stats().Breaker)
}

// withoutRetryAfter is a server that is too busy and does not say for how long, as ZITADEL's is when the instance is blocked.
type withoutRetryAfter struct{ *stub }

func (w withoutRetryAfter) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.stub.RoundTrip(r)
	if err == nil {
		resp.Header.Del("Retry-After")
	}
	return resp, err
}

func TestEveryFailureOfTheServerCountsForTheBreaker(t *testing.T) {
	for name, answer := range map[string]func(*http.Request) (int, string){
		"no connection": status(0, ""), "408": status(408, ""), "429": status(429, ""), "500": status(500, ""), "502": status(502, "<html>"),
		"a redirect": status(302, ""), "garbage": status(200, "<html>"),
	} {
		synctest.Test(t, func(t *testing.T) { // the breaker lets a probe through after a second
			s := &stub{answer: answer}
			v := newVerifier(t, nil, func(c *Config) { c.HTTPClient = &http.Client{Transport: withoutRetryAfter{s}} })
			for i := range 20 {
				require.ErrorIs(t, verifyErr(v, fmt.Sprint(i)), postern.ErrUnavailable)
			}
			require.Equal(t, failuresToOpen, s.count(), name)
		})
	}
}

// Callers of an API get a 503 without a reason, so this is where its operator finds a wrong Issuer, say.
func TestWhyTheServerCannotBeAskedIsLoggedAtOnceAndThenOnceAMinute(t *testing.T) {
	for name, outage := range outages {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log logs
				v := newVerifier(t, &stub{answer: outage}, func(c *Config) { c.Logger = log.logger() })
				require.ErrorIs(t, verifyErr(v, "t0ken"), postern.ErrUnavailable)
				require.Equal(t, 1, strings.Count(log.String(), "error="), log.String())
				for began := time.Now(); time.Since(began) < 3*time.Minute; time.Sleep(time.Second) {
					require.ErrorIs(t, verifyErr(v, "t0ken"), postern.ErrUnavailable)
				}
				require.InDelta(t, 4, strings.Count(log.String(), "error="), 2, log.String())
				require.NotContains(t, log.String(), "t0ken")
			})
		})
	}
}

func TestTheProbeOfTheBreakerIsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: status(500, "")}
		v := newVerifier(t, s)
		for i := range failuresToOpen {
			_ = verifyErr(v, fmt.Sprint(i))
		}
		time.Sleep(openFor + 1)
		s.say(stalled)
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() { assert.ErrorIs(t, verifyErr(v, fmt.Sprint("probe ", i)), postern.ErrUnavailable) })
		}
		wg.Wait()
		require.Equal(t, failuresToOpen+1, s.count())
	})
}

// An attacker chooses the tokens: that a proxy refuses to pass one on, or the server to look at it, must not hold back others.
func TestAnswersAboutOneTokenDoNotOpenTheBreaker(t *testing.T) {
	for _, answer := range []func(*http.Request) (int, string){inactive, status(400, `{"error":"invalid_request"}`), status(403, "forbidden"), status(404, "")} {
		s := &stub{answer: answer}
		v := newVerifier(t, s)
		for i := range 20 {
			require.Error(t, verifyErr(v, fmt.Sprint(i)))
		}
		require.Equal(t, 20, s.count())
		require.Equal(t, "closed", v.Stats().Breaker)
	}
}

// A token that makes the server fail, or whose answer is none, must not keep those who are known to be good from being asked about.
func TestFailuresAboutUnknownTokensDoNotHoldBackKnownOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: active}
		v := newVerifier(t, s)
		require.NoError(t, verifyErr(v, "known"))
		time.Sleep(time.Minute)
		s.say(func(r *http.Request) (int, string) {
			if r.PostForm.Get("token") == "known" {
				return active(r)
			}
			return 200, `{"active":true,"ACTIVE":true}`
		})
		for range 20 {
			require.ErrorIs(t, verifyErr(v, "poison"), postern.ErrUnavailable)
		}
		require.Equal(t, failuresToOpen, s.asked("poison"))
		require.Equal(t, "open", v.Stats().Breaker)
		require.NoError(t, verifyErr(v, "known"))
	})
}

func TestTheBreakerForKnownTokensOpensToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: active}
		v := newVerifier(t, s)
		for i := range 20 {
			require.NoError(t, verifyErr(v, fmt.Sprint(i)))
		}
		time.Sleep(time.Minute)
		s.say(status(500, ""))
		for i := range 20 {
			require.ErrorIs(t, verifyErr(v, fmt.Sprint(i)), postern.ErrUnavailable)
		}
		require.Equal(t, 20+failuresToOpen, s.count())
		require.Equal(t, "open", v.Stats().Breaker)
	})
}

func TestOurCredentialsRefused(t *testing.T) {
	refusals := map[string]func(*http.Request) (int, string){
		"400 unauthorized_client": status(400, `{"error":"unauthorized_client"}`),
		"400 invalid_client":      status(400, `{"error":"invalid_client","error_description":"no s3cret here"}`),
		"401":                     status(401, `{"error":"invalid_client"}`),
		"401 without a code":      status(401, ``),
	}
	for name, refusal := range refusals {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log logs
				s := &stub{answer: refusal}
				v := newVerifier(t, s, func(c *Config) { c.Logger = log.logger() })
				began := time.Now()
				for i := range 1000 { // a request a second
					err := verifyErr(v, fmt.Sprint(i))
					require.ErrorIs(t, err, postern.ErrUnavailable)
					e, ok := errors.AsType[*postern.Error](err)
					require.True(t, ok, "the server's word is in the chain")
					require.Contains(t, []int{400, 401}, e.StatusCode)
					time.Sleep(time.Second)
				}
				// Pauses of 1, 2, 4, 8, 16, 32 and then 60 seconds, each a tenth less at random.
				require.InDelta(t, 23, s.count(), 3, "calls in %s", time.Since(began))
				require.InDelta(t, 1000.0/60, strings.Count(log.String(), "level=ERROR"), 3, "once a minute")
				require.NotContains(t, log.String(), "s3cret")

				s.say(active)
				time.Sleep(maxPause)
				require.NoError(t, verifyErr(v, "good"))
				s.say(refusal)
				require.Error(t, verifyErr(v, "begin anew"))
				s.say(active)
				time.Sleep(minPause)
				require.NoError(t, verifyErr(v, "good after a second"), "an active answer ends the backoff")
			})
		})
	}
}

// ZITADEL may answer inactive to a wrong client about a wrong token, so that answer does not end the backoff.
func TestAnInactiveAnswerDoesNotProveOurCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: status(400, `{"error":"unauthorized_client"}`)}
		v := newVerifier(t, s)
		require.Error(t, verifyErr(v, "token a"))
		time.Sleep(minPause)
		s.say(inactive)
		require.ErrorIs(t, verifyErr(v, "token b"), postern.ErrInvalidToken)
		s.say(status(400, `{"error":"unauthorized_client"}`))
		require.Error(t, verifyErr(v, "token c"))
		time.Sleep(minPause)
		calls := s.count()
		require.ErrorIs(t, verifyErr(v, "token d"), postern.ErrUnavailable)
		require.Equal(t, calls, s.count(), "the second pause is longer than the first")
	})
}

// Only a token known to be good proves a client wrong: what is said about invented ones holds back invented ones.
func TestARefusalAboutAnUnknownTokenDoesNotHoldBackKnownOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: active}
		v := newVerifier(t, s)
		require.NoError(t, verifyErr(v, "known"))
		time.Sleep(2 * time.Minute)
		s.say(func(r *http.Request) (int, string) {
			if r.PostForm.Get("token") == "known" {
				return active(r)
			}
			return 401, ""
		})
		require.ErrorIs(t, verifyErr(v, "invented"), postern.ErrUnavailable)
		require.ErrorIs(t, verifyErr(v, "invented too"), postern.ErrUnavailable)
		require.Zero(t, s.asked("invented too"))
		require.NoError(t, verifyErr(v, "known"))
	})
}

func TestARefusalAboutAKnownTokenHoldsBackAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: active}
		v := newVerifier(t, s)
		require.NoError(t, verifyErr(v, "known"))
		require.NoError(t, verifyErr(v, "known too"))
		time.Sleep(2 * time.Minute)
		s.say(status(401, ""))
		for _, token := range []string{"unknown", "known", "known too", "unknown too"} {
			require.ErrorIs(t, verifyErr(v, token), postern.ErrUnavailable)
		}
		require.Equal(t, 2+2, s.count(), "the first known one is asked about because the refusal before was about an unknown one")
	})
}

func TestRefusalsOfCallsThatWereUnderWayTogetherAreOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: func(*http.Request) (int, string) { time.Sleep(time.Second); return 401, "" }}
		v := newVerifier(t, s)
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() { assert.ErrorIs(t, verifyErr(v, fmt.Sprint(i)), postern.ErrUnavailable) })
		}
		wg.Wait()
		require.Equal(t, 20, s.count())
		s.say(active)
		time.Sleep(minPause)
		require.NoError(t, verifyErr(v, "token"), "the first pause is over, and there was no second")
	})
}

func TestRetryAfterIsHonouredRFC9110Section1023(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: status(429, "")} // with Retry-After: 7
		v := newVerifier(t, s)
		err := verifyErr(v, "token a")
		e, ok := errors.AsType[*postern.Error](err)
		require.True(t, ok)
		require.Equal(t, 7*time.Second, e.RetryAfter)
		s.say(active)
		time.Sleep(7*time.Second - 1)
		require.ErrorIs(t, verifyErr(v, "token a"), postern.ErrUnavailable)
		require.Equal(t, 1, s.count())
		time.Sleep(time.Nanosecond)
		require.NoError(t, verifyErr(v, "token a"))
	})
}

// retryAfter is a server that wants to be asked again in an hour.
type retryAfter struct{ *stub }

func (a retryAfter) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := a.stub.RoundTrip(r)
	if err == nil && resp.StatusCode >= 400 {
		resp.Header.Set("Retry-After", "3600")
	}
	return resp, err
}

func TestRetryAfterHoldsForAllTokensAndForHalfAMinuteAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: active}
		v := newVerifier(t, nil, func(c *Config) { c.HTTPClient = &http.Client{Transport: retryAfter{s}} })
		require.NoError(t, verifyErr(v, "known"))
		time.Sleep(time.Minute)
		s.say(status(503, ""))
		require.ErrorIs(t, verifyErr(v, "unknown"), postern.ErrUnavailable)
		s.say(active)
		time.Sleep(maxRetryAfter - 1)
		require.ErrorIs(t, verifyErr(v, "known"), postern.ErrUnavailable)
		require.Equal(t, 2, s.count())
		time.Sleep(time.Nanosecond)
		require.NoError(t, verifyErr(v, "known"))
	})
}

// Nor does an answer that was under way when the server asked for a pause.
func TestAnActiveAnswerDoesNotEndAPauseThatTheServerAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: func(r *http.Request) (int, string) { time.Sleep(time.Second); return active(r) }}
		v := newVerifier(t, s)
		go func() { _ = verifyErr(v, "slow") }()
		synctest.Wait()
		s.say(status(429, "")) // with Retry-After: 7
		require.ErrorIs(t, verifyErr(v, "token a"), postern.ErrUnavailable)
		s.say(active)
		time.Sleep(2 * time.Second)
		require.ErrorIs(t, verifyErr(v, "token b"), postern.ErrUnavailable)
		require.Zero(t, s.asked("token b"))
		time.Sleep(5 * time.Second)
		require.NoError(t, verifyErr(v, "token b"))
	})
}

func TestABurstOfInactiveTokensIsCountedAndLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logs
		s := &stub{answer: active}
		v := newVerifier(t, s, func(c *Config) { c.Logger = log.logger() })
		for i := range 100 {
			require.NoError(t, verifyErr(v, fmt.Sprint(i)))
		}
		time.Sleep(time.Minute)
		s.say(inactive)
		for i := range 9 {
			require.ErrorIs(t, verifyErr(v, fmt.Sprint(i)), postern.ErrInvalidToken)
		}
		require.Zero(t, v.Stats().InactiveBursts)
		for i := range 91 {
			require.ErrorIs(t, verifyErr(v, fmt.Sprint(9+i)), postern.ErrInvalidToken, "the verdict stands")
		}
		require.Equal(t, uint64(100), v.Stats().TurnedInactive)
		require.Equal(t, uint64(10), v.Stats().InactiveBursts)
		require.Equal(t, 1, strings.Count(log.String(), "level=WARN"), log.String())
	})
}

// However many were renewed just before.
func TestABurstIsSeenWhenItBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: active}
		v := newVerifier(t, s)
		for i := range 1020 {
			require.NoError(t, verifyErr(v, fmt.Sprint(i)))
		}
		time.Sleep(time.Minute)
		for i := range 1000 {
			require.NoError(t, verifyErr(v, fmt.Sprint(i)))
		}
		s.say(inactive)
		for i := range burstSize {
			require.Zero(t, v.Stats().InactiveBursts)
			require.ErrorIs(t, verifyErr(v, fmt.Sprint(1000+i)), postern.ErrInvalidToken)
		}
		require.Equal(t, uint64(1), v.Stats().InactiveBursts)
		for i := range burstSize {
			time.Sleep(burstWindow/(burstSize-1) + 1)
			require.ErrorIs(t, verifyErr(v, fmt.Sprint(1000+burstSize+i)), postern.ErrInvalidToken)
		}
		require.Equal(t, uint64(1), v.Stats().InactiveBursts, "ten in more than ten seconds")
	})
}

func TestRevocationsAmongManyRenewalsAreNoBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: active}
		v := newVerifier(t, s)
		for i := range 100 {
			require.NoError(t, verifyErr(v, fmt.Sprint(i)))
		}
		time.Sleep(time.Minute)
		s.say(func(r *http.Request) (int, string) {
			if strings.HasSuffix(r.PostForm.Get("token"), "5") || strings.HasSuffix(r.PostForm.Get("token"), "7") {
				return inactive(r)
			}
			return active(r)
		})
		for i := range 100 {
			_ = verifyErr(v, fmt.Sprint(i))
		}
		require.Equal(t, uint64(20), v.Stats().TurnedInactive)
		require.Zero(t, v.Stats().InactiveBursts)
	})
}
