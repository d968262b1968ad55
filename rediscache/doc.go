// Package rediscache lets the replicas of an API share what they learned about tokens, on Redis or Valkey: one replica asks
// the identity server, all use the answer, and what is revoked ends in all of them at once.
//
//	shared, err := rediscache.New(rediscache.Config{
//		Redis:   rueidis.ClientOption{InitAddress: []string{"redis:6379"}, Username: "postern", Password: password},
//		Secrets: [][]byte{fleetSecret},
//	})
//	defer shared.Close()
//	verifier, err := introspect.New(introspect.Config{Issuer: issuer, Auth: auth, Shared: shared})
//	events, err := introspect.NewRevocationHandler(verifier, introspect.RevocationConfig{SigningKeys: keys})
//
// # What Redis holds
//
// Answers, under names that are an HMAC of issuer, client id and token, each sealed with a key that is derived from the fleet
// secret and the token: who reads Redis learns no claim, who writes it forges none, and the fleet secret alone opens nothing
// without the token. And a journal of evictions, sealed with a key that is derived from the fleet secret. Answers say up to
// which place in the journal they were asked for, so an answer that is older than an eviction that concerns it is never used,
// whoever stored it, whoever missed the message, and whatever the clocks say. docs/fleet.md has the details, and what an
// attacker gets.
//
// # When Redis fails
//
// Redis is never needed: a lookup takes 20 milliseconds at most, and what goes wrong costs a question to the identity server
// and nothing else. After five failures in a row Redis is left alone for a second at a time. Evictions that could not be
// delivered are delivered when it is back.
//
// # Why rueidis
//
// The client library is rueidis, because of what it does when a server stalls. With 64 callers that give up after 20 ms and a
// redis-server that was stopped (SIGSTOP) for two seconds, rueidis ended with 3 connections made in all, and go-redis v9 with
// 653: it closes the connection of every call that gives up, and a thousand replicas would do so at once to a server that is
// in trouble. It also multiplexes all lookups of a process over a few connections, where go-redis keeps ten for each
// processor. What rueidis does not do, this package does: it bounds the calls in flight, as a full pipeline blocks its
// callers beyond their deadline, and it connects in the background, as a program must start while Redis is down.
//
// Sentinel, Cluster, TLS, ACL users and the rest of what there is to say about the connection are options of
// rueidis.ClientOption.
package rediscache
