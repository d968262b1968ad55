package main

import (
	"crypto"
	"crypto/elliptic"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/ThalesGroup/crypto11"
)

// pkcs11Device is an HSM behind PKCS #11. The library's keys are made sensitive and not extractable: the device signs, and the
// private half never leaves it.
type pkcs11Device struct{ *crypto11.Context }

func openDevice(getenv func(string) string) (device, error) {
	module, token, pinFile := getenv("PKCS11_MODULE"), getenv("PKCS11_TOKEN"), getenv("PKCS11_PIN_FILE")
	var errs []error
	for name, value := range map[string]string{"PKCS11_MODULE": module, "PKCS11_TOKEN": token, "PKCS11_PIN_FILE": pinFile} {
		if value == "" {
			errs = append(errs, fmt.Errorf("%s: expected a value, got none: see README.md", name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	pin, err := os.ReadFile(pinFile)
	if err != nil {
		return nil, err
	}
	ctx, err := crypto11.Configure(&crypto11.Config{Path: module, TokenLabel: token, Pin: strings.TrimRight(string(pin), "\r\n")})
	if err != nil {
		return nil, fmt.Errorf("open the token %q of %s: %w", token, module, err)
	}
	return pkcs11Device{ctx}, nil
}

// Generate makes a key pair on P-256: ES256 is short, and every HSM has it.
func (d pkcs11Device) Generate(label string) (crypto.Signer, error) {
	return d.GenerateECDSAKeyPairWithLabel([]byte(label), []byte(label), elliptic.P256())
}

func (d pkcs11Device) Find(label string) (crypto.Signer, error) {
	signer, err := d.FindKeyPair(nil, []byte(label))
	if err != nil {
		return nil, err
	}
	if signer == nil {
		return nil, fmt.Errorf("expected a key %q in the device, found none", label)
	}
	return signer, nil
}
