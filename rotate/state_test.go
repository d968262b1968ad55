package rotate

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const fullState = `{"version":1,"kind":"pat","issuer":"https://acme.example","userId":"4007",
	"current":{"id":"1","created":"2026-11-22T09:18:42Z","expires":"2026-12-22T09:18:42Z","sum":"sha256:00"},
	"retired":[{"id":"2","expires":"2026-12-20T09:18:42Z","sum":"sha256:01","adopted":"2026-11-22T09:18:42Z","remove":"2026-11-22T09:28:42Z"}],
	"intent":{"expires":"2026-12-21T08:00:00Z","until":"2026-11-22T10:00:00Z","made":{"id":"3","sum":"sha256:02"}},
	"lost":[{"expires":"2026-12-21T08:00:01Z","until":"2026-11-22T10:00:00Z"}]}`

var damaged = map[string]struct{ text, want string }{
	"not JSON":             {`{`, "expected the state that this package wrote"},
	"another shape":        {`{"version":1,"kind":7}`, "expected the state that this package wrote"},
	"too long":             {`{"version":1,"kind":"` + strings.Repeat("x", maxState) + `"}`, "at most"},
	"a newer version":      {`{"version":2}`, "got version 2"},
	"no version":           {`{}`, "got version 0"},
	"no kind":              {`{"version":1,"userId":"1"}`, "kind: expected"},
	"no user":              {`{"version":1,"kind":"pat"}`, "userId: expected an id"},
	"an intent of no date": {`{"version":1,"kind":"pat","userId":"1","intent":{}}`, "intent: expected an expiration date"},
	"a lost one of none":   {`{"version":1,"kind":"pat","userId":"1","lost":[{}]}`, "intent: expected an expiration date"},
	"made without id":      {`{"version":1,"kind":"pat","userId":"1","intent":{"expires":"2026-12-21T08:00:00Z","until":"2026-12-21T08:00:00Z","made":{}}}`, "intent: expected an id"},
	"retired without id":   {`{"version":1,"kind":"pat","userId":"1","retired":[{"remove":"2026-12-21T08:00:00Z"}]}`, "retired: expected an id"},
	"retired for ever":     {`{"version":1,"kind":"pat","userId":"1","retired":[{"id":"2"}]}`, "retired: expected a time of removal"},
	"current and retired":  {`{"version":1,"kind":"pat","userId":"1","current":{"id":"2"},"retired":[{"id":"2","remove":"2026-12-21T08:00:00Z"}]}`, "another than the current one"},
	"a path for an id":     {`{"version":1,"kind":"pat","userId":"../1"}`, "without spaces and slashes"},
	"many lost":            {`{"version":1,"kind":"pat","userId":"1","lost":[` + strings.Repeat(`{"expires":"2026-12-21T08:00:00Z","until":"2026-12-21T08:00:00Z"},`, 20) + `{}]}`, "lost: expected at most 16"},
	"many retired":         {`{"version":1,"kind":"pat","userId":"1","retired":[` + strings.Repeat(`{"id":"2","remove":"2026-12-21T08:00:00Z"},`, 20) + `{}]}`, "retired: expected at most 16"},
}

func TestADamagedStateIsRefused(t *testing.T) {
	for name, test := range damaged {
		t.Run(name, func(t *testing.T) {
			_, err := parseState([]byte(test.text))
			require.ErrorContains(t, err, test.want)
			assert.Less(t, len(err.Error()), 400)
		})
	}
	_, err := parseState([]byte(fullState))
	require.NoError(t, err)
	s, err := parseState(nil)
	require.NoError(t, err)
	assert.Equal(t, state{Version: 1}, s)
}

func FuzzParseState(f *testing.F) {
	f.Add(fullState)
	for _, test := range damaged {
		f.Add(test.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseState([]byte(text))
		if err != nil {
			return
		}
		encoded, err := s.encode()
		require.NoError(t, err)
		if len(encoded) > maxState || text == "" {
			return
		}
		again, err := parseState(encoded)
		require.NoError(t, err)
		twice, err := again.encode()
		require.NoError(t, err)
		assert.Equal(t, string(encoded), string(twice))
		for _, i := range s.Lost {
			assert.False(t, i.names(Credential{ID: "x", Expires: time.Time{}}, false), "no date names nothing")
		}
	})
}

func TestADateCountsToTheMicrosecondWhereTheServerKeepsIt(t *testing.T) {
	second := time.Date(2026, 12, 21, 8, 0, 0, 0, time.UTC)
	i := intent{Expires: second.Add(123456 * time.Microsecond)}
	assert.True(t, i.names(Credential{Expires: i.Expires}, false))
	assert.False(t, i.names(Credential{Expires: second}, false))
	assert.True(t, i.names(Credential{Expires: second}, true), "a server of whole seconds")
	assert.False(t, i.names(Credential{Expires: second.Add(time.Second)}, true))
}
