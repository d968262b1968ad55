package rediscache

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/introspect"
	"github.com/postern-go/postern/rediscache/internal/redisserver"
)

// info reads a number that INFO gives.
func info(t *testing.T, server *redisserver.Server, section, format string) (n int) {
	t.Helper()
	text, err := redis(t, server)("INFO", section).ToString()
	require.NoError(t, err)
	for line := range strings.Lines(text) {
		_, _ = fmt.Sscanf(line, format, &n)
	}
	return n
}

// docs/fleet.md says how much memory to give Redis.
func TestBytesATokenAndAnEviction(t *testing.T) {
	server := redisserver.ForTest(t)
	r := newReplica(t, testConfig(server))
	recorded, err := os.ReadFile("testdata/introspect-pat.json")
	require.NoError(t, err)
	var exchange struct {
		Response struct{ Body json.RawMessage }
	}
	require.NoError(t, json.Unmarshal(recorded, &exchange))
	var claims map[string]any
	require.NoError(t, json.Unmarshal(exchange.Response.Body, &claims))
	answer := testAnswer("400709186406583334", "400709186305920038")
	answer.Claims, err = json.Marshal(claims)
	require.NoError(t, err)

	before := info(t, server, "memory", "used_memory:%d")
	const tokens = 2000
	for i := range tokens {
		key := testKey
		key.Token = fmt.Sprint(i)
		r.put(t, key, answer)
	}
	each := (info(t, server, "memory", "used_memory:%d") - before) / tokens
	t.Logf("an answer of %d bytes takes %d bytes in Redis", len(answer.Claims), each)
	assert.Less(t, each, 1700)

	before = info(t, server, "memory", "used_memory:%d")
	const evictions = 900
	for i := range evictions {
		r.Publish(introspect.Eviction{Issuer: "https://acme.zitadel.cloud", TokenID: fmt.Sprint(400709186406583334 + i)})
	}
	until(t, func() bool { return r.Stats().Waiting == 0 })
	each = (info(t, server, "memory", "used_memory:%d") - before) / evictions
	t.Logf("an eviction takes %d bytes in Redis", each)
	assert.Less(t, each, 300)
}

func TestALookupIsOneCommandBesideTwentyReadsOfTheJournalASecond(t *testing.T) {
	server := redisserver.ForTest(t)
	r := newReplica(t, testConfig(server))
	r.put(t, testKey, testAnswer("pat-1", "user-1"))
	loads := info(t, server, "commandstats", "cmdstat_getrange:calls=%d")
	reads := info(t, server, "commandstats", "cmdstat_xrange:calls=%d")
	began := time.Now()
	for range 1000 {
		require.True(t, r.has(t, testKey))
	}
	took := time.Since(began)
	assert.GreaterOrEqual(t, info(t, server, "commandstats", "cmdstat_getrange:calls=%d")-loads, 1000)
	// And the background reads it every five seconds.
	assert.LessOrEqual(t, info(t, server, "commandstats", "cmdstat_xrange:calls=%d")-reads, int(took/(recheck/2))+3)
	assert.LessOrEqual(t, info(t, server, "clients", "connected_clients:%d"), 5+5, "the other connections are the test's own")
}
