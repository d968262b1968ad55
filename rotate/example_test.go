package rotate_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/postern-go/postern/pat"
	"github.com/postern-go/postern/rotate"
	"github.com/postern-go/postern/zitadeltest"
)

// A service user without any role renews its own token, which a running service takes up from the file.
func ExampleNew() {
	server, err := zitadeltest.New(zitadeltest.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	dir, err := os.MkdirTemp("", "rotate")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	store := rotate.NewFileStore(filepath.Join(dir, "pat"))
	token := server.AddServiceUser("bot").PAT(time.Now().Add(24 * time.Hour))
	if err := os.WriteFile(store.Path(), []byte(token), 0o600); err != nil {
		fmt.Println(err)
		return
	}

	r, err := rotate.New(rotate.Config{Issuer: server.Issuer(), Kind: rotate.PAT, Store: store})
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := r.Run(context.Background())
	fmt.Println("due:", report.Renewed, err)
	report, err = r.Rotate(context.Background())
	fmt.Println("renewed:", report.Renewed, err)
	fmt.Println("days:", int(time.Until(report.Current.Expires).Hours()+24)/24)
	_, err = r.Rotate(context.Background())
	fmt.Println("again:", err != nil)
	// Output:
	// due: false <nil>
	// renewed: true <nil>
	// days: 30
	// again: true
}

// The record of renewals tells a running service when its token ends.
func ExampleFileStore_Expiry() {
	store := rotate.NewFileStore("/var/lib/app/pat")
	_, err := pat.FromFile(store.Path(), pat.LearnExpiry(store.Expiry))
	fmt.Println(err)
	// Output: pat: /var/lib/app/pat: expected a file, got none (no such file or directory): check the path
}

// The public half of a key whose private half stays where it is, in an HSM say, gets its id.
func ExampleClient_AddKey() {
	server, err := zitadeltest.New(zitadeltest.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	src, err := pat.New(server.AddServiceUser("bot").PAT())
	if err != nil {
		fmt.Println(err)
		return
	}
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // stands for the HSM's
	if err != nil {
		fmt.Println(err)
		return
	}

	client, err := rotate.NewClient(rotate.ClientConfig{Issuer: server.Issuer(), Source: src})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	key, err := client.AddKey(ctx, "", signer.Public(), time.Now().Add(30*24*time.Hour))
	fmt.Println(key.ID != "", err)
	all, err := client.List(ctx, rotate.Key, "")
	fmt.Println(len(all), err)
	fmt.Println(client.Remove(ctx, rotate.Key, "", key.ID))
	// Output:
	// true <nil>
	// 1 <nil>
	// <nil>
}

// A client does nothing by itself. Its mistakes show at once, and all of them.
func ExampleNewClient() {
	_, err := rotate.NewClient(rotate.ClientConfig{Issuer: "my-instance.zitadel.cloud"})
	fmt.Println(err)
	// Output:
	// rotate: Issuer: expected the server's URL, such as "https://acme.zitadel.cloud", without user, query or fragment
	// Source: expected a token source, got nil
}

// Beside the file lies what the Rotator remembers. Neither need be there before the first credential is.
func ExampleNewFileStore() {
	store := rotate.NewFileStore("/var/lib/app/pat")
	_, err := store.Load(context.Background())
	fmt.Println(store.Path(), err)
	// Output: /var/lib/app/pat <nil>
}

// A Store of your own keeps two texts and hands out a version with them. Printing a Record shows neither.
func ExampleNewRecord() {
	r := rotate.NewRecord([]byte("dEnN0"), []byte(`{"kind":"pat"}`), "7")
	fmt.Println(r, len(r.Credential()), r.Version())
	// Output: rotate.Record(credential of 5 bytes, state of 14 bytes) 5 7
}
