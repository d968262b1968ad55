package introspect

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const testSigningKey = "60qg1DolicZwlHOWbNwgumZjX6NfVxtCUWSK"

// evictions is an Evictor that remembers what it was told.
type evictions struct {
	mu   sync.Mutex
	told []string
}

func (e *evictions) tell(s string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.told = append(e.told, s)
}
func (e *evictions) EvictTokenID(id string)  { e.tell("token " + id) }
func (e *evictions) EvictSubject(sub string) { e.tell("subject " + sub) }
func (e *evictions) EvictAll()               { e.tell("all") }
func (e *evictions) all() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.told)
}

func newTestHandler(t testing.TB, keys ...string) (*RevocationHandler, *evictions) {
	t.Helper()
	told := &evictions{}
	h, err := NewRevocationHandler(told, RevocationConfig{SigningKeys: keys, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	return h, told
}

func sign(key string, at time.Time, body string) string {
	mac := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(mac, "%d.%s", at.Unix(), body)
	return fmt.Sprintf("t=%d,v1=%s", at.Unix(), hex.EncodeToString(mac.Sum(nil)))
}

func deliver(h http.Handler, signature, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/events", strings.NewReader(body))
	if signature != "" {
		r.Header.Set("ZITADEL-Signature", signature)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func deliverNow(h http.Handler, body string) *httptest.ResponseRecorder {
	return deliver(h, sign(testSigningKey, time.Now(), body), body)
}

type recordedEvent struct {
	SigningKey string `json:"signing_key"`
	Received   []struct {
		Headers map[string]string
		Body    string
	}
}

func recordedEvents(t testing.TB) map[string]recordedEvent {
	t.Helper()
	files, err := filepath.Glob("testdata/wire/event-*.json")
	require.NoError(t, err)
	events := map[string]recordedEvent{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		var e recordedEvent
		require.NoError(t, json.Unmarshal(data, &e))
		require.NotEmpty(t, e.Received, file)
		events[strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "event-"), ".json")] = e
	}
	return events
}

func TestRecordedEventsEvictWhomTheyConcern(t *testing.T) {
	want := map[string][]string{
		"user-pat-removed":                {"token 400709186473692198"},
		"user-locked":                     {"subject 400709186305920038"},
		"user-deactivated":                {"subject 400709186305920038"},
		"user-removed":                    {"subject 400709186305920038"},
		"user-removed-with-grant":         {"subject 400714478963919910"},
		"user-grant-changed":              {"subject 400714478963919910"},
		"user-grant-removed":              {"subject 400714478963919910"},
		"user-grant-deactivated":          {"all"},
		"session-terminated":              {"all"},
		"project-application-deactivated": {"all"},
		"project-deactivated":             {"all"},
		"project-removed":                 {"all", "all"}, // with user.grant.cascade.removed; the test lets the second pass
		"user-unlocked":                   nil,
		"user-reactivated":                nil,
		"user-machine-key-removed":        nil, // ends no token
	}
	events := recordedEvents(t)
	assert.Len(t, events, len(want), "every recording has its expectation")
	for name, recorded := range events {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, told := newTestHandler(t, recorded.SigningKey)
				for _, delivery := range recorded.Received {
					signature := delivery.Headers["Zitadel-Signature"]
					sig, err := parseSignature(signature)
					require.NoError(t, err)
					h.state.now = func() time.Time { return time.Unix(sig.seconds, 0) }
					response := deliver(h, signature, delivery.Body)
					assert.Equal(t, http.StatusOK, response.Code)
					assert.Empty(t, response.Body.String())
					time.Sleep(2 * time.Second)
				}
				assert.Equal(t, want[name], told.all())
				assert.Equal(t, len(want[name]) == 0, h.Stats().Unknown == 1)
			})
		})
	}
}

func TestEventsEvictWhomTheFactsSay(t *testing.T) {
	for name, test := range map[string]struct{ body, want string }{
		"access token of a session":              {`{"event_type":"oidc_session.access_token.revoked","aggregateID":"V2_1"}`, "token V2_1"},
		"refresh token of a session":             {`{"event_type":"oidc_session.refresh_token.revoked","aggregateID":"V2_1"}`, "token V2_1"},
		"all tokens of a user":                   {`{"event_type":"user.token.removed","aggregateID":"7"}`, "subject 7"},
		"grant of an older server names no user": {`{"event_type":"user.grant.changed","aggregateID":"9","event_payload":{"roleKeys":["a"]}}`, "all"},
		"grant without payload":                  {`{"event_type":"user.grant.removed","aggregateID":"9"}`, "all"},
		"grant with a null payload":              {`{"event_type":"user.grant.removed","aggregateID":"9","event_payload":null}`, "all"},
		"grant reactivated":                      {`{"event_type":"user.grant.reactivated","aggregateID":"9"}`, "all"},
		"grant changed with its project":         {`{"event_type":"user.grant.cascade.changed","aggregateID":"9"}`, "all"},
		"grant removed with its project":         {`{"event_type":"user.grant.cascade.removed","aggregateID":"9"}`, "all"},
		"role removed":                           {`{"event_type":"project.role.removed","aggregateID":"9"}`, "all"},
		"application removed":                    {`{"event_type":"project.application.removed","aggregateID":"9"}`, "all"},
		"organisation deactivated":               {`{"event_type":"org.deactivated","aggregateID":"9"}`, "all"},
		"organisation removed":                   {`{"event_type":"org.removed","aggregateID":"9"}`, "all"},
		"payload of an older server, in base64":  {`{"event_type":"user.pat.removed","aggregateID":"7","event_payload":"eyJ0b2tlbklkIjoiMSJ9"}`, "token 1"},
		"grant of an older server, in base64":    {`{"event_type":"user.grant.changed","aggregateID":"9","event_payload":"eyJ1c2VySWQiOiI3In0="}`, "subject 7"},
		"an empty payload in base64":             {`{"event_type":"user.grant.changed","aggregateID":"9","event_payload":""}`, "all"},
		"PAT with an empty payload (v4.1)":       {`{"event_type":"user.pat.removed","aggregateID":"7","event_payload":{}}`, "subject 7"},
		"PAT without its id is its user's":       {`{"event_type":"user.pat.removed","aggregateID":"7"}`, "subject 7"},
		"ids that are null are none":             {`{"event_type":"user.pat.removed","aggregateID":null,"event_payload":{"tokenId":null}}`, "all"},
		"PAT of nobody is everyone's":            {`{"event_type":"user.pat.removed"}`, "all"},
		"user without an id is everyone":         {`{"event_type":"user.removed"}`, "all"},
		"who caused it is not whom it concerns":  {`{"userID":"1","event_type":"user.locked","aggregateID":"7"}`, "subject 7"},
	} {
		t.Run(name, func(t *testing.T) {
			h, told := newTestHandler(t, testSigningKey)
			assert.Equal(t, http.StatusOK, deliverNow(h, test.body).Code)
			assert.Equal(t, []string{test.want}, told.all())
			s := h.Stats()
			assert.EqualValues(t, 1, s.TokenIDs+s.Subjects+s.All)
		})
	}
}

func TestUnknownEventsAre200AndCounted(t *testing.T) {
	h, told := newTestHandler(t, testSigningKey)
	for _, body := range []string{
		`{"event_type":"user.human.added","aggregateID":"7"}`,
		`{"event_type":"instance.something.new","aggregateID":7,"event_payload":"text"}`,
	} {
		assert.Equal(t, http.StatusOK, deliverNow(h, body).Code)
	}
	assert.Empty(t, told.all())
	assert.Equal(t, RevocationStats{Unknown: 2}, h.Stats())
}

func TestOnlySignedEventsEvict(t *testing.T) {
	now := time.Unix(1795337295, 0)
	body := `{"event_type":"user.locked","aggregateID":"7"}`
	good := sign(testSigningKey, now, body)
	at, v1, _ := strings.Cut(good, ",")
	other := strings.TrimPrefix(sign("another-key-of-the-same-length-as-it", now, body), at+",")
	for name, test := range map[string]struct {
		signature, body string
		want            int
	}{
		"signed":                            {good, body, 200},
		"spaces between the parts":          {at + ", " + v1, body, 200},
		"several v1, one right":             {at + "," + other + "," + v1, body, 200},
		"other schemes are passed over":     {at + ",v0=00,v2=abc," + v1, body, 200},
		"300 seconds ago":                   {sign(testSigningKey, now.Add(-300*time.Second), body), body, 200},
		"300 seconds ahead":                 {sign(testSigningKey, now.Add(300*time.Second), body), body, 200},
		"301 seconds ago":                   {sign(testSigningKey, now.Add(-301*time.Second), body), body, 401},
		"301 seconds ahead":                 {sign(testSigningKey, now.Add(301*time.Second), body), body, 401},
		"no header":                         {"", body, 401},
		"another key":                       {at + "," + other, body, 401},
		"another body":                      {good, strings.Replace(body, "7", "8", 1), 401},
		"another time":                      {fmt.Sprintf("t=%d,", now.Unix()+1) + v1, body, 401},
		"the same time spelled differently": {"t=0" + strings.TrimPrefix(at, "t=") + "," + v1, body, 401},
		"no time":                           {v1, body, 401},
		"no signature":                      {at, body, 401},
		"two times":                         {at + "," + good, body, 401},
		"negative time":                     {"t=-1," + v1, body, 401},
		"time beyond 63 bits":               {"t=18446744073709551615," + v1, body, 401},
		"short signature":                   {at + "," + v1[:20], body, 401},
		"long signature":                    {good + "00", body, 401},
		"not hexadecimal":                   {at + ",v1=" + strings.Repeat("zz", 32), body, 401},
		"17 signatures":                     {good + strings.Repeat(","+v1, 16), body, 401},
		"a header beyond 4 KiB":             {good + strings.Repeat(",v0=0", 1000), body, 401},
	} {
		t.Run(name, func(t *testing.T) {
			h, told := newTestHandler(t, testSigningKey)
			h.state.now = func() time.Time { return now }
			assert.Equal(t, test.want, deliver(h, test.signature, test.body).Code)
			if test.want == 200 {
				assert.Equal(t, []string{"subject 7"}, told.all())
			} else {
				assert.Empty(t, told.all())
				assert.Equal(t, RevocationStats{Refused: 1}, h.Stats())
			}
		})
	}
}

func TestSignaturesAreValidFor300SecondsBothWays(t *testing.T) {
	body := `{"event_type":"user.locked","aggregateID":"7"}`
	for age, want := range map[time.Duration]int{
		-301 * time.Second: 401, -300 * time.Second: 200, 300 * time.Second: 200, 301 * time.Second: 401,
	} {
		h, _ := newTestHandler(t, testSigningKey)
		signed := time.Unix(1795337295, 0)
		h.state.now = func() time.Time { return signed.Add(age) }
		assert.Equal(t, want, deliver(h, sign(testSigningKey, signed, body), body).Code, age)
	}
}

func TestTwoSignatureHeadersAreRefused(t *testing.T) {
	h, told := newTestHandler(t, testSigningKey)
	body := `{"event_type":"user.locked","aggregateID":"7"}`
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header["Zitadel-Signature"] = []string{sign(testSigningKey, time.Now(), body), sign(testSigningKey, time.Now(), body)}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	assert.Equal(t, http.StatusUnauthorized, w.Code)
	assert.Empty(t, told.all())
}

func TestEveryKeyIsValidDuringRollover(t *testing.T) {
	h, told := newTestHandler(t, "an-old-key-that-is-still-in-use", "\t"+testSigningKey+"\n")
	assert.Equal(t, http.StatusOK, deliverNow(h, `{"event_type":"user.locked","aggregateID":"7"}`).Code)
	body := `{"event_type":"user.locked","aggregateID":"8"}`
	assert.Equal(t, http.StatusOK, deliver(h, sign("an-old-key-that-is-still-in-use", time.Now(), body), body).Code)
	assert.Equal(t, []string{"subject 7", "subject 8"}, told.all())
}

func TestMethodsOtherThanPostAreRefused(t *testing.T) {
	h, told := newTestHandler(t, testSigningKey)
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, "/", nil))
		assert.Equal(t, http.StatusMethodNotAllowed, w.Code)
		assert.Equal(t, http.MethodPost, w.Header().Get("Allow"))
	}
	assert.Empty(t, told.all())
}

func TestBodiesBeyondOneMebibyteAreRefused(t *testing.T) {
	h, told := newTestHandler(t, testSigningKey)
	head := `{"event_type":"user.locked","aggregateID":"7","x":"`
	largest := head + strings.Repeat("x", 1<<20-len(head)-2) + `"}`
	require.Len(t, largest, 1<<20)
	assert.Equal(t, http.StatusOK, deliverNow(h, largest).Code)
	assert.Equal(t, http.StatusRequestEntityTooLarge, deliverNow(h, largest+" ").Code)

	r := httptest.NewRequest(http.MethodPost, "/", io.MultiReader(strings.NewReader(largest), strings.NewReader(" "))) // no Content-Length
	r.Header.Set("ZITADEL-Signature", sign(testSigningKey, time.Now(), largest+" "))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	assert.Equal(t, http.StatusRequestEntityTooLarge, w.Code)
	assert.Equal(t, []string{"subject 7"}, told.all())
}

// unreadable fails the test that reads it.
type unreadable struct{ t *testing.T }

func (u unreadable) Read([]byte) (int, error) { u.t.Error("the body was read"); return 0, io.EOF }

func TestBodyIsNotReadBeforeTheHeaderIsJudged(t *testing.T) {
	h, _ := newTestHandler(t, testSigningKey)
	for _, header := range []string{"", "t=1,v1=00", sign(testSigningKey, time.Now().Add(-time.Hour), "")} {
		r := httptest.NewRequest(http.MethodPost, "/", unreadable{t})
		r.Header.Set("ZITADEL-Signature", header)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		assert.Equal(t, http.StatusUnauthorized, w.Code)
	}
}

func TestBodyThatBreaksOffEvictsNothing(t *testing.T) {
	h, told := newTestHandler(t, testSigningKey)
	r := httptest.NewRequest(http.MethodPost, "/", io.MultiReader(strings.NewReader("{"), failing{}))
	r.Header.Set("ZITADEL-Signature", sign(testSigningKey, time.Now(), "{"))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	assert.Equal(t, http.StatusBadRequest, w.Code)
	assert.Empty(t, told.all())
}

// deadlines is a response whose connection takes deadlines.
type deadlines struct {
	*httptest.ResponseRecorder
	until time.Time
}

func (d *deadlines) SetReadDeadline(until time.Time) error { d.until = until; return nil }

func TestBodyHasFiveSecondsToArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, told := newTestHandler(t, testSigningKey)
		body := `{"event_type":"user.locked","aggregateID":"7"}`
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("ZITADEL-Signature", sign(testSigningKey, time.Now(), body))
		w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
		h.ServeHTTP(w, r)
		assert.Equal(t, http.StatusOK, w.Code)
		assert.Equal(t, time.Now().Add(5*time.Second), w.until)
		assert.Len(t, told.all(), 1)
	})
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// malformed are bodies that are no event, with what their error says.
var malformed = map[string]string{
	`[]`:                          "expected a JSON object",
	`{"event_type":"user.locked"`: "not JSON",
	"{\"event_type\":\"\xff\"}":   "UTF-8",
	`{}`:                          "expected a name in event_type",
	`{"event_type":""}`:           "expected a name in event_type",
	`{"event_type":7}`:            "expected a string, got a number",
	`{"event_type":"a","event_type":"user.locked"}`:                                                     "once, got it twice",
	`{"event_type":"user.locked","Event_Type":"a"}`:                                                     "another spelling",
	`{"event_type":"user.locked","aggregateID":"7","aggregateid":"8"}`:                                  "another spelling",
	`{"event_type":"user.locked","aggregateID":7}`:                                                      "expected a string, got a number",
	`{"event_type":"user.pat.removed","aggregateID":"7","event_payload":{"tokenId":"1","tokenId":"2"}}`: "once, got it twice",
	`{"event_type":"user.pat.removed","aggregateID":"7","event_payload":{"TOKENID":"1"}}`:               "another spelling",
	`{"event_type":"user.pat.removed","aggregateID":"7","event_payload":{"tokenId":1}}`:                 "expected a string",
	`{"event_type":"user.pat.removed","aggregateID":"7","event_payload":"x"}`:                           "expected a JSON object, or one in base64",
	`{"event_type":"user.pat.removed","aggregateID":"7","event_payload":"dG9rZW4="}`:                    "not JSON",
	`{"event_type":"user.pat.removed","aggregateID":"7","event_payload":"\ud800"}`:                      "expected a JSON object, or one in base64",
	`{"event_type":"user.pat.removed","aggregateID":"7","event_payload":[]}`:                            "expected a JSON object",
	`{"event_type":"user.pat.removed","aggregateID":"7","event_payload":7}`:                             "expected a JSON object",
	`{"event_type":"user.grant.changed","event_payload":{"userId":["1"]}}`:                              "expected a string, got an array",
}

func TestSignedBodiesThatAreNoEventEvictNothing(t *testing.T) {
	for body, want := range malformed {
		t.Run(body, func(t *testing.T) {
			var log bytes.Buffer
			told := &evictions{}
			h, err := NewRevocationHandler(told, RevocationConfig{SigningKeys: []string{testSigningKey}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			require.NoError(t, err)
			response := deliverNow(h, body)
			assert.Equal(t, http.StatusBadRequest, response.Code)
			assert.Equal(t, "Bad Request\n", response.Body.String())
			assert.Empty(t, told.all())
			_, err = parseEvent([]byte(body))
			assert.ErrorContains(t, err, want)
			assert.Contains(t, log.String(), "cannot be read")
		})
	}
}

func TestReplayedReorderedAndDuplicatedDeliveriesDoNoHarm(t *testing.T) {
	h, told := newTestHandler(t, testSigningKey)
	first := `{"event_type":"user.locked","aggregateID":"7","sequence":1}`
	second := `{"event_type":"user.pat.removed","aggregateID":"7","sequence":2,"event_payload":{"tokenId":"1"}}`
	for _, body := range []string{second, first, second, second, first} {
		assert.Equal(t, http.StatusOK, deliverNow(h, body).Code)
	}
	assert.Equal(t, []string{"token 1", "subject 7", "token 1", "token 1", "subject 7"}, told.all(), "evictions only")
}

func TestEverythingIsEvictedAtOnceAndThenOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, told := newTestHandler(t, testSigningKey)
		burst := func() {
			for range 100 {
				require.Equal(t, http.StatusOK, deliverNow(h, `{"event_type":"project.removed","aggregateID":"9"}`).Code)
			}
		}
		burst()
		assert.Len(t, told.all(), 1, "the first at once")
		time.Sleep(999 * time.Millisecond)
		assert.Len(t, told.all(), 1)
		time.Sleep(time.Millisecond)
		synctest.Wait()
		assert.Len(t, told.all(), 2, "the other 99 at the end of the second")
		time.Sleep(500 * time.Millisecond)
		burst()
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		assert.Len(t, told.all(), 3, "an event is never forgotten")
		time.Sleep(time.Hour)
		assert.Len(t, told.all(), 3)
		burst()
		assert.Len(t, told.all(), 4)
		assert.EqualValues(t, 300, h.Stats().All)
		time.Sleep(time.Second)
	})
}

func TestAnEventThatComesWhileEverythingIsEvictedIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var evicted atomic.Int64
		var c coalesced
		c.evict = func() {
			if evicted.Add(1) == 1 {
				c.call()
			}
		}
		c.call()
		assert.EqualValues(t, 1, evicted.Load())
		time.Sleep(time.Second)
		synctest.Wait()
		assert.EqualValues(t, 2, evicted.Load())
	})
}

func TestDeliveriesMayComeAtOnce(t *testing.T) {
	h, told := newTestHandler(t, testSigningKey)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			deliverNow(h, `{"event_type":"user.locked","aggregateID":"`+strconv.Itoa(i)+`"}`)
			deliverNow(h, `{"event_type":"org.removed"}`)
		})
	}
	wg.Wait()
	assert.GreaterOrEqual(t, len(told.all()), 51)
	assert.Equal(t, RevocationStats{Subjects: 50, All: 50}, h.Stats())
}

func TestNewRevocationHandlerReportsEveryMistake(t *testing.T) {
	_, err := NewRevocationHandler(&evictions{}, RevocationConfig{})
	assert.ErrorContains(t, err, "SigningKeys: expected the signing key of the Actions v2 target, got none")
	_, err = NewRevocationHandler(&evictions{}, RevocationConfig{SigningKeys: []string{"", testSigningKey, " \n"}})
	assert.ErrorContains(t, err, "SigningKeys[0]: expected the signing key of the Actions v2 target, got an empty one")
	assert.ErrorContains(t, err, "SigningKeys[2]: expected the signing key of the Actions v2 target, got an empty one")
	assert.NotContains(t, err.Error(), "SigningKeys[1]")
	for _, verifier := range []Evictor{nil, (*Verifier)(nil)} { // the second is what New returns with an error
		assert.Panics(t, func() { _, _ = NewRevocationHandler(verifier, RevocationConfig{SigningKeys: []string{testSigningKey}}) })
	}
}

func TestHandlerPrintsNoKey(t *testing.T) {
	h, _ := newTestHandler(t, testSigningKey)
	asJSON, err := json.Marshal(map[string]any{"handler": h})
	require.NoError(t, err)
	numbers := strings.Trim(fmt.Sprint([]byte(testSigningKey)), "[]")
	for _, text := range []string{fmt.Sprintf("%v %+v %#v", h, h, h), fmt.Sprintf("%+v", *h), fmt.Sprintf("%+v", struct{ H *RevocationHandler }{h}), string(asJSON)} {
		assert.NotContains(t, text, testSigningKey)
		assert.NotContains(t, text, numbers)
	}
}

func FuzzSignature(f *testing.F) {
	body := `{"event_type":"user.locked","aggregateID":"7"}`
	good := sign(testSigningKey, time.Unix(1795337295, 0), body)
	for _, header := range []string{good, "", "t=1", "v1=", good + "," + good, strings.ToUpper(good), "t=,v1=,v0=", good[:40]} {
		f.Add(header, body)
	}
	f.Fuzz(func(t *testing.T, header, body string) {
		s, err := parseSignature(header)
		if err != nil {
			return
		}
		if len(s.v1) == 0 || len(s.v1) > maxSignatures || s.seconds < 0 {
			t.Fatalf("accepted %d signatures at %d", len(s.v1), s.seconds)
		}
		// What counts as signed has, among its own v1, the MAC of its own t and this body.
		mac := hmac.New(sha256.New, []byte(testSigningKey))
		mac.Write([]byte(s.at + "." + body))
		want := strings.Contains(strings.ToLower(header), "v1="+hex.EncodeToString(mac.Sum(nil)))
		if got := s.signs([]byte(body), [][]byte{[]byte(testSigningKey)}); got && !want {
			t.Fatalf("%q counts as signed", header)
		}
	})
}

func FuzzEvent(f *testing.F) {
	for body := range malformed {
		f.Add(body)
	}
	for _, e := range recordedEvents(f) {
		for _, delivery := range e.Received {
			f.Add(delivery.Body)
		}
	}
	f.Fuzz(func(t *testing.T, body string) {
		e, err := parseEvent([]byte(body))
		if err != nil {
			if e != (event{}) {
				t.Fatal("an error came with an event")
			}
			return
		}
		about, ends := e.concerns()
		if named := about.TokenID != "" || about.Subject != ""; ends && named == about.All {
			t.Fatalf("%+v evicts %+v", e, about)
		}
		if ends != (endings[e.kind] != nil) {
			t.Fatalf("%q ends tokens: %v", e.kind, ends)
		}
	})
}
