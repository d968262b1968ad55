package introspect

import (
	"context"
	"crypto"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/keyfile"
)

const secretPanic = "panic that tells the t0ken"

type panickingSource struct{}

func (panickingSource) Key(context.Context) (*keyfile.Key, error) { panic(secretPanic) }

type panickingSigner struct{ crypto.Signer }

func (panickingSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { panic(secretPanic) }

type panickingShared struct{}

func (panickingShared) Load(context.Context, SharedKey) (SharedAnswer, bool, error) {
	panic(secretPanic)
}
func (panickingShared) Store(context.Context, SharedKey, SharedAnswer) error { panic(secretPanic) }
func (panickingShared) Delete(context.Context, SharedKey) error              { panic(secretPanic) }
func (panickingShared) Publish(Eviction)                                     {}
func (panickingShared) Watch(func(Eviction))                                 {}

type panickingLog struct{}

func (panickingLog) Write([]byte) (int, error) { panic(secretPanic) }

func panics(*http.Request) (int, string) { panic(secretPanic) }

// The call runs in a goroutine of ours, where a panic would end the program.
func TestAPanicInTheUsersCodeIsUnavailableAndFreesItsPlace(t *testing.T) {
	signer := *applicationKey(t)
	signer.Signer = panickingSigner{signer.Signer}
	for name, configure := range map[string]func(*Config){
		"Source":       func(c *Config) { c.Auth = PrivateKeyJWT(panickingSource{}) },
		"Signer":       func(c *Config) { c.Auth = PrivateKeyJWT(&signer) },
		"RoundTripper": func(c *Config) { c.HTTPClient = &http.Client{Transport: &stub{answer: panics}} },
		"RoundTripper ends its goroutine": func(c *Config) {
			c.HTTPClient = &http.Client{Transport: &stub{answer: func(*http.Request) (int, string) { runtime.Goexit(); return 0, "" }}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log logs
				v := newVerifier(t, &stub{answer: active}, func(c *Config) { c.MaxConcurrent, c.Logger = 1, log.logger() }, configure)
				for range 20 {
					err := verifyErr(v, "t0ken")
					assert.ErrorIs(t, err, postern.ErrUnavailable)
					assert.NotContains(t, err.Error(), "t0ken")
				}
				stats := v.Stats()
				assert.Zero(t, stats.InFlight)
				assert.Zero(t, stats.Queue)
				assert.LessOrEqual(t, strings.Count(log.String(), "level=ERROR"), 1, "once a minute")
				assert.NotContains(t, log.String(), "t0ken")
				time.Sleep(2 * defaultTimeout) // net/http watches the deadline in a goroutine, which outlives the panic
			})
		})
	}
}

func TestAPanicOfTheLoggerEndsNothing(t *testing.T) {
	v := newVerifier(t, &stub{answer: status(401, "")}, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(panickingLog{}, nil)) })
	require.ErrorIs(t, verifyErr(v, "token"), postern.ErrUnavailable)
	require.Zero(t, v.Stats().InFlight)
}

// Nor does it take along what the server said.
func TestAPanicOfTheLoggerLeavesTheVerdictsOfABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: active}
		v := newVerifier(t, s, func(c *Config) { c.MaxStale, c.Logger = time.Hour, slog.New(slog.NewTextHandler(panickingLog{}, nil)) })
		for i := range 20 {
			require.NoError(t, verifyErr(v, fmt.Sprint(i)))
		}
		s.say(status(500, ""))
		time.Sleep(time.Minute)
		for range failuresToOpen {
			require.NoError(t, verifyErr(v, "0"), "stale")
		}
		s.say(inactive)
		time.Sleep(2 * openFor)
		for i := range 20 { // the first closes the breaker, too
			require.ErrorIs(t, verifyErr(v, fmt.Sprint(i)), postern.ErrInvalidToken)
		}
		require.Equal(t, uint64(2), v.Stats().InactiveBursts)
	})
}

// statsLog is a Logger that has a look at the Verifier when there is something to be said.
type statsLog struct{ v **Verifier }

func (l statsLog) Write(p []byte) (int, error) { _ = (*l.v).Stats(); return len(p), nil }

func TestALoggerMayAskForStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: status(500, "")}
		var v *Verifier
		v = newVerifier(t, s, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(statsLog{&v}, nil)) })
		for i := range failuresToOpen {
			require.Error(t, verifyErr(v, fmt.Sprint(i)))
		}
		s.say(active)
		time.Sleep(2 * openFor)
		require.NoError(t, verifyErr(v, "token"))
	})
}

// What the server said stands, inactive above all: see MaxStale.
func TestAPanicOfSharedCostsAQuestionAndNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: active}
		v := newVerifier(t, s, with(panickingShared{}), func(c *Config) { c.MaxStale = time.Hour })
		require.NoError(t, verifyErr(v, "token"))
		time.Sleep(time.Minute)
		s.say(inactive)
		require.ErrorIs(t, verifyErr(v, "token"), postern.ErrInvalidToken)
		require.Zero(t, v.Stats().InFlight)
	})
}

func TestARenewalThatPanicsIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: active}
		v := newVerifier(t, s)
		require.NoError(t, verifyErr(v, "token"))
		time.Sleep(50 * time.Second)
		s.say(panics)
		require.NoError(t, verifyErr(v, "token"))
		synctest.Wait()
		time.Sleep(defaultTTL / 50)
		s.say(active)
		require.NoError(t, verifyErr(v, "token"))
		synctest.Wait()
		require.Equal(t, 3, s.count())
		time.Sleep(2 * defaultTimeout) // net/http watches the deadline in a goroutine, which outlives the panic
	})
}
