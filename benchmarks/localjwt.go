package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/auth0/go-jwt-middleware/v2/jwks"
	"github.com/auth0/go-jwt-middleware/v2/validator"
	"github.com/zitadel/oidc/v3/pkg/client/rp"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/benchmarks/harness"
	"github.com/postern-go/postern/introspect"
	"github.com/postern-go/postern/localjwt"
	"github.com/postern-go/postern/zitadeltest"
)

// issuing is a ZITADEL with one JWT access token of an API's project.
type issuing struct {
	*zitadeltest.Server
	project *zitadeltest.Project
	api     *zitadeltest.API
	token   string
}

func newIssuing() (*issuing, error) {
	s, err := zitadeltest.New(zitadeltest.Config{})
	if err != nil {
		return nil, err
	}
	project := s.AddProject("orders", "reader")
	bot := s.AddServiceUser("bot", zitadeltest.JWTTokens(), zitadeltest.WithProjectRole(project, "reader"))
	return &issuing{s, project, project.AddAPI("orders-api"), s.IssueToken(bot, "openid", postern.ScopeProjectAudience(project.ID), postern.ScopeProjectsRoles)}, nil
}

// verifying are the ways to verify the token, each set up as its documentation says.
var verifying = []struct {
	name string
	open func(*issuing) (verify func(context.Context) error, err error)
}{
	{"postern localjwt", func(i *issuing) (func(context.Context) error, error) {
		v, err := localjwt.New(localjwt.Config{
			Issuer: i.Issuer(), Audience: []string{i.project.ID}, ProjectID: i.project.ID, HTTPClient: i.Client(), Logger: slog.New(slog.DiscardHandler),
		})
		return verifyWith(v, i.token), err
	}},
	{"postern localjwt, rechecked", func(i *issuing) (func(context.Context) error, error) {
		v, err := newIntrospection(i)
		if err != nil {
			return nil, err
		}
		both, err := localjwt.New(localjwt.Config{
			Issuer: i.Issuer(), Audience: []string{i.project.ID}, ProjectID: i.project.ID, HTTPClient: i.Client(), Logger: slog.New(slog.DiscardHandler),
			Introspection: v, Recheck: time.Minute,
		})
		return verifyWith(both, i.token), err
	}},
	{"postern introspect", func(i *issuing) (func(context.Context) error, error) {
		v, err := newIntrospection(i)
		return verifyWith(v, i.token), err
	}},
	{"auth0/go-jwt-middleware", func(i *issuing) (func(context.Context) error, error) {
		issuer, err := url.Parse(i.Issuer())
		if err != nil {
			return nil, err
		}
		keys := jwks.NewCachingProvider(issuer, 5*time.Minute, jwks.WithCustomClient(i.Client()))
		v, err := validator.New(keys.KeyFunc, validator.RS256, i.Issuer(), []string{i.project.ID})
		return func(ctx context.Context) error {
			_, err := v.ValidateToken(ctx, i.token)
			return err
		}, err
	}},
	{"zitadel/oidc verifier", func(i *issuing) (func(context.Context) error, error) {
		v := op.NewAccessTokenVerifier(i.Issuer(), rp.NewRemoteKeySet(i.Client(), i.Issuer()+"/oauth/v2/keys"))
		return func(ctx context.Context) error {
			_, err := op.VerifyAccessToken[*oidc.AccessTokenClaims](ctx, i.token, v)
			return err
		}, nil
	}},
}

func newIntrospection(i *issuing) (*introspect.Verifier, error) {
	return introspect.New(introspect.Config{
		Issuer: i.Issuer(), Auth: introspect.Basic(i.api.ClientID, i.api.ClientSecret), HTTPClient: i.Client(), Logger: slog.New(slog.DiscardHandler),
	})
}

func verifyWith(v postern.Verifier, token string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := v.Verify(ctx, token)
		return err
	}
}

// localBench verifies a JWT that has been seen before.
func localBench() harness.Bench {
	bench := harness.Bench{
		Name: "BenchmarkLocalJWT",
		About: "A JWT access token that came before, verified again. The floor is a hash of the token (SHA-256), a look into a map, and a look at the\n" +
			"clock: what remembering a token takes at least. auth0/go-jwt-middleware and zitadel/oidc verify the signature each time; postern\n" +
			"remembers the token, and looks whether it ended, its key is still published, and nobody evicted it. zitadel/oidc checks no audience.",
		Columns: []harness.Column{{Key: "calls", Title: "calls to the issuer in 1000 requests"}},
		Chart:   harness.Ratio,
		Claims: []harness.Claim{
			{Contender: "postern localjwt", Key: harness.Allocations, Most: 0},
			{Contender: "postern localjwt, rechecked", Key: harness.Allocations, Most: 0},
			{Contender: "postern localjwt", Key: harness.Ratio, Most: 2},
		},
		Contenders: []harness.Contender{
			{Name: "floor", Floor: true, New: newHashFloor}, {Name: "floor again", New: newHashFloor},
		},
	}
	for _, c := range verifying {
		bench.Contenders = append(bench.Contenders, harness.Contender{Name: c.name, New: func() (harness.Case, error) {
			i, err := newIssuing()
			if err != nil {
				return harness.Case{}, err
			}
			verify, err := c.open(i)
			if err != nil {
				return harness.Case{}, err
			}
			op := func(n int) error {
				for range n {
					if err := verify(context.Background()); err != nil {
						return fmt.Errorf("%s: %w", c.name, err)
					}
				}
				return nil
			}
			scenario := func() (map[string]float64, error) {
				verify, err := c.open(i) // one that knows nothing yet
				if err != nil {
					return nil, err
				}
				before := i.Calls(zitadeltest.AnyEndpoint)
				for range 1000 {
					if err := verify(context.Background()); err != nil {
						return nil, err
					}
				}
				return map[string]float64{"calls": float64(i.Calls(zitadeltest.AnyEndpoint) - before)}, nil
			}
			return harness.Case{Op: op, Scenario: scenario, Close: i.Close}, nil
		}})
	}
	return bench
}

func newHashFloor() (harness.Case, error) {
	i, err := newIssuing()
	if err != nil {
		return harness.Case{}, err
	}
	defer i.Close()
	var known sync.Map
	known.Store(sha256.Sum256([]byte(i.token)), time.Now().Add(time.Hour))
	return harness.Case{Op: func(n int) error {
		for range n {
			end, ok := known.Load(sha256.Sum256([]byte(i.token)))
			if !ok || !time.Now().Before(end.(time.Time)) {
				return fmt.Errorf("floor: the token is not known")
			}
		}
		return nil
	}}, nil
}
