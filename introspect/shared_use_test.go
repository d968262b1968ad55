package introspect

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern"
)

// secondLevel is a Shared in memory that any number of verifiers use. It does not know evictions, beyond passing them on.
type secondLevel struct {
	mu       sync.Mutex
	answers  map[SharedKey]SharedAnswer
	watchers []func(Eviction)
	fails    bool
	panics   bool
	loads    int
	deleted  []string
}

func (s *secondLevel) Load(_ context.Context, key SharedKey) (SharedAnswer, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads++
	if s.panics {
		panic("second level")
	}
	if s.fails {
		return SharedAnswer{}, false, errors.New("down")
	}
	a, ok := s.answers[key]
	return a, ok, nil
}

func (s *secondLevel) Store(_ context.Context, key SharedKey, answer SharedAnswer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails {
		return errors.New("down")
	}
	if s.answers == nil {
		s.answers = map[SharedKey]SharedAnswer{}
	}
	s.answers[key] = answer
	return nil
}

func (s *secondLevel) Delete(_ context.Context, key SharedKey) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deleted = append(s.deleted, key.Token)
	delete(s.answers, key)
	return nil
}

func (s *secondLevel) Publish(e Eviction) {
	s.mu.Lock()
	s.answers = nil
	watchers := s.watchers
	s.mu.Unlock()
	for _, evict := range watchers {
		evict(e)
	}
}

func (s *secondLevel) Watch(evict func(Eviction)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchers = append(s.watchers, evict)
}

func (s *secondLevel) loaded() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loads
}

func with(s Shared) func(*Config) { return func(cfg *Config) { cfg.Shared = s } }

func TestOneReplicaAsksForAll(t *testing.T) {
	server, shared := &stub{answer: active}, &secondLevel{}
	for range 8 {
		id, err := newVerifier(t, server, with(shared)).Verify(t.Context(), "pat")
		require.NoError(t, err)
		assert.Equal(t, "user of pat", id.Subject())
	}
	assert.Equal(t, 1, server.count())
}

func TestAnotherAPIAsksForItself(t *testing.T) {
	server, shared := &stub{answer: active}, &secondLevel{}
	require.NoError(t, verifyErr(newVerifier(t, server, with(shared)), "pat"))
	require.NoError(t, verifyErr(newVerifier(t, server, with(shared), func(cfg *Config) { cfg.Auth = Basic("other-api", "s3cret") }), "pat"))
	assert.Equal(t, 2, server.count())
}

func TestWhatIsStoredSaysWhenItWasAskedForAndLivesNoLongerThanTheToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		server, shared := &stub{answer: func(*http.Request) (int, string) {
			time.Sleep(5 * time.Second)
			return 200, answer(map[string]any{"sub": "user", "jti": "id", "exp": began.Add(20 * time.Second).Unix()})
		}}, &secondLevel{}
		require.NoError(t, verifyErr(newVerifier(t, server, with(shared)), "pat"))
		stored := shared.answers[SharedKey{issuer, "api", "pat"}]
		assert.Equal(t, []string{"id", "user"}, []string{stored.TokenID, stored.Subject})
		assert.True(t, began.Equal(stored.Asked), "and not when the answer came: the token may have been revoked in between")
		assert.False(t, stored.Expires.After(began.Add(20*time.Second)))
	})
}

func TestHitsDoNotTouchTheSecondLevel(t *testing.T) {
	shared := &secondLevel{}
	v := newVerifier(t, &stub{answer: active}, with(shared))
	require.NoError(t, verifyErr(v, "pat"))
	require.Equal(t, 1, shared.loaded())
	allocs := testing.AllocsPerRun(1000, func() { _, _ = v.Verify(t.Context(), "pat") })
	assert.Zero(t, allocs, "of the 2 that a request may cost, the gate makes both")
	assert.Equal(t, 1, shared.loaded())
}

func TestLoadedAnswersLiveNoLongerThanWhereTheyCameFrom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, shared := &stub{answer: active}, &secondLevel{}
		require.NoError(t, verifyErr(newVerifier(t, server, with(shared)), "pat"))
		time.Sleep(45 * time.Second)
		late := newVerifier(t, server, with(shared))
		require.NoError(t, verifyErr(late, "pat"))
		require.Equal(t, 1, server.count())
		server.say(inactive)
		time.Sleep(15 * time.Second) // the TTL of one minute is over
		assert.ErrorIs(t, verifyErr(late, "pat"), postern.ErrInvalidToken)
		synctest.Wait()
	})
}

func TestRenewalTakesWhatAnotherReplicaRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, shared := &stub{answer: active}, &secondLevel{}
		var fleet []*Verifier
		for range 8 {
			fleet = append(fleet, newVerifier(t, server, with(shared)))
		}
		for range 10 * 60 * 4 { // ten minutes, four requests a second to each
			for _, v := range fleet {
				require.NoError(t, verifyErr(v, "pat"))
			}
			synctest.Wait()
			time.Sleep(250 * time.Millisecond)
		}
		// One replica alone makes a call every 43 to 48 seconds, 13 or 14 in ten minutes; eight of them 104 or more. Renewing
		// together they ask earlier, every 27 seconds at the earliest.
		assert.LessOrEqual(t, server.count(), 2*10*60/27)
		assert.GreaterOrEqual(t, server.count(), 10)
	})
}

func TestInactiveIsTakenBackFromTheSecondLevel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, shared := &stub{answer: active}, &secondLevel{}
		v := newVerifier(t, server, with(shared))
		require.NoError(t, verifyErr(v, "pat"))
		server.say(inactive)
		time.Sleep(50 * time.Second)
		_ = verifyErr(v, "pat") // renews
		synctest.Wait()
		assert.ErrorIs(t, verifyErr(v, "pat"), postern.ErrInvalidToken)
		assert.Equal(t, []string{"pat"}, shared.deleted)
		assert.ErrorIs(t, verifyErr(v, "invented"), postern.ErrInvalidToken)
		assert.Equal(t, []string{"pat"}, shared.deleted, "what was never good takes nothing back")
	})
}

func TestInactiveIsTakenBackThoughTheSecondLevelCouldNotBeSeen(t *testing.T) {
	for name, fail := range map[string]func(s *secondLevel, on bool){
		"fails":  func(s *secondLevel, on bool) { s.fails = on },
		"panics": func(s *secondLevel, on bool) { s.panics = on },
	} {
		t.Run(name, func(t *testing.T) {
			server, shared := &stub{answer: active}, &secondLevel{}
			require.NoError(t, verifyErr(newVerifier(t, server, with(shared)), "pat"))
			server.say(inactive)
			fail(shared, true)
			v := newVerifier(t, server, with(shared), func(cfg *Config) { cfg.NegativeTTL = -1 })
			assert.ErrorIs(t, verifyErr(v, "pat"), postern.ErrInvalidToken)
			fail(shared, false)
			assert.ErrorIs(t, verifyErr(v, "pat"), postern.ErrInvalidToken, "and not good again because of what is stored there")
		})
	}
}

func TestRefusalsAreNotStored(t *testing.T) {
	server, shared := &stub{answer: inactive}, &secondLevel{}
	assert.ErrorIs(t, verifyErr(newVerifier(t, server, with(shared)), "pat"), postern.ErrInvalidToken)
	assert.Empty(t, shared.answers)
}

func TestFailuresOfTheSecondLevelCostAQuestionAndNothingElse(t *testing.T) {
	server, shared := &stub{answer: active}, &secondLevel{fails: true}
	for range 3 {
		require.NoError(t, verifyErr(newVerifier(t, server, with(shared)), "pat"))
	}
	assert.Equal(t, 3, server.count())
}

func TestAnswersOfTheSecondLevelAreJudgedLikeTheServers(t *testing.T) {
	for name, claims := range map[string]string{
		"past its time":  answer(map[string]any{"sub": "user"}),
		"inactive":       `{"active":false}`,
		"both":           `{"active":false,"ACTIVE":true}`,
		"another issuer": `{"active":true,"iss":"https://another.example"}`,
		"expired":        `{"active":true,"exp":1}`,
		"not JSON":       `active`,
	} {
		t.Run(name, func(t *testing.T) {
			server, shared := &stub{answer: active}, &secondLevel{}
			expires := time.Now().Add(time.Hour)
			if name == "past its time" {
				expires = time.Now()
			}
			require.NoError(t, shared.Store(t.Context(), SharedKey{issuer, "api", "pat"}, SharedAnswer{Claims: []byte(claims), Expires: expires}))
			require.NoError(t, verifyErr(newVerifier(t, server, with(shared)), "pat"))
			assert.Equal(t, 1, server.count(), "the server was asked instead")
		})
	}
}

func TestEvictionsReachTheFleet(t *testing.T) {
	for name, evict := range map[string]func(*Verifier){
		"token":    func(v *Verifier) { v.EvictToken("pat") },
		"token id": func(v *Verifier) { v.EvictTokenID("id of pat") },
		"subject":  func(v *Verifier) { v.EvictSubject("user of pat") },
		"all":      func(v *Verifier) { v.EvictAll() },
	} {
		t.Run(name, func(t *testing.T) {
			server, shared := &stub{answer: active}, &secondLevel{}
			a, b := newVerifier(t, server, with(shared)), newVerifier(t, server, with(shared))
			require.NoError(t, verifyErr(a, "pat"))
			require.NoError(t, verifyErr(b, "pat"))
			server.say(inactive)
			evict(a)
			assert.ErrorIs(t, verifyErr(a, "pat"), postern.ErrInvalidToken)
			if name == "token" {
				assert.Equal(t, []string{"pat"}, shared.deleted, "of a token alone no other replica can know")
			} else {
				assert.ErrorIs(t, verifyErr(b, "pat"), postern.ErrInvalidToken)
			}
		})
	}
}

func TestEvictionsAreOfOneIssuer(t *testing.T) {
	server, shared := &stub{answer: active}, &secondLevel{}
	v, heard := newVerifier(t, server, with(shared)), &evictions{}
	v.AlsoEvict(heard)
	var published []Eviction
	shared.Watch(func(e Eviction) { published = append(published, e) })
	shared.Publish(Eviction{Issuer: "https://another.example", Subject: "user"})
	assert.Empty(t, heard.all())
	shared.Publish(Eviction{Subject: "user"}) // of every issuer
	assert.Equal(t, []string{"subject user"}, heard.all())
	v.EvictSubject("user")
	v.EvictTokenID("id")
	assert.Equal(t, []Eviction{{Issuer: issuer, Subject: "user"}, {Issuer: issuer, TokenID: "id"}}, published[2:])
}

func TestTheFleetEvictsEverythingOnceASecondAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, shared := &stub{answer: active}, &secondLevel{}
		v := newVerifier(t, server, with(shared))
		heard := &evictions{}
		v.AlsoEvict(heard)
		for range 50 { // replicas, each told of one event
			shared.Publish(Eviction{Issuer: issuer, All: true})
		}
		assert.Len(t, heard.all(), 1)
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Len(t, heard.all(), 2)
		time.Sleep(time.Minute)
		assert.Len(t, heard.all(), 2)
	})
}
