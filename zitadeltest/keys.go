package zitadeltest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"sync"
	"time"
)

// noExpiry is the year ZITADEL writes where a key or personal access token has no end.
var noExpiry = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// An RSA key costs tens of milliseconds, so the servers of a process share them: the n-th key of every server is the same,
// while the keys of one server differ. Kids differ always, and so no key of one server opens another.
var (
	signingPool keyPool
	machinePool keyPool
)

type keyPool struct {
	mu   sync.Mutex
	keys []*rsa.PrivateKey
}

func (p *keyPool) at(n int) *rsa.PrivateKey {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.keys) <= n {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic("zitadeltest: " + err.Error()) // 2048 bits are always allowed
		}
		p.keys = append(p.keys, key)
	}
	return p.keys[n]
}

// signingKey signs the server's JWTs. The key itself is made when first used.
type signingKey struct {
	kid   string
	index int
}

func (k signingKey) private() *rsa.PrivateKey { return signingPool.at(k.index) }

// machineKey belongs to a service user or an API application.
type machineKey struct {
	aggregateView
	id     string
	public crypto.PublicKey // nil: nothing that verifies
	expiry time.Time
}

func (k *machineKey) live(now time.Time) bool { return k.expiry.After(now) }

// keyFile is the key.json that the server hands out once.
type keyFile struct {
	Type       string `json:"type"`
	KeyID      string `json:"keyId"`
	Key        string `json:"key"`
	Expiration string `json:"expirationDate,omitempty"`
	UserID     string `json:"userId,omitempty"`
	AppID      string `json:"appId,omitempty"`
	ClientID   string `json:"clientId,omitempty"`
}

func encodeKeyFile(f keyFile, key *rsa.PrivateKey) []byte {
	f.Key = string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	out, err := json.Marshal(f)
	if err != nil {
		panic("zitadeltest: " + err.Error()) // strings always marshal
	}
	return out
}

// publicPEM is a public key as events tell it.
func publicPEM(public crypto.PublicKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil // cannot be: the key was parsed from this form, or made here
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}
