package rediscache_test

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/redis/rueidis"

	"github.com/postern-go/postern/introspect"
	"github.com/postern-go/postern/rediscache"
	"github.com/postern-go/postern/rediscache/internal/redisserver"
)

// Two replicas of an API share what one of them learned, until the token is revoked.
func ExampleNew() {
	redis, err := redisserver.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer redis.Kill()

	config := rediscache.Config{
		Redis:   rueidis.ClientOption{InitAddress: []string{redis.Addr()}},
		Secrets: [][]byte{bytes.Repeat([]byte("random!!"), 4)}, // in earnest: 32 random bytes out of a secret store
	}
	one, err := rediscache.New(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer one.Close()
	two, err := rediscache.New(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer two.Close()

	// What an introspect.Verifier does with Config.Shared.
	ctx := context.Background()
	key := introspect.SharedKey{Issuer: "https://issuer.example", ClientID: "orders-api", Token: "a token"}
	for one.Store(ctx, key, introspect.SharedAnswer{
		Claims: []byte(`{"active":true,"sub":"123"}`), Subject: "123", Asked: time.Now(), Expires: time.Now().Add(time.Minute),
	}) != nil { // until it is connected
		time.Sleep(time.Millisecond)
	}
	load := func() (answer introspect.SharedAnswer, ok bool) {
		for err := error(context.Canceled); err != nil; time.Sleep(time.Millisecond) {
			answer, ok, err = two.Load(ctx, key)
		}
		return answer, ok
	}
	answer, ok := load()
	fmt.Println(ok, string(answer.Claims))

	two.Publish(introspect.Eviction{Issuer: "https://issuer.example", Subject: "123"})
	_, ok = load()
	fmt.Println(ok)
	// Output:
	// true {"active":true,"sub":"123"}
	// false
}

// A fleet secret that is too short, and no address: New says both.
func ExampleNew_mistakes() {
	_, err := rediscache.New(rediscache.Config{Secrets: [][]byte{[]byte("hunter2")}})
	fmt.Println(err)
	// Output:
	// rediscache: Redis.InitAddress: expected the address of a server, such as "redis:6379", got none
	// Secrets[0]: expected at least 32 random bytes, got 7: openssl rand -out fleet.key 32
}
