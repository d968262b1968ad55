package keyfile

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/postern-go/postern/internal/smallfile"
	"github.com/postern-go/postern/internal/strictjson"
)

// maxSize of a key file, in bytes. One by ZITADEL has about 1900, one with RSA of 16384 bits about 13000.
const maxSize = 64 << 10

// Read reads the key file at path: a regular file, or a symbolic link to one, of at most 64 KiB. See Parse for what it holds.
// Errors name the path and what to do, and show nothing of the file's content.
func Read(path string, options ...Option) (*Key, error) {
	data, _, err := smallfile.Read(path, maxSize)
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	key, err := apply(options).parse(data)
	if err != nil {
		return nil, fmt.Errorf("keyfile: %s: %w", path, err)
	}
	return key, nil
}

// Parse reads the content of a key file, at most 64 KiB: a JSON object as ZITADEL makes it, with
//
//	{"type":"serviceaccount","keyId":"…","key":"-----BEGIN RSA PRIVATE KEY-----…","expirationDate":"…","userId":"…"}
//	{"type":"application","keyId":"…","key":"-----BEGIN RSA PRIVATE KEY-----…","appId":"…","clientId":"…"}
//
// where expirationDate (RFC 3339) may be missing and other members are ignored. The key is PEM in PKCS #1 (RFC 8017),
// PKCS #8 (RFC 5208) or SEC 1 (RFC 5915), not encrypted: RSA of 2048 to 16384 bits, or ECDSA on P-256. Names match exactly, and a name
// that stands twice is refused. A key that has expired is refused with its date. Errors show nothing of data but those names,
// the kind and size of the key, and the date.
func Parse(data []byte, options ...Option) (*Key, error) {
	key, err := apply(options).parse(data)
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	return key, nil
}

func parse(data []byte, now time.Time) (*Key, error) {
	if err := recognise(data); err != nil {
		return nil, err
	}
	object, err := strictjson.Parse(string(data), "type", "keyId", "key", "expirationDate", "userId", "appId", "clientId")
	if err != nil {
		return nil, again(err)
	}
	if _, ok := object.Get("key"); !ok {
		if _, ok := object.Get("keyDetails"); ok {
			return nil, errors.New(`expected a key file, got an answer of ZITADEL's API: decode the base64 of its "keyDetails" and use that`)
		}
	}
	var key Key
	var secret, kind, expiry string
	var errs []error
	for name, into := range map[string]*string{
		"type": &kind, "keyId": &key.ID, "key": &secret, "expirationDate": &expiry, "userId": &key.UserID, "appId": &key.AppID, "clientId": &key.ClientID,
	} {
		value, ok := object.Get(name)
		if !ok {
			continue
		}
		if *into, err = strictjson.String(value); err != nil {
			errs = append(errs, again(fmt.Errorf("%s: %w", name, err)))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	key.Type = Type(kind)
	if err := key.validateIDs(); err != nil {
		errs = append(errs, again(err))
	}
	if _, ok := object.Get("expirationDate"); ok {
		if key.Expiry, err = time.Parse(time.RFC3339, expiry); err != nil {
			errs = append(errs, again(errors.New("expirationDate: expected a time as in RFC 3339, such as 2026-12-22T08:48:07Z, got another text")))
		}
		errs = append(errs, key.validateExpiry(now))
	}
	if key.Signer, err = parseSigner(secret); err == nil {
		err = validateSigner(key.Signer)
	}
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	return &key, nil
}

// again says what to do about a file that ZITADEL has not made so.
func again(err error) error { return fmt.Errorf("%w: download the key file again", err) }

// recognise names what people hand over instead of a key file.
func recognise(data []byte) error {
	text := bytes.TrimSpace(data)
	switch {
	case len(data) > maxSize:
		return fmt.Errorf("expected at most %d bytes, got %d: is it the right file?", maxSize, len(data))
	case len(text) == 0:
		return errors.New("expected a key file of ZITADEL's, got nothing: download the key file again")
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")), bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		return errors.New("expected JSON in UTF-8, got a byte order mark before it: an editor or shell rewrote the file, save it as UTF-8 without one or download it again")
	case bytes.IndexByte(data, 0) >= 0:
		return errors.New("expected JSON, got binary data: is it the right file?")
	case bytes.HasPrefix(text, []byte("-----BEGIN")):
		return errors.New(`expected ZITADEL's key file, a JSON object, got a PEM file: put the PEM as "key" into the object, or make a Key of it with your own Signer`)
	case bytes.HasPrefix(text, []byte("eyJ")):
		return errors.New(`expected a JSON object, got what looks like base64 of one: decode it, as "keyDetails" of ZITADEL's API must be`)
	case text[0] == '{' && errors.Is(json.NewDecoder(bytes.NewReader(text)).Decode(new(json.RawMessage)), io.ErrUnexpectedEOF):
		return errors.New("expected a whole JSON object, got the beginning of one: the file was cut off or is being written, download it again")
	}
	return nil
}

// parseSigner reads the one private key in a PEM text.
func parseSigner(text string) (crypto.Signer, error) {
	if text == "" {
		return nil, errors.New("key: expected a private key in PEM, got nothing: for a public key that was uploaded ZITADEL has no private one to give, put yours in")
	}
	block, rest := pem.Decode([]byte(text))
	if block != nil && block.Type == "EC PARAMETERS" { // openssl ecparam -genkey puts it first
		block, rest = pem.Decode(rest)
	}
	if block == nil {
		return nil, errors.New("key: expected a private key in PEM, got text that is not PEM, or only part of it: download the key file again")
	}
	if strings.TrimSpace(string(rest)) != "" {
		return nil, errors.New("key: expected one private key in PEM, got more text after it")
	}
	var key any
	var err error
	switch {
	case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["Proc-Type"] != "":
		return nil, errors.New("key: expected a private key that is not encrypted, got an encrypted one: decrypt it with openssl pkey")
	case block.Type == "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case block.Type == "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case block.Type == "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case strings.HasSuffix(block.Type, "PUBLIC KEY"), block.Type == "CERTIFICATE":
		return nil, errors.New("key: expected a private key, got a public one: the private half is needed to sign")
	case block.Type == "OPENSSH PRIVATE KEY":
		return nil, errors.New("key: expected PKCS #1, PKCS #8 or SEC 1, got OpenSSH's format: convert it with ssh-keygen -p -m PEM")
	default:
		return nil, errors.New("key: expected PEM of type RSA PRIVATE KEY, PRIVATE KEY or EC PRIVATE KEY, got another type")
	}
	if err != nil {
		return nil, fmt.Errorf("key: expected a private key, RSA of at least %d bits or ECDSA on P-256, got what cannot be read as one: %w", minRSABits, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("key: got a key of type %T, which cannot sign: %s", key, useInstead)
	}
	return signer, nil
}
