package oauth_test

import (
	"context"
	"errors"
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
	"github.com/postern-go/postern/internal/oauth"
)

func TestDiscoverySaysWhatIsWrong(t *testing.T) {
	change := func(old, new string) string {
		changed := strings.Replace(discoveryDocument, old, new, 1)
		if changed == discoveryDocument {
			panic("nothing to change: " + old)
		}
		return changed
	}
	for name, row := range map[string]struct {
		resp *http.Response
		want string
	}{
		"another issuer":                    {jsonAnswer(200, change(issuerURL, "https://evil.example")), "expected the issuer https://issuer.example, got https://evil.example"},
		"a slash at the end":                {jsonAnswer(200, change(issuerURL, issuerURL+"/")), "with a slash at the end: set Issuer to https://issuer.example/"},
		"the issuer in another case":        {jsonAnswer(200, change(issuerURL, "https://Issuer.example")), "in other upper or lower case"},
		"an issuer of control characters":   {jsonAnswer(200, change(issuerURL, `https://x\u001b[31m\n`)), "got https://x[31m"},
		"no issuer":                         {jsonAnswer(200, change(`"issuer":"https://issuer.example",`, "")), "a discovery document with an issuer"},
		"an issuer twice":                   {jsonAnswer(200, change(`{`, `{"issuer":"https://evil.example",`)), `"issuer" once`},
		"an issuer in capitals":             {jsonAnswer(200, change(`"issuer"`, `"ISSUER"`)), `"issuer", got another spelling`},
		"an issuer that is a number":        {jsonAnswer(200, change(`"https://issuer.example"`, `1`)), "expected a string, got a number"},
		"a token endpoint that is a list":   {jsonAnswer(200, change(`"https://issuer.example/oauth/v2/token"`, `[]`)), "token_endpoint: expected a string, got an array"},
		"no token endpoint":                 {jsonAnswer(200, change(`"token_endpoint":"https://issuer.example/oauth/v2/token",`, "")), "expected token_endpoint, got none: set TokenURL"},
		"an empty token endpoint":           {jsonAnswer(200, change("https://issuer.example/oauth/v2/token", "")), "expected token_endpoint, got none: set TokenURL"},
		"another origin":                    {jsonAnswer(200, change("https://issuer.example/oauth/v2/token", "https://evil.example/token")), "expected the issuer's origin https://issuer.example:443, got https://evil.example:443: set TokenURL"},
		"another port":                      {jsonAnswer(200, change("https://issuer.example/oauth/v2/token", "https://issuer.example:444/token")), "got https://issuer.example:444"},
		"plain http":                        {jsonAnswer(200, change("https://issuer.example/oauth/v2/token", "http://issuer.example/token")), "AllowHTTP"},
		"a relative endpoint":               {jsonAnswer(200, change("https://issuer.example/oauth/v2/token", "/oauth/v2/token")), "token_endpoint: expected a URL that begins with https://"},
		"an endpoint with a password":       {jsonAnswer(200, change("https://issuer.example/oauth/v2/token", "https://a:hunter2@issuer.example/token")), "without user name and password"},
		"HTML":                              {answer(200, "text/html; charset=utf-8", "<html>hunter2"), "expected an answer of application/json, got text/html"},
		"no content type":                   {answer(200, "", discoveryDocument), "got none that can be read"},
		"nothing":                           {jsonAnswer(200, ""), "not JSON"},
		"an array":                          {jsonAnswer(200, "[]"), "another JSON value"},
		"not UTF-8":                         {jsonAnswer(200, "{\"issuer\":\"\xff\"}"), "UTF-8"},
		"more than 1 MiB":                   {jsonAnswer(200, strings.Repeat(" ", 1<<20)+"{}"), "at most 1048576 bytes, got more"},
		"no content":                        {answer(204, "", ""), "expected an answer of application/json"},
		"nothing at that address":           {answer(404, "text/html", "<html>hunter2"), "check the issuer's URL"},
		"an instance that is not there":     {jsonAnswer(404, `{"code":5,"message":"Instance not found","details":[]}`), "ZITADEL finds its instance by host name"},
		"a redirect":                        {answer(302, "", "", "Location", "https://login.example/hunter2?a=hunter2"), "got a redirect to https://login.example, which is not followed"},
		"a redirect without a location":     {answer(302, "", ""), "got a redirect to nowhere"},
		"a proxy that wants authentication": {answer(407, "", ""), "server answered 407"},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			issuer := newIssuer(t, stub(func(r *http.Request) (*http.Response, error) {
				calls++
				assert.Equal(t, issuerURL+"/.well-known/openid-configuration", r.URL.String())
				row.resp.Request = r
				return row.resp, nil
			}))
			_, err := issuer.URL(t.Context(), oauth.Token)
			require.ErrorContains(t, err, row.want)
			assert.ErrorContains(t, err, "discovery of "+issuerURL)
			assert.ErrorIs(t, err, postern.ErrUnavailable)
			assert.NotContains(t, err.Error(), "hunter2")
			assert.Equal(t, 1, calls)
		})
	}
}

func TestAnIssuerWithASlashMustBeNamedSo(t *testing.T) {
	issuer, err := oauth.New(oauth.Config{Issuer: issuerURL + "/", HTTPClient: &http.Client{Transport: stub(func(r *http.Request) (*http.Response, error) {
		assert.Equal(t, issuerURL+"/.well-known/openid-configuration", r.URL.String(), "one slash, OpenID Connect Discovery §4.1")
		return jsonAnswer(200, discoveryDocument), nil
	})}})
	require.NoError(t, err)
	_, err = issuer.URL(t.Context(), oauth.Token)
	assert.ErrorContains(t, err, "without the slash at the end: set Issuer to https://issuer.example")
}

func TestOnlyTheEndpointThatIsAskedForIsJudged(t *testing.T) {
	document := strings.Replace(discoveryDocument, "https://issuer.example/oauth/v2/keys", "https://cdn.example/keys", 1)
	issuer := newIssuer(t, stub(func(*http.Request) (*http.Response, error) { return jsonAnswer(200, document), nil }))
	token, err := issuer.URL(t.Context(), oauth.Token)
	require.NoError(t, err)
	assert.Equal(t, issuerURL+"/oauth/v2/token", token)
	_, err = issuer.URL(t.Context(), oauth.JWKS)
	assert.ErrorContains(t, err, "set JWKSURL if credentials may go there")
}

// A server that is put right is not to be found out by a restart of its clients.
func TestADocumentWithoutTheEndpointIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, document := 0, strings.Replace(discoveryDocument, "https://issuer.example/oauth/v2/token", "https://internal.example/token", 1)
		down := false
		issuer := newIssuer(t, stub(func(*http.Request) (*http.Response, error) {
			calls++
			if down {
				return answer(404, "", ""), nil
			}
			return jsonAnswer(200, document), nil
		}))
		for range 100 {
			_, err := issuer.URL(t.Context(), oauth.Token)
			assert.ErrorContains(t, err, "got https://internal.example:443")
			_, err = issuer.URL(t.Context(), oauth.JWKS)
			assert.NoError(t, err)
		}
		assert.Equal(t, 1, calls)
		time.Sleep(time.Minute)
		down = true
		_, err := issuer.URL(t.Context(), oauth.Token)
		assert.ErrorContains(t, err, "404")
		_, err = issuer.URL(t.Context(), oauth.JWKS)
		assert.NoError(t, err, "what was found stays")
		assert.Equal(t, 2, calls)
		down, document = false, discoveryDocument
		time.Sleep(time.Minute)
		_, err = issuer.URL(t.Context(), oauth.Token)
		assert.NoError(t, err)
		time.Sleep(time.Hour)
		_, err = issuer.URL(t.Context(), oauth.Token)
		assert.NoError(t, err)
		assert.Equal(t, 3, calls, "one that serves is kept")
	})
}

func TestAnOverrideNeedsNoDiscoveryAndMayHaveAnotherOrigin(t *testing.T) {
	issuer, err := oauth.New(oauth.Config{
		Issuer: issuerURL, Endpoints: map[oauth.Endpoint]string{oauth.Token: "https://zitadel.internal/token"},
		HTTPClient: &http.Client{Transport: stub(func(*http.Request) (*http.Response, error) { return nil, errors.New("asked") })},
	})
	require.NoError(t, err)
	got, err := issuer.URL(t.Context(), oauth.Token)
	require.NoError(t, err)
	assert.Equal(t, "https://zitadel.internal/token", got)
	_, err = issuer.URL(t.Context(), oauth.JWKS)
	assert.ErrorContains(t, err, "asked", "the others are discovered")
}

func TestConcurrentCallersShareOneDiscovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		issuer := newIssuer(t, stub(func(*http.Request) (*http.Response, error) {
			calls.Add(1)
			time.Sleep(time.Second)
			return jsonAnswer(200, discoveryDocument), nil
		}))
		first, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		start := time.Now()
		var callers sync.WaitGroup
		callers.Go(func() {
			_, err := issuer.URL(first, oauth.Token)
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			assert.NotErrorIs(t, err, postern.ErrUnavailable)
			assert.Equal(t, 50*time.Millisecond, time.Since(start), "a caller leaves at its own deadline")
		})
		for range 100 {
			callers.Go(func() {
				_, err := issuer.URL(t.Context(), oauth.Token)
				assert.NoError(t, err, "the one that began it leaving costs the others nothing")
			})
		}
		callers.Wait()
		_, err := issuer.URL(t.Context(), oauth.Introspection)
		assert.NoError(t, err)
		assert.EqualValues(t, 1, calls.Load(), "and it is kept")
	})
}

func TestAnEndedContextBeginsNoDiscovery(t *testing.T) {
	calls := 0
	issuer := newIssuer(t, stub(func(*http.Request) (*http.Response, error) { calls++; return nil, errors.New("down") }))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := issuer.URL(ctx, oauth.Token)
	assert.ErrorIs(t, err, context.Canceled)
	assert.Zero(t, calls)
}

func TestADiscoveryThatFailedIsNotRepeatedForAWhile(t *testing.T) {
	for name, row := range map[string]struct {
		status int
		tries  int // of one discovery
		hourly int // discoveries in an hour, give or take a quarter
		back   time.Duration
	}{
		"refused":           {404, 1, 60, 75 * time.Second},
		"too many requests": {429, 4, 60, 75 * time.Second},
		"an outage":         {502, 4, 1500, 4 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls, up := 0, false
				issuer := newIssuer(t, stub(func(*http.Request) (*http.Response, error) {
					calls++
					if up {
						return jsonAnswer(200, discoveryDocument), nil
					}
					return answer(row.status, "text/html", "no"), nil
				}))
				_, err := issuer.URL(t.Context(), oauth.Token)
				assert.ErrorIs(t, err, postern.ErrUnavailable)
				assert.Equal(t, row.tries, calls)
				for range 100 {
					_, again := issuer.URL(t.Context(), oauth.Token)
					assert.Equal(t, err, again, "the failure is remembered")
				}
				assert.Equal(t, row.tries, calls)

				discoveries := 0
				for hour := time.Now().Add(time.Hour); time.Now().Before(hour); time.Sleep(100 * time.Millisecond) {
					before := calls
					_, err := issuer.URL(t.Context(), oauth.Token)
					require.Error(t, err)
					if calls > before {
						discoveries++
					}
				}
				assert.InDelta(t, row.hourly, discoveries, float64(row.hourly)/4)

				up = true
				began := time.Now()
				for _, err = issuer.URL(t.Context(), oauth.Token); err != nil; _, err = issuer.URL(t.Context(), oauth.Token) {
					require.Less(t, time.Since(began), row.back)
					time.Sleep(100 * time.Millisecond)
				}
			})
		})
	}
}

func TestTheEndOfAnOutageInWhichTheServerHungIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := false
		issuer := newIssuer(t, stub(func(r *http.Request) (*http.Response, error) {
			if up {
				return jsonAnswer(200, discoveryDocument), nil
			}
			<-r.Context().Done()
			return nil, r.Context().Err()
		}))
		for began := time.Now(); time.Since(began) < 20*time.Minute; {
			_, err := issuer.URL(t.Context(), oauth.Token)
			require.ErrorIs(t, err, postern.ErrUnavailable)
			require.NotErrorIs(t, err, context.DeadlineExceeded, "nobody's deadline but ours")
			time.Sleep(100 * time.Millisecond)
		}
		up = true
		began := time.Now()
		for _, err := issuer.URL(t.Context(), oauth.Token); err != nil; _, err = issuer.URL(t.Context(), oauth.Token) {
			time.Sleep(100 * time.Millisecond)
		}
		require.Less(t, time.Since(began), 2*time.Second)
	})
}

func TestATransportThatPanicsIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := newIssuer(t, stub(func(*http.Request) (*http.Response, error) { panic("hunter2") }))
		_, err := issuer.URL(t.Context(), oauth.Token)
		assert.ErrorIs(t, err, postern.ErrUnavailable)
		assert.ErrorContains(t, err, "got a panic from the HTTP client's transport")
		assert.NotContains(t, err.Error(), "hunter2")
		time.Sleep(time.Minute) // net/http's timer for the call runs out
	})
}

func TestADiscoveryHasALimitOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer, err := oauth.New(oauth.Config{Issuer: issuerURL, HTTPClient: &http.Client{Timeout: time.Hour, Transport: stub(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})}})
		require.NoError(t, err)
		start := time.Now()
		_, err = issuer.URL(t.Context(), oauth.Token)
		assert.ErrorIs(t, err, postern.ErrUnavailable)
		assert.NotErrorIs(t, err, context.DeadlineExceeded, "no caller's context has ended")
		assert.Equal(t, time.Minute, time.Since(start))
	})
}
