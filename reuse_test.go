package postern_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/postern-go/postern"
)

// stub is a source whose calls are counted and whose answers are a function of the call's number, from 1.
type stub struct {
	calls  atomic.Int64
	answer func(ctx context.Context, n int64) (*oauth2.Token, error)
}

func (s *stub) Token() (*oauth2.Token, error) { return s.TokenCtx(context.Background()) }
func (s *stub) TokenCtx(ctx context.Context) (*oauth2.Token, error) {
	return s.answer(ctx, s.calls.Add(1))
}

// living gives token-1, token-2, … that live for life, each after taking took.
func living(life, took time.Duration) *stub {
	return &stub{answer: func(ctx context.Context, n int64) (*oauth2.Token, error) {
		if err := pause(ctx, took); err != nil {
			return nil, err
		}
		return numbered(n, life), nil
	}}
}

func numbered(n int64, life time.Duration) *oauth2.Token {
	return &oauth2.Token{AccessToken: fmt.Sprintf("token-%d", n), TokenType: "Bearer", Expiry: time.Now().Add(life)}
}

// pause waits inside a synctest bubble, where it takes no real time.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func get(t *testing.T, src postern.TokenSource) string {
	t.Helper()
	token, err := src.TokenCtx(t.Context())
	require.NoError(t, err)
	return token.AccessToken
}

const (
	life = 12 * time.Hour
	lead = life / 10
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestReuseKeepsTheTokenInHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := living(life, 0)
		reuse := postern.Reuse(src, postern.ReuseConfig{})
		for range 10 {
			assert.Equal(t, "token-1", get(t, reuse))
			time.Sleep((life - lead) / 10)
		}
		assert.EqualValues(t, 1, src.calls.Load())
		assert.Zero(t, testing.AllocsPerRun(100, func() { reuse.Token() }))
	})
}

// In the renewal window none of 100 callers waits, and one call is made.
func TestReuseRenewsInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := living(life, 200*time.Millisecond)
		reuse := postern.Reuse(src, postern.ReuseConfig{})
		get(t, reuse)
		time.Sleep(life - lead*3/4) // past the jitter
		start := time.Now()
		var callers sync.WaitGroup
		for range 100 {
			callers.Go(func() {
				assert.Equal(t, "token-1", get(t, reuse))
				assert.Zero(t, time.Since(start), "a caller waited")
			})
		}
		callers.Wait()
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		assert.EqualValues(t, 2, src.calls.Load())
		assert.Equal(t, "token-2", get(t, reuse))
	})
}

// When the token has run out one call is made, a caller with a deadline of 50 ms returns at 50 ms, and a first caller that is
// cancelled costs the others nothing.
func TestReuseSharesOneCallWhenTheTokenHasRunOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := living(life, 200*time.Millisecond)
		reuse := postern.Reuse(src, postern.ReuseConfig{})
		get(t, reuse)
		time.Sleep(life)
		start := time.Now()
		var callers sync.WaitGroup

		first, cancel := context.WithCancel(t.Context())
		callers.Go(func() {
			_, err := reuse.TokenCtx(first)
			assert.ErrorIs(t, err, context.Canceled)
			assert.Equal(t, 10*time.Millisecond, time.Since(start))
		})
		synctest.Wait()
		for range 100 {
			callers.Go(func() {
				assert.Equal(t, "token-2", get(t, reuse))
				assert.Equal(t, 200*time.Millisecond, time.Since(start))
			})
		}
		callers.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			_, err := reuse.TokenCtx(ctx)
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Equal(t, 50*time.Millisecond, time.Since(start))
		})
		time.Sleep(10 * time.Millisecond)
		cancel()
		callers.Wait()
		assert.EqualValues(t, 2, src.calls.Load())
	})
}

func TestReuseAsksNothingForAContextThatHasEnded(t *testing.T) {
	src := living(life, 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := postern.Reuse(src, postern.ReuseConfig{}).TokenCtx(ctx)
	assert.ErrorIs(t, err, context.Canceled)
	assert.Zero(t, src.calls.Load())
}

func TestReuseWithoutCallersRunsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := living(time.Minute, 0)
		reuse := postern.Reuse(src, postern.ReuseConfig{})
		get(t, reuse)
		time.Sleep(1000 * time.Hour)
		assert.EqualValues(t, 1, src.calls.Load())
	}) // and the bubble would not end with a goroutine left
}

// The window opens at min(max(10 %, 1 min), half) of the life, or up to a tenth of that later.
func TestReuseRenewalWindow(t *testing.T) {
	for life, lead := range map[time.Duration]time.Duration{
		12 * time.Hour:        72 * time.Minute,
		10 * time.Minute:      time.Minute,
		5 * time.Minute:       time.Minute,
		2 * time.Minute:       time.Minute,
		time.Minute:           30 * time.Second,
		time.Second:           500 * time.Millisecond,
		10 * time.Microsecond: 5 * time.Microsecond,
	} {
		synctest.Test(t, func(t *testing.T) {
			for range 20 {
				src := living(life, 0)
				reuse := postern.Reuse(src, postern.ReuseConfig{})
				get(t, reuse)
				time.Sleep(life - lead - 1)
				get(t, reuse)
				synctest.Wait()
				require.EqualValues(t, 1, src.calls.Load(), "life %s: too early", life)
				time.Sleep(lead/10 + 1)
				get(t, reuse)
				synctest.Wait()
				require.EqualValues(t, 2, src.calls.Load(), "life %s: not renewed", life)
			}
		})
	}
}

// A failed renewal is invisible until the token ends, is tried again after half of what is left, and is logged.
func TestReuseFailedRenewalBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("connection refused")
		src := &stub{answer: func(_ context.Context, n int64) (*oauth2.Token, error) {
			if n > 1 {
				return nil, down
			}
			return numbered(n, life), nil
		}}
		var logged bytes.Buffer
		reuse := postern.Reuse(src, postern.ReuseConfig{Logger: slog.New(slog.NewTextHandler(&logged, nil))})
		start := time.Now()
		get(t, reuse)
		for time.Since(start) < life-time.Second {
			assert.Equal(t, "token-1", get(t, reuse))
			time.Sleep(time.Second)
		}
		synctest.Wait()
		assert.Less(t, src.calls.Load(), int64(25), "72 minutes, each time half of what is left")
		assert.Greater(t, src.calls.Load(), int64(10))
		assert.Contains(t, logged.String(), "connection refused")
		assert.NotContains(t, logged.String(), "token-1")
		time.Sleep(time.Second)
		_, err := reuse.TokenCtx(t.Context())
		assert.ErrorIs(t, err, down)
	})
}

// An hour of failures that begins as the window of a 12-hour token opens costs 4 calls in vain, whatever the jitter.
func TestReuseAnHourOfFailures(t *testing.T) {
	for range 25 {
		synctest.Test(t, func(t *testing.T) {
			var since time.Time
			src := &stub{answer: func(_ context.Context, n int64) (*oauth2.Token, error) {
				switch {
				case n == 2:
					since = time.Now()
					fallthrough
				case n > 2 && time.Since(since) < time.Hour:
					return nil, postern.ErrUnavailable
				}
				return numbered(n, life), nil
			}}
			reuse := postern.Reuse(src, postern.ReuseConfig{Logger: quiet()})
			for start := time.Now(); time.Since(start) < life; time.Sleep(time.Minute) {
				get(t, reuse)
			}
			assert.LessOrEqual(t, src.calls.Load(), int64(1+4+1))
			synctest.Wait()
		})
	}
}

// However late a renewal fails, or brings the same token again, a token is not handed out after its end.
func TestReuseHandsOutNoTokenThatHasEnded(t *testing.T) {
	for name, again := range map[string]bool{"a renewal that fails": false, "the same token again": true} {
		for _, life := range []time.Duration{50 * time.Millisecond, time.Second, time.Minute} {
			synctest.Test(t, func(t *testing.T) {
				var token *oauth2.Token
				src := &stub{answer: func(_ context.Context, n int64) (*oauth2.Token, error) {
					switch {
					case token == nil:
						token = numbered(n, life)
					case !again:
						return nil, postern.ErrUnavailable
					}
					return token, nil
				}}
				reuse := postern.Reuse(src, postern.ReuseConfig{Logger: quiet()})
				start := time.Now()
				get(t, reuse)
				for time.Since(start) < 2*life {
					_, err := reuse.Token()
					assert.Equal(t, time.Since(start) >= life, err != nil, "%s: %s of %s", name, time.Since(start), life)
					time.Sleep(life / 100)
				}
			})
		}
	}
}

// A renewal that is told to wait does so, and no longer than the token lives.
func TestReuseRenewalWaitsAsLongAsTheServerAsks(t *testing.T) {
	for asked, want := range map[time.Duration]int64{0: 4, 50 * time.Second: 2, time.Hour: 2} {
		synctest.Test(t, func(t *testing.T) {
			src := &stub{answer: func(_ context.Context, n int64) (*oauth2.Token, error) {
				if n > 1 {
					return nil, refusal(503, "", asked)
				}
				return numbered(n, 2*time.Minute), nil
			}}
			reuse := postern.Reuse(src, postern.ReuseConfig{Logger: quiet()})
			start := time.Now()
			for time.Since(start) < 110*time.Second {
				get(t, reuse)
				time.Sleep(time.Second / 2)
			}
			synctest.Wait()
			if asked == 0 {
				assert.GreaterOrEqual(t, src.calls.Load(), want)
			} else {
				assert.Equal(t, want, src.calls.Load(), asked)
			}
			time.Sleep(10 * time.Second)
			_, err := reuse.Token()
			assert.Error(t, err)
		})
	}
}

// A source with a cache of its own gives the same token again: that is asked for as seldom as after a failure.
func TestReuseOverACache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := living(life, 0)
		var calls atomic.Int64
		cached := oauth2.ReuseTokenSource(nil, inner)
		reuse := postern.Reuse(postern.FromOAuth2(counting{cached, &calls}), postern.ReuseConfig{})
		start := time.Now()
		get(t, reuse)
		for time.Since(start) < life {
			get(t, reuse)
			time.Sleep(time.Second)
		}
		assert.Less(t, calls.Load(), int64(25))
		synctest.Wait()
	})
}

type counting struct {
	oauth2.TokenSource
	calls *atomic.Int64
}

func (c counting) Token() (*oauth2.Token, error) {
	c.calls.Add(1)
	return c.TokenSource.Token()
}

func TestReuseInvalidateDropsExactlyThatToken(t *testing.T) {
	src := living(life, 0)
	reuse := postern.Reuse(src, postern.ReuseConfig{})
	invalidate := reuse.(postern.Invalidator).Invalidate
	invalidate("token-1") // nothing in hand yet
	assert.Equal(t, "token-1", get(t, reuse))
	invalidate("token-2")
	invalidate("token-")
	invalidate("")
	assert.Equal(t, "token-1", get(t, reuse))
	invalidate("token-1")
	assert.Equal(t, "token-2", get(t, reuse))
	invalidate("token-1") // by somebody who was slow to notice
	assert.Equal(t, "token-2", get(t, reuse))
}

func TestReuseInvalidateWhileACallIsUnderWay(t *testing.T) {
	for name, test := range map[string]struct {
		answers, dropped []string
		want             string
		calls            int64
	}{
		"the same token is asked for again": {[]string{"a", "b"}, []string{"a"}, "b", 2},
		"once more only":                    {[]string{"a", "a", "b"}, []string{"a"}, "a", 2},
		"another token is taken":            {[]string{"a", "b"}, []string{"b", "c"}, "a", 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := &stub{answer: func(ctx context.Context, n int64) (*oauth2.Token, error) {
					return &oauth2.Token{AccessToken: test.answers[n-1]}, pause(ctx, time.Second)
				}}
				reuse := postern.Reuse(src, postern.ReuseConfig{})
				go func() {
					time.Sleep(time.Millisecond)
					for _, token := range test.dropped {
						reuse.(postern.Invalidator).Invalidate(token)
					}
				}()
				assert.Equal(t, test.want, get(t, reuse))
				assert.Equal(t, test.calls, src.calls.Load())
			})
		})
	}
}

// What Invalidate can make a call under way remember is bounded.
func TestReuseInvalidateFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := living(life, time.Second)
		reuse := postern.Reuse(src, postern.ReuseConfig{})
		go func() {
			time.Sleep(time.Millisecond)
			for i := range 10_000 {
				reuse.(postern.Invalidator).Invalidate(fmt.Sprint("other-", i))
			}
			reuse.(postern.Invalidator).Invalidate("token-1")
		}()
		assert.Equal(t, "token-2", get(t, reuse))
	})
}

type invalidating struct {
	*stub
	got []string
}

func (i *invalidating) Invalidate(token string) { i.got = append(i.got, token) }

func TestReuseHandsInvalidateOn(t *testing.T) {
	src := &invalidating{stub: living(life, 0)}
	postern.Reuse(src, postern.ReuseConfig{}).(postern.Invalidator).Invalidate("x")
	assert.Equal(t, []string{"x"}, src.got)
}

func TestReuseOfReuseIsTheSame(t *testing.T) {
	reuse := postern.Reuse(living(life, 0), postern.ReuseConfig{})
	assert.Same(t, reuse, postern.Reuse(reuse, postern.ReuseConfig{FetchTimeout: time.Second}))
	assert.Same(t, reuse, postern.FromOAuth2(reuse))
}

func refusal(status int, code string, after time.Duration) error {
	return fmt.Errorf("token request: %w", &postern.Error{StatusCode: status, Code: code, RetryAfter: after})
}

// How often a caller in a hot loop makes the source be called in ten minutes.
func TestReuseRemembersRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		err         error
		least, most int64
	}{
		"wrong secret":               {refusal(400, "invalid_request", 0), 14, 22},
		"unknown client":             {refusal(401, "invalid_client", 0), 14, 22},
		"blocked instance":           {refusal(429, "", 0), 14, 22},
		"blocked, with Retry-After":  {refusal(429, "", 5*time.Minute), 2, 3},
		"absurd Retry-After":         {refusal(503, "", 1000*time.Hour), 1, 2},
		"400 that is no OAuth error": {refusal(400, "", 0), 500, 900},
		"a proxy's 403":              {refusal(403, "", 0), 500, 900},
		"wrong secret, to x/oauth2":  {&oauth2.RetrieveError{Response: &http.Response{StatusCode: 401}, ErrorCode: "invalid_client"}, 14, 22},
		"no answer, to x/oauth2":     {&oauth2.RetrieveError{ErrorCode: "invalid_client"}, 12_000, 12_000},
		"503, which is retried":      {refusal(503, "", 0), 12_000, 12_000},
		"unavailable":                {fmt.Errorf("dial: %w", postern.ErrUnavailable), 12_000, 12_000},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := &stub{answer: func(context.Context, int64) (*oauth2.Token, error) { return nil, test.err }}
				reuse := postern.Reuse(src, postern.ReuseConfig{})
				for range 12_000 {
					_, err := reuse.TokenCtx(t.Context())
					require.ErrorIs(t, err, test.err)
					time.Sleep(50 * time.Millisecond)
				}
				assert.GreaterOrEqual(t, src.calls.Load(), test.least)
				assert.LessOrEqual(t, src.calls.Load(), test.most)
			})
		})
	}
}

// A source of one's own that fails at once, or a token endpoint that answers rubbish.
func TestReuseCallsASourceThatFailsTenTimesASecondAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: func(_ context.Context, n int64) (*oauth2.Token, error) {
			if n > 22 {
				return numbered(n, life), nil
			}
			return nil, errors.ErrUnsupported
		}}
		src := postern.Reuse(s, postern.ReuseConfig{})
		began := time.Now()
		for range 2 {
			_, err := src.Token()
			require.ErrorIs(t, err, errors.ErrUnsupported)
		}
		require.Zero(t, time.Since(began), "the first two at once")
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				for _, err := src.Token(); err != nil; _, err = src.Token() {
				}
			})
		}
		wg.Wait()
		assert.Equal(t, 2100*time.Millisecond, time.Since(began))
		assert.EqualValues(t, 23, s.calls.Load())
	})
}

// The first caller after an outage gets a token, however many renewals and calls have failed before.
func TestReuseForgetsAnOutageAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := false
		src := &stub{answer: func(_ context.Context, n int64) (*oauth2.Token, error) {
			if down {
				return nil, postern.ErrUnavailable
			}
			return numbered(n, life), nil
		}}
		reuse := postern.Reuse(src, postern.ReuseConfig{Logger: quiet()})
		start := time.Now()
		get(t, reuse)
		down = true
		for time.Since(start) < life {
			assert.Equal(t, "token-1", get(t, reuse))
			time.Sleep(time.Second)
		}
		for range 5 {
			_, err := reuse.Token()
			assert.ErrorIs(t, err, postern.ErrUnavailable)
		}
		down = false
		assert.NotEqual(t, "token-1", get(t, reuse))
	})
}

// Refusals are remembered for as long as those in a row say, and not what was unavailable before them.
func TestReuseCountsRefusalsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &stub{answer: func(_ context.Context, n int64) (*oauth2.Token, error) {
			switch {
			case n <= 10:
				return nil, postern.ErrUnavailable
			case n == 11:
				return nil, refusal(400, "invalid_grant", 0)
			}
			return numbered(n, life), nil
		}}
		reuse := postern.Reuse(src, postern.ReuseConfig{})
		for range 11 {
			_, err := reuse.Token()
			require.Error(t, err)
		}
		time.Sleep(time.Second)
		assert.Equal(t, "token-12", get(t, reuse))
	})
}

func TestReuseForgetsARefusalWhenTheCredentialChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := "key-1"
		src := &stub{answer: func(_ context.Context, n int64) (*oauth2.Token, error) {
			if key == "key-3" {
				return numbered(n, life), nil
			}
			return nil, refusal(400, "invalid_grant", 0)
		}}
		reuse := postern.Reuse(src, postern.ReuseConfig{Credential: func(context.Context) string { return key }})
		for n := int64(1); n <= 2; n++ {
			key = fmt.Sprint("key-", n)
			for range 10 {
				_, err := reuse.Token()
				require.ErrorContains(t, err, "invalid_grant")
			}
			assert.Equal(t, n, src.calls.Load(), "one call a key")
		}
		_, err := reuse.Token()
		assert.ErrorContains(t, err, "remembered")
		key = "key-3"
		assert.Equal(t, "token-3", get(t, reuse))
	})
}

func TestReuseLifetimes(t *testing.T) {
	for name, test := range map[string]struct {
		expiry func() time.Time
		want   string        // an error
		lives  time.Duration // at least so long, without a second call
		ends   bool
	}{
		"zero never ends":             {func() time.Time { return time.Time{} }, "", 90 * 365 * 24 * time.Hour, false},
		"year 9999 never ends":        {func() time.Time { return time.Unix(253402300799, 0) }, "", 90 * 365 * 24 * time.Hour, false},
		"absurd never ends":           {func() time.Time { return time.Now().Add(1<<63 - 1) }, "", 90 * 365 * 24 * time.Hour, false},
		"the past is an error":        {func() time.Time { return time.Now().Add(-time.Second) }, "had ended", 0, true},
		"now is an error":             {time.Now, "had ended", 0, true},
		"before the epoch":            {func() time.Time { return time.Unix(-1, 0) }, "had ended", 0, true},
		"a nanosecond":                {func() time.Time { return time.Now().Add(1) }, "", 0, true},
		"30 s lives half of it alone": {func() time.Time { return time.Now().Add(30 * time.Second) }, "", 15*time.Second - 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := &stub{answer: func(context.Context, int64) (*oauth2.Token, error) {
					return &oauth2.Token{AccessToken: "a", Expiry: test.expiry()}, nil
				}}
				reuse := postern.Reuse(src, postern.ReuseConfig{})
				_, err := reuse.Token()
				if test.want != "" {
					assert.ErrorContains(t, err, test.want)
					return
				}
				require.NoError(t, err)
				time.Sleep(test.lives)
				get(t, reuse)
				synctest.Wait()
				assert.EqualValues(t, 1, src.calls.Load())
				if test.ends {
					time.Sleep(life)
					get(t, reuse)
					assert.EqualValues(t, 2, src.calls.Load())
				}
			})
		})
	}
}

func TestReuseUnusableAnswers(t *testing.T) {
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(quiet()) // FromOAuth2 has no other
	var none *oauth2.Token
	for name, test := range map[string]struct {
		answer func(context.Context, int64) (*oauth2.Token, error)
		want   string
	}{
		"nil":       {func(context.Context, int64) (*oauth2.Token, error) { return nil, nil }, "neither a token nor an error"},
		"typed nil": {func(context.Context, int64) (*oauth2.Token, error) { return none, nil }, "neither a token nor an error"},
		"empty":     {func(context.Context, int64) (*oauth2.Token, error) { return &oauth2.Token{}, nil }, "empty AccessToken"},
		"panic":     {func(context.Context, int64) (*oauth2.Token, error) { panic("oh no") }, "panicked: string"},
		"nil pointer": {func(context.Context, int64) (*oauth2.Token, error) {
			return &oauth2.Token{AccessToken: none.AccessToken}, nil
		}, "panicked: runtime error"},
		"goexit": {func(context.Context, int64) (*oauth2.Token, error) { runtime.Goexit(); return nil, nil }, "Goexit"},
	} {
		t.Run(name, func(t *testing.T) {
			src := &stub{answer: test.answer}
			_, err := postern.Reuse(src, postern.ReuseConfig{Logger: quiet()}).Token()
			assert.ErrorContains(t, err, test.want)
			_, err = postern.FromOAuth2(onlyToken{src}).TokenCtx(t.Context())
			assert.ErrorContains(t, err, test.want)
		})
	}
}

// wrapper is an error that panics when it is nil and is asked what it wraps. Functions that return a nil one for success, as an
// error that is not nil, are Go's best known trap.
type wrapper struct{ err error }

func (w *wrapper) Error() string { return "wrapper" }
func (w *wrapper) Unwrap() error { return w.err }

func TestReuseOutlivesAnErrorThatPanics(t *testing.T) {
	src := &stub{answer: func(context.Context, int64) (*oauth2.Token, error) { return nil, (*wrapper)(nil) }}
	reuse := postern.Reuse(src, postern.ReuseConfig{Logger: quiet()})
	for range 2 {
		_, err := reuse.Token()
		assert.ErrorContains(t, err, "panicked: runtime error")
	}
}

func TestNilSources(t *testing.T) {
	var typed *stub
	for _, src := range []postern.TokenSource{nil, typed} {
		reuse := postern.Reuse(src, postern.ReuseConfig{})
		_, err := reuse.Token()
		assert.ErrorContains(t, err, "Reuse was given no token source")
		_, err = reuse.TokenCtx(t.Context())
		assert.ErrorContains(t, err, "Reuse was given no token source")
		reuse.(postern.Invalidator).Invalidate("x")
		assert.Equal(t, reuse, postern.Reuse(reuse, postern.ReuseConfig{}))
	}
	for _, src := range []oauth2.TokenSource{nil, (*stub)(nil)} {
		_, err := postern.FromOAuth2(src).Token()
		assert.ErrorContains(t, err, "FromOAuth2 was given no token source")
	}
}

// A call of the source ends at its own timeout, and nobody is told that their own context had ended.
func TestReuseFetchTimeout(t *testing.T) {
	for name, deaf := range map[string]bool{"a source that respects its context": false, "a source that does not": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := &stub{answer: func(ctx context.Context, n int64) (*oauth2.Token, error) {
					if deaf {
						ctx = context.Background()
					}
					return numbered(n, life), pause(ctx, time.Hour)
				}}
				reuse := postern.Reuse(src, postern.ReuseConfig{FetchTimeout: 5 * time.Second})
				start := time.Now()
				_, err := reuse.TokenCtx(t.Context())
				assert.ErrorIs(t, err, postern.ErrUnavailable)
				assert.NotErrorIs(t, err, context.DeadlineExceeded)
				assert.ErrorContains(t, err, "within 5s")
				assert.Equal(t, 5*time.Second, time.Since(start))
				if deaf {
					for range 100 {
						_, err := reuse.TokenCtx(t.Context())
						assert.ErrorIs(t, err, postern.ErrUnavailable)
					}
					assert.EqualValues(t, 1, src.calls.Load(), "one that hangs is not joined by more")
					time.Sleep(time.Hour)
					assert.Equal(t, "token-1", get(t, reuse))
				}
			})
		})
	}
}

// The call belongs to nobody: no caller's values reach it, nor anybody's deadline.
func TestReuseCallHasItsOwnContext(t *testing.T) {
	type key struct{}
	src := &stub{answer: func(ctx context.Context, n int64) (*oauth2.Token, error) {
		assert.Nil(t, ctx.Value(key{}))
		deadline, ok := ctx.Deadline()
		assert.True(t, ok)
		assert.Greater(t, time.Until(deadline), 25*time.Second)
		return numbered(n, life), nil
	}}
	ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "trace"), 20*time.Second)
	defer cancel()
	_, err := postern.Reuse(src, postern.ReuseConfig{}).TokenCtx(ctx)
	assert.NoError(t, err)
}

func TestReuseLogsAPanicWithItsStackAndNotWhatItSays(t *testing.T) {
	var logged bytes.Buffer
	src := &stub{answer: func(context.Context, int64) (*oauth2.Token, error) { panic(errors.New("Bearer hunter2")) }}
	_, err := postern.Reuse(src, postern.ReuseConfig{Logger: slog.New(slog.NewTextHandler(&logged, nil))}).Token()
	assert.ErrorContains(t, err, "panicked: *errors.errorString")
	assert.Contains(t, logged.String(), "reuse_test.go")
	assert.NotContains(t, err.Error()+logged.String(), "hunter2")
}

// onlyToken hides TokenCtx.
type onlyToken struct{ src oauth2.TokenSource }

func (o onlyToken) Token() (*oauth2.Token, error) { return o.src.Token() }

func TestFromOAuth2RespectsContexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := living(life, 200*time.Millisecond)
		from := postern.FromOAuth2(onlyToken{src})
		start := time.Now()
		var callers sync.WaitGroup
		for i := range 100 {
			callers.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*time.Millisecond)
				defer cancel()
				_, err := from.TokenCtx(ctx)
				assert.ErrorIs(t, err, context.DeadlineExceeded)
				assert.Equal(t, time.Duration(i+1)*time.Millisecond, time.Since(start))
			})
		}
		callers.Wait()
		assert.Equal(t, "token-1", get(t, from), "the call that all have left goes on")
		assert.EqualValues(t, 1, src.calls.Load())
		assert.Equal(t, 200*time.Millisecond, time.Since(start))
		assert.Equal(t, "token-2", get(t, from), "nothing is kept")

		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := from.TokenCtx(ended)
		assert.ErrorIs(t, err, context.Canceled)
		assert.EqualValues(t, 2, src.calls.Load())
	})
}

func TestFromOAuth2Token(t *testing.T) {
	from := postern.FromOAuth2(onlyToken{living(life, 0)})
	token, err := from.Token()
	require.NoError(t, err)
	assert.Equal(t, "token-1", token.AccessToken)
}

// leaky is a source that shows its secret in every way of formatting.
type leaky struct{ Secret string }

func (l leaky) Token() (*oauth2.Token, error) { return &oauth2.Token{AccessToken: l.Secret}, nil }

type leakyCtx struct{ leaky }

func (l leakyCtx) TokenCtx(context.Context) (*oauth2.Token, error) { return l.Token() }

func TestNoFormattingShowsASecret(t *testing.T) {
	const secret = "hunter2hunter2"
	reuse := postern.Reuse(leakyCtx{leaky{secret}}, postern.ReuseConfig{})
	from := postern.FromOAuth2(leaky{secret})
	get(t, reuse)
	get(t, from)
	transport := &postern.Transport{Source: reuse, Origins: []string{"https://api.example.com"}}
	for _, v := range []any{reuse, from, transport, struct{ S postern.TokenSource }{reuse}, &struct{ S any }{from}, []any{reuse, from}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%T", "%p"} {
			text := fmt.Sprintf(verb, v)
			assert.NotContains(t, text, secret, verb)
			assert.NotContains(t, text, fmt.Sprintf("%x", secret), verb)
			assert.NotContains(t, text, fmt.Sprintf("%X", secret), verb)
		}
		if text, err := json.Marshal(v); err == nil {
			assert.NotContains(t, string(text), secret)
		}
		var logged bytes.Buffer
		slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "v", v)
		assert.NotContains(t, logged.String(), secret)
	}
}

// A source that nobody uses any more is not kept in memory by the timer of its token, which may live for years.
func TestReuseIsNotKeptByItsTimer(t *testing.T) {
	gone := make(chan struct{})
	func() {
		src := living(50*365*24*time.Hour, 0)
		runtime.AddCleanup(src, func(gone chan struct{}) { close(gone) }, gone)
		get(t, postern.Reuse(src, postern.ReuseConfig{}))
	}()
	for range 100 {
		runtime.GC()
		select {
		case <-gone:
			return
		case <-time.After(time.Millisecond):
		}
	}
	t.Error("still in memory after 100 collections")
}

// Where a renewal brings the same token, half of the time that is left passes before the next try, and no more.
func TestReuseAsksAgainAfterTheSameToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		src := &stub{answer: func(_ context.Context, n int64) (*oauth2.Token, error) {
			if time.Since(start) < life-40*time.Minute {
				return &oauth2.Token{AccessToken: "old", Expiry: start.Add(life)}, nil
			}
			return numbered(n, life), nil
		}}
		reuse := postern.Reuse(src, postern.ReuseConfig{})
		for time.Since(start) < life-15*time.Minute {
			get(t, reuse)
			time.Sleep(time.Second)
		}
		assert.NotEqual(t, "old", get(t, reuse))
		assert.LessOrEqual(t, src.calls.Load(), int64(4))
		synctest.Wait()
	})
}
