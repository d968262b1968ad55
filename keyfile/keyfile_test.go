package keyfile

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"encoding/xml"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	rsaKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	ecKey  = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func pkcs8(key any) string { return pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key))) }
func sec1(key *ecdsa.PrivateKey) string {
	return pemOf("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(key)))
}
func pkcs1(key *rsa.PrivateKey) string {
	return pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))
}

// file is a service user's key file with some members changed; nil leaves one out.
func file(changes map[string]any) string {
	members := map[string]any{"type": "serviceaccount", "keyId": "4007", "userId": "4008", "key": sec1(ecKey())}
	for name, value := range changes {
		if members[name] = value; value == nil {
			delete(members, name)
		}
	}
	return string(must(json.Marshal(members)))
}

func withKey(key string) string { return file(map[string]any{"key": key}) }

func TestParseReadsWhatTheServerMakes(t *testing.T) {
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	key, err := parse(must(os.ReadFile("testdata/serviceaccount.json")), now)
	require.NoError(t, err)
	assert.Equal(t, ServiceAccount, key.Type)
	assert.Equal(t, "400709186540801062", key.ID)
	assert.Equal(t, "400709186305920038", key.UserID)
	assert.Equal(t, "400709186305920038", key.Subject())
	assert.Equal(t, time.Date(2026, 12, 22, 8, 48, 7, 0, time.UTC), key.Expiry)
	assert.IsType(t, (*rsa.PrivateKey)(nil), key.Signer)

	key, err = parse(must(os.ReadFile("testdata/application.json")), now)
	require.NoError(t, err)
	assert.Equal(t, Application, key.Type)
	assert.Equal(t, "400709186138147878", key.ID)
	assert.Equal(t, "400709186071039014", key.AppID)
	assert.Equal(t, "400709186071104550", key.ClientID)
	assert.Equal(t, "400709186071104550", key.Subject())
	assert.True(t, key.Expiry.IsZero())
}

// good is what a key file may be.
func good() map[string]string {
	return map[string]string{
		"RSA in PKCS #1":                    withKey(pkcs1(rsaKey())),
		"RSA in PKCS #8":                    withKey(pkcs8(rsaKey())),
		"P-256 in SEC 1":                    withKey(sec1(ecKey())),
		"P-256 in PKCS #8":                  withKey(pkcs8(ecKey())),
		"P-256 after its parameters":        withKey(pemOf("EC PARAMETERS", []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}) + sec1(ecKey())),
		"text before the PEM":               withKey("made by hand\n" + sec1(ecKey())),
		"no expirationDate":                 file(nil),
		"the year 9999":                     file(map[string]any{"expirationDate": "9999-12-31T23:59:59Z"}),
		"an expiry with fraction and zone":  file(map[string]any{"expirationDate": "2999-12-31T23:59:59.123456+01:00"}),
		"other members":                     file(map[string]any{"comment": map[string]any{"key": 1}, "extra": nil, "Comment": 1}),
		"an application's":                  file(map[string]any{"type": "application", "clientId": "4009", "appId": "4010", "userId": nil}),
		"an application's without an appId": file(map[string]any{"type": "application", "clientId": "4009", "userId": nil}),
		"spaces and line breaks around it":  "\r\n  " + file(nil) + "\n\n",
	}
}

func TestParseReadsEveryFormOfKey(t *testing.T) {
	for name, text := range good() {
		t.Run(name, func(t *testing.T) {
			key, err := Parse([]byte(text))
			require.NoError(t, err)
			assert.NoError(t, key.Validate(time.Now()))
			same, err := key.Key(t.Context())
			require.NoError(t, err)
			assert.Same(t, key, same)
		})
	}
}

type badRow struct {
	text string
	want string
}

// bad is what people hand over instead, and what they are told.
func bad() map[string]badRow {
	whole := file(nil)
	small := must(rsa.GenerateKey(rand.Reader, 1024))
	return map[string]badRow{
		"nothing":                   {"", "got nothing"},
		"only spaces":               {" \n\t", "got nothing"},
		"half a file":               {whole[:len(whole)/2], "the beginning of one"},
		"a file without its end":    {whole[:len(whole)-1], "the beginning of one"},
		"half a file and a newline": {whole[:len(whole)/2] + "\n", "the beginning of one"},
		"half a file, up to a }":    {`{"a":{}`, "the beginning of one"},
		"text after the object":     {whole + "}", "not JSON"},
		"a word after the object":   {whole + " x", "not JSON"},
		"binary":                    {"\x7fELF\x02\x00\x00", "binary data"},
		"UTF-8 with a mark":         {"\ufeff" + whole, "byte order mark"},
		"UTF-16":                    {utf16Text(whole), "byte order mark"},
		"not UTF-8":                 {strings.Replace(whole, "4007", "\xff", 1), "UTF-8"},
		"10 MB":                     {strings.Repeat(" ", 10<<20), "at most 65536 bytes, got 10485760"},
		"a bare PEM":                {sec1(ecKey()), "got a PEM file"},
		"base64 of a key file":      {base64.StdEncoding.EncodeToString([]byte(must(compact(`{"type":"serviceaccount","keyId":"1"}`)))), "base64"},
		"the answer of the API":     {`{"keyId":"1","keyDetails":"e30=","details":{}}`, `base64 of its "keyDetails"`},
		"an array":                  {"[]", "another JSON value"},
		"YAML":                      {"type: serviceaccount", "not JSON"},
		"a name in another case":    {strings.Replace(whole, `"keyId"`, `"keyID"`, 1), `"keyId", got another spelling`},
		"a name twice":              {strings.Replace(whole, `{`, `{"userId":"1",`, 1), `"userId" once`},
		"no type":                   {file(map[string]any{"type": nil}), `type: expected "serviceaccount" or "application", got nothing`},
		"another type":              {file(map[string]any{"type": "service_account"}), "got another: is it a key file of ZITADEL's?"},
		"a type that is a number":   {file(map[string]any{"type": 1}), "type: expected a string, got a number"},
		"an id that is a number":    {file(map[string]any{"keyId": 4007}), "keyId: expected a string, got a number"},
		"an expiry that is null":    {strings.Replace(whole, `{`, `{"expirationDate":null,`, 1), "expirationDate: expected a string, got null"},
		"no keyId":                  {file(map[string]any{"keyId": nil}), "keyId: expected an id, got nothing"},
		"no userId":                 {file(map[string]any{"userId": nil}), "userId: expected an id, got nothing"},
		"no clientId":               {file(map[string]any{"type": "application"}), "clientId: expected an id, got nothing"},
		"an id with a line break":   {file(map[string]any{"keyId": "1\n2"}), "printable"},
		"an id that is too long":    {file(map[string]any{"keyId": strings.Repeat("1", 257)}), "at most 256 bytes, got 257"},
		"expired":                   {file(map[string]any{"expirationDate": "2020-02-03T04:05:06Z"}), "expired on 2020-02-03T04:05:06Z"},
		"another form of date":      {file(map[string]any{"expirationDate": "3.2.2030"}), "RFC 3339"},
		"an empty date":             {file(map[string]any{"expirationDate": ""}), "RFC 3339"},
		"no key":                    {file(map[string]any{"key": nil}), "for a public key that was uploaded ZITADEL has no private one"},
		"an empty key":              {withKey(""), "for a public key that was uploaded ZITADEL has no private one"},
		"a key that is not PEM":     {withKey("hunter2"), "not PEM"},
		"half a PEM":                {withKey(sec1(ecKey())[:80]), "not PEM, or only part of it"},
		"PEM of nonsense":           {withKey(pemOf("RSA PRIVATE KEY", []byte("hunter2"))), "cannot be read as one"},
		"a wrong PEM type":          {withKey(pemOf("RSA PRIVATE KEY", must(x509.MarshalECPrivateKey(ecKey())))), "cannot be read as one"},
		"parameters without a key":  {withKey(pemOf("EC PARAMETERS", []byte{6, 8})), "not PEM"},
		"two keys":                  {withKey(sec1(ecKey()) + sec1(ecKey())), "more text after it"},
		"a public key":              {withKey(pemOf("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(ecKey().Public())))), "got a public one"},
		"a certificate":             {withKey(pemOf("CERTIFICATE", []byte{1})), "got a public one"},
		"an encrypted key":          {withKey(pemOf("ENCRYPTED PRIVATE KEY", []byte{1})), "openssl pkey"},
		"a key encrypted long ago":  {withKey(string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED"}, Bytes: []byte{1}}))), "openssl pkey"},
		"an OpenSSH key":            {withKey(pemOf("OPENSSH PRIVATE KEY", []byte{1})), "ssh-keygen"},
		"PEM of another kind":       {withKey(pemOf("X509 CRL", []byte{1})), "got another type"},
		"Ed25519":                   {withKey(pkcs8(ed25519.NewKeyFromSeed(make([]byte, 32)))), "Ed25519"},
		"RSA of 1024 bits":          {withKey(pkcs1(small)), "at least 2048 bits, got 1024"},
		"RSA of 512 bits":           {withKey(rsa512), "RSA of at least 2048 bits"},
		"P-384":                     {withKey(sec1(must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)))), "got P-384"},
		"P-521":                     {withKey(pkcs8(must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)))), "got P-521"},
		"X25519, which cannot sign": {withKey(x25519), "cannot sign"},
	}
}

// rsa512 is a key that crypto/rsa does not even read.
var rsa512 = pemOf("RSA PRIVATE KEY", must(base64.StdEncoding.DecodeString(
	"MIIBOgIBAAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf9Cnzj4p4WGeKLs1Pt8QuKUpRKfFLfRYC9AIKjbJTWit+CqvjWYzvQwECAwEAAQJAIJLixBy2qpFoS4DSmoEmo3qGy0t6z09AIJtH+5OeRV1be+N4cDYJKffGzDa88vQENZiRm0GRq6a+HPGQMd2kTQIhAKMSvzIBnni7ot/OSie2TmJLY4SwTQAevXysE2RbFDYdAiEBCUEaRQnMnbp79mxDXDf6AU0cN/RPBjb9qSHDcWZHGzUCIG2Es59z8ugGrDY+pxLQnwfotadxd+Uyv/Ow5T0q5gIJAiEAyS4RaI9YG8EWx/2w0T67ZUVAw8eOMB6BIUg0Xcu+3okCIBOs/5OiPgoTdSy7bcF9IGpSE8ZgGKzgYQVZeN97YE00")))

// x25519 is RFC 8410's example of a key for agreement.
var x25519 = pemOf("PRIVATE KEY", must(base64.StdEncoding.DecodeString("MC4CAQAwBQYDK2VuBCIEIHcHbQpzGKV9PBbBclGyZkXfTC+H68CZKrF3+6UduSwq")))

func utf16Text(text string) string {
	var b bytes.Buffer
	b.WriteString("\xff\xfe")
	for _, unit := range utf16.Encode([]rune(text)) {
		b.Write([]byte{byte(unit), byte(unit >> 8)})
	}
	return b.String()
}

func compact(text string) (string, error) {
	var b bytes.Buffer
	err := json.Compact(&b, []byte(text))
	return b.String(), err
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	for name, row := range bad() {
		t.Run(name, func(t *testing.T) {
			key, err := Parse([]byte(row.text))
			assert.Nil(t, key)
			require.ErrorContains(t, err, row.want)
			assert.True(t, strings.HasPrefix(err.Error(), "keyfile: "))
			showsNothingOf(t, err.Error(), row.text)
		})
	}
}

// showsNothingOf fails when the message repeats a part of the key in text.
func showsNothingOf(t testing.TB, message, text string) {
	t.Helper()
	assert.NotContains(t, message, "hunter2")
	for i := strings.Index(text, "PRIVATE KEY-----"); i >= 0 && i+60 < len(text); i += 20 {
		if part := text[i+20 : i+40]; !strings.Contains(part, "-----") {
			assert.NotContains(t, message, part)
		}
	}
}

func TestParseReportsEveryMistake(t *testing.T) {
	_, err := Parse([]byte(`{"type":"x","keyId":"","key":"hunter2","expirationDate":"soon"}`))
	for _, want := range []string{"type:", "keyId:", "key:", "expirationDate:"} {
		assert.ErrorContains(t, err, want)
	}
}

func TestAKeyExpiresAtItsDate(t *testing.T) {
	text := []byte(file(map[string]any{"expirationDate": "2026-12-22T08:48:07Z"}))
	at := time.Date(2026, 12, 22, 8, 48, 7, 0, time.UTC)
	key, err := parse(text, at.Add(-1))
	require.NoError(t, err)
	assert.NoError(t, key.Validate(at.Add(-1)))
	assert.ErrorContains(t, key.Validate(at), "expired on 2026-12-22T08:48:07Z")
	_, err = parse(text, at)
	assert.ErrorContains(t, err, "expired on 2026-12-22T08:48:07Z: add a new key in ZITADEL and use its file (this clock says 2026-12-22T08:48:07Z)")
}

func TestReadNamesTheFileAndWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	link := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink(write("whole.json", file(nil)), link))
	dangling := filepath.Join(dir, "dangling")
	require.NoError(t, os.Symlink(filepath.Join(dir, "gone"), dangling))

	_, err := Read(link)
	assert.NoError(t, err, "a symbolic link to a file is read")
	for name, row := range map[string]struct{ path, want string }{
		"no path":            {"", "empty path"},
		"missing":            {filepath.Join(dir, "gone"), "no such file"},
		"a directory":        {dir, "got a directory: name the file in it"},
		"a dangling link":    {dangling, "no such file"},
		"empty":              {write("empty", ""), "got nothing"},
		"half-written":       {write("half", file(nil)[:100]), "the beginning of one"},
		"binary":             {write("binary", "\x00\x01"), "binary data"},
		"10 MB":              {write("big", strings.Repeat("x", 10<<20)), "at most 65536 bytes, got more"},
		"exactly the limit":  {write("limit", strings.Repeat("x", 64<<10)), "not JSON"},
		"one byte beyond it": {write("beyond", strings.Repeat("x", 64<<10+1)), "at most 65536 bytes, got more"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Read(row.path)
			require.ErrorContains(t, err, row.want)
			assert.ErrorContains(t, err, row.path)
			_, err = Open(row.path)
			assert.ErrorContains(t, err, row.want)
		})
	}
}

func TestValidateReportsWhatZITADELWouldRefuse(t *testing.T) {
	now := time.Now()
	for name, row := range map[string]struct {
		key  *Key
		want string
	}{
		"nil":                   {nil, "got nil"},
		"the zero Key":          {&Key{}, "keyId: expected an id"},
		"no Signer":             {&Key{Type: ServiceAccount, ID: "1", UserID: "2"}, "expected a Signer, got nil"},
		"a typed nil":           {&Key{Signer: (*rsa.PrivateKey)(nil)}, "got a panic from *rsa.PrivateKey: is it nil, or its key empty?"},
		"no public key":         {&Key{Signer: device{nil}}, "has its device been opened?"},
		"an empty RSA key":      {&Key{Signer: device{&rsa.PublicKey{}}}, "or its key empty?"},
		"a nil RSA key":         {&Key{Signer: device{(*rsa.PublicKey)(nil)}}, "or its key empty?"},
		"an empty ECDSA key":    {&Key{Signer: device{&ecdsa.PublicKey{}}}, "or its key empty?"},
		"P-256 without a point": {&Key{Signer: device{&ecdsa.PublicKey{Curve: elliptic.P256()}}}, "or its key empty?"},
		"a nil ECDSA key":       {&Key{Signer: device{(*ecdsa.PublicKey)(nil)}}, "or its key empty?"},
		"RSA of 2047 bits":      {&Key{Signer: device{rsaOf(2047)}}, "at least 2048 bits, got 2047"},
		"RSA of 16385 bits":     {&Key{Signer: device{rsaOf(16385)}}, "at most 16384 bits, got 16385"},
		//lint:ignore SA1019 a device's driver may fill them in
		"a point beside P-256":       {&Key{Signer: device{&ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}}}, "expected a point of P-256"},
		"P-224":                      {&Key{Signer: device{&ecdsa.PublicKey{Curve: elliptic.P224()}}}, "got P-224"},
		"Ed25519":                    {&Key{Signer: device{ed25519.PublicKey{}}}, "Ed25519"},
		"another type of key":        {&Key{Signer: device{"?"}}, "of type string"},
		"an id that is not UTF-8":    {&Key{ID: "\xff"}, "keyId: expected UTF-8"},
		"a user's key without user":  {&Key{Type: ServiceAccount, ClientID: "1"}, "userId: expected an id"},
		"an application without one": {&Key{Type: Application, UserID: "1"}, "clientId: expected an id"},
		"expired":                    {&Key{Expiry: now}, "expired on"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.ErrorContains(t, row.key.Validate(now), row.want)
		})
	}
	for name, key := range map[string]*Key{
		"RSA of 2048 bits in a device":  {Type: ServiceAccount, ID: "1", UserID: "2", Signer: device{rsaOf(2048)}},
		"RSA of 16384 bits in a device": {Type: Application, ID: "1", ClientID: "2", Signer: device{rsaOf(16384)}},
		"P-256 with an id of umlauts":   {Type: ServiceAccount, ID: "ü", UserID: "2", Signer: ecKey(), Expiry: now.Add(1)},
	} {
		t.Run(name, func(t *testing.T) { assert.NoError(t, key.Validate(now)) })
	}
}

func TestANilKeyIsNoSource(t *testing.T) {
	_, err := (*Key)(nil).Key(t.Context())
	assert.ErrorContains(t, err, "got nil")
}

func TestAKeyFormatsWithoutItsSecret(t *testing.T) {
	key, err := parse(must(os.ReadFile("testdata/serviceaccount.json")), time.Unix(0, 0))
	require.NoError(t, err)
	private := key.Signer.(*rsa.PrivateKey)
	secrets := []string{
		private.D.String(), private.D.Text(16), fmt.Sprint(private.D.Bytes()), private.Primes[0].String(), "PRIVATE KEY",
		fmt.Sprint(private.D.Bits()), base64.StdEncoding.EncodeToString(private.D.Bytes())[:40],
	}
	type holder struct {
		Value   Key
		Pointer *Key
		Any     any
		List    []Key
		Map     map[string]Key
	}
	for name, value := range map[string]any{
		"a pointer": key, "a value": *key, "a pointer to a pointer": &key, "a slice": []*Key{key},
		"in an exported field":          holder{Value: *key, Pointer: key, Any: *key, List: []Key{*key}, Map: map[string]Key{"k": *key}},
		"in a pointer to such a struct": &holder{Value: *key, Pointer: key},
		"in an unexported field":        struct{ key *Key }{key},
		"a value in such a field":       struct{ key Key }{*key},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p", "%#x", "% x", "%08.3f", "%!"} {
			assertNone(t, fmt.Sprintf(verb, value), secrets, name+" "+verb)
		}
		assertNone(t, fmt.Sprint(value)+fmt.Sprintln(value), secrets, name)
		if encoded, err := json.Marshal(value); err == nil {
			assertNone(t, string(encoded), secrets, name+" JSON")
		}
		if encoded, err := xml.Marshal(value); err == nil {
			assertNone(t, string(encoded), secrets, name+" XML")
		}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", value)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", value)
		slog.New(slog.NewJSONHandler(&log, nil)).WithGroup("g").With("key", value).Info("x", slog.Group("h", "key", value))
		assertNone(t, log.String(), secrets, name+" slog")
	}
	assert.Equal(t, `keyfile.Key(type "serviceaccount", keyId "400709186540801062", userId "400709186305920038", expires 2026-12-22T08:48:07Z)`, fmt.Sprintf("%#v", *key))
}

func TestAKeyOnItsOwnShowsItsIDs(t *testing.T) {
	key := Key{Type: Application, ID: "1", ClientID: "2", AppID: "3", Signer: ecKey()}
	want := `keyfile.Key(type "application", keyId "1", clientId "2", unknown expiry)`
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x"} {
		assert.Equal(t, want, fmt.Sprintf(verb, key))
		assert.Equal(t, want, fmt.Sprintf(verb, &key))
	}
	encoded, err := json.Marshal(struct{ K any }{key})
	require.NoError(t, err)
	assert.JSONEq(t, `{"K":`+string(must(json.Marshal(want)))+`}`, string(encoded))
	assert.Equal(t, "<nil>", fmt.Sprint((*Key)(nil)))
}

func assertNone(t *testing.T, text string, secrets []string, where string) {
	t.Helper()
	for _, secret := range secrets {
		assert.NotContains(t, text, secret, where)
	}
}

// device is a Signer that knows only its public key.
type device struct{ public crypto.PublicKey }

func (d device) Public() crypto.PublicKey                                  { return d.public }
func (d device) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, io.EOF }

func rsaOf(bits int) *rsa.PublicKey {
	return &rsa.PublicKey{E: 65537, N: new(big.Int).Lsh(big.NewInt(1), uint(bits-1))}
}

func FuzzParse(f *testing.F) {
	for _, text := range good() {
		f.Add([]byte(text))
	}
	for _, row := range bad() {
		if len(row.text) < 64<<10 {
			f.Add([]byte(row.text))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := Parse(data)
		if err != nil {
			assert.Nil(t, key)
			assert.LessOrEqual(t, len(err.Error()), 4096)
			showsNothingOf(t, err.Error(), string(data))
			return
		}
		assert.NoError(t, key.Validate(time.Now().Add(-time.Minute)))
		assert.NotEmpty(t, key.Subject())
		showsNothingOf(t, fmt.Sprintf("%v %+v %#v", key, *key, key), string(data))
	})
}
