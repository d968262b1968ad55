package rotate

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/zitadeltest"
)

// own is a Client that calls as the world's user, which has no role.
func (w *world) ownClient() *Client {
	w.t.Helper()
	c, err := NewClient(ClientConfig{Issuer: w.server.Issuer(), Source: personal{&secret{pat: w.user.PAT()}}, HTTPClient: w.server.Client()})
	require.NoError(w.t, err)
	return c
}

func TestAServiceUserManagesItsOwnWithoutARole(t *testing.T) {
	bubble(t, PAT, func(t *testing.T, w *world) {
		c := w.ownClient()
		expires := time.Now().Add(day)
		for _, userID := range []string{"", w.user.ID} {
			cred, token, err := c.AddPAT(t.Context(), userID, expires)
			require.NoError(t, err)
			w.worksBy([]byte(token))
			all, err := c.List(t.Context(), PAT, userID)
			require.NoError(t, err)
			assert.Contains(t, all, cred)
			require.NoError(t, c.Remove(t.Context(), PAT, userID, cred.ID))
			require.NoError(t, c.Remove(t.Context(), PAT, userID, cred.ID), "gone already")

			key, err := rsa.GenerateKey(rand.Reader, 2048)
			require.NoError(t, err)
			cred, err = c.AddKey(t.Context(), userID, key.Public(), expires)
			require.NoError(t, err)
			all, err = c.List(t.Context(), Key, userID)
			require.NoError(t, err)
			assert.Equal(t, []Credential{cred}, all)
			require.NoError(t, c.Remove(t.Context(), Key, userID, cred.ID))
		}
	})
}

func TestWhatIsOthersNeedsARole(t *testing.T) {
	bubble(t, PAT, func(t *testing.T, w *world) {
		c := w.ownClient()
		other := w.server.AddServiceUser("other")
		id, _ := other.PATWithID()
		_, _, err := c.AddPAT(t.Context(), other.ID, time.Now().Add(day))
		require.ErrorContains(t, err, "without a role a service user manages its own credentials only")
		err = c.Remove(t.Context(), PAT, other.ID, id)
		require.ErrorContains(t, err, "ORG_USER_MANAGER")
		all, err := w.admin.List(t.Context(), PAT, other.ID)
		require.NoError(t, err)
		assert.Len(t, all, 1)
	})
}

func TestAllPagesAreRead(t *testing.T) {
	for _, v1 := range []bool{false, true} {
		bubble(t, PAT, func(t *testing.T, w *world) {
			if v1 {
				w.server.Misbehave("/v2/", -1, zitadeltest.Status(http.StatusNotImplemented))
			}
			for range 250 {
				w.user.PAT()
			}
			all, err := w.admin.List(t.Context(), PAT, w.user.ID)
			require.NoError(t, err)
			assert.Len(t, all, 250)
		})
	}
}

// answers has the server answer searches with what a test makes of the offset.
func answers(t *testing.T, w *world, total int, ids func(offset int) []string) {
	t.Helper()
	w.server.Misbehave("/v2/users/pats/search", -1, func(rw http.ResponseWriter, r *http.Request, _ http.Handler) {
		var in struct {
			Pagination struct {
				Offset int `json:"offset,string"`
			} `json:"pagination"`
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			rw.WriteHeader(http.StatusBadRequest)
			return
		}
		result := []any{}
		for _, id := range ids(in.Pagination.Offset) {
			userID := w.user.ID
			if strings.HasPrefix(id, "other") {
				userID = "12"
			}
			result = append(result, map[string]any{"id": id, "userId": userID, "creationDate": time.Now(), "expirationDate": time.Now()})
		}
		_ = json.NewEncoder(rw).Encode(map[string]any{"pagination": map[string]string{"totalResult": fmt.Sprint(total)}, "result": result})
	})
}

func TestAnUpgradedServerIsNoticed(t *testing.T) {
	bubble(t, PAT, func(t *testing.T, w *world) {
		c := w.ownClient()
		w.server.Misbehave("/v2/", 1, zitadeltest.Status(http.StatusNotFound))
		for range 3 {
			_, err := c.List(t.Context(), PAT, w.user.ID)
			require.ErrorContains(t, err, "management v1 asks for the role")
		}
		time.Sleep(olderFor)
		_, err := c.List(t.Context(), PAT, w.user.ID)
		require.NoError(t, err)
	})
}

func TestWhatASearchShowsOfOthersIsLeftOut(t *testing.T) {
	bubble(t, PAT, func(t *testing.T, w *world) {
		answers(t, w, 3, func(int) []string { return []string{"1", "other", "2"} })
		all, err := w.admin.List(t.Context(), PAT, w.user.ID)
		require.NoError(t, err)
		assert.Len(t, all, 2)
	})
}

func TestHalfAListIsNone(t *testing.T) {
	bubble(t, PAT, func(t *testing.T, w *world) {
		answers(t, w, 300, func(offset int) []string { return []string{"1"}[:max(0, 1-offset)] })
		_, err := w.admin.List(t.Context(), PAT, w.user.ID)
		require.ErrorContains(t, err, "expected 300 of them, got 1")
		require.ErrorIs(t, err, postern.ErrUnavailable)
		w.server.Behave()
		answers(t, w, 1e9, func(int) []string { return []string{"1"} })
		_, err = w.admin.List(t.Context(), PAT, w.user.ID)
		require.ErrorContains(t, err, "expected at most 5000")
	})
}

func TestKeysThatZITADELWouldNotVerifyAreRefused(t *testing.T) {
	t.Setenv("GODEBUG", "rsa1024min=0")
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	w := newWorld(t, Key, zitadeltest.Config{})
	for want, key := range map[string]crypto.PublicKey{
		"at least 2048 bits, got 1024": small.Public(), "got P-384": p384.Public(), "got ed25519.PublicKey": edwards, "got <nil>": nil,
	} {
		_, err := w.admin.AddKey(t.Context(), w.user.ID, key, time.Now().Add(day))
		require.ErrorContains(t, err, want)
	}
	assert.Zero(t, w.server.Calls(zitadeltest.UserV2Endpoint))
}

func TestIDsCannotLeaveTheirPath(t *testing.T) {
	w := newWorld(t, PAT, zitadeltest.Config{})
	for _, id := range []string{"..", ".", "1/../2", "a b", "ü", strings.Repeat("1", 257)} {
		_, err := w.admin.List(t.Context(), PAT, id)
		require.Error(t, err)
		require.Error(t, w.admin.Remove(t.Context(), PAT, w.user.ID, id))
	}
	require.Error(t, w.admin.Remove(t.Context(), PAT, w.user.ID, ""))
	_, err := w.admin.List(t.Context(), "pin", w.user.ID)
	require.ErrorContains(t, err, "expected the kind")
	assert.Zero(t, w.server.Calls(zitadeltest.UserV2Endpoint))
	require.NoError(t, w.admin.Remove(t.Context(), PAT, w.user.ID, "1?x=y"), "there is none")
	asked := w.server.Requests(zitadeltest.UserV2Endpoint)
	require.Len(t, asked, 1)
	assert.Equal(t, "/v2/users/"+w.user.ID+"/pats/1%3Fx=y", asked[0].Path)
}

func TestTheEndOfAPATIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, PAT, zitadeltest.Config{InMemory: true})
		ask := PATExpiry(ClientConfig{Issuer: w.server.Issuer(), HTTPClient: w.server.Client()})
		w.user.PAT(time.Now().Add(time.Second)) // has run out by then
		end := time.Now().Add(30 * day)
		token := w.user.PAT(end)
		time.Sleep(time.Minute)
		got, err := ask(t.Context(), token)
		require.NoError(t, err)
		assert.True(t, end.Equal(got))
		w.user.PAT()
		_, err = ask(t.Context(), token)
		require.ErrorContains(t, err, "got one with 2")
		_, err = ask(t.Context(), "unknown")
		require.ErrorIs(t, err, postern.ErrInvalidToken)
		_, err = PATExpiry(ClientConfig{})(t.Context(), token)
		require.ErrorContains(t, err, "Issuer")
	})
}

func TestTheRecordKnowsTheEndOfAPAT(t *testing.T) {
	bubble(t, PAT, func(t *testing.T, w *world) {
		report := w.bootstrap()
		end, err := NewFileStore(w.path).Expiry(t.Context(), w.read())
		require.NoError(t, err)
		assert.True(t, report.Current.Expires.Equal(end))
		_, err = NewFileStore(w.path).Expiry(t.Context(), "another")
		require.ErrorContains(t, err, "nothing is on record")
		_, err = NewFileStore(w.path+"x").Expiry(t.Context(), w.read())
		require.ErrorContains(t, err, "nothing is on record")

		w.faults.hook("before save", 2, func() { // while it is stored
			w.faults.hook("rename "+w.path+".state", 0, func() {
				_, err := NewFileStore(w.path).Expiry(t.Context(), w.read())
				assert.NoError(t, err, "between its two files")
			})
		})
		_, err = w.rotator().Rotate(t.Context())
		require.NoError(t, err)
		assert.True(t, w.faults.unhook())
	})
}

func TestAServerOfNeitherKindIsNoSuccess(t *testing.T) {
	w := newWorld(t, PAT, zitadeltest.Config{})
	w.server.Misbehave(zitadeltest.AnyEndpoint, -1, zitadeltest.Status(http.StatusNotFound))
	require.ErrorContains(t, w.admin.Remove(t.Context(), PAT, w.user.ID, "1"), "404")
}
