package localjwt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
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

// signedBy makes a good token of the key with that id.
func signedBy(kid string) string {
	return signWith(object{"alg": "RS256", "kid": kid, "typ": "JWT"}, good(), rsaKey)
}

func rs256(kid string) object { return object{"alg": "RS256", "kid": kid, "typ": "JWT"} }

func refuses(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") }

// drill runs in a bubble of time with a verifier of an issuer that publishes the RSA key as "one".
func drill(t *testing.T, run func(t *testing.T, i *issuer, v *Verifier)) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer()
		publishKeys(i, jwk("one", "RS256", rsaKey.Public()))
		run(t, i, i.verifier(t))
		time.Sleep(time.Minute) // whatever is under way ends
		assert.Empty(t, i.others)
	})
}

func accepts(t *testing.T, v postern.Verifier, token string) {
	t.Helper()
	id, err := v.Verify(t.Context(), token)
	require.NoError(t, err)
	require.Equal(t, "400709194509978662", id.Subject())
}

func refusesToken(t *testing.T, v postern.Verifier, token string) {
	t.Helper()
	id, err := v.Verify(t.Context(), token)
	require.ErrorIs(t, err, postern.ErrInvalidToken)
	require.Nil(t, id)
}

// renewed has a good token start a renewal of the key set that is due, and waits for its end.
func renewed(t *testing.T, i *issuer, v *Verifier, token string) {
	t.Helper()
	i.take(time.Second) // or the new set might be there before the token is looked at
	accepts(t, v, token)
	time.Sleep(2 * time.Second)
	i.take(0)
}

// The key set is fetched in a goroutine of this package, where nobody but it can recover.
func TestATransportThatPanicsIsUnavailable(t *testing.T) {
	drill(t, func(t *testing.T, i *issuer, v *Verifier) {
		i.misbehave(func(*http.Request) (*http.Response, error) { panic("hunter2") })
		_, err := v.Verify(t.Context(), signedBy("one"))
		require.ErrorIs(t, err, postern.ErrUnavailable)
		require.NotContains(t, err.Error(), "hunter2")
		i.misbehave(nil)
		time.Sleep(time.Minute)
		accepts(t, v, signedBy("one"))
	})
}

func TestNewDoesNoIO(t *testing.T) {
	drill(t, func(t *testing.T, i *issuer, v *Verifier) {
		assert.Zero(t, i.asked())
		accepts(t, v, signedBy("one"))
		assert.Equal(t, 1, i.asked(), "keys are fetched on first use")
	})
}

func TestATokenForOthersCausesNoFetch(t *testing.T) {
	drill(t, func(t *testing.T, i *issuer, v *Verifier) {
		for _, changes := range []object{{"iss": "https://evil.example.com"}, {"aud": "999"}, {"exp": 1}, {"at_hash": "x"}, {"jti": nil}} {
			refusesToken(t, v, signWith(rs256("one"), with(good(), changes), rsaKey))
		}
		refusesToken(t, v, signWith(object{"alg": "none", "kid": "one", "typ": "JWT"}, good(), rsaKey))
		assert.Zero(t, i.asked())
	})
}

func TestManyFirstRequestsShareOneFetch(t *testing.T) {
	drill(t, func(t *testing.T, i *issuer, v *Verifier) {
		release := make(chan struct{})
		i.misbehave(func(r *http.Request) (*http.Response, error) {
			<-release
			return answerJSON(r, "", object{"keys": []any{jwk("one", "RS256", rsaKey.Public())}})
		})
		var wg sync.WaitGroup
		for n := range 100 {
			wg.Go(func() {
				accepts(t, v, signWith(rs256("one"), with(good(), object{"jti": fmt.Sprint(n)}), rsaKey))
			})
		}
		synctest.Wait()
		close(release)
		wg.Wait()
		assert.Equal(t, 1, i.asked())
	})
}

func TestKeysAreRefreshedInTheBackgroundAsCacheControlSays(t *testing.T) {
	drill(t, func(t *testing.T, i *issuer, v *Verifier) {
		token := signedBy("one")
		accepts(t, v, token)
		time.Sleep(4*time.Minute - 1) // four fifths of 300 s
		accepts(t, v, token)
		synctest.Wait()
		assert.Equal(t, 1, i.asked())
		time.Sleep(time.Nanosecond)
		i.misbehave(func(r *http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return answerJSON(r, "max-age=300", object{"keys": []any{jwk("one", "RS256", rsaKey.Public())}})
		})
		start := time.Now()
		accepts(t, v, token)
		assert.Zero(t, time.Since(start), "no request waits")
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Equal(t, 2, i.asked(), "a request with a remembered token starts the fetch")
	})
}

func TestKeysAgeIsBounded(t *testing.T) {
	assert.Equal(t, 10*time.Minute, keysAge([]string{"public", "max-age=600"}), "in two lines")
	for header, want := range map[string]time.Duration{
		"":                                 5 * time.Minute,
		"must-revalidate":                  5 * time.Minute,
		"max-age=300, must-revalidate":     5 * time.Minute,
		"max-age=600":                      10 * time.Minute,
		`Max-Age="600"`:                    10 * time.Minute,
		"max-age=0":                        time.Minute,
		"max-age=59":                       time.Minute,
		"max-age=3601":                     time.Hour,
		"max-age=99999999999999999999":     time.Hour,
		"max-age=-1":                       5 * time.Minute,
		"max-age=x":                        5 * time.Minute,
		"no-store":                         time.Minute,
		"no-cache, max-age=3600":           time.Minute,
		"public, max-age=1200, s-maxage=1": 20 * time.Minute,
	} {
		assert.Equal(t, want, keysAge([]string{header}), header)
	}
}

func TestOneWhoComesLateWaitsForFreshKeys(t *testing.T) {
	drill(t, func(t *testing.T, i *issuer, v *Verifier) {
		token := signedBy("one")
		accepts(t, v, token)
		time.Sleep(6 * time.Hour)
		publishKeys(i, jwk("two", "RS256", otherRSA.Public()))
		refusesToken(t, v, token)
		assert.Equal(t, 2, i.asked(), "the key went while nobody asked")
	})
}

func TestOneWhoComesLateIsNotRefusedInAnOutage(t *testing.T) {
	drill(t, func(t *testing.T, i *issuer, v *Verifier) {
		token := signedBy("one")
		accepts(t, v, token)
		time.Sleep(6 * time.Hour)
		i.misbehave(refuses)
		accepts(t, v, token)
	})
}

func TestOneWhoComesLateAfterAnOutageWaitsForFreshKeys(t *testing.T) {
	drill(t, func(t *testing.T, i *issuer, v *Verifier) {
		token := signedBy("one")
		accepts(t, v, token)
		i.misbehave(refuses)
		time.Sleep(5 * time.Minute)
		accepts(t, v, token)
		i.misbehave(nil)
		publishKeys(i, jwk("two", "RS256", otherRSA.Public()))
		time.Sleep(time.Hour)
		refusesToken(t, v, token)
	})
}

func TestAKeyThatIsGoneEndsItsTokens(t *testing.T) {
	drill(t, func(t *testing.T, i *issuer, v *Verifier) {
		token := signedBy("one")
		accepts(t, v, token)
		publishKeys(i, jwk("two", "RS256", otherRSA.Public()))
		time.Sleep(4 * time.Minute)
		renewed(t, i, v, token)
		refusesToken(t, v, token)
	})
}

func TestAKeyThatIsGoneAfterAWhileEndsItsTokens(t *testing.T) {
	drill(t, func(t *testing.T, i *issuer, v *Verifier) {
		token := signedBy("one")
		for range 5 {
			accepts(t, v, token)
			synctest.Wait()
			time.Sleep(4 * time.Minute)
		}
		publishKeys(i, jwk("two", "RS256", otherRSA.Public()))
		renewed(t, i, v, token)
		refusesToken(t, v, token)
	})
}

func TestAKeyThatComesBackIsGoodAgain(t *testing.T) {
	drill(t, func(t *testing.T, i *issuer, v *Verifier) {
		token := signedBy("one")
		first := must(v.Verify(t.Context(), token))
		publishKeys(i, jwk("two", "RS256", otherRSA.Public()))
		time.Sleep(5 * time.Minute)
		refusesToken(t, v, token)
		publishKeys(i, jwk("one", "RS256", rsaKey.Public()))
		time.Sleep(5 * time.Minute)
		again := must(v.Verify(t.Context(), token))
		assert.NotSame(t, first, again)
		assert.Same(t, again, must(v.Verify(t.Context(), token)), "and its tokens are remembered")
	})
}

func TestAKeyThatChangedUnderItsKidEndsItsTokens(t *testing.T) {
	drill(t, func(t *testing.T, i *issuer, v *Verifier) {
		token := signedBy("one")
		accepts(t, v, token)
		publishKeys(i, jwk("one", "RS256", otherRSA.Public()))
		time.Sleep(4 * time.Minute)
		renewed(t, i, v, token)
		refusesToken(t, v, token)
	})
}

func TestAKeyThatChangedItsAlgorithmEndsItsTokens(t *testing.T) {
	drill(t, func(t *testing.T, i *issuer, v *Verifier) {
		token := signedBy("one")
		accepts(t, v, token)
		publishKeys(i, jwk("one", "PS256", rsaKey.Public()))
		time.Sleep(4 * time.Minute)
		renewed(t, i, v, token)
		refusesToken(t, v, token)
	})
}

func TestRotationRefusesNoRequest(t *testing.T) {
	drill(t, func(t *testing.T, i *issuer, v *Verifier) {
		before := signedBy("one")
		accepts(t, v, before)
		time.Sleep(20 * time.Second)
		// The issuer signs with a new key the moment it publishes it, and a hundred requests come with new tokens at once.
		publishKeys(i, jwk("one", "RS256", rsaKey.Public()), jwk("two", "RS256", otherRSA.Public()))
		var wg sync.WaitGroup
		for n := range 100 {
			wg.Go(func() {
				accepts(t, v, signWith(rs256("two"), with(good(), object{"jti": fmt.Sprint(n)}), otherRSA))
			})
		}
		wg.Wait()
		accepts(t, v, before)
		assert.Equal(t, 2, i.asked())
	})
}

func TestUnknownKidsCauseOneFetchInTenSeconds(t *testing.T) {
	drill(t, func(t *testing.T, i *issuer, v *Verifier) {
		accepts(t, v, signedBy("one"))
		start, n := time.Now(), 0
		for time.Since(start) < time.Minute { // ten a second for a minute, and nobody waits for the one before
			go func(kid string) { _, _ = v.Verify(t.Context(), signedBy(kid)) }(fmt.Sprint("invented", n))
			n++
			time.Sleep(100 * time.Millisecond)
		}
		assert.LessOrEqual(t, i.asked(), 1+6)
		assert.GreaterOrEqual(t, i.asked(), 1+5, "they do cause fetches")
		time.Sleep(time.Minute)
	})
}

func TestANewKeyIsFoundAmidInventedOnes(t *testing.T) {
	drill(t, func(t *testing.T, i *issuer, v *Verifier) {
		accepts(t, v, signedBy("one"))
		time.Sleep(20 * time.Second)
		ctx, stop := context.WithCancel(t.Context())
		go func() {
			for n := 0; ctx.Err() == nil; n++ {
				go func() { _, _ = v.Verify(ctx, signedBy(fmt.Sprint("invented", n))) }()
				time.Sleep(100 * time.Millisecond)
			}
		}()
		time.Sleep(3 * time.Second) // a fetch has just been made on account of the invented ones
		publishKeys(i, jwk("one", "RS256", rsaKey.Public()), jwk("two", "RS256", otherRSA.Public()))
		start := time.Now()
		accepts(t, v, signWith(rs256("two"), good(), otherRSA))
		assert.LessOrEqual(t, time.Since(start), 10*time.Second)
		stop()
	})
}

func TestAKidThatWasLookedForIsRefusedWithoutWaiting(t *testing.T) {
	drill(t, func(t *testing.T, i *issuer, v *Verifier) {
		accepts(t, v, signedBy("one"))
		time.Sleep(20 * time.Second)
		old := signedBy("retired")
		refusesToken(t, v, old)
		assert.Equal(t, 2, i.asked())
		time.Sleep(5 * time.Second)
		start := time.Now()
		refusesToken(t, v, old)
		assert.Zero(t, time.Since(start))
		assert.Equal(t, 2, i.asked())
		time.Sleep(5 * time.Second)
		refusesToken(t, v, old)
		assert.Equal(t, 3, i.asked(), "after ten seconds it is looked for again")
	})
}

func TestAKeyPublishedWhileTheSetIsFetchedIsFound(t *testing.T) {
	drill(t, func(t *testing.T, i *issuer, v *Verifier) {
		accepts(t, v, signedBy("one"))
		time.Sleep(time.Minute)
		// The answer leaves the issuer before the new key is there, and arrives after a token of that key.
		i.misbehave(func(r *http.Request) (*http.Response, error) {
			time.Sleep(2 * time.Second)
			i.misbehave(nil)
			return answerJSON(r, "", object{"keys": []any{jwk("one", "RS256", rsaKey.Public())}})
		})
		go func() { _, _ = v.Verify(t.Context(), signedBy("invented")) }()
		time.Sleep(time.Second)
		publishKeys(i, jwk("one", "RS256", rsaKey.Public()), jwk("two", "RS256", otherRSA.Public()))
		accepts(t, v, signWith(rs256("two"), good(), otherRSA))
		assert.Equal(t, 3, i.asked())
	})
}

func TestWaitersAreBounded(t *testing.T) {
	drill(t, func(t *testing.T, i *issuer, v *Verifier) {
		accepts(t, v, signedBy("one"))
		i.misbehave(func(r *http.Request) (*http.Response, error) {
			time.Sleep(5 * time.Second)
			return answerJSON(r, "", object{"keys": []any{jwk("one", "RS256", rsaKey.Public())}})
		})
		time.Sleep(time.Second)
		var wg sync.WaitGroup
		for n := range maxWaiting {
			wg.Go(func() { refusesToken(t, v, signedBy(fmt.Sprint("invented", n))) })
		}
		synctest.Wait()
		start := time.Now()
		_, err := v.Verify(t.Context(), signedBy("one too many"))
		require.ErrorIs(t, err, postern.ErrUnavailable)
		assert.Zero(t, time.Since(start))
		wg.Wait()
		assert.Zero(t, v.keys.waiting)
		assert.Len(t, v.keys.missed, maxWaiting)
		time.Sleep(searchPause)
		for n := range 2 { // both while the next set is on its way
			wg.Go(func() { refusesToken(t, v, signedBy(fmt.Sprint("another", n))) })
		}
		wg.Wait()
		assert.Len(t, v.keys.missed, maxWaiting)
		i.misbehave(nil)
		publishKeys(i, jwk("one", "RS256", rsaKey.Public()), jwk("one too many", "RS256", rsaKey.Public()))
		time.Sleep(searchPause)
		accepts(t, v, signedBy("one too many"))
	})
}

// Whoever waits has a reason to: a new key. One who sends a token of one unknown key after the other soon waits no more, and holds
// nobody's connection.
func TestInventedKidsAreRefusedWithoutWaiting(t *testing.T) {
	drill(t, func(t *testing.T, i *issuer, v *Verifier) {
		accepts(t, v, signedBy("one"))
		for n := range 3 {
			time.Sleep(time.Second)
			refusesToken(t, v, signedBy(fmt.Sprint("invented", n)))
		}
		start, calls := time.Now(), i.asked()
		for n := range 100 {
			time.Sleep(time.Millisecond)
			refusesToken(t, v, signedBy(fmt.Sprint("another", n)))
		}
		assert.Equal(t, 100*time.Millisecond, time.Since(start), "nobody waits")
		assert.Equal(t, calls, i.asked())

		publishKeys(i, jwk("one", "RS256", rsaKey.Public()), jwk("two", "RS256", rsaKey.Public()))
		time.Sleep(searchPause)
		accepts(t, v, signedBy("two"))
		publishKeys(i, jwk("three", "RS256", rsaKey.Public()))
		time.Sleep(time.Second)
		start = time.Now()
		accepts(t, v, signedBy("three"))
		assert.Equal(t, searchPause-time.Second, time.Since(start), "since a new key came, waiting is worth it again")
	})
}

func TestKidsThatWereInventedAreForgotten(t *testing.T) {
	drill(t, func(t *testing.T, i *issuer, v *Verifier) {
		accepts(t, v, signedBy("one"))
		for n := range 6 {
			time.Sleep(time.Millisecond)
			refusesToken(t, v, signedBy(fmt.Sprint("invented", n)))
		}
		time.Sleep(time.Minute)
		refusesToken(t, v, signedBy("retired"))
		publishKeys(i, jwk("two", "RS256", rsaKey.Public()))
		time.Sleep(time.Second)
		accepts(t, v, signedBy("two"))
	})
}

func TestATokenThatEndsWhileItsKeyIsFetchedIsRefused(t *testing.T) {
	drill(t, func(t *testing.T, i *issuer, v *Verifier) {
		accepts(t, v, signedBy("one"))
		i.misbehave(func(r *http.Request) (*http.Response, error) {
			time.Sleep(5 * time.Second)
			return answerJSON(r, "", object{"keys": []any{jwk("two", "RS256", rsaKey.Public())}})
		})
		time.Sleep(time.Second)
		_, err := v.Verify(t.Context(), signWith(rs256("two"), with(good(), object{"exp": time.Now().Unix() - 27}), rsaKey))
		require.ErrorIs(t, err, postern.ErrInvalidToken)
		require.ErrorContains(t, err, "expired at")
	})
}

// The issuer signs with one new key after the other, each the moment it publishes it.
func TestRotationRefusesNoRequestHoweverSoonAfterAFetch(t *testing.T) {
	drill(t, func(t *testing.T, i *issuer, v *Verifier) {
		accepts(t, v, signedBy("one"))
		time.Sleep(time.Millisecond)
		publishKeys(i, jwk("two", "RS256", rsaKey.Public()))
		start := time.Now()
		accepts(t, v, signedBy("two"))
		assert.Zero(t, time.Since(start), "the fetch before was on nobody's account")
		time.Sleep(time.Millisecond)
		publishKeys(i, jwk("three", "RS256", rsaKey.Public()))
		accepts(t, v, signedBy("three"))
		assert.Equal(t, searchPause, time.Since(start))
		assert.Equal(t, 3, i.asked())
	})
}

func TestAWaiterLeavesWithItsContext(t *testing.T) {
	drill(t, func(t *testing.T, i *issuer, v *Verifier) {
		accepts(t, v, signedBy("one"))
		i.misbehave(func(r *http.Request) (*http.Response, error) {
			time.Sleep(5 * time.Second)
			return answerJSON(r, "", object{"keys": []any{jwk("one", "RS256", rsaKey.Public()), jwk("two", "RS256", rsaKey.Public())}})
		})
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		_, err := v.Verify(ctx, signedBy("two"))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, postern.ErrInvalidToken)
		require.NotErrorIs(t, err, postern.ErrUnavailable)
		accepts(t, v, signedBy("two"))
		assert.Equal(t, 2, i.asked(), "the fetch goes on for the others")
	})
}

func TestOneWhoIsGoneCausesNoFetch(t *testing.T) {
	drill(t, func(t *testing.T, i *issuer, v *Verifier) {
		accepts(t, v, signedBy("one"))
		time.Sleep(time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := v.Verify(ctx, signedBy("two"))
		require.ErrorIs(t, err, context.Canceled)
		synctest.Wait()
		assert.Equal(t, 1, i.asked())
	})
}

func TestOldKeysStayThroughAnOutageForADay(t *testing.T) {
	for fault, answer := range map[string]func(*http.Request) (*http.Response, error){
		"no connection": refuses,
		"500":           func(r *http.Request) (*http.Response, error) { return answerText(r, 500, "", `{}`), nil },
		"429":           func(r *http.Request) (*http.Response, error) { return answerText(r, 429, "", `{}`), nil },
		"404":           func(r *http.Request) (*http.Response, error) { return answerText(r, 404, "", `{}`), nil },
		"no JSON":       func(r *http.Request) (*http.Response, error) { return answerText(r, 200, "", `<html>`), nil },
		"no keys":       func(r *http.Request) (*http.Response, error) { return answerText(r, 200, "", `{"keys":[]}`), nil },
		"only keys that do not fit": func(r *http.Request) (*http.Response, error) {
			return answerJSON(r, "", object{"keys": []any{object{"kty": "oct", "kid": "one", "k": "c2VjcmV0"}}})
		},
		"too long": func(r *http.Request) (*http.Response, error) {
			return answerText(r, 200, "", `{"keys":[],"x":"`+strings.Repeat("x", maxKeySet)+`"}`), nil
		},
		"a redirect": func(r *http.Request) (*http.Response, error) {
			resp := answerText(r, 302, "", ``)
			resp.Header.Set("Location", "https://evil.example.com/keys")
			return resp, nil
		},
		"silence": func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() },
	} {
		t.Run(fault, func(t *testing.T) {
			drill(t, func(t *testing.T, i *issuer, v *Verifier) {
				begin := time.Now()
				long := signWith(rs256("one"), with(good(), object{"exp": time.Now().Add(48 * time.Hour).Unix()}), rsaKey)
				accepts(t, v, long)
				i.misbehave(answer)
				calls := i.asked()
				time.Sleep(4 * time.Minute)
				accepts(t, v, long) // finds out about the outage
				for time.Since(begin) < 24*time.Hour-15*time.Minute {
					time.Sleep(12 * time.Minute)
					start := time.Now()
					accepts(t, v, long)
					if time.Since(begin)%time.Hour == 4*time.Minute {
						accepts(t, v, signWith(rs256("one"), with(good(), object{"jti": "fresh"}), rsaKey))
					}
					assert.Zero(t, time.Since(start), "nobody waits for a server that is down")
				}
				assert.LessOrEqual(t, i.asked()-calls, 4*(24*60/12+1), "at most a fetch, with its retries, a request")
				time.Sleep(16 * time.Minute)
				_, err := v.Verify(t.Context(), long)
				require.ErrorIs(t, err, postern.ErrUnavailable, "after a day the keys serve no more")
				require.NotErrorIs(t, err, postern.ErrInvalidToken)
				i.misbehave(nil)
				time.Sleep(time.Minute)
				accepts(t, v, long)
			})
		})
	}
}

func TestKeysServeADayAndNotAMomentLonger(t *testing.T) {
	drill(t, func(t *testing.T, i *issuer, v *Verifier) {
		token := signWith(rs256("one"), with(good(), object{"exp": time.Now().Add(48 * time.Hour).Unix()}), rsaKey)
		accepts(t, v, token)
		begin := time.Now()
		i.misbehave(refuses)
		time.Sleep(time.Hour)
		remembered := signWith(rs256("one"), with(good(), object{"exp": time.Now().Add(48 * time.Hour).Unix()}), rsaKey)
		accepts(t, v, remembered)
		time.Sleep(23*time.Hour - 5*time.Second)
		accepts(t, v, token)
		time.Sleep(time.Until(begin.Add(24 * time.Hour)))
		for _, token := range []string{token, remembered} {
			_, err := v.Verify(t.Context(), token)
			require.ErrorIs(t, err, postern.ErrUnavailable)
		}
	})
}

func TestARequestDuringAnOutageIsUnavailableNotInvalid(t *testing.T) {
	drill(t, func(t *testing.T, i *issuer, v *Verifier) {
		i.misbehave(refuses)
		_, err := v.Verify(t.Context(), signedBy("one"))
		require.ErrorIs(t, err, postern.ErrUnavailable)
		calls := i.asked()
		_, err = v.Verify(t.Context(), signedBy("one"))
		require.ErrorIs(t, err, postern.ErrUnavailable)
		assert.Equal(t, calls, i.asked(), "a failed fetch is not repeated within a second")
		i.misbehave(nil)
		time.Sleep(time.Second)
		accepts(t, v, signedBy("one"))
		time.Sleep(time.Minute)
		refusesToken(t, v, signedBy("retired"))

		i.misbehave(refuses)
		time.Sleep(20 * time.Second)
		_, err = v.Verify(t.Context(), signedBy("two"))
		require.ErrorIs(t, err, postern.ErrUnavailable, "whether there is such a key could not be found out")
		start, calls := time.Now(), i.asked()
		for _, kid := range []string{"three", "retired"} {
			_, err = v.Verify(t.Context(), signedBy(kid))
			require.ErrorIs(t, err, postern.ErrUnavailable)
		}
		assert.Zero(t, time.Since(start), "nor does anybody wait for it")
		assert.Equal(t, calls, i.asked())
	})
}

// Whoever asks errors.Is(err, context.DeadlineExceeded) asks about a deadline of their own.
func TestAnIssuerThatIsSilentIsUnavailableAndNoEndOfTheContext(t *testing.T) {
	drill(t, func(t *testing.T, i *issuer, v *Verifier) {
		i.misbehave(func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() })
		_, err := v.Verify(t.Context(), signedBy("one"))
		require.ErrorIs(t, err, postern.ErrUnavailable)
		require.NotErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "within 10s")
	})
}

func TestAnOutageIsLoggedOnceAndItsEndToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		i := newIssuer()
		v := i.verifier(t, func(cfg *Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		token := sign(nil)
		accepts(t, v, token)
		i.misbehave(refuses)
		for range 60 {
			time.Sleep(time.Minute)
			accepts(t, v, token)
		}
		i.misbehave(nil)
		time.Sleep(time.Minute)
		accepts(t, v, token)
		synctest.Wait()
		assert.Equal(t, 1, strings.Count(log.String(), "cannot be fetched"))
		assert.Equal(t, 1, strings.Count(log.String(), "can be fetched again"))
		assert.NotContains(t, log.String(), token)
	})
}

func TestKeysOfAnotherOriginAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer()
		elsewhere := roundTripper(func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "openid-configuration") {
				return answerJSON(r, "", object{"issuer": testIssuer, "jwks_uri": "https://evil.example.com/keys"})
			}
			return i.RoundTrip(r)
		})
		v := i.verifier(t, func(cfg *Config) { cfg.HTTPClient = &http.Client{Transport: elsewhere} })
		_, err := v.Verify(t.Context(), sign(nil))
		require.ErrorIs(t, err, postern.ErrUnavailable)
		require.ErrorContains(t, err, "JWKSURL")
		assert.Empty(t, i.others)

		v = i.verifier(t, func(cfg *Config) {
			cfg.HTTPClient = &http.Client{Transport: elsewhere}
			cfg.JWKSURL = testIssuer + "/oauth/v2/keys"
		})
		accepts(t, v, sign(nil))
	})
}

func TestARedirectIsNotFollowed(t *testing.T) {
	drill(t, func(t *testing.T, i *issuer, v *Verifier) {
		i.misbehave(func(r *http.Request) (*http.Response, error) {
			resp := answerText(r, 307, "", ``)
			resp.Header.Set("Location", "https://evil.example.com/keys")
			return resp, nil
		})
		_, err := v.Verify(t.Context(), signedBy("one"))
		require.ErrorIs(t, err, postern.ErrUnavailable)
		assert.Empty(t, i.others)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
