package rotate

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/zitadeltest"
)

// bubble plays a test in a world whose clock it can move by sleeping.
func bubble(t *testing.T, kind Kind, play func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { play(t, newWorld(t, kind, zitadeltest.Config{InMemory: true})) })
}

func (w *world) run(change ...func(*Config)) Report {
	w.t.Helper()
	report, err := w.rotator(change...).Run(w.t.Context())
	require.NoError(w.t, err)
	return report
}

func (w *world) read() string {
	w.t.Helper()
	data, err := os.ReadFile(w.path)
	require.NoError(w.t, err)
	return string(data)
}

func (w *world) put(text string) {
	w.t.Helper()
	require.NoError(w.t, os.WriteFile(w.path, []byte(text), 0o600))
}

func TestRenewalIsDueAtTwoThirdsOfThirtyDays(t *testing.T) {
	for _, kind := range []Kind{PAT, Key} {
		bubble(t, kind, func(t *testing.T, w *world) {
			first := w.bootstrap()
			life := first.Current.Expires.Sub(first.Current.Created)
			assert.Greater(t, life, 30*day-10*time.Minute-2*time.Second)
			assert.LessOrEqual(t, life, 30*day)
			assert.WithinDuration(t, first.Current.Created.Add(life/3*2), first.Next, time.Second)

			time.Sleep(time.Until(first.Next) - time.Second)
			assert.False(t, w.run().Renewed)
			assert.Len(t, w.own(), 1)
			time.Sleep(time.Second)
			second := w.run()
			assert.True(t, second.Renewed)
			assert.Equal(t, first.Current.ID, second.Waiting)
			assert.Equal(t, w.user.ID, second.UserID)
		})
	}
}

func TestTheOldOneIsRemovedAfterTheGracePeriodAndNotBefore(t *testing.T) {
	for _, kind := range []Kind{PAT, Key} {
		bubble(t, kind, func(t *testing.T, w *world) {
			first := w.bootstrap().Current.ID
			old := w.read()
			time.Sleep(25 * day)
			renewed := w.run()
			require.True(t, renewed.Renewed)
			assert.ElementsMatch(t, []string{first, renewed.Current.ID}, w.own())
			w.works()
			w.worksBy([]byte(old))
			previous, err := os.ReadFile(w.path + ".previous")
			require.NoError(t, err)
			assert.Equal(t, old, string(previous), "the store keeps the previous one")

			time.Sleep(time.Until(renewed.Next) - time.Second)
			assert.Empty(t, w.run().Removed)
			time.Sleep(time.Second)
			assert.Equal(t, []string{first}, w.run().Removed)
			assert.Equal(t, []string{renewed.Current.ID}, w.own())
			w.works()
		})
	}
}

func TestANeverEndingCredentialIsRenewedAtTwoThirdsOfLife(t *testing.T) {
	bubble(t, PAT, func(t *testing.T, w *world) {
		w.put(w.user.PAT() + "\n")
		report := w.run()
		assert.False(t, report.Renewed)
		assert.Equal(t, 9999, report.Current.Expires.Year())
		time.Sleep(20 * day)
		report = w.run()
		assert.True(t, report.Renewed)
		assert.Less(t, time.Until(report.Current.Expires), 31*day)
	})
}

func TestRotateRenewsAtOnceAndNotTwiceWithinTheGracePeriod(t *testing.T) {
	bubble(t, PAT, func(t *testing.T, w *world) {
		w.bootstrap()
		report, err := w.rotator().Rotate(t.Context())
		require.NoError(t, err)
		assert.True(t, report.Renewed)
		again, err := w.rotator().Rotate(t.Context())
		require.ErrorIs(t, err, ErrGrace)
		assert.Equal(t, report.Current.ID, again.Current.ID)
		assert.Len(t, w.own(), 2)
		time.Sleep(defaultGrace)
		again, err = w.rotator().Rotate(t.Context())
		require.NoError(t, err)
		assert.True(t, again.Renewed)
		assert.Len(t, w.own(), 2)
	})
}

func TestAKeyFileNamesItselfAndIsReplaced(t *testing.T) {
	bubble(t, Key, func(t *testing.T, w *world) {
		w.addForeign()
		w.put(string(w.user.KeyJSON(time.Now().Add(10 * day))))
		first := w.run()
		assert.False(t, first.Renewed)
		require.Equal(t, w.own(), []string{first.Current.ID})
		time.Sleep(7 * day)
		second := w.run()
		assert.True(t, second.Renewed)
		time.Sleep(defaultGrace)
		assert.Equal(t, []string{first.Current.ID}, w.run().Removed)
		assert.Equal(t, []string{second.Current.ID}, w.own())
	})
}

func TestTheOnlyPATOfAUserIsTakenOver(t *testing.T) {
	bubble(t, PAT, func(t *testing.T, w *world) {
		id, token := w.user.PATWithID(time.Now().Add(10 * day))
		w.put(token)
		assert.Equal(t, id, w.run().Current.ID)
		time.Sleep(8 * day)
		assert.Equal(t, id, w.run().Waiting)
		time.Sleep(defaultGrace)
		assert.Equal(t, []string{id}, w.run().Removed)
	})
}

func TestOneOfSeveralPATsIsReplacedAndNoneIsRemoved(t *testing.T) {
	bubble(t, PAT, func(t *testing.T, w *world) {
		w.addForeign()
		id, token := w.user.PATWithID(time.Now().Add(10 * day))
		w.foreign = append(w.foreign, id)
		w.put(token)
		report := w.run() // its expiry is not known, so it is due
		assert.True(t, report.Renewed)
		assert.Equal(t, "unknown", report.Left)
		time.Sleep(defaultGrace)
		assert.Empty(t, w.run().Removed)
		assert.Equal(t, []string{report.Current.ID}, w.own())
	})
}

// The list that showed only one PAT was not complete: nothing is removed on its word.
func TestAConclusionFromAnIncompleteListIsDropped(t *testing.T) {
	bubble(t, PAT, func(t *testing.T, w *world) {
		other, _ := w.user.PATWithID(time.Now().Add(50 * day))
		_, token := w.user.PATWithID(time.Now().Add(10 * day))
		w.put(token)
		all, err := json.Marshal(map[string]any{
			"pagination": map[string]string{"totalResult": "1"},
			"result": []any{map[string]any{
				"id": other, "userId": w.user.ID, "creationDate": time.Now().UTC(), "expirationDate": time.Now().Add(50 * day).UTC(),
			}},
		})
		require.NoError(t, err)
		w.server.Misbehave("/v2/users/pats/search", 1, zitadeltest.Answer(http.StatusOK, "application/json", string(all)))
		report, err := w.rotator().Rotate(t.Context())
		require.NoError(t, err)
		assert.Equal(t, other, report.Waiting, "taken for the stored one")
		time.Sleep(defaultGrace)
		report = w.run()
		assert.Empty(t, report.Removed)
		assert.Equal(t, other, report.Left)
		assert.Len(t, w.list(), 3)
	})
}

func TestACredentialPutBackByHandIsKept(t *testing.T) {
	bubble(t, PAT, func(t *testing.T, w *world) {
		first := w.bootstrap().Current.ID
		old := w.read()
		report, err := w.rotator().Rotate(t.Context())
		require.NoError(t, err)
		w.put(old)
		time.Sleep(2 * defaultGrace)
		back := w.run()
		assert.Equal(t, first, back.Current.ID)
		assert.Equal(t, report.Current.ID, back.Waiting)
		w.works()
		time.Sleep(defaultGrace)
		assert.Equal(t, []string{report.Current.ID}, w.run().Removed)
		w.works()
	})
}

func TestACredentialReplacedByHandIsTakenOver(t *testing.T) {
	bubble(t, Key, func(t *testing.T, w *world) {
		first := w.bootstrap().Current.ID
		w.put(string(w.user.KeyJSON(time.Now().Add(30 * day))))
		report := w.run()
		assert.Equal(t, first, report.Left, "its removal was never asked for")
		assert.NotEqual(t, first, report.Current.ID)
		w.works()
	})
}

func TestAChangeByHandWhileItRenewsWins(t *testing.T) {
	bubble(t, PAT, func(t *testing.T, w *world) {
		w.bootstrap()
		byHand := w.user.PAT(time.Now().Add(30 * day))
		r := w.rotator()
		w.faults.hook("before save", 1, func() { w.put(byHand) }) // as it is about to record what it has made
		_, err := r.Rotate(t.Context())
		require.ErrorIs(t, err, ErrConflict)
		assert.Equal(t, byHand, w.read())
		w.run()
		w.works()
	})
}

func TestTwoReplicasAtOnceEndWithOneNewCredential(t *testing.T) {
	for _, kind := range []Kind{PAT, Key} {
		bubble(t, kind, func(t *testing.T, w *world) {
			w.addForeign()
			first := w.bootstrap().Current.ID
			time.Sleep(25 * day)
			var group sync.WaitGroup
			reports := make([]Report, 4)
			for i := range reports {
				r := w.rotator() // with a FileStore of its own
				group.Go(func() {
					var err error
					reports[i], err = r.Run(t.Context())
					assert.NoError(t, err)
				})
			}
			group.Wait()
			renewed := 0
			for _, report := range reports {
				if report.Renewed {
					renewed++
				}
				assert.Equal(t, reports[0].Current.ID, report.Current.ID)
			}
			assert.Equal(t, 1, renewed)
			assert.ElementsMatch(t, []string{first, reports[0].Current.ID}, w.own())
			w.works()
		})
	}
}

func TestReplicasWithStoresOfTheirOwnLeaveEachOtherAlone(t *testing.T) {
	bubble(t, PAT, func(t *testing.T, w *world) {
		dir := t.TempDir()
		paths := []string{dir + "/a", dir + "/b", dir + "/c"}
		at := func(path string) *Rotator {
			cfg := w.config(NewFileStore(path))
			w.byAdmin(&cfg)
			r, err := New(cfg)
			require.NoError(t, err)
			return r
		}
		all := func(want func(Report)) {
			var group sync.WaitGroup
			for _, path := range paths {
				group.Go(func() {
					report, err := at(path).Run(t.Context())
					assert.NoError(t, err)
					want(report)
				})
			}
			group.Wait()
		}
		all(func(r Report) { assert.True(t, r.Renewed) })
		time.Sleep(25 * day)
		all(func(r Report) { assert.True(t, r.Renewed); assert.Empty(t, r.Removed) })
		assert.Len(t, w.own(), 6)
		time.Sleep(defaultGrace)
		all(func(r Report) { assert.Len(t, r.Removed, 1) })
		assert.Len(t, w.own(), 3)
		for _, path := range paths {
			raw, err := os.ReadFile(path)
			require.NoError(t, err)
			w.worksBy(raw)
		}
	})
}

// A store whose lock does not hold, as a lease that ran out: its versions keep the second one from storing.
func TestCompareAndSwapIsEnough(t *testing.T) {
	bubble(t, PAT, func(t *testing.T, w *world) {
		w.addForeign()
		first := w.bootstrap().Current.ID
		for n := range 6 { // the second runs when the first is about to save for the n-th time
			file := NewFileStore(w.path)
			other := w.config(unlocked{file})
			r, err := New(w.config(&faultyStore{unlocked{file}, w.faults}))
			require.NoError(t, err)
			w.faults.hook("before save", n, func() {
				r, err := New(other)
				require.NoError(t, err)
				_, err = r.Rotate(t.Context())
				require.NoError(t, err)
			})
			_, err = r.Rotate(t.Context())
			if !w.faults.unhook() {
				require.NoError(t, err)
				assert.Equal(t, 3, n, "there are three saves")
				break
			}
			require.ErrorIs(t, err, ErrConflict)
			w.works()
			time.Sleep(defaultGrace)
			w.run()
			w.works()
			assert.Len(t, w.own(), 1, "interleaved at save %d", n)
		}
		assert.NotContains(t, w.own(), first)
	})
}

type unlocked struct{ *FileStore }

func (unlocked) Lock(context.Context) (func(), error) { return func() {}, nil }

// The network gave up on a creation that reached the server much later.
func TestACreationThatArrivesLateIsRemoved(t *testing.T) {
	bubble(t, PAT, func(t *testing.T, w *world) {
		w.addForeign()
		w.bootstrap()
		var late *http.Request
		slow := func(cfg *Config) {
			next := cfg.HTTPClient.Transport
			cfg.HTTPClient = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/pats") {
					late = r.Clone(context.Background())
					late.Body, _ = r.GetBody()
					return nil, errCut
				}
				return next.RoundTrip(r)
			})}
		}
		_, err := w.rotator(slow).Rotate(t.Context())
		require.ErrorIs(t, err, postern.ErrUnavailable)
		renewed, err := w.rotator().Rotate(t.Context())
		require.NoError(t, err)
		resp, err := w.server.Transport().RoundTrip(late)
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, http.StatusOK, resp.StatusCode)
		require.Len(t, w.own(), 3)

		time.Sleep(defaultGrace)
		assert.Len(t, w.run().Removed, 2)
		assert.Equal(t, []string{renewed.Current.ID}, w.own())
		w.works()
	})
}

// Somebody else chose the very second of an interrupted renewal: what is whose cannot be told, so both stay.
func TestTwoWithTheDateOfOneIntentStay(t *testing.T) {
	bubble(t, PAT, func(t *testing.T, w *world) {
		first := w.bootstrap().Current.ID
		w.faults.hook("after POST /v2/users/"+w.user.ID+"/pats", 0, func() { w.faults.arm(0, true) })
		_, err := w.rotator().Rotate(t.Context())
		require.Error(t, err)
		w.faults.disarm()
		var orphan Credential
		for _, c := range w.list() {
			if c.ID != first {
				orphan = c
			}
		}
		w.user.PAT(orphan.Expires)
		assert.Empty(t, w.run().Removed)
		assert.Len(t, w.list(), 3)
		assert.Contains(t, w.log.String(), "none of them is removed")
	})
}

func TestWhatDoesNotWorkIsNotStored(t *testing.T) {
	for _, kind := range []Kind{PAT, Key} {
		bubble(t, kind, func(t *testing.T, w *world) {
			first := w.bootstrap().Current.ID
			before := w.read()
			created := false
			r := w.rotator(func(cfg *Config) {
				next := cfg.HTTPClient.Transport
				cfg.HTTPClient.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
					if created && req.URL.Path == "/auth/v1/users/me" {
						w.server.Misbehave(zitadeltest.AuthEndpoint, 1, zitadeltest.Status(http.StatusUnauthorized))
					}
					created = created || req.Method == http.MethodPost && strings.HasSuffix(req.URL.Path, string(kind)+"s")
					return next.RoundTrip(req)
				})
			})
			report, err := r.Rotate(t.Context())
			require.ErrorIs(t, err, postern.ErrInvalidToken)
			require.ErrorContains(t, err, "the new credential does not work")
			assert.Len(t, report.Removed, 1)
			assert.Equal(t, []string{first}, w.own())
			assert.Equal(t, before, w.read())
			w.works()
		})
	}
}

func TestOlderServersAreAskedThroughManagementV1(t *testing.T) {
	for name, answer := range map[string]zitadeltest.Fault{
		"unknown route":  zitadeltest.Answer(http.StatusNotFound, "application/json", `{"code":5,"message":"Not Found","details":[]}`),
		"plain 404":      zitadeltest.Status(http.StatusNotFound),
		"unknown method": zitadeltest.Answer(http.StatusNotImplemented, "application/json", `{"code":12,"message":"Method Not Allowed","details":[]}`),
	} {
		for _, kind := range []Kind{PAT, Key} {
			t.Run(name+" "+string(kind), func(t *testing.T) {
				bubble(t, kind, func(t *testing.T, w *world) {
					w.user = w.server.AddServiceUser("old-bot", zitadeltest.WithOrgRole("ORG_USER_MANAGER"))
					w.server.Misbehave("/v2/", -1, answer)
					w.addForeign()
					first := w.bootstrap().Current.ID
					time.Sleep(25 * day)
					renewed := w.run()
					assert.True(t, renewed.Renewed)
					w.works()
					time.Sleep(defaultGrace)
					assert.Equal(t, []string{first}, w.run().Removed)
					assert.Equal(t, []string{renewed.Current.ID}, w.own())
				})
			})
		}
	}
}

func TestOlderServersAskForARoleWhichTheErrorNames(t *testing.T) {
	bubble(t, PAT, func(t *testing.T, w *world) {
		w.bootstrap()
		w.server.Misbehave("/v2/", -1, zitadeltest.Status(http.StatusNotFound))
		_, err := w.rotator().Run(t.Context())
		require.ErrorContains(t, err, "ORG_USER_MANAGER or ORG_OWNER")
		assert.NotErrorIs(t, err, postern.ErrUnavailable)
	})
}

func TestSearchesAreAlwaysFilteredByUser(t *testing.T) {
	for _, kind := range []Kind{PAT, Key} {
		bubble(t, kind, func(t *testing.T, w *world) {
			w.bootstrap()
			w.run()
			searches := w.server.Requests(zitadeltest.Endpoint("/v2/users/" + string(kind) + "s/search"))
			assert.NotEmpty(t, searches)
			for _, r := range searches {
				assert.Contains(t, r.Body, fmt.Sprintf(`"filters":[{"userIdFilter":{"id":%q}}]`, w.user.ID))
			}
		})
	}
}

func TestOnlyThePublicKeyTravels(t *testing.T) {
	bubble(t, Key, func(t *testing.T, w *world) {
		w.bootstrap()
		_, err := w.rotator(func(cfg *Config) { cfg.KeyType = RSA2048 }).Rotate(t.Context())
		require.NoError(t, err)
		w.works()
		made := 0
		for _, r := range w.server.Requests(zitadeltest.AnyEndpoint) {
			if strings.HasSuffix(r.Path, "/keys") && r.Method == http.MethodPost {
				made++
				var in map[string]string
				require.NoError(t, json.Unmarshal([]byte(r.Body), &in))
				public, err := base64.StdEncoding.DecodeString(in["publicKey"])
				require.NoError(t, err)
				assert.Contains(t, string(public), "-----BEGIN PUBLIC KEY-----")
				assert.Len(t, in, 2)
			}
		}
		assert.Equal(t, 2, made)
	})
}

func TestNoSecretInLogsErrorsStateAndReports(t *testing.T) {
	for _, kind := range []Kind{PAT, Key} {
		bubble(t, kind, func(t *testing.T, w *world) {
			w.bootstrap()
			secrets := []string{w.read()}
			report, err := w.rotator().Rotate(t.Context())
			require.NoError(t, err)
			secrets = append(secrets, w.read())
			w.server.Misbehave(zitadeltest.AuthEndpoint, 1, func(rw http.ResponseWriter, r *http.Request, _ http.Handler) {
				rw.WriteHeader(http.StatusTeapot)
				fmt.Fprintf(rw, `{"message":"no %s today"}`, r.Header.Get("Authorization"))
			})
			_, err = w.rotator().Run(t.Context())
			require.Error(t, err)
			state, readErr := os.ReadFile(w.path + ".state")
			require.NoError(t, readErr)
			record := NewRecord([]byte(secrets[0]), state, "")
			r := w.rotator()
			said := fmt.Sprint(w.log, err, string(state), report) +
				fmt.Sprintf("%v %+v %#v %s %#v %#v %#v", record, record, record, record, &record, r, r.cfg.Store)
			text, jsonErr := json.Marshal([]any{record, report, r})
			require.NoError(t, jsonErr)
			said += string(text)
			for _, secret := range secrets {
				if kind == Key {
					var file keyFile
					require.NoError(t, json.Unmarshal([]byte(secret), &file))
					secret = strings.Split(file.Key, "\n")[1]
				}
				assert.NotContains(t, said, secret)
			}
		})
	}
}

func TestWhatARunCannotGoOnFrom(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(t *testing.T, w *world) func(*Config)
		want    string
		is      error
	}{
		"nothing stored": {func(*testing.T, *world) func(*Config) { return nil }, "expected a credential in the store, got none", nil},
		"nothing stored, no user": {func(_ *testing.T, w *world) func(*Config) {
			return func(c *Config) { w.byAdmin(c); c.UserID = "" }
		}, "UserID: expected the user", nil},
		"no token": {func(_ *testing.T, w *world) func(*Config) { w.put("two words"); return nil }, "without spaces", nil},
		"run out": {func(_ *testing.T, w *world) func(*Config) {
			w.put(w.user.PAT(time.Now().Add(time.Hour)))
			time.Sleep(2 * time.Hour)
			return nil
		}, "has run out", postern.ErrInvalidToken},
		"another user's": {func(_ *testing.T, w *world) func(*Config) {
			w.bootstrap()
			w.put(w.server.AddServiceUser("other").PAT())
			return nil
		}, "got one of user", nil},
		"another user's than configured": {func(_ *testing.T, w *world) func(*Config) {
			w.put(w.server.AddServiceUser("other").PAT())
			return func(c *Config) { c.UserID = w.user.ID }
		}, "got one of user", nil},
		"another user's store": {func(_ *testing.T, w *world) func(*Config) {
			w.bootstrap()
			return func(c *Config) { c.UserID = "12" }
		}, "got one of user", nil},
		"another kind": {func(_ *testing.T, w *world) func(*Config) {
			w.bootstrap()
			return func(c *Config) { c.Kind = Key }
		}, "expected a store of a key, got one of a pat", nil},
		"another issuer": {func(_ *testing.T, w *world) func(*Config) {
			w.bootstrap()
			return func(c *Config) { c.Issuer = "https://other.example" }
		}, "another issuer's", nil},
		"damaged state": {func(t *testing.T, w *world) func(*Config) {
			w.bootstrap()
			require.NoError(t, os.WriteFile(w.path+".state", []byte("{"), 0o600))
			return nil
		}, "expected the state that this package wrote", nil},
		"outage": {func(_ *testing.T, w *world) func(*Config) {
			w.bootstrap()
			w.server.Misbehave(zitadeltest.AnyEndpoint, -1, zitadeltest.Status(http.StatusBadGateway))
			return nil
		}, "502", postern.ErrUnavailable},
		"blocked": {func(_ *testing.T, w *world) func(*Config) {
			w.bootstrap()
			w.server.Block(true)
			return nil
		}, "blocked", postern.ErrUnavailable},
		"garbage": {func(_ *testing.T, w *world) func(*Config) {
			w.bootstrap()
			w.server.Misbehave("/v2/users/pats/search", -1, zitadeltest.Garbage())
			return nil
		}, "list pats", postern.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, PAT, func(t *testing.T, w *world) {
				change := test.prepare(t, w)
				if change == nil {
					change = func(*Config) {}
				}
				before := w.server.Calls("/v2/users/" + zitadeltest.Endpoint(w.user.ID))
				_, err := w.rotator(change).Run(t.Context())
				require.ErrorContains(t, err, test.want)
				if test.is != nil {
					require.ErrorIs(t, err, test.is)
				}
				assert.Equal(t, before, w.server.Calls("/v2/users/"+zitadeltest.Endpoint(w.user.ID)), "nothing was made or removed")
			})
		})
	}
}

func TestASlashAtTheIssuersEndMakesNoOtherServer(t *testing.T) {
	bubble(t, PAT, func(t *testing.T, w *world) {
		w.bootstrap()
		_, err := w.rotator(func(c *Config) { c.Issuer += "/" }).Rotate(t.Context())
		require.NoError(t, err)
		w.works()
	})
}

func TestAFullRecordOfUnknownOutcomesStopsCreations(t *testing.T) {
	bubble(t, PAT, func(t *testing.T, w *world) {
		w.bootstrap()
		create := zitadeltest.Endpoint("/v2/users/" + w.user.ID + "/pats")
		w.server.Misbehave(create, -1, zitadeltest.Drop())
		before := w.server.Calls(create)
		for range maxLost + 5 {
			_, err := w.rotator().Rotate(t.Context())
			require.Error(t, err)
		}
		assert.Equal(t, maxLost, w.server.Calls(create)-before)
		w.server.Behave()
		time.Sleep(lostFor + time.Second)
		report, err := w.rotator().Rotate(t.Context())
		require.NoError(t, err)
		assert.True(t, report.Renewed)
	})
}

func TestACallerThatGivesUp(t *testing.T) {
	bubble(t, PAT, func(t *testing.T, w *world) {
		w.bootstrap()
		w.server.Misbehave(zitadeltest.AuthEndpoint, -1, zitadeltest.Stall())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := w.rotator().Run(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.NotErrorIs(t, err, postern.ErrUnavailable)
	})
}

func TestKeepRenewsForMonths(t *testing.T) {
	bubble(t, PAT, func(t *testing.T, w *world) {
		w.addForeign()
		w.bootstrap()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.rotator().Keep(ctx) }()
		for range 65 {
			time.Sleep(day)
			w.works()
			assert.LessOrEqual(t, len(w.own()), 2)
		}
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
		assert.Equal(t, 4, strings.Count(w.log.String(), "stored a new credential"), "the first, and one every 20 days or so")
	})
}

func TestKeepGoesOnAfterAnOutage(t *testing.T) {
	bubble(t, PAT, func(t *testing.T, w *world) {
		w.bootstrap()
		time.Sleep(25 * day)
		w.server.Misbehave(zitadeltest.AnyEndpoint, -1, zitadeltest.Drop())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.rotator().Keep(ctx) }()
		time.Sleep(day)
		failed := strings.Count(w.log.String(), "trying again")
		assert.Greater(t, failed, 20, "an hour between the tries at most")
		assert.Less(t, failed, 35)
		w.server.Behave()
		time.Sleep(time.Hour)
		assert.Equal(t, 2, strings.Count(w.log.String(), "stored a new credential"))
		cancel()
		<-done
	})
}

func TestNewReportsEveryMistake(t *testing.T) {
	_, err := New(Config{Issuer: "http://acme.example", Kind: "pin", Life: time.Second, Grace: -1, KeyType: 9, UserID: "../1"})
	for _, want := range []string{"Issuer", "Kind", "Store", "Life", "Grace", "KeyType", "UserID"} {
		assert.ErrorContains(t, err, want)
	}
	_, err = New(Config{Issuer: "https://acme.example", Kind: PAT, Store: NewFileStore("x"), Grace: 10 * day})
	require.ErrorContains(t, err, "Grace: expected less than a third of Life")
	_, err = New(Config{Issuer: "http://acme.example", AllowHTTP: true, Kind: PAT, Store: NewFileStore("x")})
	require.NoError(t, err)
}

func TestTheChosenDateIsNobodyElses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, err := NewClient(ClientConfig{Issuer: "https://acme.example", Source: nobody{}})
		require.NoError(t, err)
		n := &run{Rotator: &Rotator{cfg: Config{Life: 100 * time.Minute}}, client: client}
		start := time.Now()
		for s := range 50 { // of the 60 seconds that may be chosen
			n.listed = append(n.listed, Credential{Expires: start.Add(100*time.Minute - time.Duration(s)*time.Second)})
		}
		for s := 50; s < 60; s++ {
			n.state.Lost = append(n.state.Lost, intent{Expires: start.Add(100*time.Minute - time.Duration(s)*time.Second)})
		}
		for range 1000 {
			expires := n.chooseExpiry()
			assert.NotZero(t, expires.Nanosecond())
			assert.LessOrEqual(t, time.Until(expires.Truncate(time.Second)), 99*time.Minute)
		}
	})
}

// This machine's clock jumps ahead: by the server's, the grace period has only begun.
func TestAClockThatJumpsAheadCutsNoGracePeriodShort(t *testing.T) {
	bubble(t, PAT, func(t *testing.T, w *world) {
		first := w.bootstrap().Current.ID
		renewed, err := w.rotator().Rotate(t.Context())
		require.NoError(t, err)
		time.Sleep(40 * day)
		w.server.SkewClock(-40 * day)
		report := w.run()
		assert.Empty(t, report.Removed)
		assert.False(t, report.Renewed)
		assert.Contains(t, w.log.String(), "clock differs")
		time.Sleep(defaultGrace)
		assert.Equal(t, []string{first}, w.run().Removed)
		assert.Equal(t, []string{renewed.Current.ID}, w.own())
	})
}

func TestAClockThatStandsStillDoesNotMissTheRenewal(t *testing.T) {
	bubble(t, PAT, func(t *testing.T, w *world) {
		w.bootstrap()
		w.server.SkewClock(25 * day)
		report := w.run()
		assert.True(t, report.Renewed)
		assert.WithinDuration(t, w.server.Now().Add(30*day), report.Current.Expires, 11*time.Minute)
		assert.False(t, w.run().Renewed)
	})
}

// By a clock that is weeks fast the stored token has run out, which would make the other one the only one that it can be.
func TestAFastClockDoesNotMakeAnothersTokenTheStoredOne(t *testing.T) {
	bubble(t, PAT, func(t *testing.T, w *world) {
		w.server.SkewClock(-20 * day)
		w.foreign = []string{firstOf(w.user.PATWithID())}
		id, token := w.user.PATWithID(w.server.Now().Add(10 * day))
		w.put(token)
		report, err := w.rotator().Rotate(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "unknown", report.Left)
		time.Sleep(defaultGrace)
		assert.Empty(t, w.run().Removed)
		assert.ElementsMatch(t, []string{id, report.Current.ID}, w.own())
	})
}

func firstOf(id, _ string) string { return id }

// While it is not known which token is the stored one, what failed runs have named is still cleared up, and so does not end renewals.
func TestFailedCreationsBesideAnUnknownTokenAreClearedUp(t *testing.T) {
	create := func(w *world) zitadeltest.Endpoint { return zitadeltest.Endpoint("/v2/users/" + w.user.ID + "/pats") }
	for name, fail := range map[string]func(w *world){
		"nothing was made": func(w *world) { w.server.Misbehave(create(w), 1, zitadeltest.Drop()) },
		"it was made": func(w *world) {
			w.faults.hook("after POST "+string(create(w)), 0, func() { w.faults.arm(0, false) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, PAT, func(t *testing.T, w *world) {
				w.addForeign()
				id, token := w.user.PATWithID(time.Now().Add(10 * day))
				w.foreign = append(w.foreign, id)
				w.put(token)
				for range maxLost + 5 {
					fail(w)
					require.Error(t, attempt(w))
					assert.LessOrEqual(t, len(w.own()), 1)
				}
				w.server.Behave()
				w.faults.unhook()
				w.faults.disarm()
				time.Sleep(lostFor + time.Second)
				report := w.run()
				assert.True(t, report.Renewed)
				assert.Equal(t, []string{report.Current.ID}, w.own())
				w.works()
			})
		})
	}
}

// A fleet whose creations failed has dates on record that nothing was made with: what another made in the same second is not it.
func TestWhatHasTheSecondOfAnIntentAndNotItsMomentStays(t *testing.T) {
	bubble(t, PAT, func(t *testing.T, w *world) {
		w.bootstrap()
		w.server.Misbehave(zitadeltest.Endpoint("/v2/users/"+w.user.ID+"/pats"), 1, zitadeltest.Drop())
		_, err := w.rotator().Rotate(t.Context())
		require.Error(t, err)
		text, err := os.ReadFile(w.path + ".state")
		require.NoError(t, err)
		s, err := parseState(text)
		require.NoError(t, err)
		second := s.Intent.Expires.Truncate(time.Second)
		w.user.PAT(second)
		w.user.PAT(second.Add(time.Second - time.Microsecond))
		assert.Empty(t, w.run().Removed)
		assert.Len(t, w.list(), 3)
	})
}

// A store that forgets is found out before anything is created.
func TestAStoreThatDoesNotKeepWhatItSavesGetsNothing(t *testing.T) {
	bubble(t, PAT, func(t *testing.T, w *world) {
		w.put(w.user.PAT(time.Now().Add(5 * day)))
		w.run()
		r, err := New(w.config(forgetful{NewFileStore(w.path)}))
		require.NoError(t, err)
		for range 3 {
			_, err = r.Rotate(t.Context())
			require.ErrorIs(t, err, ErrConflict)
		}
		assert.Len(t, w.list(), 1)
		w.works()
	})
}

type forgetful struct{ *FileStore }

func (forgetful) Save(_ context.Context, r Record) (string, error) { return r.Version(), nil }
