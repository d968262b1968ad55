package rotate

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"time"

	"golang.org/x/oauth2"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/internal/bearer"
	"github.com/postern-go/postern/jwtprofile"
	"github.com/postern-go/postern/keyfile"
)

// KeyType is the kind of the keys that are generated.
type KeyType int

const (
	// RSA2048 is the kind that ZITADEL itself makes, which every library reads. It is the zero KeyType.
	RSA2048 KeyType = iota
	// RSA3072 is RSA of 3072 bits.
	RSA3072
	// RSA4096 is RSA of 4096 bits.
	RSA4096
	// P256 is ECDSA on P-256: short, and fast to sign with.
	P256
)

// secret is a stored credential, read.
type secret struct {
	raw []byte
	sum string       // digest of the secret part
	pat string       // PAT
	key *keyfile.Key // Key
}

// parseSecret reads a stored credential. The error shows nothing of it.
func parseSecret(kind Kind, raw []byte) (*secret, error) {
	if kind == Key {
		key, err := keyfile.Parse(raw, keyfile.Warn(-1, nil)) // to be told of what is being done about is no use
		if err != nil {
			return nil, err
		}
		if key.Type != keyfile.ServiceAccount {
			return nil, fmt.Errorf("expected a service user's key, got type %q: an application's key is renewed in the console", key.Type)
		}
		// Of the public key and its id: the file may be written in several ways.
		der, err := x509.MarshalPKIXPublicKey(key.Signer.Public())
		if err != nil {
			return nil, err
		}
		return &secret{raw: raw, key: key, sum: digest(append([]byte(key.ID+"\n"), der...))}, nil
	}
	token := bytes.TrimSpace(raw)
	if err := bearer.Check(string(token)); err != nil {
		return nil, err
	}
	return &secret{raw: raw, pat: string(token), sum: digest(token)}, nil
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// source gives tokens by the credential. It keeps none: what it is asked for proves the credential.
func (r *Rotator) source(s *secret) (postern.TokenSource, error) {
	if s.key == nil {
		return personal{s}, nil
	}
	return jwtprofile.New(jwtprofile.Config{
		Issuer: r.cfg.Issuer, Key: s.key, Scopes: []string{"openid", postern.ScopeZITADELAPI},
		HTTPClient: r.cfg.HTTPClient, Header: r.cfg.Header, AllowHTTP: r.cfg.AllowHTTP,
	})
}

// personal gives a PAT as it is. It holds the secret behind a pointer.
type personal struct{ *secret }

func (p personal) Token() (*oauth2.Token, error) { return p.TokenCtx(context.Background()) }

func (p personal) TokenCtx(context.Context) (*oauth2.Token, error) {
	return &oauth2.Token{AccessToken: p.pat, TokenType: "Bearer"}, nil
}

// keyFile is a service user's key as ZITADEL writes it.
type keyFile struct {
	Type    string `json:"type"`
	ID      string `json:"keyId"`
	Key     string `json:"key"`
	Expires string `json:"expirationDate"`
	UserID  string `json:"userId"`
}

// encodeKey writes a generated key as a key file.
func encodeKey(signer crypto.Signer, id, userID string, expires time.Time) ([]byte, error) {
	block := &pem.Block{}
	switch key := signer.(type) {
	case *rsa.PrivateKey:
		block.Type, block.Bytes = "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)
	case *ecdsa.PrivateKey:
		der, err := x509.MarshalECPrivateKey(key)
		if err != nil {
			return nil, err
		}
		block.Type, block.Bytes = "EC PRIVATE KEY", der
	default:
		return nil, fmt.Errorf("expected a generated key, got %T", signer)
	}
	return json.Marshal(keyFile{
		Type: string(keyfile.ServiceAccount), ID: id, Key: string(pem.EncodeToMemory(block)),
		Expires: expires.UTC().Format(time.RFC3339), UserID: userID,
	})
}

func (t KeyType) generate() (crypto.Signer, error) {
	switch t {
	case P256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case RSA3072:
		return rsa.GenerateKey(rand.Reader, 3072)
	case RSA4096:
		return rsa.GenerateKey(rand.Reader, 4096)
	default:
		return rsa.GenerateKey(rand.Reader, 2048)
	}
}
