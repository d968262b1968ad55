package keyfile_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/keyfile"
)

func made(t *testing.T, id string, expires time.Time) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalECPrivateKey(key)
	require.NoError(t, err)
	data, err := json.Marshal(map[string]string{
		"type": "serviceaccount", "keyId": id, "userId": "1", "expirationDate": expires.UTC().Format(time.RFC3339),
		"key": string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})),
	})
	require.NoError(t, err)
	return data
}

func put(t *testing.T, path string, data []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, data, 0o600))
	require.NoError(t, os.Chtimes(path, time.Now(), time.Now()))
}

func id(t *testing.T, source keyfile.Source) string {
	t.Helper()
	key, err := source.Key(t.Context())
	require.NoError(t, err)
	return key.ID
}

func TestAKeyFileThatIsReplacedIsTakenUpWithin5Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "key.json")
		put(t, path, made(t, "1", time.Now().Add(time.Hour)))
		file, err := keyfile.Open(path)
		require.NoError(t, err)
		put(t, path+".new", made(t, "2", time.Now().Add(time.Hour)))
		require.NoError(t, os.Rename(path+".new", path))
		assert.Equal(t, "1", id(t, file))
		time.Sleep(5 * time.Second) // the bubble's clock
		assert.Equal(t, "2", id(t, file))
		assert.Equal(t, "2", file.Current().ID)
	})
}

func TestAnUnfitKeyFileKeepsTheKeyAndIsLoggedOnce(t *testing.T) {
	for name, data := range map[string]func(t *testing.T) []byte{
		"half written": func(t *testing.T) []byte { return made(t, "2", time.Now().Add(time.Hour))[:150] },
		"empty":        func(*testing.T) []byte { return nil },
		"expired":      func(t *testing.T) []byte { return made(t, "2", time.Now().Add(-time.Second)) },
		"an application's": func(t *testing.T) []byte {
			return bytes.Replace(made(t, "2", time.Now().Add(time.Hour)), []byte(`"type":"serviceaccount"`), []byte(`"type":"application","clientId":"2"`), 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				path := filepath.Join(t.TempDir(), "key.json")
				put(t, path, made(t, "1", time.Now().Add(time.Hour)))
				file, err := keyfile.Open(path, keyfile.Logger(slog.New(slog.NewTextHandler(&log, nil))), keyfile.Warn(-1, nil))
				require.NoError(t, err)
				put(t, path, data(t))
				for range 10 {
					time.Sleep(5 * time.Second)
					assert.Equal(t, "1", id(t, file))
				}
				assert.Equal(t, 1, strings.Count(log.String(), "level=WARN"), log.String())
			})
		})
	}
}

func TestExpiryOfAKeyIsWarnedOfOnUse(t *testing.T) {
	for name, open := range map[string]func(path string, options ...keyfile.Option) (keyfile.Source, error){
		"Read": func(path string, options ...keyfile.Option) (keyfile.Source, error) {
			return keyfile.Read(path, options...)
		},
		"Open": func(path string, options ...keyfile.Option) (keyfile.Source, error) {
			return keyfile.Open(path, options...)
		},
		"Parse": func(path string, options ...keyfile.Option) (keyfile.Source, error) {
			data, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			return keyfile.Parse(data, options...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				var called []time.Time
				path := filepath.Join(t.TempDir(), "key.json")
				end := time.Now().Add(30 * 24 * time.Hour)
				put(t, path, made(t, "1", end))
				source, err := open(path, keyfile.Logger(slog.New(slog.NewTextHandler(&log, nil))),
					keyfile.Warn(48*time.Hour, func(at time.Time) { called = append(called, at) }))
				require.NoError(t, err)
				for range 30 * 24 {
					id(t, source)
					time.Sleep(time.Hour)
				}
				assert.Equal(t, 2, strings.Count(log.String(), "runs out soon"))
				require.Len(t, called, 2)
				assert.True(t, end.Equal(called[0]))
			})
		})
	}
}
