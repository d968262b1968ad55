package localjwt

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern"
)

// issuerAt is newIssuer under another name.
func issuerAt(url string) *issuer {
	i := newIssuer()
	i.url = url
	return i
}

func of(url string) object { return object{"iss": url} }

const secondIssuer = "https://id.example.org"

// several runs with verifiers of two issuers and what they are made of.
func several(t *testing.T, run func(t *testing.T, one, two *issuer, cfg IssuersConfig)) {
	synctest.Test(t, func(t *testing.T) {
		one, two := newIssuer(), issuerAt(secondIssuer)
		run(t, one, two, IssuersConfig{Verifiers: []*Verifier{one.verifier(t), two.verifier(t)}})
	})
}

func TestAJWTGoesToTheVerifierOfItsIssuer(t *testing.T) {
	several(t, func(t *testing.T, one, two *issuer, cfg IssuersConfig) {
		s := must(NewIssuers(cfg))
		for range 2 {
			assert.Equal(t, testIssuer, must(s.Verify(t.Context(), sign(nil))).Issuer())
		}
		assert.Equal(t, []int{1, 0}, []int{one.asked(), two.asked()})
		for range 2 {
			assert.Equal(t, secondIssuer, must(s.Verify(t.Context(), sign(of(secondIssuer)))).Issuer())
		}
		assert.Equal(t, []int{1, 1}, []int{one.asked(), two.asked()})
	})
}

func TestATokenIsNeverVerifiedWithTheKeysOfAnotherIssuer(t *testing.T) {
	several(t, func(t *testing.T, one, two *issuer, cfg IssuersConfig) {
		publishKeys(two, jwk("rs256", "RS256", otherRSA.Public()))
		s := must(NewIssuers(cfg))
		accepts(t, s, sign(nil))
		refusesToken(t, s, sign(of(secondIssuer))) // signed by the first's key
		refusesToken(t, s, signWith(rs256("rs256"), good(), otherRSA))
	})
}

func TestUnknownIssuersAreRefusedWithoutACall(t *testing.T) {
	several(t, func(t *testing.T, one, two *issuer, cfg IssuersConfig) {
		in := &introspector{answer: active}
		cfg.Opaque, cfg.Hosts = in, map[string]postern.Verifier{"api.example.com": in}
		s := must(NewIssuers(cfg))
		for _, iss := range []any{"https://evil.example.com", testIssuer + "/", "HTTPS://id.example.com", "", nil, 1} {
			refusesToken(t, s, sign(object{"iss": iss}))
		}
		for _, token := range []string{"..", "a.b.c", "e30.e30."} {
			refusesToken(t, s, token)
		}
		_, err := s.Verify(t.Context(), sign(of("https://evil.example.com")))
		require.ErrorContains(t, err, `expected one of ["https://id.example.com" "https://id.example.org"], got "https://evil.example.com"`)
		refusesToken(t, s, sign(object{"aud": "999"}))
		assert.Zero(t, one.asked()+two.asked()+in.calls())
		assert.Zero(t, s.known.Counts().Entries, "nor is anything remembered")
	})
}

func TestAnIssuersConfigIsCopied(t *testing.T) {
	several(t, func(t *testing.T, one, two *issuer, cfg IssuersConfig) {
		cfg.Hosts = map[string]postern.Verifier{"api.example.com": &introspector{answer: active}}
		s := must(NewIssuers(cfg))
		cfg.Hosts["evil.example.com"] = cfg.Hosts["api.example.com"]
		cfg.Verifiers[0] = cfg.Verifiers[1]
		ask := func(host string) error {
			_, err := s.Verify(WithHost(t.Context(), host), "opaque")
			return err
		}
		require.NoError(t, ask("api.example.com"))
		require.ErrorIs(t, ask("evil.example.com"), postern.ErrInvalidToken)
		accepts(t, s, sign(nil))
	})
}

func TestOpaqueTokensFollowTheRule(t *testing.T) {
	several(t, func(t *testing.T, one, two *issuer, cfg IssuersConfig) {
		_, err := must(NewIssuers(cfg)).Verify(t.Context(), "opaque")
		require.ErrorIs(t, err, postern.ErrInvalidToken, "without a rule they are refused")
		require.ErrorContains(t, err, "IssuersConfig")

		byHost, other := &introspector{answer: active}, &introspector{answer: active}
		cfg.Hosts = map[string]postern.Verifier{"api.example.com": byHost, "::1": byHost}
		s := must(NewIssuers(cfg))
		ask := func(s *Issuers, host string) error {
			_, err := s.Verify(WithHost(t.Context(), host), "opaque")
			return err
		}
		for _, host := range []string{"api.example.com", "API.example.com:8443", "api.example.com.", "[::1]:80", "[::1]"} {
			require.NoError(t, ask(s, host), host)
		}
		assert.Equal(t, 5, byHost.calls())
		for _, host := range []string{"", "example.com", "api.example.com.evil.example", "api.example.com:80:80"} {
			require.ErrorIs(t, ask(s, host), postern.ErrInvalidToken, host)
		}
		_, err = s.Verify(t.Context(), "opaque")
		require.ErrorIs(t, err, postern.ErrInvalidToken)

		cfg.Opaque = other
		s = must(NewIssuers(cfg))
		require.NoError(t, ask(s, "api.example.com"))
		require.NoError(t, ask(s, "example.com"))
		_, err = s.Verify(t.Context(), "opaque")
		require.NoError(t, err)
		assert.Equal(t, []int{6, 2}, []int{byHost.calls(), other.calls()})
	})
}

func TestIssuersEvictEverywhere(t *testing.T) {
	several(t, func(t *testing.T, one, two *issuer, cfg IssuersConfig) {
		in, hosted := &introspector{answer: active}, &introspector{answer: active}
		cfg.Opaque, cfg.Hosts = in, map[string]postern.Verifier{"a": hosted, "b": plain{hosted}}
		s := must(NewIssuers(cfg))
		first, second := sign(nil), sign(of(secondIssuer))
		accepts(t, s, first)
		accepts(t, s, second)
		s.EvictToken(first)
		refusesToken(t, s, first)
		accepts(t, s, second)
		s.EvictSubject("400709194509978662")
		refusesToken(t, s, second)
		s.EvictTokenID("t1")
		s.EvictAll()
		assert.Equal(t, []string{"token " + first, "subject 400709194509978662", "id t1", "all"}, in.evicted)
		assert.Equal(t, in.evicted, hosted.evicted)
	})
}

func TestIssuersHitAllocatesNothing(t *testing.T) {
	one, two := newIssuer(), issuerAt(secondIssuer)
	s := must(NewIssuers(IssuersConfig{Verifiers: []*Verifier{one.verifier(t), two.verifier(t)}}))
	token := sign(of(secondIssuer))
	accepts(t, s, token)
	ctx := WithHost(context.Background(), "api.example.com")
	assert.Zero(t, testing.AllocsPerRun(1000, func() {
		if _, err := s.Verify(ctx, token); err != nil {
			t.Error(err)
		}
	}))
}

func TestEveryMistakeInAnIssuersConfigIsReported(t *testing.T) {
	_, err := NewIssuers(IssuersConfig{})
	require.ErrorContains(t, err, "Verifiers: expected at least one")
	v := newIssuer().verifier(t)
	_, err = NewIssuers(IssuersConfig{
		Verifiers: []*Verifier{v, nil, newIssuer().verifier(t)},
		Hosts:     map[string]postern.Verifier{"": v, "API.example.com": v, "api.example.com:80": v, "nil.example.com": (*Verifier)(nil), "good.example.com": v},
		Opaque:    (*Verifier)(nil),
	})
	for _, says := range []string{"Verifiers[1]: expected a Verifier", "Verifiers[2]: expected another issuer", `got ""`, `got "API.example.com"`, `got "api.example.com:80"`, `Hosts["nil.example.com"]`, "Opaque"} {
		assert.ErrorContains(t, err, says)
	}
	assert.NotContains(t, err.Error(), "good.example.com")
}
