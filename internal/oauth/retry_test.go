package oauth_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/internal/oauth"
)

// retried calls with retries against one answer and says how many calls were made in what time.
func retried(t *testing.T, ctx context.Context, respond func(n int) (*http.Response, error)) (calls int, took time.Duration, err error) {
	t.Helper()
	issuer := newIssuer(t, stub(func(r *http.Request) (*http.Response, error) {
		calls++
		resp, err := respond(calls)
		if resp != nil {
			resp.Request = r
		}
		return resp, err
	}))
	start := time.Now()
	_, err = oauth.Retry(ctx, func() (*oauth.Response, error) { return issuer.PostForm(ctx, issuerURL, nil, nil) })
	return calls, time.Since(start), err
}

func TestRetryTriesAgainWhatMayPass(t *testing.T) {
	for name, row := range map[string]struct {
		respond func(int) (*http.Response, error)
		calls   int
		least   time.Duration
		most    time.Duration
	}{
		"500":                       {status(500), 4, 700 * time.Millisecond, 2100 * time.Millisecond},
		"502":                       {status(502), 4, 700 * time.Millisecond, 2100 * time.Millisecond},
		"503":                       {status(503), 4, 700 * time.Millisecond, 2100 * time.Millisecond},
		"504":                       {status(504), 4, 700 * time.Millisecond, 2100 * time.Millisecond},
		"429":                       {status(429), 4, 700 * time.Millisecond, 2100 * time.Millisecond},
		"no connection":             {func(int) (*http.Response, error) { return nil, io.EOF }, 4, 700 * time.Millisecond, 2100 * time.Millisecond},
		"Retry-After of 2 s":        {status(503, "Retry-After", "2"), 4, 6700 * time.Millisecond, 8100 * time.Millisecond},
		"Retry-After of 10 s":       {status(429, "Retry-After", "10"), 4, 30700 * time.Millisecond, 32100 * time.Millisecond},
		"Retry-After beyond bounds": {status(429, "Retry-After", "11"), 1, 0, 0},
		"Retry-After as a date":     {status(503, "Retry-After", "Sun, 22 Nov 2020 10:00:03 GMT", "Date", "Sun, 22 Nov 2020 10:00:00 GMT"), 4, 9700 * time.Millisecond, 11100 * time.Millisecond},
		"Retry-After of 0":          {status(503, "Retry-After", "0"), 4, 700 * time.Millisecond, 2100 * time.Millisecond},
		"a blocked instance": {func(int) (*http.Response, error) {
			return answer(429, "text/plain", "Your ZITADEL instance is blocked."), nil
		}, 1, 0, 0},
		"501":                        {status(501), 1, 0, 0},
		"400":                        {status(400), 1, 0, 0},
		"401":                        {status(401), 1, 0, 0},
		"403":                        {status(403), 1, 0, 0},
		"404":                        {status(404), 1, 0, 0},
		"408":                        {status(408), 1, 0, 0},
		"a redirect":                 {status(302, "Location", "/"), 1, 0, 0},
		"HTML":                       {func(int) (*http.Response, error) { return answer(200, "text/html", ""), nil }, 1, 0, 0},
		"a refusal after a 503":      {after(1, status(503), status(400)), 2, 100 * time.Millisecond, 300 * time.Millisecond},
		"success after three errors": {after(3, status(503), func(int) (*http.Response, error) { return jsonAnswer(200, "{}"), nil }), 4, 700 * time.Millisecond, 2100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls, took, err := retried(t, t.Context(), row.respond)
				assert.Equal(t, row.calls, calls)
				assert.GreaterOrEqual(t, took, row.least)
				assert.LessOrEqual(t, took, row.most)
				if name == "success after three errors" {
					assert.NoError(t, err)
				} else {
					assert.Error(t, err)
				}
			})
		})
	}
}

func status(code int, headers ...string) func(int) (*http.Response, error) {
	return func(int) (*http.Response, error) { return answer(code, "text/plain", "x", headers...), nil }
}

func after(n int, first, then func(int) (*http.Response, error)) func(int) (*http.Response, error) {
	return func(call int) (*http.Response, error) {
		if call <= n {
			return first(call)
		}
		return then(call)
	}
}

func TestRetryDoesNotWaitBeyondTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		calls, took, err := retried(t, ctx, status(503, "Retry-After", "5"))
		assert.Equal(t, 1, calls)
		assert.Zero(t, took, "the answer is known already")
		var got *postern.Error
		require.ErrorAs(t, err, &got)
		assert.Equal(t, 5*time.Second, got.RetryAfter)
		assert.ErrorIs(t, err, postern.ErrUnavailable)
		assert.NotErrorIs(t, err, context.DeadlineExceeded, "the context has not ended")
	})
}

func TestRetryEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(3*time.Second, func() { cancel(errors.New("a cause of the caller's")) })
		calls, took, err := retried(t, ctx, status(503, "Retry-After", "2"))
		assert.Equal(t, 2, calls)
		assert.Equal(t, 3*time.Second, took)
		assert.ErrorIs(t, err, context.Canceled)
		assert.ErrorContains(t, err, "503", "what went wrong before is told, too")
	})
}

func TestRetryLeavesOtherErrorsAlone(t *testing.T) {
	calls := 0
	mine := errors.New("the key cannot sign")
	_, err := oauth.Retry(t.Context(), func() (int, error) { calls++; return 0, mine })
	assert.Same(t, mine, err)
	assert.Equal(t, 1, calls)
}
