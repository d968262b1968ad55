package keyfile_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/postern-go/postern/keyfile"
)

func ExampleParse() {
	_, err := keyfile.Parse([]byte(`{"type":"serviceaccount","keyId":"1","key":"-----BEGIN RSA PRIVATE KEY-----`))
	fmt.Println(err)
	// Output: keyfile: expected a whole JSON object, got the beginning of one: the file was cut off or is being written, download it again
}

func ExampleRead() {
	_, err := keyfile.Read("testdata")
	fmt.Println(err)
	// Output: keyfile: testdata: expected a file, got a directory: name the file in it
}

func ExampleOpen() {
	file, err := keyfile.Open("testdata/application.json")
	if err != nil {
		fmt.Println(err)
		return
	}
	key, err := file.Key(context.Background())
	fmt.Println(key, err)
	// Output: keyfile.Key(type "application", keyId "400709186138147878", clientId "400709186071104550", unknown expiry) <nil>
}

// A key whose private half lives in a device is made by hand.
func ExampleKey() {
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // stands for a KMS, an HSM or a TPM
	if err != nil {
		fmt.Println(err)
		return
	}
	key := &keyfile.Key{Type: keyfile.ServiceAccount, ID: "4007", UserID: "4008", Signer: signer}
	fmt.Println(key.Validate(time.Now()))
	fmt.Println(key)
	// Output:
	// <nil>
	// keyfile.Key(type "serviceaccount", keyId "4007", userId "4008", unknown expiry)
}
