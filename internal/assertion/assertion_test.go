package assertion_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/postern-go/postern/internal/assertion"
	"github.com/postern-go/postern/internal/skew"
	"github.com/postern-go/postern/keyfile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const audience = "https://issuer.example"

var (
	rsaKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	ecKey  = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func serviceUser(signer crypto.Signer) *keyfile.Key {
	return &keyfile.Key{Type: keyfile.ServiceAccount, ID: "kid-1", UserID: "user-1", Signer: signer}
}

func newSigner(t *testing.T, cfg assertion.Config) *assertion.Signer {
	t.Helper()
	if cfg.Want == "" {
		cfg.Want = keyfile.ServiceAccount
	}
	cfg.Audience = audience
	s, err := assertion.New(cfg)
	require.NoError(t, err)
	return s
}

// verified checks the signature as anybody with the public key would, and returns header and claims.
func verified(t *testing.T, text string, public crypto.PublicKey, now time.Time) (map[string]any, jwt.MapClaims) {
	t.Helper()
	claims := jwt.MapClaims{}
	token, err := jwt.NewParser(jwt.WithTimeFunc(func() time.Time { return now }), jwt.WithAudience(audience)).
		ParseWithClaims(text, claims, func(*jwt.Token) (any, error) { return public, nil })
	require.NoError(t, err)
	return token.Header, claims
}

func TestAnAssertionHasTheClaimsThatZITADELWants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, row := range map[string]struct {
			signer    crypto.Signer
			algorithm string
			want      string
		}{
			"RSA":                            {rsaKey(), "", "RS256"},
			"RSA by name":                    {rsaKey(), "RS256", "RS256"},
			"RSA with PSS":                   {rsaKey(), "PS256", "PS256"},
			"P-256":                          {ecKey(), "", "ES256"},
			"P-256 by name":                  {ecKey(), "ES256", "ES256"},
			"RSA in a device":                {&device{Signer: rsaKey()}, "", "RS256"},
			"RSA in a device, with PSS":      {&device{Signer: rsaKey()}, "PS256", "PS256"},
			"P-256 in a device, ASN.1 to 64": {&device{Signer: ecKey()}, "", "ES256"},
		} {
			s := newSigner(t, assertion.Config{Key: serviceUser(row.signer), Algorithm: row.algorithm})
			text, err := s.Fresh(t.Context())
			require.NoError(t, err, name)
			header, claims := verified(t, text, row.signer.Public(), time.Now())
			assert.Equal(t, map[string]any{"alg": row.want, "typ": "JWT", "kid": "kid-1"}, header, name)
			assert.Equal(t, "user-1", claims["iss"], name)
			assert.Equal(t, "user-1", claims["sub"], name)
			assert.Equal(t, audience, claims["aud"], name)
			assert.EqualValues(t, time.Now().Add(-30*time.Second).Unix(), claims["iat"], name)
			assert.EqualValues(t, time.Now().Add(-30*time.Second+5*time.Minute).Unix(), claims["exp"], name)
			assert.GreaterOrEqual(t, len(claims["jti"].(string)), 22, name)
			assert.Len(t, claims, 6, name)
		}
	})
}

func TestAnApplicationIsNamedByItsClientID(t *testing.T) {
	key := &keyfile.Key{Type: keyfile.Application, ID: "kid", ClientID: "client", AppID: "app", Signer: ecKey()}
	text, err := newSigner(t, assertion.Config{Key: key, Want: keyfile.Application}).Fresh(t.Context())
	require.NoError(t, err)
	_, claims := verified(t, text, ecKey().Public(), time.Now())
	assert.Equal(t, "client", claims["iss"])
	assert.Equal(t, "client", claims["sub"])
}

func TestEachFreshAssertionHasItsOwnID(t *testing.T) {
	s := newSigner(t, assertion.Config{Key: serviceUser(ecKey())})
	seen := map[any]bool{}
	for range 50 {
		_, claims := verified(t, must(s.Fresh(t.Context())), ecKey().Public(), time.Now())
		seen[claims["jti"]] = true
	}
	assert.Len(t, seen, 50)
}

func TestECDSASignaturesAreAlways64Bytes(t *testing.T) {
	s := newSigner(t, assertion.Config{Key: serviceUser(ecKey())})
	for range 600 { // one in 128 has a number that is shorter
		text := must(s.Fresh(t.Context()))
		token, _, err := jwt.NewParser().ParseUnverified(text, jwt.MapClaims{})
		require.NoError(t, err)
		require.Len(t, token.Signature, 64)
	}
}

func TestLifetimeIsFromOneMinuteToOneHour(t *testing.T) {
	for _, bad := range []time.Duration{-time.Minute, time.Second, 59 * time.Second, time.Hour + 1} {
		_, err := assertion.New(assertion.Config{Key: serviceUser(ecKey()), Want: keyfile.ServiceAccount, Lifetime: bad})
		assert.ErrorContains(t, err, "AssertionLifetime: expected a time from 1m0s to 1h0m0s, got "+bad.String())
	}
	s := newSigner(t, assertion.Config{Key: serviceUser(ecKey()), Lifetime: time.Hour})
	_, claims := verified(t, must(s.Fresh(t.Context())), ecKey().Public(), time.Now())
	assert.EqualValues(t, 3600, claims["exp"].(float64)-claims["iat"].(float64))
}

func TestNewReportsEveryMistake(t *testing.T) {
	_, err := assertion.New(assertion.Config{
		Key: &keyfile.Key{Type: keyfile.ServiceAccount}, Want: keyfile.ServiceAccount, Lifetime: -1, Algorithm: "EdDSA",
	})
	for _, want := range []string{"AssertionLifetime: ", "Algorithm: ", "Key: ", "keyId", "userId", "Signer"} {
		assert.ErrorContains(t, err, want)
	}
}

func TestNewLooksAtKeysInMemory(t *testing.T) {
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	application := &keyfile.Key{Type: keyfile.Application, ID: "kid", ClientID: "client", Signer: ecKey()}
	expired := serviceUser(ecKey())
	expired.Expiry = time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)
	for name, row := range map[string]struct {
		cfg  assertion.Config
		want string
	}{
		"none":                    {assertion.Config{}, "got nil"},
		"a nil key":               {assertion.Config{Key: (*keyfile.Key)(nil)}, "got nil"},
		"a nil file":              {assertion.Config{Key: (*keyfile.File)(nil)}, "got nil"},
		"a file never opened":     {assertion.Config{Key: new(keyfile.File)}, "got nil"},
		"an application's":        {assertion.Config{Key: application, Want: keyfile.ServiceAccount}, "got an API application's"},
		"a service user's":        {assertion.Config{Key: serviceUser(ecKey()), Want: keyfile.Application}, "got a service user's"},
		"of a Source in memory":   {assertion.Config{Key: current{application}, Want: keyfile.ServiceAccount}, "got an API application's"},
		"no Signer":               {assertion.Config{Key: serviceUser(nil)}, "expected a Signer, got nil"},
		"another curve":           {assertion.Config{Key: serviceUser(p384)}, "P-384"},
		"expired":                 {assertion.Config{Key: expired}, "2020-02-03T04:05:06Z"},
		"ES256 with RSA":          {assertion.Config{Key: serviceUser(rsaKey()), Algorithm: "ES256"}, "does not fit the key"},
		"PS256 with P-256":        {assertion.Config{Key: serviceUser(ecKey()), Algorithm: "PS256"}, "does not fit the key"},
		"an algorithm of no kind": {assertion.Config{Key: serviceUser(ecKey()), Algorithm: "none"}, "RS256, PS256 or ES256"},
	} {
		t.Run(name, func(t *testing.T) {
			if row.cfg.Want == "" {
				row.cfg.Want = keyfile.ServiceAccount
			}
			_, err := assertion.New(row.cfg)
			assert.ErrorContains(t, err, row.want)
		})
	}
}

func TestNewDoesNotAskASource(t *testing.T) {
	s := newSigner(t, assertion.Config{Key: source(func(context.Context) (*keyfile.Key, error) { return nil, errors.New("sealed") })})
	_, err := s.Fresh(t.Context())
	assert.ErrorContains(t, err, "the key is not to be had: sealed")
}

func TestAKeyFromASourceIsCheckedWhenItIsUsed(t *testing.T) {
	for name, key := range map[string]*keyfile.Key{
		"nil": nil, "no ids": {Signer: ecKey()}, "no Signer": serviceUser(nil), "a typed nil": serviceUser((*rsa.PrivateKey)(nil)),
		"an application's": {Type: keyfile.Application, ID: "kid", ClientID: "client", Signer: ecKey()},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSigner(t, assertion.Config{Key: source(func(context.Context) (*keyfile.Key, error) { return key, nil })})
			text, err := s.Fresh(t.Context())
			assert.ErrorContains(t, err, "expected")
			assert.Empty(t, text)
			text, err = s.Reusable(t.Context())
			assert.ErrorContains(t, err, "expected")
			assert.Empty(t, text)
		})
	}
}

func TestASignerThatFailsIsAnError(t *testing.T) {
	broken := errors.New("the session was closed")
	for name, row := range map[string]struct {
		signer crypto.Signer
		want   string
	}{
		"it returns an error":                {&device{Signer: ecKey(), err: broken}, "the session was closed"},
		"it panics":                          {&device{Signer: ecKey(), panics: true}, "got a panic from *assertion_test.device"},
		"it holds another key":               {&device{Signer: ecKey(), other: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))}, "its own public key verifies"},
		"it holds another RSA key":           {&device{Signer: rsaKey(), other: ecKey()}, "its own public key verifies"},
		"it returns r and s without ASN.1":   {&device{Signer: ecKey(), result: make([]byte, 64)}, "ASN.1"},
		"it returns nothing":                 {&device{Signer: ecKey(), result: []byte{}}, "ASN.1"},
		"it returns zero for r and s":        {&device{Signer: ecKey(), result: []byte{0x30, 6, 2, 1, 0, 2, 1, 0}}, "out of its range"},
		"it returns a negative number":       {&device{Signer: ecKey(), result: []byte{0x30, 6, 2, 1, 0xff, 2, 1, 1}}, "out of its range"},
		"it returns more after the sequence": {&device{Signer: ecKey(), result: []byte{0x30, 6, 2, 1, 1, 2, 1, 1, 0}}, "ASN.1"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newSigner(t, assertion.Config{Key: serviceUser(row.signer)}).Fresh(t.Context())
			assert.ErrorContains(t, err, row.want)
			assert.NotContains(t, err.Error(), "hunter2")
		})
	}
	_, err := newSigner(t, assertion.Config{Key: serviceUser(&device{Signer: ecKey(), err: broken})}).Fresh(t.Context())
	assert.ErrorIs(t, err, broken)
}

func TestACallerDoesNotWaitForADeviceBeyondItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hung := make(chan struct{})
		s := newSigner(t, assertion.Config{Key: serviceUser(&device{Signer: ecKey(), wait: hung})})
		for _, sign := range []func(context.Context) (string, error){s.Fresh, s.Reusable} {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			start := time.Now()
			_, err := sign(ctx)
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Equal(t, 50*time.Millisecond, time.Since(start))
		}
		close(hung)
	})
}

func TestADeviceIsAskedAtMost64TimesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hung := make(chan struct{})
		d := &device{Signer: ecKey(), wait: hung}
		s := newSigner(t, assertion.Config{Key: serviceUser(d)})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for range 200 {
			go func() {
				_, err := s.Fresh(ctx)
				assert.ErrorIs(t, err, context.DeadlineExceeded)
			}()
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.Equal(t, 64, d.calls())
		close(hung)
	})
}

func TestAnEndedContextSignsNothing(t *testing.T) {
	d := &device{Signer: ecKey()}
	s := newSigner(t, assertion.Config{Key: serviceUser(d)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Fresh(ctx)
	assert.ErrorIs(t, err, context.Canceled)
	_, err = s.Reusable(ctx)
	assert.ErrorIs(t, err, context.Canceled)
	assert.Zero(t, d.calls())
}

func TestAReusableAssertionServesManyCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &device{Signer: ecKey()}
		key := serviceUser(d)
		clock := skew.New(nil)
		s := newSigner(t, assertion.Config{Clock: clock, Key: source(func(context.Context) (*keyfile.Key, error) { return key, nil })})
		first := must(s.Reusable(t.Context()))

		time.Sleep(216*time.Second - 1) // 80 % of the 4 minutes 30 that are left when it is signed
		assert.Equal(t, first, must(s.Reusable(t.Context())))
		time.Sleep(time.Nanosecond)
		second := must(s.Reusable(t.Context()))
		assert.NotEqual(t, first, second, "at 80 % of its life")

		copied := *key
		key = &copied
		assert.Equal(t, second, must(s.Reusable(t.Context())), "another value of the same key")
		renewed := *key
		renewed.ID = "kid-2"
		key = &renewed
		third := must(s.Reusable(t.Context()))
		assert.NotEqual(t, second, third, "another key")
		replaced := renewed
		replaced.Signer = rsaKey()
		key = &replaced
		fourth := must(s.Reusable(t.Context()))
		assert.NotEqual(t, third, fourth, "another private half")

		now := time.Now()
		clock.Observe(http.Header{"Cache-Control": {"no-store"}, "Date": {now.Add(time.Hour).UTC().Format(http.TimeFormat)}}, now, now)
		fifth := must(s.Reusable(t.Context()))
		assert.NotEqual(t, fourth, fifth, "another skew")
		_, claims := verified(t, fifth, rsaKey().Public(), now.Add(time.Hour))
		assert.InDelta(t, now.Add(time.Hour-30*time.Second).Unix(), claims["iat"], 1)
		assert.Equal(t, 3, d.calls())
	})
}

func TestConcurrentCallersShareOneSignature(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &device{Signer: ecKey(), takes: time.Second}
		s := newSigner(t, assertion.Config{Key: serviceUser(d)})
		var got sync.Map
		var callers sync.WaitGroup
		for range 100 {
			callers.Go(func() { got.Store(must(s.Reusable(t.Context())), true) })
		}
		callers.Wait()
		n := 0
		got.Range(func(any, any) bool { n++; return true })
		assert.Equal(t, 1, n)
		assert.Equal(t, 1, d.calls())
	})
}

func TestAKeyThatExpiresIsRefusedByTheServersTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := serviceUser(ecKey())
		key.Expiry = time.Now().Add(time.Hour)
		clock := skew.New(nil)
		s := newSigner(t, assertion.Config{Key: key, Clock: clock})
		_, err := s.Fresh(t.Context())
		require.NoError(t, err)
		now := time.Now()
		clock.Observe(http.Header{"Cache-Control": {"no-store"}, "Date": {now.Add(2 * time.Hour).UTC().Format(http.TimeFormat)}}, now, now)
		_, err = s.Fresh(t.Context())
		assert.ErrorContains(t, err, "expired on "+key.Expiry.UTC().Format(time.RFC3339))
	})
}

func TestTheAlgorithmCanBeTold(t *testing.T) {
	s := newSigner(t, assertion.Config{Key: serviceUser(rsaKey()), Algorithm: "PS256"})
	assert.Equal(t, "PS256", s.Algorithm(serviceUser(rsaKey())))
	assert.Empty(t, s.Algorithm(serviceUser(ecKey())))
}

type source func(context.Context) (*keyfile.Key, error)

func (s source) Key(ctx context.Context) (*keyfile.Key, error) { return s(ctx) }

type current struct{ key *keyfile.Key }

func (c current) Key(context.Context) (*keyfile.Key, error) { return c.key, nil }
func (c current) Current() *keyfile.Key                     { return c.key }

// device stands for a KMS or HSM.
type device struct {
	crypto.Signer               // tells the public key, and signs unless something below says otherwise
	other         crypto.Signer // signs instead
	err           error
	panics        bool
	result        []byte
	wait          chan struct{}
	takes         time.Duration

	mu sync.Mutex
	n  int
}

func (d *device) calls() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.n
}

func (d *device) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	d.mu.Lock()
	d.n++
	d.mu.Unlock()
	if d.wait != nil {
		<-d.wait
	}
	time.Sleep(d.takes)
	switch {
	case d.panics:
		panic("hunter2")
	case d.err != nil:
		return nil, d.err
	case d.result != nil:
		return d.result, nil
	case d.other != nil:
		return d.other.Sign(rand, digest, opts)
	}
	return d.Signer.Sign(rand, digest, opts)
}
