package localjwt

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/introspect"
)

var _ introspect.Evictor = (*Verifier)(nil)
var _ introspect.Evictor = (*Issuers)(nil)

// combined runs in a bubble of time with a verifier that has an introspector, which calls every token active until told
// otherwise.
func combined(t *testing.T, recheck time.Duration, run func(t *testing.T, i *issuer, in *introspector, v *Verifier)) {
	synctest.Test(t, func(t *testing.T) {
		i, in := newIssuer(), &introspector{answer: active}
		run(t, i, in, i.verifier(t, func(cfg *Config) { cfg.Introspection, cfg.Recheck = in, recheck }))
		time.Sleep(time.Minute)
	})
}

// username tells who answered: only introspection knows it.
func username(t *testing.T, v postern.Verifier, token string) string {
	t.Helper()
	id, err := v.Verify(t.Context(), token)
	require.NoError(t, err)
	return id.Username()
}

func TestOpaqueTokensAreIntrospected(t *testing.T) {
	combined(t, 0, func(t *testing.T, i *issuer, in *introspector, v *Verifier) {
		for _, token := range []string{"", "pat", "a.b", "a.b.c.d", "a.b.c.d.e", "...."} {
			assert.Equal(t, "bot@acme", username(t, v, token))
		}
		assert.Equal(t, []string{"", "pat", "a.b", "a.b.c.d", "a.b.c.d.e", "...."}, in.asked)
		assert.Zero(t, i.asked())
		in.will(inactive)
		refusesToken(t, v, "pat")
		in.will(down)
		_, err := v.Verify(t.Context(), "pat")
		require.ErrorIs(t, err, postern.ErrUnavailable)
	})
}

// A recheck runs in a goroutine of this package, and Introspection may be anybody's.
func TestARecheckThatPanicsChangesNothing(t *testing.T) {
	combined(t, time.Minute, func(t *testing.T, i *issuer, in *introspector, v *Verifier) {
		in.will(func(context.Context, string) (*postern.Identity, error) { panic("hunter2") })
		token := sign(nil)
		for range 3 {
			assert.Empty(t, username(t, v, token))
			synctest.Wait()
			time.Sleep(time.Minute)
		}
		assert.Equal(t, 3, in.calls())
	})
}

func TestJWTsAreNotIntrospected(t *testing.T) {
	combined(t, 0, func(t *testing.T, i *issuer, in *introspector, v *Verifier) {
		token := sign(nil)
		for range 100 {
			assert.Empty(t, username(t, v, token))
			time.Sleep(time.Minute)
		}
		assert.Zero(t, in.calls())
	})
}

func TestAJWTThatIsRefusedCostsNoCall(t *testing.T) {
	combined(t, time.Minute, func(t *testing.T, i *issuer, in *introspector, v *Verifier) {
		for _, a := range attacks() {
			if isJWT(a.token) {
				_, err := v.Verify(t.Context(), a.token)
				require.ErrorIs(t, err, postern.ErrInvalidToken, a.rule)
			}
		}
		assert.Zero(t, in.calls())
	})
}

func TestAJWTIsRecheckedInTheBackgroundOncePerInterval(t *testing.T) {
	combined(t, time.Minute, func(t *testing.T, i *issuer, in *introspector, v *Verifier) {
		in.will(func(ctx context.Context, token string) (*postern.Identity, error) {
			time.Sleep(5 * time.Second)
			return active(ctx, token)
		})
		token := sign(nil)
		start := time.Now()
		for range 20 * 60 {
			before := time.Now()
			accepts(t, v, token)
			assert.Equal(t, before, time.Now(), "no request waits")
			time.Sleep(time.Second)
		}
		assert.Equal(t, 20*time.Minute, time.Since(start))
		assert.Equal(t, 20, in.calls())
	})
}

func TestManyRequestsWithANewJWTCauseOneRecheck(t *testing.T) {
	for name, row := range map[string]struct {
		answer func(context.Context, string) (*postern.Identity, error)
		after  time.Duration
	}{
		"active": {active, 5 * time.Second}, "outage": {down, 5 * time.Second},
		"active at once": {active, 0}, "outage at once": {down, 0}, // the first may be done before the last request is verified
	} {
		t.Run(name, func(t *testing.T) {
			combined(t, time.Minute, func(t *testing.T, i *issuer, in *introspector, v *Verifier) {
				in.will(func(ctx context.Context, token string) (*postern.Identity, error) {
					time.Sleep(row.after)
					return row.answer(ctx, token)
				})
				token := sign(nil)
				var wg sync.WaitGroup
				for range 100 {
					wg.Go(func() { accepts(t, v, token) })
				}
				wg.Wait()
				time.Sleep(10 * time.Second)
				assert.Equal(t, 1, in.calls())
				for range 60 {
					accepts(t, v, token)
					time.Sleep(time.Second)
				}
				assert.Equal(t, 2, in.calls(), "and one an interval from then on")
			})
		})
	}
}

func TestAJWTIsNotRecheckedWhileItIs(t *testing.T) {
	combined(t, time.Second, func(t *testing.T, i *issuer, in *introspector, v *Verifier) {
		in.will(func(ctx context.Context, token string) (*postern.Identity, error) {
			time.Sleep(5 * time.Second)
			return active(ctx, token)
		})
		token := sign(nil)
		for range 200 {
			accepts(t, v, token)
			time.Sleep(100 * time.Millisecond)
		}
		assert.LessOrEqual(t, in.calls(), 4)
	})
}

// introspect takes tokens as long as those that are verified here; else a recheck would call a long one invalid.
func TestALongJWTIsGoodAfterItsRecheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		in, err := introspect.New(introspect.Config{
			Issuer: testIssuer, Auth: introspect.Basic("api", "secret"), IntrospectionURL: testIssuer + "/introspect",
			HTTPClient: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				asked.Add(1)
				return answerJSON(r, "no-store", object{"active": true, "sub": "400709194509978662"})
			})},
		})
		require.NoError(t, err)
		v := newIssuer().verifier(t, func(cfg *Config) { cfg.Introspection, cfg.Recheck = in, time.Minute })
		token := sign(object{"x": strings.Repeat("x", 11_000)})
		require.Greater(t, len(token), 15_000)
		for range 3 {
			accepts(t, v, token)
			time.Sleep(time.Minute)
		}
		assert.EqualValues(t, 3, asked.Load())
	})
}

func TestARevokedJWTIsRefusedWithinTheInterval(t *testing.T) {
	combined(t, time.Minute, func(t *testing.T, i *issuer, in *introspector, v *Verifier) {
		token := sign(nil)
		accepts(t, v, token)
		time.Sleep(10 * time.Second)
		in.will(inactive)
		revoked := time.Now()
		for {
			_, err := v.Verify(t.Context(), token)
			if err != nil {
				require.ErrorIs(t, err, postern.ErrInvalidToken)
				break
			}
			time.Sleep(time.Second)
		}
		assert.LessOrEqual(t, time.Since(revoked), time.Minute)
		for range 100 {
			refusesToken(t, v, token)
			time.Sleep(time.Minute)
		}
	})
}

func TestAJWTUsedSeldomIsLetInOnceAfterItsRevocation(t *testing.T) {
	combined(t, time.Minute, func(t *testing.T, i *issuer, in *introspector, v *Verifier) {
		token := sign(nil)
		in.will(inactive)
		accepts(t, v, token) // never asked about before
		synctest.Wait()
		refusesToken(t, v, token)
	})
}

func TestAJWTCalledInactiveByMistakeIsGoodAgain(t *testing.T) {
	combined(t, time.Minute, func(t *testing.T, i *issuer, in *introspector, v *Verifier) {
		token := sign(nil)
		in.will(inactive) // as ZITADEL says while its database fails
		accepts(t, v, token)
		synctest.Wait()
		refusesToken(t, v, token)
		time.Sleep(time.Second)
		in.will(active)
		assert.Equal(t, "bot@acme", username(t, v, token))
		calls := in.calls()
		for range 10 {
			accepts(t, v, token)
		}
		assert.Equal(t, calls, in.calls(), "and remembered again")
	})
}

func TestARecheckThatGetsNoAnswerChangesNothing(t *testing.T) {
	for name, answer := range map[string]func(context.Context, string) (*postern.Identity, error){
		"outage": down,
		"stale": func(ctx context.Context, token string) (*postern.Identity, error) {
			id, err := active(ctx, token)
			return id.AsStale(), err
		},
		"silence": func(ctx context.Context, _ string) (*postern.Identity, error) { <-ctx.Done(); return nil, ctx.Err() },
	} {
		t.Run(name, func(t *testing.T) {
			combined(t, time.Minute, func(t *testing.T, i *issuer, in *introspector, v *Verifier) {
				in.will(answer)
				token := sign(nil)
				first := must(v.Verify(t.Context(), token))
				for range 60 {
					time.Sleep(30 * time.Second)
					assert.Same(t, first, must(v.Verify(t.Context(), token)))
				}
				assert.GreaterOrEqual(t, in.calls(), 30)
				assert.LessOrEqual(t, in.calls(), 31)
			})
		})
	}
}

func TestWhatARecheckSaysIsTheIdentityFromThenOn(t *testing.T) {
	combined(t, time.Minute, func(t *testing.T, i *issuer, in *introspector, v *Verifier) {
		token := sign(nil)
		id := must(v.Verify(t.Context(), token))
		assert.True(t, id.HasRole("admin"), "as the token says")
		synctest.Wait()
		id = must(v.Verify(t.Context(), token))
		assert.False(t, id.HasRole("admin"), "the role was taken since the token was issued")
		assert.Equal(t, "bot@acme", id.Username())
	})
}

func TestARecheckAsksTheServerNotTheCache(t *testing.T) {
	combined(t, time.Minute, func(t *testing.T, i *issuer, in *introspector, v *Verifier) {
		token := sign(nil)
		accepts(t, v, token)
		synctest.Wait()
		assert.Equal(t, []string{"token " + token}, in.evicted)
	})
}

func TestRechecksAreBounded(t *testing.T) {
	combined(t, time.Minute, func(t *testing.T, i *issuer, in *introspector, v *Verifier) {
		var mu sync.Mutex
		var running, most int
		in.will(func(ctx context.Context, token string) (*postern.Identity, error) {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			running--
			mu.Unlock()
			return active(ctx, token)
		})
		tokens := make([]string, 4*maxRechecks)
		for n := range tokens {
			tokens[n] = sign(object{"jti": fmt.Sprint(n)})
		}
		for range 4 {
			for _, token := range tokens {
				accepts(t, v, token)
			}
			time.Sleep(time.Second)
			synctest.Wait()
		}
		assert.Equal(t, maxRechecks, most)
		assert.Equal(t, len(tokens), in.calls(), "those that found no room were checked by later requests")
	})
}

func TestAnEvictedJWTIsIntrospected(t *testing.T) {
	token := func() string { return sign(nil) }
	for name, evict := range map[string]func(*Verifier, string){
		"by token":   func(v *Verifier, token string) { v.EvictToken(token) },
		"by id":      func(v *Verifier, _ string) { v.EvictTokenID("V2_400709196389026854-at_400709196389092390") },
		"by session": func(v *Verifier, _ string) { v.EvictTokenID("V2_400709196389026854") },
		"by subject": func(v *Verifier, _ string) { v.EvictSubject("400709194509978662") },
		"all":        func(v *Verifier, _ string) { v.EvictAll() },
	} {
		t.Run(name, func(t *testing.T) {
			combined(t, 0, func(t *testing.T, i *issuer, in *introspector, v *Verifier) {
				token := token()
				assert.Empty(t, username(t, v, token))
				evict(v, token)
				assert.Len(t, in.evicted, 1, "introspection is told, too")
				time.Sleep(time.Millisecond)
				in.will(inactive)
				refusesToken(t, v, token)
				refusesToken(t, v, token)
				in.will(down)
				_, err := v.Verify(t.Context(), token)
				require.ErrorIs(t, err, postern.ErrUnavailable, "nothing is known about it")
				in.will(active)
				assert.Equal(t, "bot@acme", username(t, v, token), "the server vouches for it")
				calls := in.calls()
				time.Sleep(time.Hour)
				accepts(t, v, token)
				assert.Equal(t, calls, in.calls(), "it is good until something new is known")
				evict(v, token)
				in.will(inactive)
				refusesToken(t, v, token)
			})
		})
		t.Run(name+" without introspection", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newIssuer().verifier(t)
				token := token()
				accepts(t, v, token)
				evict(v, token)
				refusesToken(t, v, token)
				time.Sleep(time.Hour)
				_, err := v.Verify(t.Context(), token)
				require.ErrorContains(t, err, "evicted since it was issued")
			})
		})
		t.Run(name+" before it is first seen", func(t *testing.T) {
			combined(t, 0, func(t *testing.T, i *issuer, in *introspector, v *Verifier) {
				token := token()
				evict(v, token)
				in.will(inactive)
				refusesToken(t, v, token)
			})
		})
	}
}

func TestAnEvictionConcernsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newIssuer().verifier(t)
		token := sign(nil)
		accepts(t, v, token)
		v.EvictTokenID("V2_400709196389026854-at_400709196389092391")
		v.EvictTokenID("V2_40070919638902685")
		v.EvictTokenID("400709194509978662")
		v.EvictSubject("V2_400709196389026854")
		v.EvictTokenID("")
		v.EvictSubject("")
		v.EvictToken("")
		v.EvictToken("a.b.c")
		v.EvictToken(sign(object{"jti": "other"}))
		v.EvictToken(sign(object{"iss": "https://other.example.com"}))
		accepts(t, v, token)
	})
}

func TestATokenIssuedAfterTheEvictionIsGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newIssuer().verifier(t)
		v.EvictSubject("400709194509978662")
		v.EvictAll()
		refusesToken(t, v, sign(nil))
		time.Sleep(time.Second)
		accepts(t, v, sign(object{"jti": "new"}))
	})
}

func TestATokenIssuedAtAboutTheTimeOfTheEvictionIsAskedAbout(t *testing.T) {
	combined(t, 0, func(t *testing.T, i *issuer, in *introspector, v *Verifier) {
		v.EvictSubject("400709194509978662")
		time.Sleep(20 * time.Second)
		assert.Equal(t, "bot@acme", username(t, v, sign(nil)), "the clocks may be 30 seconds apart")
		time.Sleep(11 * time.Second)
		assert.Empty(t, username(t, v, sign(object{"jti": "new"})))
	})
}

func TestATokenFromTheFutureIsEvictedByID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newIssuer().verifier(t)
		token := sign(object{"iat": time.Now().Add(20 * time.Second).Unix()})
		accepts(t, v, token)
		v.EvictToken(token)
		refusesToken(t, v, token)
	})
}

func TestATokenFromTheFutureIsEvictedWithItsUser(t *testing.T) {
	for name, evict := range map[string]func(*Verifier){
		"by subject": func(v *Verifier) { v.EvictSubject("400709194509978662") },
		"all":        (*Verifier).EvictAll,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newIssuer().verifier(t)
				token := sign(object{"iat": time.Now().Add(20 * time.Second).Unix()})
				accepts(t, v, token) // so it was issued before the eviction, whatever it says
				time.Sleep(time.Second)
				evict(v)
				refusesToken(t, v, token)
			})
		})
	}
}

func TestAnotherSignatureOfAnEvictedTokenIsEvictedToo(t *testing.T) {
	v := newIssuer().verifier(t)
	claims := good()
	header := object{"alg": "ES256", "kid": "es256", "typ": "JWT"}
	one, two := signWith(header, claims, p256Key), signWith(header, claims, p256Key)
	require.NotEqual(t, one, two)
	accepts(t, v, one)
	v.EvictToken(one)
	refusesToken(t, v, two)
}

func TestAnEvictionDuringARecheckWins(t *testing.T) {
	combined(t, time.Minute, func(t *testing.T, i *issuer, in *introspector, v *Verifier) {
		in.will(func(ctx context.Context, token string) (*postern.Identity, error) {
			time.Sleep(5 * time.Second)
			return active(ctx, token) // as it was when the server was asked
		})
		token := sign(nil)
		accepts(t, v, token)
		time.Sleep(time.Second)
		v.EvictSubject("400709194509978662")
		in.will(inactive)
		refusesToken(t, v, token)
		time.Sleep(10 * time.Second)
		refusesToken(t, v, token)
	})
}

func TestAnEvictionWhileAnEvictedTokenIsAskedAboutWins(t *testing.T) {
	combined(t, 0, func(t *testing.T, i *issuer, in *introspector, v *Verifier) {
		in.will(func(ctx context.Context, token string) (*postern.Identity, error) {
			v.EvictToken(token) // at the very moment at which introspection was asked
			time.Sleep(5 * time.Second)
			return active(ctx, token)
		})
		token := sign(nil)
		v.EvictToken(token)
		accepts(t, v, token) // it began before
		in.will(inactive)
		refusesToken(t, v, token)
	})
}

func TestARequestAmidAnEvictionIsNotVouchedForByAnOldAnswer(t *testing.T) {
	for name, evict := range map[string]func(*Verifier, string){
		"by token":   (*Verifier).EvictToken,
		"by id":      func(v *Verifier, _ string) { v.EvictTokenID("V2_400709196389026854-at_400709196389092390") },
		"by subject": func(v *Verifier, _ string) { v.EvictSubject("400709194509978662") },
		"all":        func(v *Verifier, _ string) { v.EvictAll() },
	} {
		t.Run(name, func(t *testing.T) {
			combined(t, 0, func(t *testing.T, i *issuer, in *introspector, v *Verifier) {
				token := sign(nil)
				in.during = func() {
					time.Sleep(time.Millisecond)
					accepts(t, v, token)
					time.Sleep(time.Millisecond)
				}
				evict(v, token)
				in.will(inactive)
				refusesToken(t, v, token)
			})
		})
	}
}

func TestAForgedTokenEvictsNothing(t *testing.T) {
	v := newIssuer().verifier(t)
	token := sign(nil)
	accepts(t, v, token)
	v.EvictToken(signWith(rs256("rs256"), good(), otherRSA))
	accepts(t, v, token)
}

// plain is a verifier that cannot evict.
type plain struct{ postern.Verifier }

func TestAVerifierThatCannotEvictIsAskedEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := &introspector{answer: active}
		v := newIssuer().verifier(t, func(cfg *Config) { cfg.Introspection = plain{in} })
		token := sign(nil)
		v.EvictAll()
		for range 3 {
			time.Sleep(time.Second)
			assert.Equal(t, "bot@acme", username(t, v, token))
		}
		assert.Equal(t, 3, in.calls(), "its answer may be older than the eviction")
	})
}

func TestEvictionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEvictions()
		e.limit = 100
		begin := time.Now()
		for n := range 1000 {
			e.EvictSubject(fmt.Sprint("user", n))
			e.EvictSubject("again and again")
			time.Sleep(time.Second)
		}
		assert.Len(t, e.at, 100)
		for range 1000 {
			e.EvictSubject("again and again")
			time.Sleep(time.Nanosecond)
		}
		assert.LessOrEqual(t, len(e.order), 2*e.limit)
		token := func(sub string, issued time.Time) *entry {
			return &entry{verified: &verified{tokenID: "t", subject: sub, issued: issued}}
		}
		assert.True(t, e.concern(token("user999", begin.Add(999*time.Second))))
		assert.False(t, e.concern(token("user999", time.Now())))
		assert.True(t, e.concern(token("user0", begin)), "what is forgotten is every token")
		assert.True(t, e.concern(token("nobody", begin.Add(900*time.Second))))
		assert.False(t, e.concern(token("nobody", begin.Add(901*time.Second))))
		assert.True(t, e.concern(token("again and again", begin.Add(999*time.Second))))
	})
}

func TestAnEvictionOfAllOutlivesThoseBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEvictions()
		e.limit = 1
		e.EvictSubject("x")
		time.Sleep(10 * time.Second)
		issued := time.Now()
		time.Sleep(10 * time.Second)
		e.EvictAll()
		e.EvictSubject("y") // and x is forgotten
		assert.True(t, e.concern(&entry{verified: &verified{tokenID: "t", subject: "z", issued: issued}}))
	})
}

func TestAnEvictionThatWasRepeatedIsKeptAsLongAsItsLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEvictions()
		e.limit = 2
		for _, user := range []string{"x", "y", "x", "z"} {
			time.Sleep(10 * time.Second)
			e.EvictSubject(user)
		}
		issued := time.Now().Add(-15 * time.Second) // before the second of x
		assert.True(t, e.concern(&entry{verified: &verified{tokenID: "t", subject: "x", issued: issued}}))
		assert.False(t, e.concern(&entry{verified: &verified{tokenID: "t", subject: "y", issued: issued}}))
	})
}
