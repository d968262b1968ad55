package introspect

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Shared is a second level of answers behind a Verifier's own cache: what one replica of a fleet asked, all may use, and what
// one replica evicts, all evict. Package rediscache is one on Redis or Valkey.
//
// A Verifier that finds nothing in its own cache loads from here before it asks the server, and stores here what the server
// said. It stores only answers that are active, and never longer than its own cache would keep them. Whatever fails here
// costs a question to the server and nothing else, so an implementation bounds how long it takes and never blocks.
// Implementations are safe for concurrent use, and may serve several Verifiers.
type Shared interface {
	// Load returns the answer that was stored for exactly that key. It returns false for one that is not there, has expired,
	// or is not known to be newer than every Eviction that concerns it. An error means that the store could not be asked.
	Load(ctx context.Context, key SharedKey) (answer SharedAnswer, ok bool, err error)
	// Store keeps the answer for every replica until answer.Expires.
	Store(ctx context.Context, key SharedKey, answer SharedAnswer) error
	// Delete forgets the answer because the server has taken it back. From then on no Load in this process returns what was
	// asked for before, even where the store could not be reached.
	Delete(ctx context.Context, key SharedKey) error
	// Publish hands the eviction over and returns at once. It holds in this process from then on, and reaches the other
	// replicas as soon as the store lets it.
	Publish(e Eviction)
	// Watch registers a function that is called for every eviction that any replica publishes, this one included. It is called
	// from several goroutines, may hear of one eviction twice, and must not block.
	Watch(evict func(Eviction))
}

// SharedKey is whose answer it is. All three parts matter: which roles and audience the server tells depends on the API that
// asks, so the answer to one API is not another's.
type SharedKey struct {
	// Issuer is the identity server, as Config.Issuer has it.
	Issuer string
	// ClientID is the API that asks.
	ClientID string
	// Token is the access token, for keys to be derived from. It must not be stored, and neither must a plain hash of it.
	Token string
}

// Format writes the key without its token, whatever the verb.
func (k SharedKey) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "introspect.SharedKey("+k.Issuer+" "+k.ClientID+")")
}

// MarshalText returns what Format writes.
func (k SharedKey) MarshalText() ([]byte, error) { return fmt.Append(nil, k), nil }

// SharedAnswer is an active answer of the server.
type SharedAnswer struct {
	// Claims is the answer as it came (RFC 7662 §2.2).
	Claims []byte
	// TokenID and Subject are its jti and sub, by which an Eviction concerns it. Either may be empty.
	TokenID, Subject string
	// Asked is when this process began to ask the server. What was evicted later is not known to be in the answer.
	Asked time.Time
	// Expires is when the answer may no longer be used: the end of the first level's TTL or of the token, whichever is first.
	Expires time.Time
}

// Eviction says which answers are no longer to be used, because the server said that something changed. Exactly one of
// TokenID, Subject and All is set.
type Eviction struct {
	// Issuer is the identity server whose answers are meant; empty means every server's.
	Issuer string
	// TokenID is the jti of one token, or the part before "-at_" of it, which names the session: then all tokens of the session
	// are meant.
	TokenID string
	// Subject is the user whose tokens are meant, all of them.
	Subject string
	// All means every token.
	All bool
}
