package rediscache

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/rueidis"
	"github.com/sony/gobreaker/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/introspect"
	"github.com/postern-go/postern/rediscache/internal/redisserver"
)

func TestAProgramStartsWhileRedisIsDown(t *testing.T) {
	server := redisserver.ForTest(t)
	server.Kill()
	r := startReplica(t, testConfig(server))
	_, ok, err := r.Load(t.Context(), testKey)
	assert.False(t, ok)
	assert.ErrorIs(t, err, errNotReady)
	assert.Error(t, r.Store(t.Context(), testKey, testAnswer("pat-1", "user-1")))
	require.NoError(t, server.Restart())
	until(t, func() bool { return r.Stats().Ready })
	r.put(t, testKey, testAnswer("pat-1", "user-1"))
	assert.True(t, r.has(t, testKey))
}

func TestWhatWasRevokedWhileRedisWasAwayEndsEverywhereOnItsReturn(t *testing.T) {
	server := redisserver.ForTest(t)
	a, b := newReplica(t, testConfig(server)), newReplica(t, testConfig(server))
	a.put(t, testKey, testAnswer("pat-1", "user-1"))
	assert.True(t, b.has(t, testKey))
	for name, away := range map[string]func(){
		"killed":  server.Kill,
		"stalled": func() { require.NoError(t, server.Stall()) },
	} {
		t.Run(name, func(t *testing.T) {
			away()
			e := introspect.Eviction{Issuer: testKey.Issuer, TokenID: "pat-1-" + name}
			a.Publish(e)
			assert.True(t, a.heard(e)(), "here at once")
			_, ok, _ := a.Load(t.Context(), testKey)
			assert.False(t, ok)
			if name == "killed" {
				require.NoError(t, server.Restart())
			} else {
				require.NoError(t, server.Resume())
			}
			until(t, b.heard(e))
			until(t, a.settled)
			until(t, func() bool { return a.Stats().Waiting == 0 }) // it may send twice
			late := newReplica(t, testConfig(server))
			r := testAnswer("pat-1-"+name, "user-1")
			late.put(t, testKey, r)
			until(t, func() bool { return b.has(t, testKey) }) // back in use
		})
	}
}

func TestEvictionsAreSentAgainWhenRedisLosesThem(t *testing.T) {
	server := redisserver.ForTest(t)
	a := newReplica(t, testConfig(server))
	e := introspect.Eviction{Issuer: testKey.Issuer, TokenID: "pat-1"}
	a.Publish(e)
	until(t, a.settled)
	server.Kill()
	require.NoError(t, server.Restart()) // empty
	until(t, func() bool { return a.Stats().Sent >= 2 })
	b := newReplica(t, testConfig(server)) // has heard nothing before
	until(t, b.heard(e))
	assert.Len(t, a.evictions(), 1, "who knows it hears nothing again")
}

func TestAStalledRedisIsLeftAloneAfterFiveFailures(t *testing.T) {
	server := redisserver.ForTest(t)
	r := newReplica(t, testConfig(server))
	r.put(t, testKey, testAnswer("pat-1", "user-1"))
	before := r.Stats()
	require.Equal(t, 20*time.Millisecond, budget, "of a lookup")
	require.NoError(t, server.Stall())
	var refused atomic.Int64
	var wg sync.WaitGroup
	for range 1000 {
		wg.Go(func() {
			if _, ok, err := r.Load(t.Context(), testKey); err != nil && !ok {
				refused.Add(1)
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, 1000, refused.Load(), "every call came back, though nothing answered")
	s := r.Stats()
	assert.LessOrEqual(t, s.Failures-before.Failures, uint64(2*maxInFlight), "those in flight when the fifth failed, and few more")
	assert.EqualValues(t, 1000, s.Failures+s.Skipped-before.Failures-before.Skipped)
	assert.NotEqual(t, gobreaker.StateClosed, r.breaker.State())
	for range 100 {
		_, _, _ = r.Load(t.Context(), testKey)
	}
	assert.LessOrEqual(t, r.Stats().Failures, s.Failures+5, "no more than one try a second")

	require.NoError(t, server.Resume())
	until(t, func() bool { _, ok, _ := r.Load(t.Context(), testKey); return ok })
	connections, err := redis(t, server)("INFO", "stats").ToString()
	require.NoError(t, err)
	var made int
	for line := range strings.Lines(connections) {
		_, _ = fmt.Sscanf(line, "total_connections_received:%d", &made)
	}
	assert.Less(t, made, 20, "1000 calls that gave up cost no connections")
}

func TestACallerWhoLeavesSaysNothingAboutRedis(t *testing.T) {
	server := redisserver.ForTest(t)
	r := newReplica(t, testConfig(server))
	require.NoError(t, server.Stall())
	stayed := 0 // for the whole of the budget, because the machine took longer to cancel
	for range 2 * breakerFailures {
		ctx, cancel := newEnded(t)
		if _, _, err := r.Load(ctx, testKey); !errors.Is(err, context.Canceled) {
			stayed++
		}
		cancel()
	}
	assert.Less(t, stayed, breakerFailures)
	assert.Equal(t, gobreaker.StateClosed, r.breaker.State())
	assert.EqualValues(t, stayed, r.Stats().Failures)
	require.NoError(t, server.Resume())
}

func TestWhatSaysNothingAboutReadingOpensNoBreaker(t *testing.T) {
	for name, row := range map[string]struct {
		err  error
		want gobreaker.State
	}{
		"the journal was lost":   {errLost, gobreaker.StateClosed},
		"a refusal to write":     {refusedError{errors.New("OOM")}, gobreaker.StateClosed},
		"too many calls waiting": {errBusy, gobreaker.StateClosed},
		"anything else":          {errors.New("a broken connection"), gobreaker.StateOpen},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // in which no call takes longer than the budget
				c, err := New(Config{Redis: rueidis.ClientOption{InitAddress: []string{"localhost:6379"}}, Secrets: [][]byte{testSecret}})
				require.NoError(t, err)
				c.start.Do(func() {})
				c.client = struct{ rueidis.Client }{} // for calls that do not use it
				c.journal.begin([]entry{restart(1)}, time.Now())
				if row.err == errBusy {
					for range maxInFlight {
						c.slots <- struct{}{}
					}
				}
				for range 2 * breakerFailures {
					err := c.call(t.Context(), func(context.Context, rueidis.Client) error { return row.err })
					if row.want == gobreaker.StateClosed || c.Stats().Skipped == 0 {
						assert.ErrorIs(t, err, row.err)
					} else {
						assert.ErrorIs(t, err, errAway)
					}
				}
				assert.Equal(t, row.want, c.breaker.State())
			})
		})
	}
}

func TestAReadOnlyRedisServesWhatItHasAndRecovers(t *testing.T) {
	server := redisserver.ForTest(t)
	admin := redis(t, server)
	cfg := testConfig(server)
	var logged logs
	cfg.Logger = slog.New(slog.NewTextHandler(&logged, nil))
	a, b := newReplica(t, cfg), newReplica(t, testConfig(server))
	a.put(t, testKey, testAnswer("pat-1", "user-1"))
	require.NoError(t, admin("REPLICAOF", "127.0.0.1", "1").Error()) // a replica of nobody, as after a failover gone wrong
	until(t, a.refused("READONLY"))
	assert.True(t, a.has(t, testKey))
	assert.True(t, b.has(t, testKey))
	e := introspect.Eviction{Issuer: testKey.Issuer, TokenID: "pat-1"}
	a.Publish(e)
	assert.False(t, a.has(t, testKey))
	until(t, func() bool { return strings.Contains(logged.String(), "takes no evictions, they wait") })
	require.NoError(t, admin("REPLICAOF", "NO", "ONE").Error())
	until(t, b.heard(e))
	until(t, func() bool { return strings.Contains(logged.String(), "takes evictions again") })
	assert.False(t, b.has(t, testKey))
}

func TestAFullRedisGivesOutNothingThatAnEvictionEnded(t *testing.T) {
	server := redisserver.ForTest(t)
	admin := redis(t, server)
	a, b := newReplica(t, testConfig(server)), newReplica(t, testConfig(server))
	a.put(t, testKey, testAnswer("pat-1", "user-1"))
	require.NoError(t, admin("CONFIG", "SET", "maxmemory", "1").Error()) // noeviction is Redis's default
	until(t, a.refused("OOM"))
	assert.True(t, b.has(t, testKey))
	e := introspect.Eviction{Issuer: testKey.Issuer, TokenID: "pat-1"}
	a.Publish(e)
	until(t, func() bool { // the message could not be stored, so a took the journal away
		_, _, _ = b.Load(t.Context(), testKey)
		return !b.Stats().Ready
	})
	_, ok, err := b.Load(t.Context(), testKey)
	assert.False(t, ok)
	assert.ErrorIs(t, err, errNotReady)
	require.NoError(t, admin("CONFIG", "SET", "maxmemory", "0").Error())
	until(t, b.heard(e))
	until(t, func() bool { return a.Stats().Ready && b.Stats().Ready })
	assert.False(t, b.has(t, testKey))
	a.put(t, testKey, testAnswer("pat-2", "user-1"))
	assert.True(t, b.has(t, testKey), "back in use")
}

func TestARedisThatEvictsKeysLosesAnswersOnly(t *testing.T) {
	server := redisserver.ForTest(t, "--maxmemory-policy", "allkeys-random")
	admin := redis(t, server)
	a := newReplica(t, testConfig(server))
	used, err := admin("INFO", "memory").ToString()
	require.NoError(t, err)
	var now int
	for line := range strings.Lines(used) {
		_, _ = fmt.Sscanf(line, "used_memory:%d", &now)
	}
	require.NoError(t, admin("CONFIG", "SET", "maxmemory", fmt.Sprint(now+300_000)).Error())
	for i := range 500 { // more than there is room for: anything may go, the journal too
		key := testKey
		key.Token = fmt.Sprint(i)
		answer := testAnswer(key.Token, "user")
		answer.Claims = make([]byte, 2000)
		_ = a.Store(t.Context(), key, answer)
		if i%50 == 49 {
			e := introspect.Eviction{Issuer: testKey.Issuer, TokenID: fmt.Sprint(i)}
			a.Publish(e)
			assert.False(t, a.has(t, key))
		}
	}
	until(t, a.settled)
	late := newReplica(t, testConfig(server))
	for i := 49; i < 500; i += 50 {
		key := testKey
		key.Token = fmt.Sprint(i)
		for _, r := range []*replica{a, late} {
			_, ok, _ := r.Load(t.Context(), key)
			assert.False(t, ok, "token %d was evicted", i)
		}
	}
}

func TestAWrongPasswordCostsNothingButTheSecondLevel(t *testing.T) {
	server := redisserver.ForTest(t, "--requirepass", "right-password")
	cfg := testConfig(server)
	cfg.Redis.Password = "wrong-password"
	r := startReplica(t, cfg)
	_, ok, err := r.Load(t.Context(), testKey)
	assert.False(t, ok)
	assert.ErrorIs(t, err, errNotReady)
	cfg.Redis.Password = "right-password"
	good := newReplica(t, cfg)
	good.put(t, testKey, testAnswer("pat-1", "user-1"))
	assert.True(t, good.has(t, testKey))
}

func TestAPasswordThatIsChangedLeavesNothingBehindWhenItIsSetRight(t *testing.T) {
	server := redisserver.ForTest(t)
	admin := redis(t, server)
	require.NoError(t, admin("ACL", "SETUSER", "postern", "on", ">right", "~*", "+@all").Error())
	cfg := testConfig(server)
	a := newReplica(t, cfg)
	cfg.Redis.Username, cfg.Redis.Password = "postern", "right"
	b := newReplica(t, cfg)
	b.put(t, testKey, testAnswer("pat-1", "user-1"))
	require.NoError(t, admin("ACL", "SETUSER", "postern", "resetpass", ">other").Error())
	require.NoError(t, admin("CLIENT", "KILL", "USER", "postern").Error())
	for range 2 * breakerFailures {
		_, ok, err := b.Load(t.Context(), testKey)
		assert.False(t, ok)
		assert.Error(t, err)
	}
	e := introspect.Eviction{Issuer: testKey.Issuer, TokenID: "pat-1"}
	a.Publish(e)
	until(t, a.settled)
	require.NoError(t, admin("ACL", "SETUSER", "postern", "resetpass", ">right").Error())
	until(t, b.heard(e))
	assert.False(t, b.has(t, testKey))
	b.put(t, testKey, testAnswer("pat-1", "user-1"))
	assert.True(t, b.has(t, testKey), "back in use")
}

func TestKilledConnectionsAreMadeAgain(t *testing.T) {
	server := redisserver.ForTest(t)
	admin := redis(t, server)
	a, b := newReplica(t, testConfig(server)), newReplica(t, testConfig(server))
	a.put(t, testKey, testAnswer("pat-1", "user-1"))
	for i := range 5 {
		killed, err := admin("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").AsInt64()
		require.NoError(t, err)
		assert.Positive(t, killed)
		e := introspect.Eviction{Subject: fmt.Sprint("somebody else ", i)}
		a.Publish(e)
		until(t, b.heard(e))
		assert.True(t, b.has(t, testKey))
	}
}

// aclRules is what docs/fleet.md gives the ACL user.
const aclRules = "resetkeys ~postern:* resetchannels -@all +getrange +set +del +xadd +xrange +xread +ping +hello +cluster|slots +cluster|shards"

func TestAnACLUserNeedsFewPermissions(t *testing.T) {
	server := redisserver.ForTest(t)
	rules := append([]string{"ACL", "SETUSER", "postern", "on", ">a-password"}, strings.Fields(aclRules)...)
	require.NoError(t, redis(t, server)(rules...).Error())
	cfg := testConfig(server)
	cfg.Redis.Username, cfg.Redis.Password = "postern", "a-password"
	a, b := newReplica(t, cfg), newReplica(t, cfg)
	a.put(t, testKey, testAnswer("pat-1", "user-1"))
	assert.True(t, b.has(t, testKey))
	until(t, func() bool { return a.Delete(t.Context(), testKey) == nil })
	e := introspect.Eviction{All: true}
	a.Publish(e)
	until(t, b.heard(e))
	log, err := redis(t, server)("ACL", "LOG").ToArray()
	require.NoError(t, err)
	assert.Empty(t, log, "nothing was denied")
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redis"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return path
	}
	certFile, keyFile := write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", keyDER)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	require.NoError(t, l.Close())
	server := redisserver.ForTest(t, "--tls-port", port, "--tls-cert-file", certFile, "--tls-key-file", keyFile, "--tls-ca-cert-file", certFile, "--tls-auth-clients", "no")

	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	cfg := testConfig(server)
	cfg.Redis.InitAddress = []string{"127.0.0.1:" + port}
	cfg.Redis.TLSConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	r := newReplica(t, cfg)
	r.put(t, testKey, testAnswer("pat-1", "user-1"))
	assert.True(t, r.has(t, testKey))
}

func TestACluster(t *testing.T) {
	dir := t.TempDir()
	server := redisserver.ForTest(t, "--cluster-enabled", "yes", "--cluster-config-file", filepath.Join(dir, "nodes.conf"), "--cluster-port", freePort(t))
	admin := redis(t, server)
	require.NoError(t, admin("CLUSTER", "ADDSLOTSRANGE", "0", "16383").Error())
	until(t, func() bool {
		info, _ := admin("CLUSTER", "INFO").ToString()
		return strings.Contains(info, "cluster_state:ok")
	})
	a, b := newReplica(t, testConfig(server)), newReplica(t, testConfig(server))
	for i := range 20 { // names in many slots
		key := testKey
		key.Token = fmt.Sprint(i)
		a.put(t, key, testAnswer(key.Token, "user"))
		assert.True(t, b.has(t, key))
	}
	e := introspect.Eviction{Issuer: testKey.Issuer, Subject: "user"}
	a.Publish(e)
	until(t, b.heard(e))
	key := testKey
	key.Token = "7"
	assert.False(t, b.has(t, key))
}

func TestSentinel(t *testing.T) {
	server := redisserver.ForTest(t)
	host, port, _ := net.SplitHostPort(server.Addr())
	config := filepath.Join(t.TempDir(), "sentinel.conf")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, "sentinel monitor fleet %s %s 1\n", host, port), 0o600))
	sentinel := redisserver.ForTest(t, redisserver.Sentinel(config))
	cfg := testConfig(sentinel)
	cfg.Redis.Sentinel = rueidis.SentinelOption{MasterSet: "fleet"}
	r := newReplica(t, cfg)
	r.put(t, testKey, testAnswer("pat-1", "user-1"))
	assert.True(t, r.has(t, testKey))
	assert.True(t, newReplica(t, testConfig(server)).has(t, testKey), "it is in the server that the Sentinel names")
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// slowProxy passes everything on to the server, each answer late.
func slowProxy(t *testing.T, server *redisserver.Server, delay time.Duration) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var work sync.WaitGroup
	pass := func(to, from net.Conn, delay time.Duration) {
		defer to.Close()
		defer from.Close()
		buffer := make([]byte, 64<<10)
		for {
			n, err := from.Read(buffer)
			if err != nil {
				return
			}
			<-time.After(delay)
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
	}
	work.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			upstream, err := net.Dial("tcp", server.Addr())
			if err != nil {
				client.Close()
				continue
			}
			work.Go(func() { pass(upstream, client, 0) })
			work.Go(func() { pass(client, upstream, delay) })
		}
	})
	t.Cleanup(func() { l.Close(); work.Wait() })
	return l.Addr().String()
}

func TestASlowRedisIsGivenUpButStillHearsOfEvictions(t *testing.T) {
	server := redisserver.ForTest(t)
	fast := newReplica(t, testConfig(server))
	fast.put(t, testKey, testAnswer("pat-1", "user-1"))
	address := slowProxy(t, server, 25*budget)
	cfg := testConfig(server)
	cfg.Redis.InitAddress = []string{address}
	slow := newReplica(t, cfg)
	for range 100 {
		_, ok, err := slow.Load(t.Context(), testKey)
		assert.False(t, ok)
		assert.Error(t, err)
	}
	s := slow.Stats()
	assert.EqualValues(t, 100, s.Failures+s.Skipped)
	assert.Less(t, s.Failures, uint64(20), "most were not even tried")
	sent, received := introspect.Eviction{Subject: "by the slow one"}, introspect.Eviction{Subject: "by the fast one"}
	slow.Publish(sent)
	fast.Publish(received)
	until(t, fast.heard(sent))
	until(t, slow.heard(received))
}
