package introspect_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/introspect"
	"github.com/postern-go/postern/keyfile"
	"github.com/postern-go/postern/zitadeltest"
)

// A server of zitadeltest stands for ZITADEL here; with a real one Issuer is its URL, and HTTPClient is left out.
func ExampleNew() {
	zitadel, err := zitadeltest.New(zitadeltest.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer zitadel.Close()
	orders := zitadel.AddProject("orders", "viewer", "admin")
	api := orders.AddAPI("orders-api")
	bot := zitadel.AddServiceUser("bot", zitadeltest.WithProjectRole(orders, "viewer"))
	token := bot.PAT()

	key, err := keyfile.Parse(api.KeyJSON()) // or keyfile.Read("api-key.json")
	if err != nil {
		fmt.Println(err)
		return
	}
	v, err := introspect.New(introspect.Config{
		Issuer:     zitadel.Issuer(),
		Auth:       introspect.PrivateKeyJWT(key),
		HTTPClient: zitadel.Client(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	for range 1000 {
		id, err := v.Verify(context.Background(), token)
		if err != nil || !id.HasRole("viewer") || id.HasRole("admin") {
			fmt.Println("unexpected:", err)
		}
	}
	fmt.Println("calls for 1000 requests:", v.Stats().Calls)

	_, err = v.Verify(context.Background(), "invented")
	fmt.Println("invented token:", errors.Is(err, postern.ErrInvalidToken))

	zitadel.Revoke(token)
	v.EvictToken(token) // or wait for Config.TTL
	_, err = v.Verify(context.Background(), token)
	fmt.Println("revoked token:", errors.Is(err, postern.ErrInvalidToken))
	// Output:
	// calls for 1000 requests: 1
	// invented token: true
	// revoked token: true
}

// With MaxStale an API goes on while ZITADEL is away. Who must not be let in on an old answer is asked for by Stale.
func ExampleConfig_maxStale() {
	zitadel, err := zitadeltest.New(zitadeltest.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	api := zitadel.AddProject("orders").AddAPI("orders-api")
	token := zitadel.AddServiceUser("bot").PAT()
	v, err := introspect.New(introspect.Config{
		Issuer: zitadel.Issuer(), Auth: introspect.Basic(api.ClientID, api.ClientSecret), HTTPClient: zitadel.Client(),
		TTL: time.Nanosecond, MaxStale: time.Hour, // every answer runs out at once, to show what happens then
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	id, err := v.Verify(context.Background(), token)
	fmt.Println(err, id.Stale())
	zitadel.Close()
	id, err = v.Verify(context.Background(), token)
	fmt.Println(err, id.Stale())
	_, err = v.Verify(context.Background(), "never seen before")
	fmt.Println(errors.Is(err, postern.ErrUnavailable))
	// Output:
	// <nil> false
	// <nil> true
	// true
}

// Mistakes are reported at once and together.
func ExampleNew_mistakes() {
	_, err := introspect.New(introspect.Config{Issuer: "issuer.example", TTL: -1})
	fmt.Println(err)
	// Output:
	// introspect: TTL: expected 0 to 24h0m0s, got -1ns
	// Issuer: expected a URL that begins with https://, got one with another scheme or none: write https:// before the host
	// Auth: expected introspect.Basic or introspect.PrivateKeyJWT, got nil
}

// A secret that a file holds may end in a line break, which is no part of it.
func ExampleBasic() {
	for _, secret := range []string{"LongAndRandom", "LongAndRandom\n"} {
		_, err := introspect.New(introspect.Config{Issuer: "https://my-instance.zitadel.cloud", Auth: introspect.Basic("329112233445566778", secret)})
		fmt.Println(err)
	}
	// Output:
	// <nil>
	// introspect: Auth: Basic: expected a client secret without control characters, got one with: a line break at its end may come from a file, cut it off
}

// The key is that of an API application. A service user's asks for tokens and not about them.
func ExamplePrivateKeyJWT() {
	zitadel, err := zitadeltest.New(zitadeltest.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer zitadel.Close()
	for _, file := range [][]byte{zitadel.AddProject("orders").AddAPI("orders-api").KeyJSON(), zitadel.AddServiceUser("bot").KeyJSON()} {
		key, err := keyfile.Parse(file)
		if err != nil {
			fmt.Println(err)
			return
		}
		_, err = introspect.New(introspect.Config{Issuer: zitadel.Issuer(), Auth: introspect.PrivateKeyJWT(key)})
		fmt.Println(err)
	}
	// Output:
	// <nil>
	// introspect: Auth: PrivateKeyJWT: Key: expected an API application's key (type "application"), got a service user's: add a key to the API application in ZITADEL and use that file
}
