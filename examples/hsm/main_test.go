package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ThalesGroup/crypto11"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/zitadeltest"
)

// softHSM makes a token in a directory of the test's own, and sets the environment to it.
func softHSM(t *testing.T) {
	t.Helper()
	util, err := exec.LookPath("softhsm2-util")
	module := ""
	for _, path := range []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so",
		"/opt/homebrew/lib/softhsm/libsofthsm2.so"} {
		if _, err := os.Stat(path); err == nil && module == "" {
			module = path
		}
	}
	if err != nil || module == "" {
		const missing = "softhsm2-util and libsofthsm2.so are missing: apt-get install softhsm2"
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	dir := t.TempDir()
	config, pin := filepath.Join(dir, "softhsm2.conf"), filepath.Join(dir, "pin")
	require.NoError(t, os.WriteFile(config, []byte("directories.tokendir = "+dir+"\nlog.level = ERROR\n"), 0o600))
	require.NoError(t, os.WriteFile(pin, []byte("2468\n"), 0o600))
	t.Setenv("SOFTHSM2_CONF", config)
	out, err := exec.CommandContext(t.Context(), util, "--init-token", "--free", "--label", "postern", "--pin", "2468", "--so-pin", "1357").CombinedOutput()
	require.NoError(t, err, "%s", out)
	t.Setenv("PKCS11_MODULE", module)
	t.Setenv("PKCS11_TOKEN", "postern")
	t.Setenv("PKCS11_PIN_FILE", pin)
	t.Setenv("HSM_RECORD", filepath.Join(dir, "hsm-key.json"))
}

func hsm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := run(t.Context(), args, &out)
	return out.String(), err
}

func TestAKeyInTheDeviceIsEnrolledUsedRenewedAndRemoved(t *testing.T) {
	softHSM(t)
	server := zitadeltest.Start(t)
	user := server.AddServiceUser("bot", zitadeltest.WithOrgRole("ORG_OWNER"))
	t.Setenv("ZITADEL_ISSUER", server.Issuer())
	t.Setenv("ZITADEL_PAT", user.PAT())

	_, err := hsm(t, "call")
	require.ErrorContains(t, err, "run hsm enroll first")
	out, err := hsm(t, "enroll")
	require.NoError(t, err)
	assert.Contains(t, out, "of user "+user.ID)

	t.Setenv("ZITADEL_PAT", "") // from here on only the device opens doors
	out, err = hsm(t, "call")
	require.NoError(t, err)
	assert.Contains(t, out, "Organisation "+server.OrgID())

	out, err = hsm(t, "enroll")
	require.NoError(t, err)
	_, old, found := strings.Cut(strings.TrimSpace(out), "hsm remove ")
	require.True(t, found, out)
	out, err = hsm(t, "remove", old)
	require.NoError(t, err)
	assert.Equal(t, "Key "+old+" is removed.\n", out)
	_, err = hsm(t, "call")
	require.NoError(t, err)

	record, err := os.ReadFile(os.Getenv("HSM_RECORD"))
	require.NoError(t, err)
	assert.NotContains(t, string(record), old)
	for _, r := range server.Requests(zitadeltest.AnyEndpoint) {
		assert.NotContains(t, r.Body, "PRIVATE")
	}
}

func TestTheKeyInUseIsNotRemoved(t *testing.T) {
	softHSM(t)
	server := zitadeltest.Start(t)
	t.Setenv("ZITADEL_ISSUER", server.Issuer())
	t.Setenv("ZITADEL_PAT", server.AddServiceUser("bot").PAT())
	out, err := hsm(t, "enroll")
	require.NoError(t, err)
	_, err = hsm(t, "remove", strings.Fields(out)[1])
	require.ErrorContains(t, err, "is in use")
	_, err = hsm(t, "remove", "123")
	require.ErrorContains(t, err, "expected the id of a key")
}

// The device gives its private keys to nobody.
func TestThePrivateHalfDoesNotLeaveTheDevice(t *testing.T) {
	softHSM(t)
	d, err := openDevice(os.Getenv)
	require.NoError(t, err)
	defer d.Close()
	signer, err := d.Generate("probe")
	require.NoError(t, err)
	pkcs11, ok := d.(pkcs11Device)
	require.True(t, ok)
	extractable, err := pkcs11.GetAttribute(signer, crypto11.CkaExtractable)
	require.NoError(t, err)
	assert.Equal(t, []byte{0}, extractable.Value)
	sensitive, err := pkcs11.GetAttribute(signer, crypto11.CkaSensitive)
	require.NoError(t, err)
	assert.Equal(t, []byte{1}, sensitive.Value)
	_, err = pkcs11.GetAttribute(signer, crypto11.CkaValue)
	require.Error(t, err)
}

func TestMistakesAreNamed(t *testing.T) {
	for _, args := range [][]string{nil, {"sign"}, {"remove"}, {"call", "x"}} {
		_, err := hsm(t, args...)
		require.EqualError(t, err, usage)
	}
	for _, name := range []string{"PKCS11_MODULE", "PKCS11_TOKEN", "PKCS11_PIN_FILE"} {
		t.Setenv(name, "")
	}
	_, err := hsm(t, "call")
	for _, name := range []string{"PKCS11_MODULE", "PKCS11_TOKEN", "PKCS11_PIN_FILE"} {
		require.ErrorContains(t, err, name)
	}
}
